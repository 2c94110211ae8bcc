# DSCP
*mangle
:PREROUTING
-j DSCP --set-dscp 0 ; -j DSCP --set-dscp 0x00 ; OK
-j DSCP --set-dscp 0x3f ; = ; OK
-j DSCP --set-dscp-class EF ; -j DSCP --set-dscp 0x2e ; OK
-j DSCP --set-dscp-class cs7 ; -j DSCP --set-dscp 0x38 ; OK
-j DSCP --set-dscp-class AF43 ; -j DSCP --set-dscp 0x26 ; OK
-j DSCP --set-dscp-class BE ; -j DSCP --set-dscp 0x00 ; OK
-j DSCP ; ; FAIL
-j DSCP --set-dscp 64 ; ; FAIL
-j DSCP --set-dscp-class CS8 ; ; FAIL
-j DSCP --set-dscp 1 --set-dscp-class CS1 ; ; FAIL
