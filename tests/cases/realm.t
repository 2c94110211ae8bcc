# Realms of routes: -m realm
@4
-m realm --realm 1 ; -m realm --realm 0x1 ; OK
-m realm --realm 0 ; -m realm --realm cosmos ; OK
-m realm ! --realm cosmos ; = ; OK
-m realm --realm 0x10/0xff ; = ; OK
-m realm ! --realm 16/0xffffffff ; -m realm ! --realm 0x10 ; OK
-m realm --realm nosuch ; ; FAIL
-m realm --realm 0/0xff ; -m realm --realm 0x0/0xff ; OK
-m realm ; ; FAIL
