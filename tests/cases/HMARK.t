# HMARK: a hash as mark
*mangle
:PREROUTING
-j HMARK --hmark-tuple ct --hmark-mod 10 --hmark-rnd 1 ; -j HMARK --hmark-rnd 0x00000001 --hmark-mod 10 --hmark-tuple ct ; OK
-j HMARK --hmark-tuple dport,sport,proto --hmark-mod 10 --hmark-rnd 1 --hmark-offset 100 ; -j HMARK --hmark-sport-mask 0xffff --hmark-dport-mask 0xffff --hmark-proto-mask 0xffff --hmark-rnd 0x00000001 --hmark-mod 10 --hmark-offset 100 ; OK
-j HMARK --hmark-src-prefix 24 --hmark-dst-prefix 16 --hmark-rnd 0xcafe --hmark-mod 4294967295 ; -j HMARK --hmark-src-prefix 24 --hmark-dst-prefix 16 --hmark-rnd 0x0000cafe --hmark-mod 4294967295 ; OK
-j HMARK --hmark-tuple spi --hmark-spi 7 --hmark-rnd 1 --hmark-mod 2 ; -j HMARK --hmark-spi-mask 0xffffffff --hmark-spi 0x00000007 --hmark-rnd 0x00000001 --hmark-mod 2 ; OK
-j HMARK --hmark-sport 80 --hmark-dport 0x51 --hmark-sport-mask 1 --hmark-dport-mask 2 --hmark-proto-mask 3 --hmark-rnd 1 --hmark-mod 2 ; -j HMARK --hmark-sport-mask 0x0001 --hmark-dport-mask 0x0002 --hmark-sport 0x0050 --hmark-dport 0x0051 --hmark-proto-mask 0x03 --hmark-rnd 0x00000001 --hmark-mod 2 ; OK
-j HMARK --hmark-spi-mask 255 --hmark-rnd 1 --hmark-mod 2 ; -j HMARK --hmark-spi-mask 0x000000ff --hmark-rnd 0x00000001 --hmark-mod 2 ; OK
-j HMARK ; ; FAIL
-j HMARK --hmark-tuple src --hmark-mod 1 ; ; FAIL
-j HMARK --hmark-tuple src --hmark-rnd 1 ; ; FAIL
-j HMARK --hmark-rnd 1 --hmark-mod 1 ; ; FAIL
-j HMARK --hmark-tuple src --hmark-rnd 1 --hmark-mod 0 ; ; FAIL
-j HMARK --hmark-tuple x --hmark-rnd 1 --hmark-mod 1 ; ; FAIL
-j HMARK --hmark-tuple src, --hmark-rnd 1 --hmark-mod 1 ; ; FAIL
-j HMARK --hmark-spi-mask 1 --hmark-sport-mask 1 --hmark-rnd 1 --hmark-mod 1 ; ; FAIL
-j HMARK --hmark-tuple src --hmark-spi 1 --hmark-sport 1 --hmark-rnd 1 --hmark-mod 1 ; ; FAIL
-j HMARK --hmark-src-prefix 129 --hmark-rnd 1 --hmark-mod 1 ; ; FAIL
@4
-j HMARK --hmark-tuple s,dst --hmark-mod 10 --hmark-rnd 1 ; -j HMARK --hmark-src-prefix 32 --hmark-dst-prefix 32 --hmark-rnd 0x00000001 --hmark-mod 10 ; OK
@6
-j HMARK --hmark-tuple src,DST --hmark-mod 10 --hmark-rnd 1 ; -j HMARK --hmark-src-prefix 128 --hmark-dst-prefix 128 --hmark-rnd 0x00000001 --hmark-mod 10 ; OK
