# Explicit congestion notification: -m ecn
-m ecn ; ; FAIL
-m ecn --ecn-ip-ect 3 ; = ; OK
-m ecn ! --ecn-ip-ect 0 ; = ; OK
-m ecn --ecn-ip-ect 4 ; ; FAIL
-m ecn --ecn-tcp-cwr ; ; FAIL
-p tcp -m ecn --ecn-tcp-cwr ! --ecn-tcp-ece --ecn-ip-ect 1 ; -p tcp -m ecn ! --ecn-tcp-ece --ecn-tcp-cwr --ecn-ip-ect 1 ; OK
-p udp -m ecn --ecn-tcp-cwr ; ; FAIL
! -p tcp -m ecn --ecn-tcp-cwr ; ; FAIL
-p tcp -m ecn ! --ecn-tcp-cwr ; = ; OK
