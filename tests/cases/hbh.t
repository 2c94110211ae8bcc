# Hop-by-hop options: -m hbh
@6
-m hbh ; = ; OK
-m hbh --hbh-len 5 ; = ; OK
-m hbh ! --hbh-len 5 --hbh-opts 1:2,23:42,4,6,8:10,42,23,4:5 ; = ; OK
-m hbh --hbh-opts 0:1 ; ; FAIL
-m hbh --hbh-opts 0,256:257,5:255 ; ; FAIL
-m hbh --hbh-opts 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16 ; = ; OK
-m hbh --hbh-opts 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16:1 ; ; FAIL
-m hbh --hbh-opts 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17 ; ; FAIL
-m hbh --hbh-opts a ; ; FAIL
-m hbh --hbh-opts 1, ; ; FAIL
-m hbh ! --hbh-opts 1 ; ; FAIL
