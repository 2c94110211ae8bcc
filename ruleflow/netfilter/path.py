"""The packet's path through the kernel, as data: hooks, what stands at each in which order, and where it goes on.

Priorities are those of <linux/netfilter_ipv4.h> (enum nf_ip_hook_priorities), the same for IPv6; the order
of hooks is that of net/ipv4/ip_input.c, ip_forward.c, ip_output.c and net/bridge/br_netfilter_hooks.c.
"""

import msgspec


class Stage(msgspec.Struct, frozen=True):
    """What is called at a hook.

    ``kind`` is ``table`` (the table's chain of that hook is asked), ``defrag`` (fragments are put together),
    ``track`` (conntrack looks the packet up), ``nat`` (the nat table is asked by a connection's first packet,
    and the packet translated) or ``confirm`` (the connection becomes known). ``name`` is the table's.
    ``reroute``: a change of addresses, mark or tos there makes the kernel look for a route again.
    """

    kind: str
    priority: int
    name: str = ""
    reroute: bool = False


DEFRAG = Stage("defrag", -400)
RAW = Stage("table", -300, "raw")
TRACK = Stage("track", -200)
MANGLE = Stage("table", -150, "mangle")
MANGLE_OUT = Stage("table", -150, "mangle", reroute=True)
NAT_DESTINATION = Stage("nat", -100, "destination")
NAT_DESTINATION_OUT = Stage("nat", -100, "destination", reroute=True)
FILTER = Stage("table", 0, "filter")
SECURITY = Stage("table", 150, "security")
SECURITY_LEGACY = Stage("table", 50, "security")
NAT_SOURCE = Stage("nat", 100, "source")
CONFIRM = Stage("confirm", 0x7FFFFFFF)

HOOKS: dict[str, tuple[Stage, ...]] = {
    "PREROUTING": (DEFRAG, RAW, TRACK, MANGLE, NAT_DESTINATION),
    "INPUT": (MANGLE, FILTER, NAT_SOURCE, SECURITY, CONFIRM),
    "FORWARD": (MANGLE, FILTER, SECURITY),
    "OUTPUT": (DEFRAG, RAW, TRACK, MANGLE_OUT, NAT_DESTINATION_OUT, FILTER, SECURITY),
    "POSTROUTING": (MANGLE, NAT_SOURCE, CONFIRM),
}
"""What stands at each hook, by priority: as iptables-nft registers its chains, security at 150 (xtables_ipv4, iptables/nft.c)."""

LEGACY_HOOKS = HOOKS | {"INPUT": (MANGLE, FILTER, SECURITY_LEGACY, NAT_SOURCE, CONFIRM)}
"""The same with the legacy backend, whose security table stands before nat (NF_IP_PRI_SECURITY is 50)."""

PATH: dict[str, dict[str, str]] = {
    # a packet of this host: routed before OUTPUT, and again there where a change asks for it
    "send": {"routed": "OUTPUT"},
    "OUTPUT": {"accept": "POSTROUTING"},
    # a packet from the wire
    "arrive": {"accept": "PREROUTING"},
    "PREROUTING": {"accept": "route"},
    "route": {"local": "INPUT", "forward": "hop"},
    "arrived": {"accept": "route"},
    "hop": {"accept": "FORWARD"},
    "FORWARD": {"accept": "POSTROUTING"},
    "POSTROUTING": {"accept": "leave"},
    "INPUT": {"accept": "deliver"},
    # over lo the packet comes in again, with its connection, its mark and its route
    "leave": {"loopback": "PREROUTING"},
    # a frame that comes in by a bridge's port: iptables sees it where br_netfilter is told to
    "frame": {"asked": "frame PREROUTING", "silent": "bridge"},
    "frame PREROUTING": {"accept": "bridge"},
    "bridge": {"up": "arrived", "asked": "frame FORWARD", "silent": "port", "unseen": "arrive"},
    "frame FORWARD": {"accept": "frame POSTROUTING"},
    "frame POSTROUTING": {"accept": "port"},
    "port": {},
    "deliver": {},
}
"""Where a packet goes on: place, outcome there, next place. What is not listed ends the walk.

Three entries: ``send`` (local), ``arrive`` (ip) and ``frame`` (bridge). ``up``: the frame is for the bridge
itself, and PREROUTING, already asked on the bridge, is not asked again (ip_sabotage_in); ``unseen``: it is
for the bridge itself and no hook has seen it yet.
"""

ENTRIES = {"local": "send", "ip": "arrive", "bridge": "frame"}
"""The place where a walk begins, by entry."""


def hook_of(place: str) -> str | None:
    """The hook that is called at a place; None where there is none (``route``, ``hop``, ``leave`` …)."""
    hook = place.rpartition(" ")[2]
    return hook if hook in HOOKS else None
