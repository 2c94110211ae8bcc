@4
-m iprange --src-range 192.0.2.10-192.0.2.20 ; = ; OK
-m iprange ! --src-range 192.0.2.1-192.0.2.9 --dst-range 198.51.100.0-198.51.100.255 ; = ; OK
-m iprange --dst-range 192.0.2.1 ; -m iprange --dst-range 192.0.2.1-192.0.2.1 ; OK
-m iprange --dst-range 192.0.2.9-192.0.2.9 --src-range 0.0.0.0-255.255.255.255 ; -m iprange --src-range 0.0.0.0-255.255.255.255 --dst-range 192.0.2.9-192.0.2.9 ; OK
# legal, and no address is in it
-m iprange --src-range 192.0.2.9-192.0.2.1 ; = ; OK
-m iprange --src-range 192.0.2.256-192.0.3.0 ; ; FAIL
-m iprange --src-range 2001:db8::1-2001:db8::2 ; ; FAIL
@6
-m iprange --src-range 2001:db8::1-2001:db8::ff ! --dst-range ::-::1 ; = ; OK
-m iprange --dst-range 2001:DB8:0::1 ; -m iprange --dst-range 2001:db8::1-2001:db8::1 ; OK
-m iprange --src-range 192.0.2.1-192.0.2.2 ; ; FAIL
@46
-m iprange ; ; FAIL
