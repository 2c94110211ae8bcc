-m connlabel --label "40" ; = ; OK
-m connlabel ! --label "127" --set ; = ; OK
-m connlabel --set --label 0x10 ; -m connlabel --label "16" --set ; OK
# a name of the connlabel.conf where the rules are from
-m connlabel --label "from-vpn" ; = ; OK
-m connlabel --label 128 ; ; FAIL
-m connlabel --set ; ; FAIL
-m connlabel ! --set --label 1 ; ; FAIL
