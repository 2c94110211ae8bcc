# MARK: the packet's mark
*mangle
:PREROUTING
-j MARK --set-xmark 0x1/0xff ; = ; OK
-j MARK --set-xmark 5 ; -j MARK --set-xmark 0x5/0xffffffff ; OK
-j MARK --set-mark 0x2000 ; -j MARK --set-xmark 0x2000/0xffffffff ; OK
-j MARK --set-mark 0x2000/0x2000 ; -j MARK --set-xmark 0x2000/0x2000 ; OK
-j MARK --set-mark 0x3/0x1 ; -j MARK --set-xmark 0x3/0x3 ; OK
-j MARK --set-xmark 0x3/0x1 ; = ; OK
-j MARK --and-mark 0xff ; -j MARK --set-xmark 0x0/0xffffff00 ; OK
-j MARK --or-mark 0x4000 ; -j MARK --set-xmark 0x4000/0x4000 ; OK
-j MARK --xor-mark 0xf ; -j MARK --set-xmark 0xf/0x0 ; OK
-j MARK --set-mark 0 ; -j MARK --set-xmark 0x0/0xffffffff ; OK
-j MARK --set-mark 010 ; -j MARK --set-xmark 0x8/0xffffffff ; OK
-j MARK --set-mark 4294967295 ; -j MARK --set-xmark 0xffffffff/0xffffffff ; OK
-j MARK ; ; FAIL
-j MARK --set-mark 4294967296 ; ; FAIL
-j MARK --set-mark -1 ; ; FAIL
-j MARK --set-mark x ; ; FAIL
-j MARK --set-mark 1/x ; ; FAIL
-j MARK --and-mark 1/2 ; ; FAIL
-j MARK --set-mark 1 --or-mark 2 ; ; FAIL
-j MARK --set-xmark 1 --set-mark 2 ; ; FAIL
