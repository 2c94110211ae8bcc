# Routing header: -m rt
@6
-m rt ; = ; OK
-m rt --rt-type 0 ; = ; OK
-m rt ! --rt-type 2 --rt-segsleft 1:3 ! --rt-len 5 ; = ; OK
-m rt --rt-segsleft 0: ; -m rt ; OK
-m rt ! --rt-segsleft 5 ; = ; OK
-m rt --rt-type 0 --rt-0-res --rt-0-addrs ::1,2001:db8::2 --rt-0-not-strict ; = ; OK
-m rt --rt-0-res ; ; FAIL
-m rt --rt-type 1 --rt-0-res ; ; FAIL
-m rt --rt-0-addrs ::1 --rt-type 0 ; ; FAIL
-m rt --rt-type 0 --rt-0-not-strict ; ; FAIL
-m rt --rt-type 0 --rt-0-addrs 10.0.0.1 ; ; FAIL
-m rt ! --rt-type 0 --rt-0-res ; ; FAIL
