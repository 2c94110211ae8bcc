#!/bin/sh
# The CNI plugins bridge, portmap and firewall, called by hand as a container runtime calls them: one container with
# three published ports. Makes cni.rules and cni-ipv6.rules.
set -eu
. "$(dirname "$0")/room.sh"
PATH=$PATH:/usr/lib/cni
needs "containernetworking-plugins iptables iproute2" -- portmap host-local iptables-save ip unshare
room "$@"

link eth0 192.0.2.10/24 2001:db8::10/64
ip route add default via 192.0.2.1
ip netns add rfweb
add() {  # add PLUGIN: reads its configuration on standard input, prints the result
    env CNI_COMMAND=ADD CNI_CONTAINERID=web-1 CNI_NETNS=/run/netns/rfweb CNI_IFNAME=eth0 CNI_PATH=/usr/lib/cni "/usr/lib/cni/$1"
}
plugged=$(add bridge <<'END'
{
  "cniVersion": "0.4.0", "name": "app", "type": "bridge", "bridge": "cni0",
  "isGateway": true, "ipMasq": true, "hairpinMode": true,
  "ipam": {
    "type": "host-local", "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
    "ranges": [[{"subnet": "10.22.0.0/16"}], [{"subnet": "2001:db8:22::/64"}]]
  }
}
END
)
add portmap >/dev/null <<END
{
  "cniVersion": "0.4.0", "name": "app", "type": "portmap", "snat": true,
  "runtimeConfig": {"portMappings": [
    {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
    {"hostPort": 8443, "containerPort": 443, "protocol": "tcp", "hostIP": "192.0.2.10"},
    {"hostPort": 5353, "containerPort": 53, "protocol": "udp"}
  ]},
  "prevResult": $plugged
}
END
add firewall >/dev/null <<END
{"cniVersion": "0.4.0", "name": "app", "type": "firewall", "backend": "iptables", "prevResult": $plugged}
END
save cni
save6 cni
