#!/bin/sh
# Shorewall and Shorewall6 on a router with three zones: the net, a local network and a DMZ with web and mail servers.
# Makes shorewall.rules and shorewall-ipv6.rules.
set -eu
. "$(dirname "$0")/room.sh"
needs "shorewall shorewall6 iptables iproute2" -- shorewall shorewall6 iptables-save ip unshare
room "$@"

link eth0 192.0.2.10/24 2001:db8::10/64
link eth1 10.0.0.1/24 2001:db8:1::1/64
link eth2 10.0.2.1/24 2001:db8:2::1/64
ip route add default via 192.0.2.1
ip -6 route add default via 2001:db8::1
etc4=/etc/shorewall etc6=/etc/shorewall6
for etc in $etc4 $etc6; do
    cat >$etc/policy <<'END'
loc     net     ACCEPT
dmz     net     REJECT  info
net     all     DROP    info    10/sec:40
all     all     REJECT  info
END
done
printf '%s\n' 'fw firewall' 'net ipv4' 'loc ipv4' 'dmz ipv4' >$etc4/zones
printf '%s\n' 'fw firewall' 'net ipv6' 'loc ipv6' 'dmz ipv6' >$etc6/zones
cat >$etc4/interfaces <<'END'
?FORMAT 2
net     eth0    tcpflags,nosmurfs,routefilter,logmartians,sourceroute=0
loc     eth1    tcpflags,nosmurfs,dhcp
dmz     eth2    tcpflags,nosmurfs,routeback
END
cat >$etc6/interfaces <<'END'
?FORMAT 2
net     eth0    tcpflags,forward=1
loc     eth1    tcpflags,forward=1
dmz     eth2    tcpflags,forward=1
END
cat >$etc4/snat <<'END'
MASQUERADE              10.0.0.0/24             eth0
SNAT(192.0.2.10)        10.0.2.0/24             eth0
END
cat >$etc4/rules <<'END'
?SECTION NEW
Invalid(DROP)   net                     all             tcp
DNS(ACCEPT)     $FW                     net
SSH(ACCEPT)     loc                     $FW
SSH(ACCEPT)     loc                     dmz
SSH(ACCEPT):info net:198.51.100.0/24    $FW             -       -       -       -       s:ssh:3/min:5
Ping(ACCEPT)    all                     $FW
Web(DNAT)       net                     dmz:10.0.2.80
DNAT            net                     dmz:10.0.2.25:2525      tcp     25,587
DNAT-           loc                     dmz:10.0.2.80   tcp     80      -       192.0.2.10
ACCEPT          loc                     dmz:10.0.2.80   tcp     80,443
ACCEPT          dmz:10.0.2.25           net             tcp     25
DROP            net:203.0.113.66        all
REDIRECT        loc                     3128            tcp     80      -       !192.0.2.10
END
cat >$etc6/rules <<'END'
?SECTION NEW
Invalid(DROP)   net                     all             tcp
DNS(ACCEPT)     $FW                     net
SSH(ACCEPT)     loc                     $FW
SSH(ACCEPT)     net:<2001:db8:7::/64>   $FW
Ping(ACCEPT)    all                     all
HTTP(ACCEPT)    net                     dmz:<2001:db8:2::80>
HTTPS(ACCEPT)   net                     dmz:<2001:db8:2::80>
DROP            net:<2001:db8:66::66>   all
END
printf '%s\n' 'ACCEPT eth1 -' 'ACCEPT - eth1' >$etc4/stoppedrules
cp $etc4/stoppedrules $etc6/stoppedrules
sed -i 's/^IP_FORWARDING=.*/IP_FORWARDING=On/' $etc4/shorewall.conf $etc6/shorewall6.conf
shorewall start
shorewall6 start
save shorewall
save6 shorewall
