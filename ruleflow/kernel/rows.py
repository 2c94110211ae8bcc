"""Netlink messages, as pyroute2 gives them, turned into the rows that ``ip -j`` and ``bridge -j`` print.

One reader (netfilter/read_host.py) then serves both. Key names and what is left out follow iproute2 6.1
(ip/ipaddress.c, ip/iproute.c, ip/iprule.c, ip/ipneigh.c, bridge/link.c); numbers are of <linux/rtnetlink.h>,
<linux/if.h>, <linux/fib_rules.h> and <linux/neighbour.h>.
"""

import ipaddress
from typing import Any

Message = Any
Row = dict[str, Any]
Names = dict[int, str]
"""Interface names by index."""

_LINK_FLAGS = {
    0x8: "LOOPBACK", 0x2: "BROADCAST", 0x10: "POINTOPOINT", 0x1000: "MULTICAST", 0x80: "NOARP",
    0x200: "ALLMULTI", 0x100: "PROMISC", 0x400: "MASTER", 0x800: "SLAVE", 0x1: "UP", 0x10000: "LOWER_UP",
}  # fmt: skip
_SCOPES = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
_TABLES = {255: "local", 254: "main", 253: "default"}
_KINDS = {
    1: "unicast", 2: "local", 3: "broadcast", 4: "anycast", 5: "multicast", 6: "blackhole", 7: "unreachable",
    8: "prohibit", 9: "throw", 10: "nat", 11: "xresolve",
}  # fmt: skip
_PROTOCOLS = {
    0: "unspec",
    1: "redirect",
    2: "kernel",
    3: "boot",
    4: "static",
    9: "ra",
    16: "dhcp",
    186: "bgp",
}
_ROUTE_FLAGS = {1: "dead", 2: "pervasive", 4: "onlink", 8: "offload", 16: "linkdown"}
_PREFERENCES = {0: "medium", 1: "high", 3: "low"}
_PORT_STATES = ("disabled", "listening", "learning", "forwarding", "blocking")
_ADDRESS_FLAGS = {0x01: "temporary", 0x04: "optimistic", 0x08: "dadfailed", 0x20: "deprecated",
                  0x40: "tentative", 0x100: "mngtmpaddr", 0x200: "noprefixroute"}  # fmt: skip
_NEIGHBOUR_STATES = {0x01: "INCOMPLETE", 0x02: "REACHABLE", 0x04: "STALE", 0x08: "DELAY", 0x10: "PROBE",
                     0x20: "FAILED", 0x40: "NOARP", 0x80: "PERMANENT"}  # fmt: skip
_RULE_ACTIONS = {6: "blackhole", 7: "unreachable", 8: "prohibit"}
_RULE_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "ipv6-icmp", 132: "sctp"}


def link_row(message: Message, addresses: list[Message], names: Names) -> Row:
    """A link with its addresses (``ip -j -d addr``)."""
    index, below = message["index"], message.get_attr("IFLA_LINK")
    group = message.get_attr("IFLA_GROUP") or 0
    master = message.get_attr("IFLA_MASTER")
    row: Row = {"ifindex": index}
    if below is not None and message.get_attr("IFLA_LINK_NETNSID") is not None:
        row |= {"link_index": below, "link_netnsid": message.get_attr("IFLA_LINK_NETNSID")}
    elif below:
        row["link"] = names.get(below, f"if{below}")
    row |= {"ifname": message.get_attr("IFLA_IFNAME"), "flags": _link_flags(message["flags"])}
    row |= {"mtu": message.get_attr("IFLA_MTU")}
    row |= {"master": names.get(master, f"if{master}")} if master else {}
    row |= {
        "operstate": message.get_attr("IFLA_OPERSTATE"),
        "group": "default" if group == 0 else str(group),
        "link_type": {1: "ether", 772: "loopback"}.get(message["ifi_type"], str(message["ifi_type"])),
        "address": message.get_attr("IFLA_ADDRESS"),
    }
    info = _link_info(message)
    return row | ({"linkinfo": info} if info else {}) | {"addr_info": [address_row(one) for one in addresses]}


def _link_flags(bits: int) -> list[str]:
    lost = ["NO-CARRIER"] if bits & 1 and not bits & 0x10040 else []
    return lost + [name for bit, name in _LINK_FLAGS.items() if bits & bit]


def _link_info(message: Message) -> Row:
    info = message.get_attr("IFLA_LINKINFO")
    if info is None:
        return {}
    kind, port = info.get_attr("IFLA_INFO_KIND"), info.get_attr("IFLA_INFO_SLAVE_KIND")
    row: Row = {"info_kind": kind} if kind else {}
    mode = _mode(kind, info.get_attr("IFLA_INFO_DATA"))
    row |= {"info_data": mode} if mode else {}
    if port:
        row["info_slave_kind"] = port
        if port == "bridge":
            row["info_slave_data"] = _port_data(info.get_attr("IFLA_INFO_SLAVE_DATA"))
    return row


_IPVLAN_MODES = ("l2", "l3", "l3s")
_IPVLAN_FLAGS = {1: "private", 2: "vepa"}


def _mode(kind: str | None, data: Message) -> Row:
    """The mode of a macvlan or ipvlan; of the latter pyroute2 gives the number (<linux/if_link.h>)."""
    if data is None or kind not in ("macvlan", "macvtap", "ipvlan", "ipvtap"):
        return {}
    if kind.startswith("macv"):
        return {"mode": data.get_attr("IFLA_MACVLAN_MODE")}
    number, flags = data.get_attr("IFLA_IPVLAN_MODE") or 0, data.get_attr("IFLA_IPVLAN_FLAGS")
    flag = _IPVLAN_FLAGS.get(flags) if isinstance(flags, int) else None
    known = isinstance(number, int) and number < len(_IPVLAN_MODES)
    return {"mode": _IPVLAN_MODES[number] if known else str(number)} | ({"mode_flag": flag} if flag else {})


def _port_data(data: Message) -> Row:
    state = data.get_attr("IFLA_BRPORT_STATE") or 0
    return {
        "state": _PORT_STATES[state] if state < len(_PORT_STATES) else str(state),
        "hairpin": bool(data.get_attr("IFLA_BRPORT_MODE")),
        "learning": bool(data.get_attr("IFLA_BRPORT_LEARNING")),
        "flood": bool(data.get_attr("IFLA_BRPORT_UNICAST_FLOOD")),
        "isolated": bool(data.get_attr("IFLA_BRPORT_ISOLATED")),
    }


def port_row(row: Row) -> Row:
    """A bridge's port (``bridge -j -d link``) out of its :func:`link_row`."""
    head = {
        name: row[name] for name in ("ifindex", "link", "ifname", "flags", "mtu", "master") if name in row
    }
    if "link_index" in row:
        head["link"] = f"if{row['link_index']}"
    return {**head, **row["linkinfo"]["info_slave_data"]}


def bridge_settings(message: Message) -> Row:
    """The switches of a bridge that a sysctl also has: ``nf_call_iptables``, ``nf_call_ip6tables``."""
    info = message.get_attr("IFLA_LINKINFO")
    data = info.get_attr("IFLA_INFO_DATA") if info is not None else None
    if data is None or info.get_attr("IFLA_INFO_KIND") != "bridge":
        return {}
    pairs = (
        ("nf_call_iptables", "IFLA_BR_NF_CALL_IPTABLES"),
        ("nf_call_ip6tables", "IFLA_BR_NF_CALL_IP6TABLES"),
    )
    return {name: data.get_attr(attribute) or 0 for name, attribute in pairs}


def address_row(message: Message) -> Row:
    """One address of a link."""
    four = message["family"] == 2
    here, peer = message.get_attr("IFA_LOCAL"), message.get_attr("IFA_ADDRESS")
    flags = message.get_attr("IFA_FLAGS") or message["flags"]
    row: Row = {"family": "inet" if four else "inet6", "local": here or peer}
    row |= {"address": peer} if here and peer and here != peer else {}
    row["prefixlen"] = message["prefixlen"]
    broadcast = message.get_attr("IFA_BROADCAST")
    row |= {"broadcast": broadcast} if broadcast else {}
    row["scope"] = _SCOPES.get(message["scope"], str(message["scope"]))
    if four and flags & 1:
        return row | {"secondary": True}
    return row | {
        name: True for bit, name in _ADDRESS_FLAGS.items() if flags & bit and not (four and bit == 1)
    }


def route_row(message: Message, names: Names) -> Row | None:
    """One route (``ip -j route show table all``); None for a cached one."""
    if message["flags"] & 0x200:  # RTM_F_CLONED
        return None
    four, kind = message["family"] == 2, _KINDS.get(message["type"], str(message["type"]))
    table = message.get_attr("RTA_TABLE") or message["table"]
    row: Row = {} if kind == "unicast" else {"type": kind}
    row["dst"] = _prefix(message, "RTA_DST", "dst_len", four)
    row |= {"from": _prefix(message, "RTA_SRC", "src_len", four)} if message["src_len"] else {}
    row |= {"tos": hex(message["tos"])} if message["tos"] else {}
    row |= _hop_row(message, names)
    row |= {"table": _TABLES.get(table, str(table))} if table != 254 else {}
    row |= (
        {"protocol": _PROTOCOLS.get(message["proto"], str(message["proto"]))} if message["proto"] != 3 else {}
    )
    row |= (
        {"scope": _SCOPES.get(message["scope"], str(message["scope"]))} if four and message["scope"] else {}
    )
    prefsrc, metric = message.get_attr("RTA_PREFSRC"), message.get_attr("RTA_PRIORITY")
    row |= {"prefsrc": prefsrc} if prefsrc else {}
    row |= {"metric": metric} if metric is not None else {} if four else {"metric": 0}
    row["flags"] = _route_flags(message["flags"])
    row |= {} if four else {"pref": _PREFERENCES.get(message.get_attr("RTA_PREF") or 0, "medium")}
    several = message.get_attr("RTA_MULTIPATH")
    return row | ({"nexthops": [_nexthop_row(hop, names) for hop in several]} if several else {})


def _prefix(message: Message, attribute: str, length: str, four: bool) -> str:
    address, bits = message.get_attr(attribute), message[length]
    if address is None:
        zero = str(ipaddress.ip_address(bytes(4 if four else 16)))
        return "default" if bits == 0 else f"{zero}/{bits}"
    return str(address) if bits == (32 if four else 128) else f"{address}/{bits}"


def _hop_row(message: Message, names: Names) -> Row:
    gateway, via, out = (message.get_attr(name) for name in ("RTA_GATEWAY", "RTA_VIA", "RTA_OIF"))
    row: Row = {"gateway": gateway} if gateway else {}
    if via:
        row["via"] = {"family": "inet6" if via["family"] == 10 else "inet", "host": via["addr"]}
    return row | ({"dev": names.get(out, f"if{out}")} if out else {})


def _nexthop_row(hop: Message, names: Names) -> Row:
    row = _hop_row(hop, names) | {"dev": names.get(hop["oif"], f"if{hop['oif']}")}
    return row | {"weight": hop["hops"] + 1, "flags": _route_flags(hop["flags"])}


def _route_flags(bits: int) -> list[str]:
    return [name for bit, name in _ROUTE_FLAGS.items() if bits & bit]


def rule_row(message: Message) -> Row:
    """One policy rule (``ip -j rule``)."""
    table = message.get_attr("FRA_TABLE") or message["table"]
    row: Row = {"priority": message.get_attr("FRA_PRIORITY") or 0}
    row |= {"not": None} if message["flags"] & 2 else {}
    row |= _rule_side(message, "FRA_SRC", "src") | _rule_side(message, "FRA_DST", "dst")
    row |= {"tos": hex(message["tos"])} if message["tos"] else {}
    row |= _rule_mark(message)
    for key, attribute in (("iif", "FRA_IIFNAME"), ("oif", "FRA_OIFNAME")):
        row |= {key: message.get_attr(attribute)} if message.get_attr(attribute) else {}
    row |= _range(message.get_attr("FRA_UID_RANGE"), "uid_start", "uid_end")
    protocol = message.get_attr("FRA_IP_PROTO")
    row |= {"ipproto": _RULE_PROTOCOLS.get(protocol, str(protocol))} if protocol else {}
    for side, attribute in (("sport", "FRA_SPORT_RANGE"), ("dport", "FRA_DPORT_RANGE")):
        row |= _range(message.get_attr(attribute), f"{side}_start", f"{side}_end")
    return row | _rule_action(message, table)


def _rule_side(message: Message, attribute: str, side: str) -> Row:
    address, bits = message.get_attr(attribute), message[f"{side}_len"]
    if address is None and not bits:
        return {"src": "all"} if side == "src" else {}
    full = 32 if message["family"] == 2 else 128
    return {side: address} | ({f"{side}len": bits} if bits != full else {})


def _rule_mark(message: Message) -> Row:
    mark, mask = message.get_attr("FRA_FWMARK"), message.get_attr("FRA_FWMASK")
    if mark is None and mask is None:
        return {}
    return {"fwmark": hex(mark or 0)} | ({"fwmask": hex(mask)} if mask not in (None, 0xFFFFFFFF) else {})


def _range(value: str | None, low: str, high: str) -> Row:
    if value is None:
        return {}
    first, _, last = value.partition(":")
    return {low: int(first), high: int(last)}


def _rule_action(message: Message, table: int) -> Row:
    action, target = message["action"], message.get_attr("FRA_GOTO")
    if message.get_attr("FRA_L3MDEV"):
        return {"l3mdev": None}
    if action == 2:
        return {"goto": target}
    if action == 3:
        return {"nop": None}
    if action in _RULE_ACTIONS:
        return {"action": _RULE_ACTIONS[action]}
    length, group = message.get_attr("FRA_SUPPRESS_PREFIXLEN"), message.get_attr("FRA_SUPPRESS_IFGROUP")
    row: Row = {"table": _TABLES.get(table, str(table))}
    row |= {"suppress_prefixlen": length} if length not in (None, 0xFFFFFFFF) else {}
    return row | ({"suppress_ifgroup": str(group)} if group not in (None, 0xFFFFFFFF) else {})


def neighbour_row(message: Message, names: Names) -> Row | None:
    """One neighbour (``ip -j neigh``, which leaves out those without ARP)."""
    state = message["state"]
    if not state or state & 0x40 or message["family"] not in (2, 10):
        return None
    mac = message.get_attr("NDA_LLADDR")
    row = {"dst": message.get_attr("NDA_DST"), "dev": names.get(message["ifindex"], "")}
    row |= {"lladdr": mac} if mac else {}
    return row | {"state": [name for bit, name in _NEIGHBOUR_STATES.items() if state & bit]}
