#!/bin/sh
# APF, an older firewall script for hosting machines, filtering both ways: `-m state`, TOS values, and programs and
# users that may not talk to the outside. Makes apf.rules.
set -eu
. "$(dirname "$0")/room.sh"
needs "apf-firewall iptables iproute2 kmod" -- apf iptables-save ip unshare
room "$@"

link eth0 192.0.2.10/24
ip route add default via 192.0.2.1
cd /etc/apf-firewall
set_() { sed -i "s|^$1=.*|$1=\"$2\"|" conf.apf; }
set_ DEVEL_MODE 0
set_ SET_MONOKERN 1
set_ SET_VNET 0
set_ IG_TCP_CPORTS 22,80,443
set_ IG_UDP_CPORTS 53
set_ EGF 1
set_ EG_TCP_UID 33:8443
set_ LOG_DROP 1
set_ BLK_RESNET 0
echo 203.0.113.66 >>deny_hosts.rules
echo tcp:in:d=8443:s=198.51.100.0/24 >>allow_hosts.rules
apf --start
save apf
