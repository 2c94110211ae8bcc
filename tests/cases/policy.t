# IPsec: -m policy
-m policy --dir in --pol none ; = ; OK
-m policy --dir in --reqid 1 ; -m policy --dir in --pol ipsec --reqid 1 ; OK
-m policy --dir in --pol none --reqid 1 ; -m policy --dir in --pol none ; OK
-m policy --pol none ; ; FAIL
-m policy --dir in --pol none --strict ; ; FAIL
-m policy --dir in ! --reqid 1 ! --spi 5 ! --proto ah ! --mode transport ; -m policy --dir in --pol ipsec ! --reqid 1 ! --spi 0x5 ! --proto ah ! --mode transport ; OK
-m policy --dir in --pol ipsec --strict --reqid 1 --next --spi 0x10 ; = ; OK
-m policy --dir in --pol ipsec --strict --reqid 1 --next ; ; FAIL
-m policy --dir in --pol ipsec --strict ; ; FAIL
-m policy --dir in --pol ipsec --reqid 1 --next --spi 0x10 ; ; FAIL
-m policy --dir in --proto tcp ; ; FAIL
-m policy --dir in --proto comp ; ; FAIL
-m policy --dir in --tunnel-src 10.1.2.3/32 ; ; FAIL
-m policy --dir in --tunnel-src 10.1.2.3/255.255.0.0 ; ; FAIL
-m policy --dir in --tunnel-src 10.1.2.3/255.0.255.0 ; ; FAIL
-m policy --dir in --mode transport --tunnel-src 10.1.2.3/8 ; ; FAIL
-m policy --dir in ! --mode tunnel --tunnel-src 10.1.2.3/8 ; ; FAIL
-m policy --dir in --reqid 1 --reqid 2 ; ; FAIL
-m policy --dir in --dir in ; ; FAIL
-m policy --dir up ; ; FAIL
-m policy --dir in --strict --reqid 1 --next --reqid 2 --next --reqid 3 --next --reqid 4 ; -m policy --dir in --pol ipsec --strict --reqid 1 --next --reqid 2 --next --reqid 3 --next --reqid 4 ; OK
-m policy --dir in --strict --reqid 1 --next --reqid 2 --next --reqid 3 --next --reqid 4 --next --reqid 5 ; ; FAIL
-m policy --dir in --tunnel-src 2001:db8::1/128 ; ; FAIL
@4
-m policy --dir in --mode tunnel --tunnel-src 10.1.2.3/8 ! --tunnel-dst 10.2.3.4 ; -m policy --dir in --pol ipsec --mode tunnel ! --tunnel-dst 10.2.3.4 --tunnel-src 10.1.2.3/8 ; OK
-m policy --dir in --mode tunnel --tunnel-src 2001:db8::1/32 ! --tunnel-dst 2001:db8::2 ; ; FAIL
@6
-m policy --dir in --mode tunnel --tunnel-src 10.1.2.3/8 ! --tunnel-dst 10.2.3.4 ; ; FAIL
-m policy --dir in --mode tunnel --tunnel-src 2001:db8::1/32 ! --tunnel-dst 2001:db8::2 ; -m policy --dir in --pol ipsec --mode tunnel ! --tunnel-dst 2001:db8::2 --tunnel-src 2001:db8::1/32 ; OK
@46
:OUTPUT
-m policy --dir out ; -m policy --dir out --pol ipsec ; OK
-m policy --dir out --pol ipsec --mode tunnel --proto esp ; -m policy --dir out --pol ipsec --proto esp --mode tunnel ; OK
