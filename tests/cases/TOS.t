# TOS
*mangle
:PREROUTING
-j TOS --set-tos 0x10/0x3f ; = ; OK
-j TOS --set-tos 16 ; -j TOS --set-tos 0x10/0xff ; OK
-j TOS --set-tos Minimize-Delay ; -j TOS --set-tos 0x10/0x3f ; OK
-j TOS --set-tos maximize-throughput ; -j TOS --set-tos 0x08/0x3f ; OK
-j TOS --set-tos Maximize-Reliability ; -j TOS --set-tos 0x04/0x3f ; OK
-j TOS --set-tos Minimize-Cost ; -j TOS --set-tos 0x02/0x3f ; OK
-j TOS --set-tos Normal-Service ; -j TOS --set-tos 0x00/0x3f ; OK
-j TOS --and-tos 0xf0 ; -j TOS --set-tos 0x00/0x0f ; OK
-j TOS --or-tos 1 ; -j TOS --set-tos 0x01/0x01 ; OK
-j TOS --xor-tos 255 ; -j TOS --set-tos 0xff/0x00 ; OK
-j TOS ; ; FAIL
-j TOS --set-tos 256 ; ; FAIL
-j TOS --set-tos Fast ; ; FAIL
-j TOS --set-tos 1/256 ; ; FAIL
-j TOS --set-tos 1 --or-tos 1 ; ; FAIL
