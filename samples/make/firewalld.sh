#!/bin/sh
# firewalld with its iptables backend: zone public on eth0, zone internal on eth1, a blocked network, a rich rule, a
# forwarded port and a policy from inside to outside. It needs a message bus, so the room gets one of its own.
# Makes firewalld.rules and firewalld-ipv6.rules.
set -eu
. "$(dirname "$0")/room.sh"
needs "firewalld iptables iproute2 dbus" -- firewalld firewall-cmd firewall-offline-cmd dbus-daemon iptables-save ip unshare
room "$@"

link eth0 192.0.2.10/24 2001:db8::10/64
link eth1 10.0.0.1/24
rm -rf /run/dbus && mkdir /run/dbus
dbus-daemon --system --fork --nopidfile
sed -i -e 's/^FirewallBackend=.*/FirewallBackend=iptables/' -e 's/^LogDenied=.*/LogDenied=unicast/' \
    /etc/firewalld/firewalld.conf
firewalld --nofork --nopid >/run/firewalld.log 2>&1 &
await firewall-cmd --state
change() { firewall-cmd --permanent "$@"; }
change --zone=public --change-interface=eth0
change --zone=public --add-service=https
change --zone=public --add-port=60000-61000/udp
change --zone=public --add-masquerade
change --zone=public --add-forward-port=port=8080:proto=tcp:toport=80:toaddr=10.0.0.80
change --zone=public --add-icmp-block=timestamp-request
change --zone=public --add-rich-rule='rule family="ipv4" source address="198.51.100.0/24" service name="http" log prefix="office http" level="info" limit value="2/m" accept'
change --zone=public --add-rich-rule='rule family="ipv6" source address="2001:db8:7::/64" port port="5432" protocol="tcp" accept'
change --zone=internal --change-interface=eth1
change --zone=internal --add-service=dns
change --zone=drop --add-source=203.0.113.0/24
change --new-policy=inside-out
change --policy=inside-out --add-ingress-zone=internal
change --policy=inside-out --add-egress-zone=public
change --policy=inside-out --set-target=ACCEPT
firewall-cmd --reload
firewall-cmd --list-all-zones | sed -n '/active/,/^$/p'
save firewalld
save6 firewalld
