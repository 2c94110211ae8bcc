# ECN
*mangle
:PREROUTING
@4
-p tcp -j ECN --ecn-tcp-remove ; = ; OK
-p tcp -j ECN --ecn-tcp-cwr 0 --ecn-tcp-ece 0 ; -p tcp -j ECN --ecn-tcp-remove ; OK
-p tcp -j ECN --ecn-tcp-cwr 1 --ecn-tcp-ece 0 ; -p tcp -j ECN --ecn-tcp-ece 0 --ecn-tcp-cwr 1 ; OK
-p tcp -j ECN --ecn-tcp-cwr 0 --ecn-tcp-ece 0 --ecn-ip-ect 3 ; -p tcp -j ECN --ecn-tcp-ece 0 --ecn-tcp-cwr 0 --ecn-ip-ect 3 ; OK
-j ECN --ecn-ip-ect 0 ; = ; OK
-j ECN ; ; FAIL
-j ECN --ecn-tcp-remove ; ; FAIL
-p udp -j ECN --ecn-tcp-cwr 1 ; ; FAIL
-p tcp -j ECN --ecn-tcp-cwr 2 ; ; FAIL
-j ECN --ecn-ip-ect 4 ; ; FAIL
-p tcp -j ECN --ecn-tcp-remove --ecn-tcp-ece 1 ; ; FAIL
