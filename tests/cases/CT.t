# CT: how to track
*raw
:PREROUTING
-j CT ; = ; OK
-j CT --notrack ; = ; OK
-p tcp -m tcp --dport 21 -j CT --helper ftp ; = ; OK
-p udp -j CT --timeout short ; = ; OK
-j CT --ctevents new,destroy ; = ; OK
-j CT --ctevents secmark,natseqinfo,mark,helper,protoinfo,assured,reply,destroy,related,new ; -j CT --ctevents new,related,destroy,reply,assured,protoinfo,helper,mark,natseqinfo,secmark ; OK
-j CT --ctevents new,new ; -j CT --ctevents new ; OK
-j CT --expevents new ; = ; OK
-j CT --zone 1 ; = ; OK
-j CT --zone 65535 ; = ; OK
-j CT --zone 0 ; -j CT ; OK
-j CT --zone mark ; = ; OK
-j CT --zone MARK ; -j CT --zone mark ; OK
-j CT --zone-orig 7 ; = ; OK
-j CT --zone-reply mark ; = ; OK
-j CT --zone-orig 7 --zone-reply 8 ; -j CT --zone 8 ; OK
-j CT --zone 7 --expevents new --ctevents new --notrack ; -j CT --notrack --ctevents new --expevents new --zone 7 ; OK
-j CT --zone 65536 ; ; FAIL
-j CT --zone x ; ; FAIL
-j CT --zone 1 --zone 2 ; ; FAIL
-j CT --ctevents new,old ; ; FAIL
-j CT --ctevents "" ; ; FAIL
-j CT --expevents destroy ; ; FAIL
-j CT --helper ftp ; ; FAIL
! -p tcp -j CT --timeout short ; ; FAIL
-j CT --zone-orig 1 --zone-reply 2 --zone-orig 3 ; ; FAIL
