"""Protocol numbers and names: IANA's numbers under the names that iptables-save prints.

Reading follows `xtables_parse_protocol` (own names first, then /etc/protocols), printing `proto_to_name`
(/etc/protocols first). The names are those of Debian's netbase, kept here so that a dump reads the same
on every machine.
"""

NAMES: dict[int, str] = {
    1: "icmp", 2: "igmp", 3: "ggp", 4: "ipencap", 5: "st", 6: "tcp", 8: "egp", 9: "igp", 12: "pup",
    17: "udp", 20: "hmp", 22: "xns-idp", 27: "rdp", 29: "iso-tp4", 33: "dccp", 36: "xtp", 37: "ddp",
    38: "idpr-cmtp", 41: "ipv6", 43: "ipv6-route", 44: "ipv6-frag", 45: "idrp", 46: "rsvp", 47: "gre",
    50: "esp", 51: "ah", 57: "skip", 58: "ipv6-icmp", 59: "ipv6-nonxt", 60: "ipv6-opts", 73: "rspf",
    81: "vmtp", 88: "eigrp", 89: "ospf", 93: "ax.25", 94: "ipip", 97: "etherip", 98: "encap", 103: "pim",
    108: "ipcomp", 112: "vrrp", 115: "l2tp", 124: "isis", 132: "sctp", 133: "fc", 135: "mobility-header",
    136: "udplite", 137: "mpls-in-ip", 138: "manet", 139: "hip", 140: "shim6", 141: "wesp", 142: "rohc",
    143: "ethernet",
}  # fmt: skip

_ALIASES: dict[str, int] = {
    "all": 0, "ip": 0, "hopopt": 0, "icmpv6": 58, "ipv6-mh": 135, "mh": 135, "ip-encap": 4,
    "ipsec-esp": 50, "ipsec-ah": 51, "rspf cphb": 73, "ospfigp": 89,
}  # fmt: skip

NUMBERS: dict[str, int] = {name: number for number, name in NAMES.items()} | _ALIASES

PORTED = frozenset({6, 17, 33, 132, 136})
"""Protocols whose header begins with a source and a destination port."""


def protocol_name(number: int) -> str:
    """The name iptables-save prints for a protocol, or its number."""
    return NAMES.get(number) or str(number)
