-m mark --mark 0x2000 ; = ; OK
-m mark --mark 0x2000/0x2000 ; = ; OK
-m mark ! --mark 0x0 ; = ; OK
-m mark --mark 32/0xffffffff ; -m mark --mark 0x20 ; OK
-m mark --mark 010 ; -m mark --mark 0x8 ; OK
# legal: bits outside the mask, so that no packet meets it
-m mark --mark 5/3 ; -m mark --mark 0x5/0x3 ; OK
-m mark --mark 0/0 ; -m mark --mark 0x0/0x0 ; OK
*mangle
:PREROUTING
-m mark ! --mark 0x1/0xff ; = ; OK
-m mark ; ; FAIL
-m mark --mark 0x100000000 ; ; FAIL
-m mark --mark -1 ; ; FAIL
-m mark --mark 1/ ; ; FAIL
