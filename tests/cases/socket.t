*mangle
:PREROUTING
-m socket ; = ; OK
-m socket --transparent ; = ; OK
-m socket --restore-skmark --nowildcard --transparent ; -m socket --transparent --nowildcard --restore-skmark ; OK
-p tcp -m socket --nowildcard -j ACCEPT ; = ; OK
-m socket ! --transparent ; ; FAIL
-m socket --transparent --transparent ; ; FAIL
