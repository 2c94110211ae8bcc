#!/bin/sh
# FireHOL on a small office router, both families. Makes firehol.rules and firehol-ipv6.rules.
set -eu
. "$(dirname "$0")/room.sh"
needs "firehol iptables iproute2" -- firehol iptables-legacy-save ip unshare
room "$@"

link eth0 192.0.2.10/24 2001:db8::10/64
link eth1 10.0.0.1/24 2001:db8:1::1/64
ip route add default via 192.0.2.1
cat >/etc/firehol/firehol.conf <<'END'
version 6
office4="198.51.100.0/24 203.0.113.16/28"
office6="2001:db8:7::/64"

ipv4 masquerade eth0
ipv4 dnat to 10.0.0.80:8080 inface eth0 proto tcp dport 80

ipv6 interface any ndp proto icmpv6
    client ipv6neigh accept
    server ipv6neigh accept
    client ipv6router accept
    policy return

interface eth0 internet
    protection strong 10/sec 10
    policy drop
    ipv4 server ssh accept src "$office4"
    ipv6 server ssh accept src "$office6"
    ipv4 server ping accept with limit 10/sec 20
    server http accept connlimit upto 40
    client "dns ntp https" accept

interface eth1 lan
    policy reject
    server "dns dhcp ssh" accept
    client all accept

router lan2internet inface eth1 outface eth0
    route all accept

router internet2lan inface eth0 outface eth1
    ipv4 route custom web tcp/8080 default accept dst 10.0.0.80
END
echo START_FIREHOL=YES >/etc/default/firehol
firehol start
# FireHOL takes the legacy tools where it finds them, so they are where the dump comes from.
iptables_save=iptables-legacy-save ip6tables_save=ip6tables-legacy-save
save firehol
save6 firehol
