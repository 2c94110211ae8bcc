# TCPOPTSTRIP
*mangle
:PREROUTING
-p tcp -j TCPOPTSTRIP ; = ; OK
-p tcp -j TCPOPTSTRIP --strip-options 3 ; = ; OK
-p tcp -j TCPOPTSTRIP --strip-options md5,timestamp,sack,sack-permitted,mss,wscale ; -p tcp -j TCPOPTSTRIP --strip-options 2,3,4,5,8,19 ; OK
-p tcp -j TCPOPTSTRIP --strip-options 255,2 ; -p tcp -j TCPOPTSTRIP --strip-options 2,255 ; OK
-j TCPOPTSTRIP --strip-options 3 ; ; FAIL
-p tcp -j TCPOPTSTRIP --strip-options 1 ; ; FAIL
-p tcp -j TCPOPTSTRIP --strip-options 0 ; ; FAIL
-p tcp -j TCPOPTSTRIP --strip-options 256 ; ; FAIL
-p tcp -j TCPOPTSTRIP --strip-options 3,wscale ; ; FAIL
-p tcp -j TCPOPTSTRIP --strip-options 3, ; ; FAIL
