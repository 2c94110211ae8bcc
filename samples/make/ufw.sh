#!/bin/sh
# ufw on a small web server: the public may reach 80 and 443, ssh is limited, the database is for the office only.
# Packages: ufw iptables iproute2 util-linux. Makes ufw.rules and ufw-ipv6.rules.
set -eu
. "$(dirname "$0")/room.sh"
needs "ufw iptables iproute2" -- ufw iptables-save ip unshare
room "$@"

link eth0 192.0.2.10/24 2001:db8::10/64
ip route add default via 192.0.2.1

ufw default deny incoming
ufw default allow outgoing
ufw limit 22/tcp comment 'ssh, at most 6 tries in 30 seconds'
ufw allow 80,443/tcp comment 'web'
ufw allow from 198.51.100.0/24 to any port 5432 proto tcp comment 'the office: database'
ufw deny from 203.0.113.66 comment 'a scanner'
ufw reject in on eth0 to any port 113 proto tcp
ufw allow in on eth0 from 2001:db8:7::/64 to any port 5432 proto tcp
ufw route allow in on eth0 out on eth1 to 10.0.0.5 port 8443 proto tcp
ufw logging medium
ufw --force enable
ufw status verbose
save ufw
save6 ufw
