#!/bin/sh
# ferm on a router with a web server behind it, written for both families. Makes ferm.rules and ferm-ipv6.rules.
set -eu
. "$(dirname "$0")/room.sh"
needs "ferm iptables iproute2" -- ferm iptables-legacy-save ip unshare
room "$@"

link eth0 192.0.2.10/24 2001:db8::10/64
link eth1 10.0.0.1/24 2001:db8:1::1/64
cat >/etc/ferm/ferm.conf <<'END'
@def $WAN = eth0;
@def $LAN = eth1;
@def $OFFICE = (198.51.100.0/24 203.0.113.16/28 2001:db8:7::/64);
@def &publish($proto, $port, $to, $toport) = {
    domain ip {
        table nat chain PREROUTING interface $WAN proto $proto dport $port DNAT to @cat($to, ":", $toport);
        table filter chain FORWARD interface $WAN outerface $LAN daddr $to proto $proto dport $toport ACCEPT;
    }
}
domain (ip ip6) table filter {
    chain INPUT {
        policy DROP;
        mod conntrack ctstate INVALID DROP;
        mod conntrack ctstate (ESTABLISHED RELATED) ACCEPT;
        interface lo ACCEPT;
        proto tcp dport ssh @subchain "SSH" {
            saddr @ipfilter($OFFICE) ACCEPT;
            mod hashlimit hashlimit-name ssh hashlimit-mode srcip hashlimit-upto 3/minute hashlimit-burst 5 ACCEPT;
            mod limit limit 6/minute LOG log-prefix "ssh flood: " log-level info;
            proto tcp REJECT reject-with tcp-reset;
        }
        proto udp dport (domain 123) interface $LAN ACCEPT;
        proto (udp tcp) dport domain interface ! $WAN ACCEPT;
        @if @eq($DOMAIN, ip) { proto icmp icmp-type echo-request mod limit limit 10/second ACCEPT; }
        @else { proto ipv6-icmp ACCEPT; }
    }
    chain FORWARD {
        policy DROP;
        mod conntrack ctstate INVALID DROP;
        mod conntrack ctstate (ESTABLISHED RELATED) ACCEPT;
        interface $LAN outerface $WAN ACCEPT;
        proto tcp tcp-flags (SYN RST) SYN TCPMSS clamp-mss-to-pmtu;
    }
    chain OUTPUT policy ACCEPT;
}
domain ip table nat chain POSTROUTING outerface $WAN saddr 10.0.0.0/24 MASQUERADE;
&publish(tcp, (80 443), 10.0.0.80, 8080);
&publish(udp, 51820, 10.0.0.51, 51820);
END
ferm /etc/ferm/ferm.conf
# Where both are installed, ferm 2.5.1 loads its rules with the legacy tools, so they are where the dump comes from.
iptables_save=iptables-legacy-save ip6tables_save=ip6tables-legacy-save
save ferm
save6 ferm
