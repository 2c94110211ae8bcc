# MASQUERADE: the outgoing interface's address as source
*nat
:POSTROUTING
-j MASQUERADE ; = ; OK
-o eth0 -j MASQUERADE --random ; = ; OK
-j MASQUERADE --random-fully ; = ; OK
-p tcp -j MASQUERADE --to-ports 1024-65535 ; = ; OK
-p udp -j MASQUERADE --to-ports 5000 ; = ; OK
-p udp -j MASQUERADE --to-ports domain ; -p udp -j MASQUERADE --to-ports 53 ; OK
-p tcp -j MASQUERADE --random-fully --random --to-ports 1024-2048 ; -p tcp -j MASQUERADE --to-ports 1024-2048 --random --random-fully ; OK
-p tcp -j MASQUERADE --to-ports 7-7 ; -p tcp -j MASQUERADE --to-ports 7 ; OK
-j MASQUERADE --to-ports 5000 ; ; FAIL
-p gre -j MASQUERADE --to-ports 5000 ; ; FAIL
-p tcp -j MASQUERADE --to-ports 5000-4000 ; ; FAIL
-p tcp -j MASQUERADE --to-ports 1-65536 ; ; FAIL
-p tcp -j MASQUERADE --to-ports 1:5 ; ; FAIL
-p tcp -j MASQUERADE --to-ports 80-90/100 ; ; FAIL
-p tcp -j MASQUERADE ! --to-ports 5000 ; ; FAIL
