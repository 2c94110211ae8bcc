# DNPT
*mangle
:PREROUTING
@6
-j DNPT --src-pfx 2001:db8::/48 --dst-pfx fd00:1::/48 ; = ; OK
-j DNPT --dst-pfx fd00:1::/64 --src-pfx 2001:db8::/48 ; -j DNPT --src-pfx 2001:db8::/48 --dst-pfx fd00:1::/64 ; OK
-j DNPT --src-pfx 2001:db8::/48 ; ; FAIL
-j DNPT --src-pfx 2001:db8::/65 --dst-pfx fd00:1::/48 ; ; FAIL
-j DNPT --src-pfx 2001:db8::1/48 --dst-pfx fd00:1::/48 ; ; FAIL
-j DNPT --src-pfx 10.0.0.0/8 --dst-pfx fd00:1::/48 ; ; FAIL
