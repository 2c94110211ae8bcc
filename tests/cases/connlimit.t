@4
-p tcp -m connlimit --connlimit-above 10 --connlimit-mask 32 --connlimit-saddr ; = ; OK
-m connlimit --connlimit-upto 0 --connlimit-mask 0 --connlimit-daddr ; = ; OK
-m connlimit --connlimit-above 3 ; -m connlimit --connlimit-above 3 --connlimit-mask 32 --connlimit-saddr ; OK
-m connlimit ! --connlimit-above 3 --connlimit-mask 255.255.255.0 ; -m connlimit --connlimit-upto 3 --connlimit-mask 24 --connlimit-saddr ; OK
-m connlimit --connlimit-daddr ! --connlimit-upto 3 ; -m connlimit --connlimit-above 3 --connlimit-mask 32 --connlimit-daddr ; OK
-m connlimit --connlimit-above 3 --connlimit-mask 33 ; ; FAIL
@6
-m connlimit --connlimit-above 10 --connlimit-mask 64 --connlimit-saddr ; = ; OK
-m connlimit --connlimit-upto 3 ; -m connlimit --connlimit-upto 3 --connlimit-mask 128 --connlimit-saddr ; OK
-m connlimit --connlimit-upto 3 --connlimit-mask ffff:ffff:: ; -m connlimit --connlimit-upto 3 --connlimit-mask 32 --connlimit-saddr ; OK
@46
-m connlimit ; ; FAIL
-m connlimit --connlimit-mask 8 ; ; FAIL
-m connlimit --connlimit-above 1 --connlimit-upto 2 ; ; FAIL
-m connlimit --connlimit-above 1 --connlimit-saddr --connlimit-daddr ; ; FAIL
