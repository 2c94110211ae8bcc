# Hop limit: -m hl
@6
-m hl --hl-eq 1 ; = ; OK
-m hl ! --hl-eq 255 ; = ; OK
-m hl --hl 64 ; -m hl --hl-eq 64 ; OK
-m hl ! --hl 64 ; -m hl ! --hl-eq 64 ; OK
-m hl --hl-lt 0 ; = ; OK
-m hl --hl-gt 255 ; = ; OK
-m hl ! --hl-gt 255 ; ; FAIL
-m hl --hl-gt 256 ; ; FAIL
-m hl --hl-gt 2 --hl-lt 5 ; ; FAIL
-m hl ; ; FAIL
