# IDLETIMER
-j IDLETIMER --timeout 600 --label wifi ; = ; OK
-j IDLETIMER --alarm --label lte --timeout 5 ; -j IDLETIMER --timeout 5 --label lte --alarm ; OK
-j IDLETIMER --timeout 3 --label abcdefghijklmnopqrstuvwxyz0123456 ; -j IDLETIMER --timeout 3 --label abcdefghijklmnopqrstuvwxyz0 ; OK
-j IDLETIMER ; ; FAIL
-j IDLETIMER --timeout 0 --label wifi ; ; FAIL
-j IDLETIMER --timeout 5 --label "" ; ; FAIL
-j IDLETIMER --timeout 5 ; ; FAIL
