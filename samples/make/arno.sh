#!/bin/sh
# arno-iptables-firewall on a router: two open ports, one forwarded, one network blocked. Makes arno.rules, arno-ipv6.rules.
set -eu
. "$(dirname "$0")/room.sh"
needs "arno-iptables-firewall iptables iproute2" -- arno-iptables-firewall iptables-save ip unshare
room "$@"

link eth0 192.0.2.10/24 2001:db8::10/64
link eth1 10.0.0.1/24 2001:db8:1::1/64
ip route add default via 192.0.2.1
echo 203.0.113.0/24 >/etc/arno-iptables-firewall/blocked-hosts
cat >/etc/arno-iptables-firewall/conf.d/00debconf.conf <<'END'
EXT_IF="eth0"
INT_IF="eth1"
INTERNAL_NET="10.0.0.0/24"
NAT=1
NAT_INTERNAL_NET="10.0.0.0/24"
NAT_FORWARD_TCP="8080>10.0.0.80~80"
OPEN_TCP="80,443"
HOST_OPEN_TCP="198.51.100.0/24~22"
OPEN_ICMP=1
IPV6_SUPPORT=1
BLOCK_HOSTS_FILE="/etc/arno-iptables-firewall/blocked-hosts"
END
arno-iptables-firewall start
save arno
save6 arno
