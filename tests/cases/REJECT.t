# REJECT: dropped, and told so
:INPUT
@4
-j REJECT ; -j REJECT --reject-with icmp-port-unreachable ; OK
-j REJECT --reject-with icmp-net-unreachable ; = ; OK
-j REJECT --reject-with icmp-host-unreachable ; = ; OK
-j REJECT --reject-with icmp-proto-unreachable ; = ; OK
-j REJECT --reject-with icmp-net-prohibited ; = ; OK
-j REJECT --reject-with icmp-host-prohibited ; = ; OK
-j REJECT --reject-with icmp-admin-prohibited ; = ; OK
-p tcp -j REJECT --reject-with tcp-reset ; = ; OK
-p tcp -j REJECT --reject-with tcp-rst ; -p tcp -j REJECT --reject-with tcp-reset ; OK
-j REJECT --reject-with port-unreach ; -j REJECT --reject-with icmp-port-unreachable ; OK
-j REJECT --reject-with ADMIN ; -j REJECT --reject-with icmp-admin-prohibited ; OK
-j REJECT --reject-with icmp-host ; -j REJECT --reject-with icmp-host-unreachable ; OK
-j REJECT --reject-with icmp ; -j REJECT --reject-with icmp-net-unreachable ; OK
-j REJECT --reject-with tcp-reset ; ; FAIL
-p udp -j REJECT --reject-with tcp-reset ; ; FAIL
! -p tcp -j REJECT --reject-with tcp-reset ; ; FAIL
-j REJECT --reject-with icmp6-no-route ; ; FAIL
-j REJECT --reject-with echo-reply ; ; FAIL
-j REJECT --reject-with icmp-port-unreachable --reject-with icmp-port-unreachable ; ; FAIL
@6
-j REJECT ; -j REJECT --reject-with icmp6-port-unreachable ; OK
-j REJECT --reject-with icmp6-no-route ; = ; OK
-j REJECT --reject-with icmp6-adm-prohibited ; = ; OK
-j REJECT --reject-with icmp6-addr-unreachable ; = ; OK
-j REJECT --reject-with icmp6-policy-fail ; = ; OK
-j REJECT --reject-with icmp6-reject-route ; = ; OK
-j REJECT --reject-with no-route ; -j REJECT --reject-with icmp6-no-route ; OK
-j REJECT --reject-with addr-unreach ; -j REJECT --reject-with icmp6-addr-unreachable ; OK
-p tcp -j REJECT --reject-with tcp-reset ; = ; OK
-j REJECT --reject-with tcp-reset ; ; FAIL
-j REJECT --reject-with icmp-port-unreachable ; ; FAIL
