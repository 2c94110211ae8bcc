# Which extension headers there are: -m ipv6header
@6
-m ipv6header --header hop-by-hop ; = ; OK
-m ipv6header ! --header frag,dst,route --soft ; -m ipv6header ! --header ipv6-opts,ipv6-route,ipv6-frag --soft ; OK
-m ipv6header --header 0,60,43,44,51,50,59,255 ; -m ipv6header --header hop-by-hop,ipv6-opts,ipv6-route,ipv6-frag,ah,esp,ipv6-nonxt,protocol ; OK
-m ipv6header --header hopopt,ah,ipv6-nonxt,ip ; -m ipv6header --header hop-by-hop,ah,ipv6-nonxt ; OK
-m ipv6header --header tcp ; ; FAIL
-m ipv6header --header ,frag, ; -m ipv6header --header ipv6-frag ; OK
-m ipv6header --header "" ; ; FAIL
-m ipv6header --header prot --soft ; -m ipv6header --header protocol --soft ; OK
-m ipv6header ; ; FAIL
