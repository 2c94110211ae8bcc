# TRACE
*raw
:PREROUTING
-p tcp -j TRACE ; = ; OK
-j TRACE ; = ; OK
-j TRACE --on ; = ; OPAQUE
