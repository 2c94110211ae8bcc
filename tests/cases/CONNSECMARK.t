# CONNSECMARK
*mangle
:PREROUTING
-j CONNSECMARK --save ; = ; OK
-j CONNSECMARK --restore ; = ; OK
-j CONNSECMARK ; ; FAIL
-j CONNSECMARK --save --restore ; ; FAIL
