#!/bin/sh
# wg-quick on a laptop whose whole traffic goes through a WireGuard tunnel: the rules that keep the tunnel's address
# from being reached from elsewhere and that find the way back for marked packets. wg-quick takes nft where it finds
# it, so the room hides it. The tunnel itself is wireguard-go, which needs no kernel module.
# Makes wg-quick.rules and wg-quick-ipv6.rules.
set -eu
. "$(dirname "$0")/room.sh"
needs "wireguard-tools wireguard-go iptables iproute2" -- wg-quick wg wireguard-go iptables-save ip unshare
room "$@"

if nft=$(command -v nft); then
    nft=$(readlink -f "$nft")
    hidden=$(dirname "$nft")
    mkdir /media/sbin /media/sbin.work
    mount -t overlay overlay -o "lowerdir=$hidden,upperdir=/media/sbin,workdir=/media/sbin.work" "$hidden"
    rm "$nft"
fi
link eth0 192.0.2.10/24 2001:db8::10/64
ip route add default via 192.0.2.1
export WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go
umask 077
cat >/etc/wireguard/wg0.conf <<END
[Interface]
PrivateKey = $(wg genkey)
Address = 10.66.0.2/32, 2001:db8:66::2/128
[Peer]
PublicKey = $(wg genkey | wg pubkey)
Endpoint = 198.51.100.7:51820
AllowedIPs = 0.0.0.0/0, ::/0
END
wg-quick up wg0
umask 022
save wg-quick
save6 wg-quick
