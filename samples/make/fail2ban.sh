#!/bin/sh
# fail2ban with three jails: sshd (bans from its ports), recidive (bans from everything), nginx-http-auth (web ports).
# Two of the bans come from log lines it reads, the others are told to it. Makes fail2ban.rules, fail2ban-ipv6.rules.
set -eu
. "$(dirname "$0")/room.sh"
needs "fail2ban iptables iproute2" -- fail2ban-server fail2ban-client iptables-save ip unshare
room "$@"

link eth0 192.0.2.10/24 2001:db8::10/64
mkdir -p /var/log/nginx
: >/var/log/auth.log
: >/var/log/fail2ban.log
: >/var/log/nginx/error.log
rm -f /etc/fail2ban/jail.d/*
cat >/etc/fail2ban/jail.local <<'END'
[DEFAULT]
backend = polling
usedns = no
bantime = 1h
findtime = 10m
maxretry = 3
banaction = iptables-multiport
banaction_allports = iptables-allports
[sshd]
enabled = true
port = ssh,2222
[nginx-http-auth]
enabled = true
banaction = iptables-multiport[blocktype=DROP]
[recidive]
enabled = true
END
# Written before the server starts: it reads a log from the start, but looks for news at growing intervals only.
now() { date '+%b %e %H:%M:%S'; }
for try in 1 2 3; do
    echo "$(now) gateway sshd[1$try]: Failed password for invalid user admin from 203.0.113.66 port 4000$try ssh2"
    echo "$(now) gateway sshd[2$try]: Failed password for root from 2001:db8:66::66 port 4100$try ssh2"
done >>/var/log/auth.log
fail2ban-server -b
await fail2ban-client ping
banned() { fail2ban-client get sshd banip | grep -q "$1"; }
await banned 203.0.113.66
await banned 2001:db8:66::66
fail2ban-client set sshd banip 198.51.100.23
fail2ban-client set nginx-http-auth banip 203.0.113.80 203.0.113.81
fail2ban-client set recidive banip 203.0.113.66
ruled() { iptables-save | grep -q -- '-A f2b-recidive -s' && iptables-save | grep -q '113.81/32' \
    && iptables-save | grep -q '100.23/32' && ip6tables-save | grep -q '66::66/128'; }
await ruled
fail2ban-client status sshd
save fail2ban
save6 fail2ban
