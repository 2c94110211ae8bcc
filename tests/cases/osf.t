# The system of the sender: -m osf
@4
-m osf --genre linux ; ; FAIL
-p tcp -m osf --genre linux ; = ; OK
-p tcp -m osf ! --genre "Windows:XP" ; -p tcp -m osf ! --genre Windows:XP ; OK
-p tcp -m osf --genre linux --ttl 1 --log 2 ; = ; OK
-p tcp -m osf --genre linux --ttl 3 ; ; FAIL
