@4
-p ah -m ah --ahspi 500 ; = ; OK
-p ah -m ah ! --ahspi 0x10:20 ; -p ah -m ah ! --ahspi 16:20 ; OK
-p 51 --ahspi 5: ; -p ah -m ah --ahspi 5:4294967295 ; OK
-p ah -m ah --ahspi 0:4294967295 ; -p ah -m ah ; OK
# legal, and no packet meets it
-p ah -m ah --ahspi 9:5 ; = ; OK
-p ah -m ah --ahspi 4294967296 ; ; FAIL
-m ah --ahspi 5 ; ; FAIL
@6
-m ah --ahspi 500 --ahlen 32 --ahres ; = ; OK
-m ah ! --ahspi 1:2 ! --ahlen 4 ; = ; OK
-m ah --ahres --ahlen 0 ; -m ah --ahres ; OK
-m ah ! --ahlen 0 ; = ; OK
-m ah ; = ; OK
-m ah ! --ahres ; ; FAIL
-m ah --ahspi 1:2:3 ; ; FAIL
