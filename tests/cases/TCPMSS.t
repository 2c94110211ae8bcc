# TCPMSS
*mangle
:FORWARD
-p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu ; = ; OK
-p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1400 ; = ; OK
-p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 0 ; = ; OK
-p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 65495 ; = ; OK
-p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1400 --clamp-mss-to-pmtu ; -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu ; OK
-p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu --set-mss 1400 ; -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1400 ; OK
-p tcp -j TCPMSS ; ; FAIL
-j TCPMSS --set-mss 1400 ; ; FAIL
-p udp -j TCPMSS --set-mss 1400 ; ; FAIL
-p tcp -j TCPMSS --set-mss 65516 ; ; FAIL
@4
-p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 65515 ; = ; OK
@6
-p tcp -j TCPMSS --set-mss 65496 ; ; FAIL
