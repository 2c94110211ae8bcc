# Length of the packet: -m length
-m length --length 5 ; = ; OK
-m length ! --length 5: ; -m length ! --length 5:65535 ; OK
-m length --length :5 ; -m length --length 0:5 ; OK
-m length --length : ; -m length --length 0:65535 ; OK
-m length --length 7:5 ; = ; OK
-m length --length 65535 ; = ; OK
-m length --length 65536 ; ; FAIL
-m length --length 1:2:3 ; ; FAIL
-m length ; ; FAIL
