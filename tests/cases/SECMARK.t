# SECMARK
*mangle
:PREROUTING
-j SECMARK --selctx system_u:object_r:httpd_packet_t:s0 ; = ; OK
-j SECMARK ; ; FAIL
