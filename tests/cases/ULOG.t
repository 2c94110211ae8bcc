# ULOG: what NFLOG was before
@4
-j ULOG ; = ; OK
-j ULOG --ulog-prefix "in: " --ulog-nlgroup 32 --ulog-cprange 100 --ulog-qthreshold 50 ; = ; OK
-j ULOG --ulog-nlgroup 1 --ulog-cprange 0 --ulog-qthreshold 1 ; -j ULOG ; OK
-j ULOG --ulog-prefix abcdefghijklmnopqrstuvwxyz0123456789 ; -j ULOG --ulog-prefix abcdefghijklmnopqrstuvwxyz01234 ; OK
-j ULOG --ulog-nlgroup 0 ; ; FAIL
-j ULOG --ulog-nlgroup 33 ; ; FAIL
-j ULOG --ulog-qthreshold 51 ; ; FAIL
-j ULOG --ulog-qthreshold 0 ; ; FAIL
