# TTL
*mangle
:PREROUTING
@4
-j TTL --ttl-set 64 ; = ; OK
-j TTL --ttl-set 0 ; = ; OK
-j TTL --ttl-inc 1 ; = ; OK
-j TTL --ttl-dec 255 ; = ; OK
-j TTL --ttl-inc 0x10 ; -j TTL --ttl-inc 16 ; OK
-j TTL ; ; FAIL
-j TTL --ttl-inc 0 ; ; FAIL
-j TTL --ttl-dec 256 ; ; FAIL
-j TTL --ttl-set 1 --ttl-inc 1 ; ; FAIL
-j TTL --ttl-dec 1 --ttl-inc 1 ; ; FAIL
