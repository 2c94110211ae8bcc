# The type of service byte: -m tos
-m tos --tos 0x10 ; -m tos --tos 0x10/0xff ; OK
-m tos ! --tos Minimize-delay ; -m tos ! --tos 0x10/0x3f ; OK
-m tos --tos 16/0x20 ; -m tos --tos 0x10/0x20 ; OK
-m tos --tos 256 ; ; FAIL
-m tos --tos 1/256 ; ; FAIL
-m tos --tos nothing ; ; FAIL
-m tos ; ; FAIL
-m tos --tos Normal-Service ; -m tos --tos 0x00/0x3f ; OK
