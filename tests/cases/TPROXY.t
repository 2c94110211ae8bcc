# TPROXY
*mangle
:PREROUTING
@4
-p tcp -j TPROXY --on-port 3129 --on-ip 127.0.0.1 --tproxy-mark 0x1/0x1 ; = ; OK
-p udp -j TPROXY --on-port 53 ; -p udp -j TPROXY --on-port 53 --on-ip 0.0.0.0 --tproxy-mark 0x0/0x0 ; OK
-p tcp -j TPROXY --tproxy-mark 1 --on-port http ; -p tcp -j TPROXY --on-port 80 --on-ip 0.0.0.0 --tproxy-mark 0x1/0xffffffff ; OK
-p tcp -j TPROXY ; ; FAIL
-j TPROXY --on-port 80 ; ; FAIL
! -p tcp -j TPROXY --on-port 80 ; ; FAIL
-p icmp -j TPROXY --on-port 80 ; ; FAIL
-p tcp -j TPROXY --on-port 80 --on-ip 2001:db8::1 ; ; FAIL
@6
-p tcp -j TPROXY --on-port 3129 ; -p tcp -j TPROXY --on-port 3129 --on-ip :: --tproxy-mark 0x0/0x0 ; OK
-p tcp -j TPROXY --on-port 3129 --on-ip ::1 --tproxy-mark 0x1/0x1 ; = ; OK
-p tcp -j TPROXY --on-port 0x10 ; ; FAIL
-p tcp -j TPROXY --on-port 010 ; -p tcp -j TPROXY --on-port 10 --on-ip :: --tproxy-mark 0x0/0x0 ; OK
