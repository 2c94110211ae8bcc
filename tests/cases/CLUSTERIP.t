# CLUSTERIP
@4
-d 192.0.2.1/32 -i eth0 -j CLUSTERIP ; = ; OK
-d 192.0.2.1/32 -i eth0 -j CLUSTERIP --new --hashmode sourceip --clustermac 01:00:5e:7f:00:01 --total-nodes 2 --local-node 1 ; -d 192.0.2.1/32 -i eth0 -j CLUSTERIP --new --hashmode sourceip --clustermac 01:00:5E:7F:00:01 --total-nodes 2 --local-node 1 --hash-init 0 ; OK
-d 192.0.2.1/32 -i eth0 -j CLUSTERIP --new --hashmode sourceip-sourceport --clustermac 01:00:5E:7F:00:01 --total-nodes 16 --local-node 16 --hash-init 4294967295 ; = ; OK
-d 192.0.2.1/32 -i eth0 -j CLUSTERIP --new --hashmode sourceip-sourceport-destport --clustermac 01:00:5E:7F:00:01 --total-nodes 2 --local-node 2 --hash-init 1 ; = ; OK
-d 192.0.2.1/32 -i eth0 -j CLUSTERIP --new ; ; FAIL
-d 192.0.2.1/32 -i eth0 -j CLUSTERIP --new --hashmode ip --clustermac 01:00:5E:7F:00:01 --total-nodes 2 --local-node 1 ; ; FAIL
-d 192.0.2.1/32 -i eth0 -j CLUSTERIP --new --hashmode sourceip --clustermac 00:00:5E:7F:00:01 --total-nodes 2 --local-node 1 ; ; FAIL
-d 192.0.2.1/32 -i eth0 -j CLUSTERIP --new --hashmode sourceip --clustermac 01:00:5E:7F:00:01 --total-nodes 17 --local-node 1 ; ; FAIL
-d 192.0.2.1/32 -i eth0 -j CLUSTERIP --new --hashmode sourceip --clustermac 01:00:5E:7F:00:01 --total-nodes 2 --local-node 0 ; ; FAIL
