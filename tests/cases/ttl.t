# Time to live: -m ttl
@4
-m ttl --ttl-eq 1 ; = ; OK
-m ttl ! --ttl-eq 255 ; = ; OK
-m ttl --ttl 64 ; -m ttl --ttl-eq 64 ; OK
-m ttl ! --ttl 64 ; -m ttl ! --ttl-eq 64 ; OK
-m ttl --ttl-lt 0 ; = ; OK
-m ttl --ttl-gt 255 ; = ; OK
-m ttl ! --ttl-gt 255 ; ; FAIL
-m ttl --ttl-gt 256 ; ; FAIL
-m ttl --ttl-gt 2 --ttl-lt 5 ; ; FAIL
-m ttl ; ; FAIL
