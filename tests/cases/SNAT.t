# SNAT: a new source
*nat
:POSTROUTING
@4
-o eth0 -j SNAT --to-source 192.0.2.1 ; = ; OK
-j SNAT --to-source 192.0.2.1-192.0.2.9 ; = ; OK
-p tcp -j SNAT --to-source 192.0.2.1:1024-65535 ; = ; OK
-p udp -j SNAT --to-source 192.0.2.1-192.0.2.9:5000 ; = ; OK
-p udp -j SNAT --to-source :5000-6000 ; = ; OK
-j SNAT --persistent --random-fully --random --to-source 192.0.2.1 ; -j SNAT --to-source 192.0.2.1 --random --random-fully --persistent ; OK
-j SNAT --to-source 192.0.2.1 --random ; = ; OK
-j SNAT --to-source 192.0.2.1 --random-fully ; = ; OK
-j SNAT --to-source 192.0.2.1 --persistent ; = ; OK
-p tcp -j SNAT --to-source 192.0.2.1:ssh ; -p tcp -j SNAT --to-source 192.0.2.1:22 ; OK
-j SNAT --to-source=192.0.2.1 ; -j SNAT --to-source 192.0.2.1 ; OK
-j SNAT ; ; FAIL
-j SNAT --to-source 192.0.2.1:80 ; ; FAIL
-p tcp -j SNAT --to-source 192.0.2.1:80-90/8000 ; ; FAIL
-p tcp -j SNAT --to-source 192.0.2.1:1-65536 ; ; FAIL
-j SNAT --to-source 192.0.2.256 ; ; FAIL
-j SNAT --to-source eth0 ; ; FAIL
-j SNAT --to-source 192.0.2.1 --to-source 192.0.2.2 ; ; FAIL
@6
-j SNAT --to-source 2001:db8::1 ; = ; OK
-p tcp -j SNAT --to-source [2001:db8::1]:1024-65535 --random-fully ; = ; OK
-j SNAT --to-source 2001:db8::1-2001:db8::ffff --persistent ; = ; OK
-j SNAT --to-source 192.0.2.1 ; ; FAIL
