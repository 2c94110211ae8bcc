# CHECKSUM
*mangle
:POSTROUTING
-p udp -m udp --dport 68 -j CHECKSUM --checksum-fill ; = ; OK
-j CHECKSUM ; ; FAIL
-j CHECKSUM --checksum-fill --checksum-fill ; ; FAIL
