"""Docker's rule sets layout by layout, written from the order in which each version of the daemon makes its rules."""

NAT_IN = ["-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER"]
PROXY_OUT = ["-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER"]
NO_PROXY_OUT = ["-A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER"]
REPLY = "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"


def table(name: str, hooks: str, rules: list[str]) -> str:
    """A table with the chains that its rules name."""
    own = {word for rule in rules for word in rule.split() if word.startswith("DOCKER")} - {"DOCKER-EXT"}
    heads = [f":{hook} ACCEPT [0:0]" for hook in hooks.split()] + [
        f":{chain} - [0:0]" for chain in sorted(own)
    ]
    return "\n".join([f"*{name}", *heads, *rules, "COMMIT", ""])


def dump(
    filter_rules: list[str], nat: list[str], raw: list[str] | None = None, mangle: list[str] | None = None
) -> str:
    """The tables of a host."""
    parts = [table("raw", "PREROUTING OUTPUT", raw)] if raw else []
    parts += [table("mangle", "PREROUTING INPUT FORWARD OUTPUT POSTROUTING", mangle)] if mangle else []
    parts += [
        table("filter", "INPUT FORWARD OUTPUT", filter_rules),
        table("nat", "PREROUTING INPUT OUTPUT POSTROUTING", nat),
    ]
    return "".join(parts)


def classic_filter(
    *, icc: bool = True, port: str = "80", bridge: str = "docker0", at: str = "172.17.0.2"
) -> list[str]:
    """18.06 to 27: one block a network in FORWARD."""
    rules = [
        "-A FORWARD -j DOCKER-USER",
        "-A FORWARD -j DOCKER-ISOLATION-STAGE-1",
        f"-A FORWARD -o {bridge} {REPLY}",
        f"-A FORWARD -o {bridge} -j DOCKER",
        f"-A FORWARD -i {bridge} ! -o {bridge} -j ACCEPT",
    ]
    rules += [f"-A FORWARD -i {bridge} -o {bridge} -j {'ACCEPT' if icc else 'DROP'}"]
    rules += [f"-A DOCKER -d {at}/32 ! -i {bridge} -o {bridge} -p tcp -m tcp --dport {port} -j ACCEPT"]
    return [
        *rules,
        f"-A DOCKER-ISOLATION-STAGE-1 -i {bridge} ! -o {bridge} -j DOCKER-ISOLATION-STAGE-2",
        "-A DOCKER-ISOLATION-STAGE-1 -j RETURN",
        f"-A DOCKER-ISOLATION-STAGE-2 -o {bridge} -j DROP",
        "-A DOCKER-ISOLATION-STAGE-2 -j RETURN",
        "-A DOCKER-USER -j RETURN",
    ]


CLASSIC_PROXY = dump(
    classic_filter(),
    [
        *NAT_IN, *PROXY_OUT,
        "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
        "-A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE",
        "-A DOCKER -i docker0 -j RETURN",
        "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
    ],
)  # fmt: skip
CLASSIC_NO_PROXY = dump(
    classic_filter(icc=False, bridge="br-1", at="172.18.0.2"),
    [
        *NAT_IN, *NO_PROXY_OUT,
        "-A POSTROUTING -o br-1 -m addrtype --src-type LOCAL -j MASQUERADE",
        "-A POSTROUTING -s 172.18.0.0/16 ! -o br-1 -j MASQUERADE",
        "-A POSTROUTING -s 172.18.0.2/32 -d 172.18.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE",
        "-A DOCKER -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.18.0.2:80",
    ],
)  # fmt: skip
CLASSIC_HOST_ADDRESS = dump(
    classic_filter(bridge="br-1", at="172.18.0.2"),
    [
        *NAT_IN, *PROXY_OUT,
        "-A POSTROUTING -s 172.18.0.0/16 ! -o br-1 -j SNAT --to-source 192.0.2.10",
        "-A POSTROUTING -s 172.18.0.2/32 -d 172.18.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE",
        "-A DOCKER -i br-1 -j RETURN",
        "-A DOCKER -d 192.0.2.10/32 ! -i br-1 -p tcp -m tcp --dport 8081 -j DNAT --to-destination 172.18.0.2:80",
        "-A DOCKER -d 127.0.0.1/32 ! -i br-1 -p tcp -m tcp --dport 8082 -j DNAT --to-destination 172.18.0.2:80",
    ],
    mangle=["-A POSTROUTING -p sctp -m sctp --sport 3868 -j CHECKSUM --checksum-fill"],
)  # fmt: skip
CLASSIC_INTERNAL = dump(
    [
        "-A FORWARD -j DOCKER-USER",
        "-A FORWARD -j DOCKER-ISOLATION-STAGE-1",
        "-A FORWARD -i br-1 -o br-1 -j ACCEPT",
        "-A DOCKER-ISOLATION-STAGE-1 ! -s 172.18.0.0/16 -o br-1 -j DROP",
        "-A DOCKER-ISOLATION-STAGE-1 ! -d 172.18.0.0/16 -i br-1 -j DROP",
        "-A DOCKER-ISOLATION-STAGE-1 -j RETURN",
        "-A DOCKER-USER -j RETURN",
    ],
    [*NAT_IN, *PROXY_OUT],
)
OLD_ISOLATION = dump(
    [
        "-A FORWARD -j DOCKER-USER",
        "-A FORWARD -j DOCKER-ISOLATION",
        "-A FORWARD -o br-1 -j DOCKER",
        "-A FORWARD -o docker0 -j DOCKER",
        "-A DOCKER-ISOLATION -i br-1 -o docker0 -j DROP",
        "-A DOCKER-ISOLATION -i docker0 -o br-1 -j DROP",
        "-A DOCKER-ISOLATION -j RETURN",
        "-A DOCKER-USER -j RETURN",
    ],
    [*NAT_IN, *PROXY_OUT],
)


def forward_28(bridge: str) -> list[str]:
    """28.0.1 to 28.5."""
    return [
        "-A FORWARD -j DOCKER-USER",
        "-A FORWARD -j DOCKER-FORWARD",
        f"-A DOCKER -d 192.0.2.2/32 ! -i {bridge} -o {bridge} -p tcp -m tcp --dport 80 -j ACCEPT",
        "-A DOCKER ! -i docker0 -o docker0 -j DROP",
        f"-A DOCKER ! -i {bridge} -o {bridge} -j DROP",
        "-A DOCKER-BRIDGE -o docker0 -j DOCKER",
        f"-A DOCKER-BRIDGE -o {bridge} -j DOCKER",
        f"-A DOCKER-CT -o docker0 {REPLY}",
        f"-A DOCKER-CT -o {bridge} {REPLY}",
        "-A DOCKER-FORWARD -j DOCKER-CT",
        "-A DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1",
        "-A DOCKER-FORWARD -j DOCKER-BRIDGE",
        "-A DOCKER-FORWARD -i docker0 -j ACCEPT",
        f"-A DOCKER-FORWARD -i {bridge} -j ACCEPT",
        "-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2",
        f"-A DOCKER-ISOLATION-STAGE-1 -i {bridge} ! -o {bridge} -j DOCKER-ISOLATION-STAGE-2",
        f"-A DOCKER-ISOLATION-STAGE-2 -o {bridge} -j DROP",
        "-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP",
    ]


DOCKER_28 = dump(
    [*forward_28("bridge1"), "-A DOCKER-USER -j RETURN"],
    [
        *NAT_IN, *PROXY_OUT,
        "-A POSTROUTING -s 192.0.2.0/24 ! -o bridge1 -j MASQUERADE",
        "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
        "-A DOCKER -i bridge1 -j RETURN",
        "-A DOCKER -i docker0 -j RETURN",
        "-A DOCKER ! -i bridge1 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 192.0.2.2:80",
    ],
    raw=["-A PREROUTING -d 192.0.2.2/32 ! -i bridge1 -p tcp -m tcp --dport 80 -j DROP"],
)  # fmt: skip
DOCKER_28_ROUTED = dump(
    [
        *forward_28("bridge1"),
        "-A DOCKER -o bridge1 -p icmp -j ACCEPT",
        "-I DOCKER-ISOLATION-STAGE-1 1 -i bridge1 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-I DOCKER-ISOLATION-STAGE-1 2 -o bridge1 -j RETURN",
    ],
    [*NAT_IN, *PROXY_OUT, "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE"],
)
DOCKER_28_0_0 = dump(
    [
        "-A FORWARD -j DOCKER-USER",
        "-A FORWARD -m set --match-set docker-ext-bridges-v4 dst -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A FORWARD -j DOCKER-ISOLATION-STAGE-1",
        "-A FORWARD -m set --match-set docker-ext-bridges-v4 dst -j DOCKER",
        "-A FORWARD -i docker0 -j ACCEPT",
        "-A DOCKER ! -i docker0 -o docker0 -j DROP",
        "-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2",
        "-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP",
        "-A DOCKER-USER -j RETURN",
    ],
    [
        *NAT_IN,
        *PROXY_OUT,
        "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
        "-A DOCKER -i docker0 -j RETURN",
    ],
)


def filter_29(
    extra: list[str] | None = None, *, out: list[str] | None = None, ports: list[str] | None = None
) -> list[str]:
    """29 with docker0 and bridge1."""
    published = ["-A DOCKER -d 192.0.2.2/32 ! -i bridge1 -o bridge1 -p tcp -m tcp --dport 80 -j ACCEPT"]
    return [
        "-A FORWARD -j DOCKER-USER",
        "-A FORWARD -j DOCKER-FORWARD",
        *(published if ports is None else ports),
        "-A DOCKER ! -i docker0 -o docker0 -j DROP",
        *(["-A DOCKER ! -i bridge1 -o bridge1 -j DROP"] if ports is None else []),
        "-A DOCKER-BRIDGE -o docker0 -j DOCKER",
        "-A DOCKER-BRIDGE -o bridge1 -j DOCKER",
        f"-A DOCKER-CT -o docker0 {REPLY}",
        f"-A DOCKER-CT -o bridge1 {REPLY}",
        "-A DOCKER-FORWARD -j DOCKER-CT",
        "-A DOCKER-FORWARD -j DOCKER-INTERNAL",
        "-A DOCKER-FORWARD -j DOCKER-BRIDGE",
        "-A DOCKER-FORWARD -i docker0 -j ACCEPT",
        *(out or ["-A DOCKER-FORWARD -i bridge1 -j ACCEPT"]),
        *(extra or []),
    ]


NAT_29 = [
    "-A POSTROUTING -s 192.0.2.0/24 ! -o bridge1 -j MASQUERADE",
    "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
]
RAW_29 = ["-A PREROUTING -d 192.0.2.2/32 ! -i bridge1 -j DROP"]
DNAT_29 = ["-A DOCKER ! -i bridge1 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 192.0.2.2:80"]
DOCKER_29 = dump(filter_29(), [*NAT_IN, *PROXY_OUT, *NAT_29, *DNAT_29], RAW_29)
DOCKER_29_NO_PROXY = dump(
    filter_29(),
    [
        *NAT_IN, *NO_PROXY_OUT,
        "-A POSTROUTING -o bridge1 -m addrtype --src-type LOCAL -j MASQUERADE",
        *NAT_29,
        "-A POSTROUTING -s 192.0.2.2/32 -d 192.0.2.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE",
        "-A DOCKER -p tcp -m tcp --dport 8080 -j DNAT --to-destination 192.0.2.2:80",
    ],
    RAW_29,
)  # fmt: skip
DOCKER_29_LOOPBACK = dump(
    filter_29(),
    [
        *NAT_IN, *PROXY_OUT, *NAT_29,
        "-A DOCKER -d 127.0.0.0/8 -i loopback0 -j RETURN",
        "-A DOCKER -d 127.0.0.1/32 ! -i bridge1 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 192.0.2.2:80",
    ],
    [
        "-A PREROUTING -d 192.0.2.2/32 -i eth1 -j ACCEPT",
        *RAW_29,
        "-A PREROUTING -d 127.0.0.1/32 -i loopback0 -p tcp -m tcp --dport 8080 -j ACCEPT",
        "-A PREROUTING -d 127.0.0.1/32 ! -i lo -p tcp -m tcp --dport 8080 -j DROP",
    ],
)  # fmt: skip
DOCKER_29_NO_ICC = dump(
    filter_29(
        ["-A DOCKER -s 192.0.2.3/32 -d 192.0.2.2/32 -i bridge1 -o bridge1 -p tcp -m tcp --dport 5432 -j ACCEPT",
         "-A DOCKER -s 192.0.2.2/32 -d 192.0.2.3/32 -i bridge1 -o bridge1 -p tcp -m tcp --sport 5432 -j ACCEPT"],
        out=["-A DOCKER-FORWARD -i bridge1 -o bridge1 -j DROP", "-A DOCKER-FORWARD -i bridge1 ! -o bridge1 -j ACCEPT"],
    ),
    [*NAT_IN, *PROXY_OUT, *NAT_29, *DNAT_29],
    RAW_29,
)  # fmt: skip
DOCKER_29_UNPROTECTED = dump(
    filter_29(
        ["-I DOCKER-FORWARD -m mark --mark 0x1/0x1 -j ACCEPT"],
        ports=["-A DOCKER ! -i bridge1 -o bridge1 -j ACCEPT"],
    ),
    [*NAT_IN, *PROXY_OUT, *NAT_29, *DNAT_29],
)
DOCKER_29_ROUTED = dump(
    filter_29(["-I DOCKER 3 -o bridge1 -p icmp -j ACCEPT"]),
    [*NAT_IN, *PROXY_OUT, "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE"],
)
DOCKER_29_INTERNAL = dump(
    [
        "-A FORWARD -j DOCKER-USER",
        "-A FORWARD -j DOCKER-FORWARD",
        "-A DOCKER ! -i docker0 -o docker0 -j DROP",
        "-A DOCKER-BRIDGE -o docker0 -j DOCKER",
        f"-A DOCKER-CT -o docker0 {REPLY}",
        "-A DOCKER-FORWARD -j DOCKER-CT",
        "-A DOCKER-FORWARD -j DOCKER-INTERNAL",
        "-A DOCKER-FORWARD -j DOCKER-BRIDGE",
        "-A DOCKER-FORWARD -i docker0 -j ACCEPT",
        "-A DOCKER-FORWARD -i bridge1 -o bridge1 -j ACCEPT",
        "-A DOCKER-INTERNAL ! -s 192.0.2.0/24 -o bridge1 -j DROP",
        "-A DOCKER-INTERNAL ! -d 192.0.2.0/24 -i bridge1 -j DROP",
    ],
    [*NAT_IN, *PROXY_OUT, "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE"],
)
SWARM = dump(
    filter_29(
        [
            "-I DOCKER-FORWARD -j DOCKER-INGRESS",
            "-A DOCKER-INGRESS -p tcp -m tcp --dport 8080 -j ACCEPT",
            "-A DOCKER-INGRESS -p tcp -m tcp --sport 8080 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            "-A DOCKER-INGRESS -j RETURN",
        ]
    ),
    [
        "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER-INGRESS",
        *NAT_IN,
        "-A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER-INGRESS",
        *PROXY_OUT,
        "-A POSTROUTING -o docker_gwbridge -m addrtype --src-type LOCAL -j MASQUERADE",
        *NAT_29,
        *DNAT_29,
        "-A DOCKER-INGRESS -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.18.0.2:8080",
        "-A DOCKER-INGRESS -j RETURN",
    ],
)
DOCKER_29_IPV6 = """*raw
:PREROUTING ACCEPT [0:0]
-A PREROUTING -d 2001:db8:1::2/128 ! -i bridge1 -j DROP
COMMIT
*filter
:FORWARD ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-BRIDGE - [0:0]
:DOCKER-CT - [0:0]
:DOCKER-FORWARD - [0:0]
:DOCKER-INTERNAL - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER -d 2001:db8:1::2/128 ! -i bridge1 -o bridge1 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER -o bridge1 -p ipv6-icmp -j ACCEPT
-A DOCKER ! -i bridge1 -o bridge1 -j DROP
-A DOCKER-BRIDGE -o bridge1 -j DOCKER
-A DOCKER-CT -o bridge1 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-INTERNAL
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i bridge1 -j ACCEPT
-A DOCKER-INTERNAL ! -s 2001:db8:2::/64 ! -i br-2 -o br-2 -j DROP
-A DOCKER-INTERNAL ! -d 2001:db8:2::/64 -i br-2 ! -o br-2 -j DROP
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d ::1/128 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 2001:db8:1::/64 ! -o bridge1 -j MASQUERADE
-A DOCKER ! -s fe80::/10 ! -i bridge1 -p tcp -m tcp --dport 8080 -j DNAT --to-destination [2001:db8:1::2]:80
COMMIT
"""

LAYOUTS = {
    "classic-proxy": CLASSIC_PROXY, "classic-no-proxy": CLASSIC_NO_PROXY, "classic-host-address": CLASSIC_HOST_ADDRESS,
    "classic-internal": CLASSIC_INTERNAL, "old-isolation": OLD_ISOLATION, "28": DOCKER_28, "28-routed": DOCKER_28_ROUTED,
    "28.0.0": DOCKER_28_0_0, "29": DOCKER_29, "29-no-proxy": DOCKER_29_NO_PROXY, "29-loopback": DOCKER_29_LOOPBACK,
    "29-no-icc": DOCKER_29_NO_ICC, "29-unprotected": DOCKER_29_UNPROTECTED, "29-routed": DOCKER_29_ROUTED,
    "29-internal": DOCKER_29_INTERNAL, "swarm": SWARM, "29-ipv6": DOCKER_29_IPV6,
}  # fmt: skip
