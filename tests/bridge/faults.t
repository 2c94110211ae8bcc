=== nothing at all
---
error: nothing is declared
  --> net.yaml:1:1
1 | 
  | ^
   = help: write networks: {app: {}} and endpoints: {web: {ports: ["8080:80"]}}
=== unknown and doubled keys
version: 2
networks:
  app:
    brigde: br0
    icc: true
    icc: false
lay-out: native
---
error: this must be 1, not '2'
  --> net.yaml:1:10
1 | version: 2
  |          ^
   = help: write 1
error: the network 'app' has no key 'brigde'
  --> net.yaml:4:5
4 |     brigde: br0
  |     ^^^^^^
   = help: did you mean bridge?
error: the key 'icc' is given twice, first in line 5
  --> net.yaml:6:5
6 |     icc: false
  |     ^^^
   = help: leave one of them out
error: a declaration has no key 'lay-out'
  --> net.yaml:7:1
7 | lay-out: native
  | ^^^^^^^
   = help: did you mean layout?
=== YAML 1.1's truths
networks:
  app: {icc: yes, internal: off, ip_masq: "true"}
---
error: this must be true or false, not 'yes'
  --> net.yaml:2:14
2 |   app: {icc: yes, internal: off, ip_masq: "true"}
  |              ^^^
   = help: write true
error: this must be true or false, not 'off'
  --> net.yaml:2:29
2 |   app: {icc: yes, internal: off, ip_masq: "true"}
  |                             ^^^
   = help: write false
error: this must be true or false, not 'true'
  --> net.yaml:2:43
2 |   app: {icc: yes, internal: off, ip_masq: "true"}
  |                                           ^^^^
   = help: write true without quotation marks
=== names the kernel cannot take
networks:
  app: {bridge: a-very-long-bridge-name}
  two: {bridge: "a/b", trusted_host_interfaces: [eth0, "-i", ".."]}
  a name: {}
  xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx: {}
apply: {prefix: much-too-long-for-chains}
---
error: the interface name 'a-very-long-bridge-name' has 23 characters, the kernel allows 15
  --> net.yaml:2:17
2 |   app: {bridge: a-very-long-bridge-name}
  |                 ^^^^^^^^^^^^^^^^^^^^^^^
   = help: write a-very-long-bri
error: 'a/b' cannot be the name of an interface
  --> net.yaml:3:17
3 |   two: {bridge: "a/b", trusted_host_interfaces: [eth0, "-i", ".."]}
  |                 ^^^
   = help: use letters, digits, _ . @ and -, with no - first
error: '-i' cannot be the name of an interface
  --> net.yaml:3:56
3 |   two: {bridge: "a/b", trusted_host_interfaces: [eth0, "-i", ".."]}
  |                                                        ^^
   = help: use letters, digits, _ . @ and -, with no - first
error: '..' cannot be the name of an interface
  --> net.yaml:3:62
3 |   two: {bridge: "a/b", trusted_host_interfaces: [eth0, "-i", ".."]}
  |                                                              ^^
   = help: use letters, digits, _ . @ and -, with no - first
error: 'a name' cannot be a name
  --> net.yaml:4:3
4 |   a name: {}
  |   ^^^^^^
   = help: use letters, digits, _ . and -, and begin with a letter or digit
error: a name of 70 characters is too long: rules carry it in a comment
  --> net.yaml:5:3
5 |   xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx: {}
  |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   = help: write at most 63
error: 'much-too-long-for-chains' cannot begin the names of chains
  --> net.yaml:6:17
6 | apply: {prefix: much-too-long-for-chains}
  |                 ^^^^^^^^^^^^^^^^^^^^^^^^
   = help: write at most 12 letters and digits, such as RF
=== control characters
networks:
  app: {bridge: "br\n0"}
endpoints:
  "w\x1b[31meb": {network: app}
---
error: there is a control character in this text
  --> net.yaml:2:17
2 |   app: {bridge: "br\n0"}
  |                 ^^^^
   = help: leave it out: this text ends up in a rule
error: there is a control character in this text
  --> net.yaml:4:3
4 |   "w\x1b[31meb": {network: app}
  |   ^^^^^^^^
   = help: leave it out: this text ends up in a rule
=== the same bridge twice
networks:
  one: {bridge: br0}
  two: {bridge: br0}
---
error: the networks 'one' and 'two' want the same bridge br0
  --> net.yaml:3:17
3 |   two: {bridge: br0}
  |                 ^^^
   = help: give each network a bridge of its own
=== subnets
networks:
  one: {ipam: {config: [{subnet: 172.18.0.1/16}, {subnet: 172.19.0.0}, {subnet: 10.0.0.0/31}, {gateway: 10.0.0.1}]}}
  two: {ipam: {config: [{subnet: 172.20.0.0/16, gateway: 10.0.0.1}, {subnet: 172.21.0.0/16}]}}
  three: {ipam: {config: [{subnet: 172.20.7.0/24, ip_range: 10.0.0.0/24}]}}
  four: {subnet: 10.1.0.0/16}
  five: {enable_ipv4: false}
---
error: the subnet 172.18.0.1/16 has bits behind its length
  --> net.yaml:2:34
2 |   one: {ipam: {config: [{subnet: 172.18.0.1/16}, {subnet: 172.19.0.0}, {subnet: 10.0.0.0/31}, {gateway: 10.0.0.1}]}}
  |                                  ^^^^^^^^^^^^^
   = help: write 172.18.0.0/16
error: the subnet 172.19.0.0 lacks its length
  --> net.yaml:2:59
2 |   one: {ipam: {config: [{subnet: 172.18.0.1/16}, {subnet: 172.19.0.0}, {subnet: 10.0.0.0/31}, {gateway: 10.0.0.1}]}}
  |                                                           ^^^^^^^^^^
   = help: write 172.19.0.0/24
error: the subnet 10.0.0.0/31 has no room for a gateway and an endpoint
  --> net.yaml:2:81
2 |   one: {ipam: {config: [{subnet: 172.18.0.1/16}, {subnet: 172.19.0.0}, {subnet: 10.0.0.0/31}, {gateway: 10.0.0.1}]}}
  |                                                                                 ^^^^^^^^^^^
   = help: take a shorter length
error: this ipam config lacks its subnet
  --> net.yaml:2:95
2 |   one: {ipam: {config: [{subnet: 172.18.0.1/16}, {subnet: 172.19.0.0}, {subnet: 10.0.0.0/31}, {gateway: 10.0.0.1}]}}
  |                                                                                               ^
   = help: write {subnet: 172.18.0.0/16}
error: the gateway 10.0.0.1 is no address of 172.20.0.0/16
  --> net.yaml:3:58
3 |   two: {ipam: {config: [{subnet: 172.20.0.0/16, gateway: 10.0.0.1}, {subnet: 172.21.0.0/16}]}}
  |                                                          ^^^^^^^^
   = help: write 172.20.0.1
error: the network 'two' has two IPv4 subnets
  --> net.yaml:3:78
3 |   two: {ipam: {config: [{subnet: 172.20.0.0/16, gateway: 10.0.0.1}, {subnet: 172.21.0.0/16}]}}
  |                                                                              ^^^^^^^^^^^^^
   = help: leave one of them out
error: the subnet 172.20.7.0/24 overlaps 172.20.0.0/16 of the network 'two'
  --> net.yaml:4:36
4 |   three: {ipam: {config: [{subnet: 172.20.7.0/24, ip_range: 10.0.0.0/24}]}}
  |                                    ^^^^^^^^^^^^^
   = help: take another one
error: the range 10.0.0.0/24 is no part of 172.20.7.0/24
  --> net.yaml:4:61
4 |   three: {ipam: {config: [{subnet: 172.20.7.0/24, ip_range: 10.0.0.0/24}]}}
  |                                                             ^^^^^^^^^^^
error: a network's subnet and gateway stand below ipam
  --> net.yaml:5:18
5 |   four: {subnet: 10.1.0.0/16}
  |                  ^^^^^^^^^^^
   = help: write ipam: {config: [{subnet: 172.18.0.0/16}]}
error: the network 'five' has neither IPv4 nor IPv6
  --> net.yaml:6:3
6 |   five: {enable_ipv4: false}
  |   ^^^^
   = help: write enable_ipv6: true
=== addresses
networks:
  app: {ipam: {config: [{subnet: 172.18.0.0/24, aux_addresses: {printer: 172.18.0.9}}]}}
endpoints:
  a: {ipv4_address: 172.19.0.2}
  b: {ipv4_address: 172.18.0.5}
  c: {ipv4_address: 172.18.0.5}
  d: {ipv4_address: 172.18.0.1}
  e: {ipv4_address: 172.18.0.255}
  f: {ipv4_address: 172.18.0.9}
  g: {ipv6_address: "fd00::2"}
  h: {ipv4_address: "fd00::2"}
  i: {ipv4_address: web.example}
---
error: 172.19.0.2 is no address of 172.18.0.0/24, the subnet of 'app'
  --> net.yaml:4:21
4 |   a: {ipv4_address: 172.19.0.2}
  |                     ^^^^^^^^^^
   = help: write 172.18.0.3
error: 172.18.0.5 is taken by the endpoint 'b'
  --> net.yaml:6:21
6 |   c: {ipv4_address: 172.18.0.5}
  |                     ^^^^^^^^^^
   = help: write 172.18.0.3, or leave it out and a free one is given
error: 172.18.0.255 is no address of 172.18.0.0/24, the subnet of 'app'
  --> net.yaml:8:21
8 |   e: {ipv4_address: 172.18.0.255}
  |                     ^^^^^^^^^^^^
   = help: write 172.18.0.3
error: 172.18.0.9 is taken by an auxiliary address
  --> net.yaml:9:21
9 |   f: {ipv4_address: 172.18.0.9}
  |                     ^^^^^^^^^^
   = help: write 172.18.0.3, or leave it out and a free one is given
error: the network 'app' has no IPv6 subnet
  --> net.yaml:10:21
10 |   g: {ipv6_address: "fd00::2"}
   |                     ^^^^^^^
   = help: leave the address out
error: fd00::2 is an IPv6 address, and this must be an IPv4 address
  --> net.yaml:11:21
11 |   h: {ipv4_address: "fd00::2"}
   |                     ^^^^^^^
error: 'web.example' is no IP address
  --> net.yaml:12:21
12 |   i: {ipv4_address: web.example}
   |                     ^^^^^^^^^^^
   = help: write one such as 192.0.2.10 or 2001:db8::10
=== a network that is full
networks:
  app: {ipam: {config: [{subnet: 172.18.0.0/30}]}}
endpoints: {a: {}, b: {}}
---
error: no address of 172.18.0.0/30 is left for 'b'
  --> net.yaml:3:20
3 | endpoints: {a: {}, b: {}}
  |                    ^
   = help: take a larger subnet
=== which network
networks: {app: {}, other: {}}
endpoints:
  a: {}
  b: {network: ap}
---
error: the endpoint 'a' lacks its network
  --> net.yaml:3:3
3 |   a: {}
  |   ^
   = help: write network: app, other
error: there is no network 'ap'
  --> net.yaml:4:16
4 |   b: {network: ap}
  |                ^^
   = help: did you mean app?
=== a port that YAML takes for a number
networks: {app: {}}
endpoints:
  ssh:
    ports:
      - 22:22
      - 1022:22
---
error: without quotation marks, YAML 1.1 takes 22:22 for the number 1342 (base 60)
  --> net.yaml:5:9
5 |       - 22:22
  |         ^^^^^
   = help: write "22:22"
error: without quotation marks, YAML 1.1 takes 1022:22 for the number 61342 (base 60)
  --> net.yaml:6:9
6 |       - 1022:22
  |         ^^^^^^^
   = help: write "1022:22"
=== ports in many forms
networks: {app: {}}
endpoints:
  web:
    ports:
      - "http:80"
      - "80:70000"
      - "90-80:90-80"
      - "9000-9002:80-81"
      - "1.2.3:80:80"
      - "::1:80:80"
      - "8080:80/icmp"
      - {published: "8080"}
      - {target: 80, publish: "8080"}
      - {target: 80, published: "8080", host_ip: localhost, protocol: TCP}
      - [80]
      - "80"
---
error: 'http' is no port
  --> net.yaml:5:9
5 |       - "http:80"
  |         ^^^^^^^
   = help: write "8080:80", "127.0.0.1:8080:80/tcp" or "8000-8002:80-82/udp"
error: 70000 is no port: they go from 1 to 65535
  --> net.yaml:6:9
6 |       - "80:70000"
  |         ^^^^^^^^
   = help: write "8080:80", "127.0.0.1:8080:80/tcp" or "8000-8002:80-82/udp"
error: the ports 90-80 end before they begin
  --> net.yaml:7:9
7 |       - "90-80:90-80"
  |         ^^^^^^^^^^^
   = help: write 80-90
error: 3 ports of the host cannot stand for 2 ports of the endpoint
  --> net.yaml:8:9
8 |       - "9000-9002:80-81"
  |         ^^^^^^^^^^^^^^^
   = help: write "9000-9001:80-81/tcp"
error: '1.2.3' is no address of this host
  --> net.yaml:9:9
9 |       - "1.2.3:80:80"
  |         ^^^^^^^^^^^
   = help: write "8080:80", "127.0.0.1:8080:80/tcp" or "8000-8002:80-82/udp"
error: '::1:80:80' is no published port
  --> net.yaml:10:9
10 |       - "::1:80:80"
   |         ^^^^^^^^^
   = help: write "8080:80", "127.0.0.1:8080:80/tcp" or "8000-8002:80-82/udp"
error: 'icmp' is none of tcp, udp, sctp
  --> net.yaml:11:9
11 |       - "8080:80/icmp"
   |         ^^^^^^^^^^^^
   = help: write "8080:80/tcp"
error: this published port lacks its target
  --> net.yaml:12:9
12 |       - {published: "8080"}
   |         ^
   = help: write target: 80, published: "8080"
error: a published port has no key 'publish'
  --> net.yaml:13:22
13 |       - {target: 80, publish: "8080"}
   |                      ^^^^^^^
   = help: did you mean published?
error: 'localhost' is no IP address
  --> net.yaml:14:50
14 |       - {target: 80, published: "8080", host_ip: localhost, protocol: TCP}
   |                                                  ^^^^^^^^^
   = help: write one such as 192.0.2.10 or 2001:db8::10
error: 'TCP' is none of tcp, udp, sctp
  --> net.yaml:14:71
14 |       - {target: 80, published: "8080", host_ip: localhost, protocol: TCP}
   |                                                                       ^^^
   = help: there are: tcp, udp, sctp
error: this must be a word, not a list
  --> net.yaml:15:9
15 |       - [80]
   |         ^
error: port 80 of 'web' is published on no port of the host
  --> net.yaml:16:9
16 |       - "80"
   |         ^^
   = help: write "80:80/tcp", or gateway_mode: routed for the network
=== ports that are published twice
networks: {app: {}}
endpoints:
  a: {ports: ["8080:80", "8080:80/udp", "127.0.0.1:9000-9009:80-89"]}
  b: {ports: ["127.0.0.1:8080:80", "127.0.0.2:9000:80", "9005:80", "[::1]:9005:80"]}
---
error: tcp port 8080 of 127.0.0.1 is published twice, by 'a' and by 'b'
  --> net.yaml:4:15
4 |   b: {ports: ["127.0.0.1:8080:80", "127.0.0.2:9000:80", "9005:80", "[::1]:9005:80"]}
  |               ^^^^^^^^^^^^^^^^^
   = help: take another port of the host, or give each of them a host address of its own
error: tcp port 9005 is published twice, by 'a' and by 'b'
  --> net.yaml:4:57
4 |   b: {ports: ["127.0.0.1:8080:80", "127.0.0.2:9000:80", "9005:80", "[::1]:9005:80"]}
  |                                                         ^^^^^^^
   = help: take another port of the host, or give each of them a host address of its own
error: tcp port 9005 of ::1 is published twice, by 'b'
  --> net.yaml:4:68
4 |   b: {ports: ["127.0.0.1:8080:80", "127.0.0.2:9000:80", "9005:80", "[::1]:9005:80"]}
  |                                                                    ^^^^^^^^^^^^^
   = help: take another port of the host, or give each of them a host address of its own
=== loopback that is not allowed
networks: {app: {localhost: false}}
endpoints: {web: {ports: ["127.0.0.1:8080:80"]}}
---
error: 127.0.0.1 is published only where the network 'app' allows it
  --> net.yaml:2:27
2 | endpoints: {web: {ports: ["127.0.0.1:8080:80"]}}
  |                           ^^^^^^^^^^^^^^^^^
   = help: write localhost: true for the network
=== choices and numbers
networks:
  app: {driver: overlay, gateway_mode: natt, hairpin: Docker, mtu: 9, icc_enforcement: none}
endpoints:
  web: {netns: "pid:x"}
layout: docker-30
apply: {confirm: soon, backend: iptables, sysctls: [a]}
---
error: this must be bridge, not 'overlay'
  --> net.yaml:2:17
2 |   app: {driver: overlay, gateway_mode: natt, hairpin: Docker, mtu: 9, icc_enforcement: none}
  |                 ^^^^^^^
   = help: write bridge
error: 'natt' is none of nat, nat-unprotected, routed
  --> net.yaml:2:40
2 |   app: {driver: overlay, gateway_mode: natt, hairpin: Docker, mtu: 9, icc_enforcement: none}
  |                                        ^^^^
   = help: did you mean nat?
error: 'Docker' is none of conntrack, docker, off
  --> net.yaml:2:55
2 |   app: {driver: overlay, gateway_mode: natt, hairpin: Docker, mtu: 9, icc_enforcement: none}
  |                                                       ^^^^^^
   = help: did you mean docker?
error: this must be a whole number from 68 to 65535, not '9'
  --> net.yaml:2:68
2 |   app: {driver: overlay, gateway_mode: natt, hairpin: Docker, mtu: 9, icc_enforcement: none}
  |                                                                    ^
error: 'none' is none of br_netfilter, port_isolation
  --> net.yaml:2:88
2 |   app: {driver: overlay, gateway_mode: natt, hairpin: Docker, mtu: 9, icc_enforcement: none}
  |                                                                                        ^^^^
   = help: there are: br_netfilter, port_isolation
error: 'pid:x' is no process
  --> net.yaml:4:16
4 |   web: {netns: "pid:x"}
  |                ^^^^^
   = help: write pid: and the number, as in pid:1234
error: 'docker-30' is none of native, docker-classic, docker-28, docker-29, cni-portmap
  --> net.yaml:5:9
5 | layout: docker-30
  |         ^^^^^^^^^
   = help: did you mean docker-29?
error: 'soon' is no time
  --> net.yaml:6:18
6 | apply: {confirm: soon, backend: iptables, sysctls: [a]}
  |                  ^^^^
   = help: write 60s or 5m
error: 'iptables' is none of auto, nft, legacy
  --> net.yaml:6:33
6 | apply: {confirm: soon, backend: iptables, sysctls: [a]}
  |                                 ^^^^^^^^
   = help: there are: auto, nft, legacy
error: a list is none of manage, check, ignore
  --> net.yaml:6:52
6 | apply: {confirm: soon, backend: iptables, sysctls: [a]}
  |                                                    ^
   = help: there are: manage, check, ignore
=== another shape
networks: [app]
endpoints: web
---
error: this must be a mapping of names, not a list
  --> net.yaml:1:11
1 | networks: [app]
  |           ^
   = help: write NAME: and its keys below
error: this must be a mapping of names, not 'web'
  --> net.yaml:2:12
2 | endpoints: web
  |            ^^^
   = help: write NAME: and its keys below
=== what YAML can do and a declaration cannot
networks:
  app: &app {icc: true}
  two:
    <<: *app
  three: !mine {}
  ? [a]
  : {}
---
error: merge keys (<<) are not read
  --> net.yaml:4:5
4 |     <<: *app
  |     ^^
   = help: write the keys out
error: the tag !mine means nothing here
  --> net.yaml:5:10
5 |   three: !mine {}
  |          ^
   = help: leave it out
error: a key must be a word
  --> net.yaml:6:5
6 |   ? [a]
  |     ^
   = help: write key: value
=== options of Docker's driver
networks:
  app:
    driver_opts:
      com.docker.network.bridge.enable_icc: maybe
      com.docker.network.bridge.nam: br0
      com.docker.network.host_ipv4: "::1"
---
error: this must be "true" or "false", not 'maybe'
  --> net.yaml:4:45
4 |       com.docker.network.bridge.enable_icc: maybe
  |                                             ^^^^^
error: driver_opts has no key 'com.docker.network.bridge.nam'
  --> net.yaml:5:7
5 |       com.docker.network.bridge.nam: br0
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   = help: did you mean com.docker.network.bridge.name?
error: ::1 is an IPv6 address, and this must be an IPv4 address
  --> net.yaml:6:37
6 |       com.docker.network.host_ipv4: "::1"
  |                                     ^^^
=== an outbound address without its family
networks:
  app: {outbound_addr6: "2001:db8::1"}
---
error: the network 'app' has no IPv6 subnet
  --> net.yaml:2:25
2 |   app: {outbound_addr6: "2001:db8::1"}
  |                         ^^^^^^^^^^^
   = help: leave the address out
=== an mtu that IPv6 cannot live with
networks:
  app: {enable_ipv6: true, mtu: 1000}
---
error: IPv6 needs an mtu of 1280, not 1000
  --> net.yaml:2:33
2 |   app: {enable_ipv6: true, mtu: 1000}
  |                                 ^^^^
   = help: write 1280 or more
