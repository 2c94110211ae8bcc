# Fragment header: -m frag
@6
-m frag ; = ; OK
-m frag --fragid 5 ; = ; OK
-m frag ! --fragid 5: ; -m frag ! --fragid 5:4294967295 ; OK
-m frag --fragid 0:4294967295 ; -m frag ; OK
-m frag ! --fragid 0:4294967295 ; -m frag ; OK
-m frag --fragid 7:5 ; = ; OK
-m frag --fragid 1 ! --fraglen 8 --fragres --fragfirst --fragmore ; = ; OK
-m frag --fragmore --fraglast ; ; FAIL
-m frag ! --fragfirst ; ; FAIL
-m frag --fraglast --fraglen 4294967296 ; ; FAIL
-m frag --fraglast --fraglen 8 ; -m frag --fraglen 8 --fraglast ; OK
