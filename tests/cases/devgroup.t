:FORWARD
-m devgroup --src-group 0x4 ; = ; OK
-m devgroup ! --src-group 0x4/0xc --dst-group 0x20 ; = ; OK
-m devgroup --src-group 10 ; -m devgroup --src-group 0xa ; OK
-m devgroup --dst-group 0 ; -m devgroup --dst-group default ; OK
-m devgroup --dst-group 0/1 ; -m devgroup --dst-group 0x0/0x1 ; OK
-m devgroup --dst-group default/1 ; ; FAIL
-m devgroup --dst-group no-such-group ; ; FAIL
-m devgroup ; ; FAIL
