*nat
:PREROUTING
-m addrtype --dst-type LOCAL ; = ; OK
-m addrtype --src-type UNICAST,LOCAL,MULTICAST ! --dst-type LOCAL ; = ; OK
-m addrtype --dst-type local ; -m addrtype --dst-type LOCAL ; OK
-m addrtype ! --dst-type mul,any ; -m addrtype ! --dst-type ANYCAST,MULTICAST ; OK
# the first type that begins so: UNSPEC, not UNICAST
-m addrtype --src-type UN ; -m addrtype --src-type UNSPEC ; OK
-m addrtype --src-type UNSPEC,UNREACHABLE --limit-iface-in ; = ; OK
-m addrtype --limit-iface-in --dst-type LOCAL ; -m addrtype --dst-type LOCAL --limit-iface-in ; OK
:POSTROUTING
-m addrtype --src-type LOCAL --limit-iface-out ; = ; OK
@4
-m addrtype --dst-type BROADCAST,BLACKHOLE,PROHIBIT,THROW,NAT,XRESOLVE ; = ; OK
@6
-m addrtype --dst-type BROADCAST ; ; FAIL
-m addrtype ! --src-type PROHIBIT ; ; FAIL
@46
-m addrtype ; ; FAIL
-m addrtype --limit-iface-in ; ; FAIL
-m addrtype --dst-type LOCAL --limit-iface-in --limit-iface-out ; ; FAIL
-m addrtype --dst-type NOWHERE ; ; FAIL
-m addrtype --dst-type LOCAL, ; ; FAIL
