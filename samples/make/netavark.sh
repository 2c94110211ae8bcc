#!/bin/sh
# netavark, the network half of Podman, by hand: what `podman run -p 8080:80 -p 192.0.2.10:5000-5003:5000-5003` makes
# it do, for a container on a network with both families, and a second, isolated network beside it.
# Makes netavark.rules and netavark-ipv6.rules.
set -eu
. "$(dirname "$0")/room.sh"
PATH=$PATH:/usr/lib/podman
needs "netavark iptables iproute2" -- netavark iptables-save ip unshare
room "$@"
PATH=$PATH:/usr/lib/podman

link eth0 192.0.2.10/24 2001:db8::10/64
ip route add default via 192.0.2.1
export NETAVARK_FW=iptables
plug() {  # plug NAMESPACE: reads the request of Podman on standard input
    ip netns add "$1"
    netavark --config /run/netavark setup "/run/netns/$1" >/dev/null
}
mkdir -p /run/netavark
plug rfweb <<'END'
{
  "container_id": "7e57c0de0000000000000000000000000000000000000000000000000000web1",
  "container_name": "web",
  "port_mappings": [
    {"container_port": 80, "host_ip": "", "host_port": 8080, "protocol": "tcp", "range": 1},
    {"container_port": 5000, "host_ip": "192.0.2.10", "host_port": 5000, "protocol": "udp", "range": 4}
  ],
  "networks": {"app": {"interface_name": "eth0", "static_ips": ["10.89.0.2", "2001:db8:89::2"]}},
  "network_info": {"app": {
    "name": "app", "id": "1111111111111111111111111111111111111111111111111111111111111111", "driver": "bridge",
    "network_interface": "podman1", "internal": false, "ipv6_enabled": true, "dns_enabled": false,
    "subnets": [{"subnet": "10.89.0.0/24", "gateway": "10.89.0.1"},
                {"subnet": "2001:db8:89::/64", "gateway": "2001:db8:89::1"}],
    "ipam_options": {"driver": "host-local"}, "options": {}
  }}
}
END
plug rfdb <<'END'
{
  "container_id": "7e57c0de00000000000000000000000000000000000000000000000000000db1",
  "container_name": "db",
  "port_mappings": [{"container_port": 5432, "host_ip": "127.0.0.1", "host_port": 5432, "protocol": "tcp", "range": 1}],
  "networks": {"store": {"interface_name": "eth0", "static_ips": ["10.89.1.2"]}},
  "network_info": {"store": {
    "name": "store", "id": "2222222222222222222222222222222222222222222222222222222222222222", "driver": "bridge",
    "network_interface": "podman2", "internal": false, "ipv6_enabled": false, "dns_enabled": false,
    "subnets": [{"subnet": "10.89.1.0/24", "gateway": "10.89.1.1"}],
    "ipam_options": {"driver": "host-local"}, "options": {"isolate": "true"}
  }}
}
END
save netavark
save6 netavark
