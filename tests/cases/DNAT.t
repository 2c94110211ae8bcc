# DNAT: a new destination (extensions/libxt_NAT.c)
*nat
:PREROUTING
@4
-j DNAT --to-destination 172.17.0.2 ; = ; OK
-p tcp -j DNAT --to-destination 172.17.0.2:80 ; = ; OK
-d 192.0.2.10/32 ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80 ; = ; OK
-p udp -j DNAT --to-destination 10.0.0.1-10.0.0.9 ; = ; OK
-p udp -j DNAT --to-destination 10.0.0.1-10.0.0.9:53 ; = ; OK
-p tcp -j DNAT --to-destination 10.0.0.1:80-82/8000 ; = ; OK
-p tcp -j DNAT --to-destination 10.0.0.1:80-82/http ; -p tcp -j DNAT --to-destination 10.0.0.1:80-82/80 ; OK
-p tcp -j DNAT --to-destination 10.0.0.1:80-80 ; -p tcp -j DNAT --to-destination 10.0.0.1:80 ; OK
-p tcp -j DNAT --to-destination :8080 ; = ; OK
-p tcp -j DNAT --to-destination :8080-8090 ; = ; OK
-p tcp -j DNAT --to-destination 10.0.0.1:https ; -p tcp -j DNAT --to-destination 10.0.0.1:443 ; OK
-p tcp -j DNAT --to-destination 10.0.0.1:0x50 ; -p tcp -j DNAT --to-destination 10.0.0.1:80 ; OK
-p tcp -j DNAT --to-destination 10.0.0.1:0 ; = ; OK
-p tcp -j DNAT --to-destination 10.0.0.1:65535 ; = ; OK
-p sctp -j DNAT --to-destination 10.0.0.1:80 ; = ; OK
-p dccp -j DNAT --to-destination 10.0.0.1:80 ; = ; OK
-p icmp -j DNAT --to-destination 10.0.0.1:80 ; = ; OK
! -p tcp -j DNAT --to-destination 10.0.0.1:80 ; = ; OK
-p tcp -j DNAT --persistent --random --to-destination 10.0.0.1:1-9 ; -p tcp -j DNAT --to-destination 10.0.0.1:1-9 --random --persistent ; OK
-j DNAT --to-destination 10.0.0.1 --random ; = ; OK
-j DNAT ; ; FAIL
-j DNAT --random ; ; FAIL
-j DNAT --to-destination 10.0.0.1:80 ; ; FAIL
-p gre -j DNAT --to-destination 10.0.0.1:80 ; ; FAIL
-p udplite -j DNAT --to-destination 10.0.0.1:80 ; ; FAIL
-p tcp -j DNAT --to-destination 10.0.0.1:80:90 ; ; FAIL
-p tcp -j DNAT --to-destination 10.0.0.1:90-80 ; ; FAIL
-p tcp -j DNAT --to-destination 10.0.0.1:80-http ; ; FAIL
-p tcp -j DNAT --to-destination 10.0.0.1:80-82/0 ; ; FAIL
-p tcp -j DNAT --to-destination 10.0.0.1:65536 ; ; FAIL
-p tcp -j DNAT --to-destination 10.0.0.1: ; ; FAIL
-p tcp -j DNAT --to-destination [10.0.0.1]:80 ; ; FAIL
-j DNAT --to-destination 10.0.0 ; ; FAIL
-j DNAT --to-destination 10.0.0.1/24 ; ; FAIL
-j DNAT --to-destination 2001:db8::1 ; ; FAIL
-j DNAT --to-destination 10.0.0.1 --to-destination 10.0.0.2 ; ; FAIL
-j DNAT ! --to-destination 10.0.0.1 ; ; FAIL
-j DNAT --to-destination 10.0.0.1 --random-fully ; = ; OPAQUE
-j DNAT --to-destination 10.0.0.1 --random --random ; ; FAIL
@6
-j DNAT --to-destination 2001:db8::2 ; = ; OK
-j DNAT --to-destination [2001:DB8::2] ; -j DNAT --to-destination 2001:db8::2 ; OK
-p tcp -j DNAT --to-destination [2001:db8::2]:80 ; = ; OK
-p tcp -j DNAT --to-destination [2001:db8::2]:80-82/8000 ; = ; OK
-p tcp -j DNAT --to-destination [2001:db8::2-2001:db8::9]:80-82 ; = ; OK
-j DNAT --to-destination 2001:db8::2-2001:db8::9 ; = ; OK
-j DNAT --to-destination 2001:0db8:0:0::2 ; -j DNAT --to-destination 2001:db8::2 ; OK
-p udp -j DNAT --to-destination :53 --persistent ; = ; OK
-p udp -j DNAT --to-destination []:53 ; -p udp -j DNAT --to-destination :53 ; OK
-j DNAT --to-destination [2001:db8::2 ; ; FAIL
-j DNAT --to-destination [2001:db8::2]:80 ; ; FAIL
-p ipv6-icmp -j DNAT --to-destination [2001:db8::2]:80 ; ; FAIL
-j DNAT --to-destination 10.0.0.1 ; ; FAIL
