:FORWARD
-m physdev --physdev-in vnet0 ; = ; OK
-m physdev ! --physdev-in vnet+ ! --physdev-out eth0 ; = ; OK
-m physdev --physdev-is-bridged ; = ; OK
-m physdev ! --physdev-is-bridged ; = ; OK
-m physdev --physdev-is-bridged --physdev-in a --physdev-is-in --physdev-out b --physdev-is-out ; -m physdev --physdev-is-in --physdev-in a --physdev-is-out --physdev-out b --physdev-is-bridged ; OK
-m physdev ! --physdev-is-in ! --physdev-is-out ; = ; OK
-m physdev ; ; FAIL
-m physdev --physdev-in a-name-that-is-too-long ; ; FAIL
