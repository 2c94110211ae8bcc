# Virtual servers: -m ipvs
-m ipvs ; ; FAIL
-m ipvs --ipvs ; = ; OK
-m ipvs ! --ipvs ; = ; OK
-m ipvs ! --ipvs --vproto tcp ; ; FAIL
-m ipvs ! --vdir REPLY ; ; FAIL
-m ipvs --vmethod x ; ; FAIL
@4
-m ipvs --ipvs --vproto tcp ! --vport http --vdir reply --vmethod masq --vportctl 21 --vaddr 10.1.2.3/24 ; -m ipvs --vproto 6 --vaddr 10.1.2.3/24 ! --vport 80 --vdir REPLY --vmethod MASQ --vportctl 21 ; OK
-m ipvs ! --vproto tcp ! --vaddr 10.1.2.3 ! --vmethod IPIP ! --vportctl ftp ; -m ipvs ! --vproto 6 ! --vaddr 10.1.2.3 ! --vmethod IPIP ! --vportctl 21 ; OK
@6
-m ipvs --ipvs --vproto tcp ! --vport http --vdir reply --vmethod masq --vportctl 21 --vaddr 10.1.2.3/24 ; ; FAIL
-m ipvs ! --vproto tcp ! --vaddr 10.1.2.3 ! --vmethod IPIP ! --vportctl ftp ; ; FAIL
