# CLASSIFY
*mangle
:POSTROUTING
-j CLASSIFY --set-class 1:10 ; -j CLASSIFY --set-class 0001:0010 ; OK
-j CLASSIFY --set-class ffff:ffff ; = ; OK
-j CLASSIFY --set-class 0:0 ; -j CLASSIFY --set-class 0000:0000 ; OK
-j CLASSIFY --set-class 12345:6 ; -j CLASSIFY --set-class 2345:0006 ; OK
-j CLASSIFY ; ; FAIL
-j CLASSIFY --set-class 1 ; ; FAIL
-j CLASSIFY --set-class x:1 ; ; FAIL
