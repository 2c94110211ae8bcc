-p udp -m udp --dport 53 ; = ; OK
-p udp -m udp --sport 67 --dport 68 ; = ; OK
-p udp -m udp ! --sport 1:5 ! --dport 7 ; = ; OK
-p udp --dport domain ; -p udp -m udp --dport 53 ; OK
-p udp --destination-port 5: --source-port :9 ; -p udp -m udp --sport 0:9 --dport 5:65535 ; OK
-p 17 --dport 0:65535 ; -p udp -m udp ; OK
# legal, and no port is in it
-p udp -m udp --dport 60000:29 ; = ; OK
-p udp -m udp --dport 1:2:3 ; ; FAIL
# getaddrinfo reads it: in decimal, 16 bits of it, and services of any protocol
-p udp -m udp --dport 70000 ; -p udp -m udp --dport 4464 ; OK
-p udp --dport 077 ; -p udp -m udp --dport 77 ; OK
-p udp --sport ssh ; -p udp -m udp --sport 22 ; OK
-p udp --dport 0x35 ; ; FAIL
-m udp --dport 53 ; ; FAIL
-p tcp -m udp --dport 53 ; ; FAIL
