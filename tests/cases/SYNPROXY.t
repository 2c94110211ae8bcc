# SYNPROXY
-p tcp -j SYNPROXY ; = ; OK
-p tcp -j SYNPROXY --ecn --mss 1460 --wscale 7 --timestamp --sack-perm ; -p tcp -j SYNPROXY --sack-perm --timestamp --wscale 7 --mss 1460 --ecn ; OK
-p tcp -j SYNPROXY --wscale 300 --mss 70000 ; -p tcp -j SYNPROXY --wscale 44 --mss 4464 ; OK
-j SYNPROXY ; ; FAIL
-p udp -j SYNPROXY ; ; FAIL
-p tcp -j SYNPROXY --mss x ; ; FAIL
