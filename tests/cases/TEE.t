# TEE: a copy
@4
-j TEE --gateway 192.0.2.1 ; = ; OK
-j TEE --oif eth0 --gateway 192.0.2.1 ; -j TEE --gateway 192.0.2.1 --oif eth0 ; OK
-j TEE ; ; FAIL
-j TEE --gateway 2001:db8::1 ; ; FAIL
@6
-j TEE --gateway 2001:db8::1 --oif eth0 ; = ; OK
-j TEE --gateway 192.0.2.1 ; ; FAIL
