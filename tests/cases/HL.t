# HL: the hop limit
*mangle
:PREROUTING
@6
-j HL --hl-set 64 ; = ; OK
-j HL --hl-set 0 ; = ; OK
-j HL --hl-inc 1 ; = ; OK
-j HL --hl-dec 255 ; = ; OK
-j HL ; ; FAIL
-j HL --hl-inc 0 ; ; FAIL
-j HL --hl-set 256 ; ; FAIL
-j HL --hl-set 1 --hl-dec 1 ; ; FAIL
