# REDIRECT: to this host itself
*nat
:PREROUTING
-j REDIRECT ; = ; OK
-p tcp -j REDIRECT --to-ports 8080 ; = ; OK
-p tcp -m tcp --dport 80 -j REDIRECT --to-ports 3128 ; = ; OK
-p udp -j REDIRECT --to-ports 1000-2000 ; = ; OK
-p udp -j REDIRECT --random --to-ports 1000-2000 ; -p udp -j REDIRECT --to-ports 1000-2000 --random ; OK
-j REDIRECT --random ; = ; OK
-p tcp -j REDIRECT --to-port 8080 ; -p tcp -j REDIRECT --to-ports 8080 ; OK
-p tcp -j REDIRECT --to-ports smtp ; -p tcp -j REDIRECT --to-ports 25 ; OK
-j REDIRECT --to-ports 8080 ; ; FAIL
-p tcp -j REDIRECT --to-ports 80-90/8000 ; ; FAIL
-p tcp -j REDIRECT --to-ports 70000 ; ; FAIL
-p tcp -j REDIRECT --to-ports 0-70000 ; ; FAIL
-p tcp -j REDIRECT --to-ports nosuchservice ; ; FAIL
