#!/bin/sh
# fail2ban with its ipset action: the rule names a set, the banned addresses are in the set and not in the dump.
# Makes fail2ban-ipset.rules and, by `ipset save`, fail2ban-ipset.ipset.
set -eu
. "$(dirname "$0")/room.sh"
needs "fail2ban ipset iptables iproute2" -- fail2ban-server fail2ban-client ipset iptables-save ip unshare
room "$@"

link eth0 192.0.2.10/24
: >/var/log/auth.log
: >/var/log/fail2ban.log
rm -f /etc/fail2ban/jail.d/*
cat >/etc/fail2ban/jail.local <<'END'
[DEFAULT]
backend = polling
usedns = no
banaction = iptables-ipset-proto6
[sshd]
enabled = true
END
fail2ban-server -b
await fail2ban-client ping
fail2ban-client set sshd banip 203.0.113.66 198.51.100.23
ruled() { iptables-save | grep -q 'match-set' && ipset save | grep -q '100.23'; }
await ruled
save fail2ban-ipset
ipset save >"$out/fail2ban-ipset.ipset"
