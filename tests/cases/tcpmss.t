# Maximum segment size: -m tcpmss
-m tcpmss --mss 5 ; ; FAIL
-p tcp -m tcpmss --mss 5 ; = ; OK
-p tcp -m tcpmss ! --mss 5:1400 ; = ; OK
-p tcp -m tcpmss --mss 1400:5 ; ; FAIL
-p tcp -m tcpmss --mss :5 ; -p tcp -m tcpmss --mss 0:5 ; OK
-p tcp -m tcpmss --mss 0:65535 ; = ; OK
-p udp -m tcpmss --mss 5 ; ; FAIL
