# Destination options: -m dst
@6
-m dst ; = ; OK
-m dst ! --dst-len 5 --dst-opts 149:92,12 ; = ; OK
-m dst --dst-opts 0:3 ; ; FAIL
