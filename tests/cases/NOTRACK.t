# NOTRACK
*raw
:PREROUTING
-j NOTRACK ; = ; OK
-p udp -m udp --dport 53 -j NOTRACK ; = ; OK
-j NOTRACK --notrack ; = ; OPAQUE
