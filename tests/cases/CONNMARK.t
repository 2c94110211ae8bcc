# CONNMARK: the connection's mark
*mangle
:PREROUTING
-j CONNMARK --set-xmark 0x1/0xff ; = ; OK
-j CONNMARK --set-mark 1 ; -j CONNMARK --set-xmark 0x1/0xffffffff ; OK
-j CONNMARK --set-mark 0x3/0x1 ; -j CONNMARK --set-xmark 0x3/0x3 ; OK
-j CONNMARK --and-mark 0xff ; -j CONNMARK --set-xmark 0x0/0xffffff00 ; OK
-j CONNMARK --or-mark 0x10 ; -j CONNMARK --set-xmark 0x10/0x10 ; OK
-j CONNMARK --xor-mark 0x10 ; -j CONNMARK --set-xmark 0x10/0x0 ; OK
-j CONNMARK --save-mark ; -j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff ; OK
-j CONNMARK --restore-mark --mask 0xff ; -j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff ; OK
-j CONNMARK --restore-mark --ctmask 0xf --nfmask 0xf0 ; -j CONNMARK --restore-mark --nfmask 0xf0 --ctmask 0xf ; OK
-j CONNMARK --save-mark --nfmask 0xff ; -j CONNMARK --save-mark --nfmask 0xff --ctmask 0xffffffff ; OK
-j CONNMARK --save-mark --nfmask 0xff --ctmask 0xff00 --left-shift-mark 8 ; = ; OK
-j CONNMARK --restore-mark --right-shift-mark 31 ; -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff --right-shift-mark 31 ; OK
-j CONNMARK --set-mark 1 --left-shift-mark 0 ; -j CONNMARK --set-xmark 0x1/0xffffffff ; OK
-j CONNMARK --set-mark 1 --mask 2 ; -j CONNMARK --set-xmark 0x1/0x2 ; OK
-j CONNMARK --set-mark 1 --ctmask 2 ; -j CONNMARK --set-xmark 0x1/0x2 ; OK
-j CONNMARK --mask 2 --set-mark 1 ; -j CONNMARK --set-xmark 0x1/0xffffffff ; OK
-j CONNMARK ; ; FAIL
-j CONNMARK --mask 1 ; ; FAIL
-j CONNMARK --save-mark --restore-mark ; ; FAIL
-j CONNMARK --set-mark 1 --save-mark ; ; FAIL
-j CONNMARK --save-mark --mask 1 --ctmask 1 ; ; FAIL
-j CONNMARK --save-mark --left-shift-mark 32 ; ; FAIL
-j CONNMARK --set-mark 4294967296 ; ; FAIL
