# Accounting objects: -m nfacct
-m nfacct --nfacct-name ; ; FAIL
-m nfacct ; ; FAIL
-m nfacct --nfacct-name web ; = ; OK
-m nfacct --nfacct-name "two words" ; = ; OK
-m nfacct --nfacct-name "" ; ; FAIL
-m nfacct --nfacct-name a-name-that-is-longer-than-the-kernel-holds ; -m nfacct --nfacct-name a-name-that-is-longer-than-the- ; OK
