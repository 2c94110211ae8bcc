#!/bin/sh
# What strongSwan's updown script does for two tunnels: a road warrior with a virtual address, and a branch office. The
# script is called as the charon daemon calls it, on top of a firewall that drops by default.
# Makes strongswan.rules and strongswan-ipv6.rules.
set -eu
. "$(dirname "$0")/room.sh"
needs "strongswan-starter strongswan-charon iptables iproute2" -- ipsec iptables-save ip unshare
room "$@"

link eth0 192.0.2.10/24 2001:db8::10/64
link eth1 10.0.0.1/24 2001:db8:1::1/64
for iptables in iptables ip6tables; do
    $iptables -P FORWARD DROP
    $iptables -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    $iptables -A INPUT -p udp -m multiport --dports 500,4500 -j ACCEPT
    $iptables -A INPUT -p esp -j ACCEPT
done
iptables -t nat -A POSTROUTING -s 10.0.0.0/24 -o eth0 -m policy --dir out --pol ipsec -j ACCEPT
iptables -t nat -A POSTROUTING -s 10.0.0.0/24 -o eth0 -j MASQUERADE
up() {  # up VERB REQID PEER MY_CLIENT PEER_CLIENT ME
    env PLUTO_VERSION=1.1 PLUTO_VERB="$1" PLUTO_CONNECTION="c$2" PLUTO_INTERFACE=eth0 PLUTO_REQID="$2" \
        PLUTO_PROTO=esp PLUTO_UNIQUEID="$2" PLUTO_ME="$6" PLUTO_PEER="$3" PLUTO_MY_ID=gateway.example \
        PLUTO_PEER_ID="peer$2.example" PLUTO_MY_CLIENT="$4" PLUTO_PEER_CLIENT="$5" PLUTO_MY_PORT=0 PLUTO_PEER_PORT=0 \
        PLUTO_MY_PROTOCOL=0 PLUTO_PEER_PROTOCOL=0 /usr/lib/ipsec/_updown iptables
}
up up-client 1 198.51.100.7 10.0.0.0/24 10.3.0.1/32 192.0.2.10
up up-client 2 203.0.113.9 10.0.0.0/24 10.9.0.0/24 192.0.2.10
up up-client-v6 3 2001:db8:9::9 2001:db8:1::/64 2001:db8:9:1::/64 2001:db8::10
save strongswan
save6 strongswan
