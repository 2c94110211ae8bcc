# Mobility header: -m mh
@6
-m mh ; ; FAIL
-p mh -m mh ; -p mobility-header -m mh ; OK
-p mobility-header -m mh --mh-type 1 ; = ; OK
-p ipv6-mh -m mh ! --mh-type bu ; -p mobility-header -m mh ! --mh-type 5 ; OK
-p 135 -m mh --mh-type cot ; -p mobility-header -m mh --mh-type 4 ; OK
-p mh -m mh --mh-type 0:255 ; -p mobility-header -m mh ; OK
-p mh -m mh ! --mh-type 0:255 ; -p mobility-header -m mh ; OK
-p mh -m mh --mh-type :5 ; -p mobility-header -m mh --mh-type 0:5 ; OK
-p mh -m mh --mh-type 5: ; -p mobility-header -m mh --mh-type 5:255 ; OK
-p mh -m mh --mh-type 5:4 ; ; FAIL
-p mh -m mh --mh-type 256 ; ; FAIL
-p mh -m mh --mh-type binding ; -p mobility-header -m mh --mh-type 0 ; OK
-p mh -m mh --mh-type home ; -p mobility-header -m mh --mh-type 1 ; OK
-p mh -m mh --mh-type b ; -p mobility-header -m mh --mh-type 0 ; OK
-p mh -m mh --mh-type xx ; ; FAIL
-p mh --mh-type home-test-init:binding-error ; -p mobility-header -m mh --mh-type 1:7 ; OK
