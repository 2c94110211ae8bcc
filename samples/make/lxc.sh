#!/bin/sh
# lxc-net, the bridge of LXC, with its iptables rules (its default is nft) and IPv6. Makes lxc.rules and lxc-ipv6.rules.
set -eu
. "$(dirname "$0")/room.sh"
needs "lxc dnsmasq-base iptables iproute2" -- lxc-start dnsmasq iptables-save ip unshare
room "$@"

link eth0 192.0.2.10/24 2001:db8::10/64
cat >/etc/default/lxc-net <<'END'
USE_LXC_BRIDGE="true"
LXC_USE_NFT="false"
LXC_IPV6_ADDR="2001:db8:3::1"
LXC_IPV6_MASK="64"
LXC_IPV6_NETWORK="2001:db8:3::/64"
LXC_IPV6_NAT="true"
END
/usr/libexec/lxc/lxc-net start
save lxc
save6 lxc
