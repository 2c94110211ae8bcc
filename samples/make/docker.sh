#!/bin/sh
# A real Docker daemon, stage by stage: started; two containers that publish nothing; a third that publishes port 80;
# then a host address, a range of ports and a second bridge. Once without the userland proxy, once with it, once with
# IPv6. No image is pulled: the containers hold nothing but busybox.
# Makes docker-daemon, docker-no-port, docker-port-80, docker-port-80-proxy, docker-second-bridge and docker-ipv6.
set -eu
. "$(dirname "$0")/room.sh"
needs "docker.io iptables iproute2 busybox-static" -- dockerd docker busybox iptables-save ip nsenter unshare
room "$@"
. "$(dirname "$0")/dockerd.sh"

stages() {  # stages [NAME]: two containers that publish nothing (saved as NAME), a third that publishes port 80
    run test
    run test1
    if [ -n "${1:-}" ]; then save "$1"; fi
    run web -p 80:80
}
iptables_save='inside iptables-save' ip6tables_save='inside ip6tables-save'

start_daemon rfplain --userland-proxy=false
save docker-daemon
stages docker-no-port
save docker-port-80
run multi -p 192.0.2.10:8443:80 -p 9000-9003:80-83
docker network create second >/dev/null
run app --network second -p 8080:80 -p 8080:80/udp
save docker-second-bridge
stop_daemon

start_daemon rfproxy --userland-proxy=true
stages
save docker-port-80-proxy
stop_daemon

start_daemon rfipv6 --userland-proxy=false --ipv6 --fixed-cidr-v6 2001:db8:17::/64 --experimental --ip6tables
stages
save6 docker
stop_daemon
