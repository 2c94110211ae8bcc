#!/bin/sh
# libvirtd with three networks: its default one (NAT), a routed one with both families, and an isolated one.
# Makes libvirt.rules and libvirt-ipv6.rules.
set -eu
. "$(dirname "$0")/room.sh"
needs "libvirt-daemon-system libvirt-clients dnsmasq-base iptables iproute2" -- \
    libvirtd virsh dnsmasq iptables-save ip unshare
room "$@"

link eth0 192.0.2.10/24 2001:db8::10/64
ip route add default via 192.0.2.1
rm -rf /run/libvirt /etc/libvirt/qemu/networks/autostart
libvirtd --daemon
export VIRSH_DEFAULT_CONNECT_URI=network:///system
await virsh net-list
start() {  # start NAME: reads the XML of the network on standard input
    cat >"/run/$1.xml"
    virsh net-define "/run/$1.xml"
    virsh net-start "$1"
}
virsh net-list --all --name | grep -qx default && virsh net-undefine default
start default <<'END'
<network>
  <name>default</name>
  <forward mode='nat'/>
  <bridge name='virbr0'/>
  <ip address='192.168.122.1' netmask='255.255.255.0'>
    <dhcp><range start='192.168.122.2' end='192.168.122.254'/></dhcp>
  </ip>
</network>
END
start routed <<'END'
<network>
  <name>routed</name>
  <forward mode='route' dev='eth0'/>
  <bridge name='virbr1'/>
  <ip address='198.51.100.1' prefix='24'/>
  <ip family='ipv6' address='2001:db8:51::1' prefix='64'/>
</network>
END
start isolated <<'END'
<network>
  <name>isolated</name>
  <bridge name='virbr2'/>
  <ip address='10.77.0.1' prefix='24'/>
</network>
END
virsh net-list
save libvirt
save6 libvirt
