# NETMAP: another network, the same host part
*nat
:PREROUTING
@4
-d 192.0.2.0/24 -j NETMAP --to 10.0.0.0/24 ; = ; OK
-j NETMAP --to 10.0.0.7/24 ; -j NETMAP --to 10.0.0.0/24 ; OK
-j NETMAP --to 10.0.0.7 ; -j NETMAP --to 10.0.0.7/32 ; OK
-j NETMAP --to 10.0.0.0/255.255.0.0 ; -j NETMAP --to 10.0.0.0/16 ; OK
-j NETMAP --to 0.0.0.0/0 ; = ; OK
-j NETMAP ; ; FAIL
-j NETMAP --to 10.0.0.0/33 ; ; FAIL
-j NETMAP --to 10.0.0.0/x ; ; FAIL
-j NETMAP --to 2001:db8::/64 ; ; FAIL
@6
-j NETMAP --to 2001:db8::/64 ; = ; OK
-j NETMAP --to 2001:db8::1/64 ; -j NETMAP --to 2001:db8::/64 ; OK
-j NETMAP --to 2001:db8::1 ; -j NETMAP --to 2001:db8::1/128 ; OK
-j NETMAP --to 2001:db8::/129 ; ; FAIL
-j NETMAP --to 10.0.0.0/8 ; ; FAIL
