# SNPT
*mangle
:POSTROUTING
@6
-j SNPT --src-pfx 2001:db8::/48 --dst-pfx fd00:1::/48 ; = ; OK
-j SNPT --dst-pfx fd00:1::/64 --src-pfx 2001:db8::/48 ; -j SNPT --src-pfx 2001:db8::/48 --dst-pfx fd00:1::/64 ; OK
-j SNPT --src-pfx 2001:db8::/48 ; ; FAIL
-j SNPT --src-pfx 2001:db8::/65 --dst-pfx fd00:1::/48 ; ; FAIL
-j SNPT --src-pfx 2001:db8::1/48 --dst-pfx fd00:1::/48 ; ; FAIL
-j SNPT --src-pfx 10.0.0.0/8 --dst-pfx fd00:1::/48 ; ; FAIL
