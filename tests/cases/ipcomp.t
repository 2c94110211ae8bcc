-p ipcomp -m ipcomp --ipcompspi 18 ; = ; OK
-p ipcomp -m ipcomp ! --ipcompspi 1:0x10 ; -p ipcomp -m ipcomp ! --ipcompspi 1:16 ; OK
-p ipcomp --compres --ipcompspi 5 ; -p ipcomp -m ipcomp --ipcompspi 5 --compres ; OK
# index 0 where none is given
-p ipcomp -m ipcomp ; -p ipcomp -m ipcomp --ipcompspi 0 ; OK
-p ipcomp -m ipcomp --ipcompspi 4294967296 ; ; FAIL
-p ipcomp -m ipcomp ! --compres ; ; FAIL
-m ipcomp --ipcompspi 5 ; ; FAIL
