"""The facts of a packet that a condition can read: each field's name, its words, and how wide it is.

A field's name and meaning belong to the language; its value for a packet comes from `netfilter.packet`,
whose attributes carry the same names. ``bits`` is None where the value is a text (an interface's name).
"""

import msgspec


class Field(msgspec.Struct, frozen=True):
    """One fact: ``words`` stand in sentences (``no: source port is 53``)."""

    name: str
    words: str
    bits: int | None = None


def _field(name: str, words: str, bits: int | None = None) -> Field:
    field = Field(name, words, bits)
    BY_NAME[name] = field
    return field


BY_NAME: dict[str, Field] = {}

SOURCE = _field("source", "from", 128)
DESTINATION = _field("destination", "to", 128)
IN_INTERFACE = _field("in_interface", "in")
OUT_INTERFACE = _field("out_interface", "out")
PROTOCOL = _field("protocol", "protocol", 8)
FRAGMENT = _field("fragment", "fragment offset", 13)
SOURCE_PORT = _field("source_port", "source port", 16)
DESTINATION_PORT = _field("destination_port", "port", 16)
ICMP_TYPE = _field("icmp_type", "icmp type", 8)
ICMP_CODE = _field("icmp_code", "icmp code", 8)
TCP_FLAGS = _field("tcp_flags", "tcp flags", 8)
TCP_OPTIONS = _field("tcp_options", "tcp options", 256)  # bit n: option n is present
MSS = _field("mss", "maximum segment size", 16)
STATE = _field("state", "connection", 5)  # bit mask: see STATES
CT_STATUS = _field("ct_status", "connection status", 16)  # bit mask: see STATUSES
CT_DIRECTION = _field("ct_direction", "direction of the connection", 1)
CT_PROTOCOL = _field("ct_protocol", "protocol of the connection", 8)
CT_ORIG_SOURCE = _field("ct_orig_source", "original source", 128)
CT_ORIG_DESTINATION = _field("ct_orig_destination", "original destination", 128)
CT_ORIG_SOURCE_PORT = _field("ct_orig_source_port", "original source port", 16)
CT_ORIG_DESTINATION_PORT = _field("ct_orig_destination_port", "original port", 16)
CT_REPLY_SOURCE = _field("ct_reply_source", "reply source", 128)
CT_REPLY_DESTINATION = _field("ct_reply_destination", "reply destination", 128)
CT_REPLY_SOURCE_PORT = _field("ct_reply_source_port", "reply source port", 16)
CT_REPLY_DESTINATION_PORT = _field("ct_reply_destination_port", "reply port", 16)
CT_EXPIRE = _field("ct_expire", "seconds until the connection expires", 32)
MARK = _field("mark", "mark", 32)
CONNMARK = _field("connmark", "connection mark", 32)
TTL = _field("ttl", "ttl", 8)
HOP_LIMIT = TTL
TOS = _field("tos", "tos", 8)  # DSCP is its upper six bits, ECN its lower two
LENGTH = _field("length", "length", 32)
MAC = _field("mac", "mac", 48)
PKTTYPE = _field("pkttype", "link-layer packet type", 3)
UID = _field("uid", "user", 32)
GID = _field("gid", "group", 32)
SOCKET_EXISTS = _field("socket_exists", "has a local socket", 1)
SPI = _field("spi", "spi", 32)
ICMPV6_HEADERS = _field("extension_headers", "extension headers", 8)
DCCP_TYPE = _field("dccp_type", "dccp type", 4)
MH_TYPE = _field("mh_type", "mobility header type", 8)
CPU = _field("cpu", "cpu", 32)
REALM = _field("realm", "routing realm", 32)
NFMARK_IN_GROUP = _field("in_group", "group of the incoming interface", 32)
OUT_GROUP = _field("out_group", "group of the outgoing interface", 32)
CGROUP = _field("cgroup", "cgroup", 32)
PHYSDEV_IN = _field("physdev_in", "bridge port in")
PHYSDEV_OUT = _field("physdev_out", "bridge port out")
HELPER = _field("helper", "conntrack helper")
PRIORITY = _field("priority", "priority", 32)

STATES = {"INVALID": 1, "NEW": 2, "ESTABLISHED": 4, "RELATED": 8, "UNTRACKED": 16}
"""Connection states as bits; a packet has exactly one of them."""
STATUSES = {"EXPECTED": 1, "SEEN_REPLY": 2, "ASSURED": 4, "CONFIRMED": 8, "SNAT": 16, "DNAT": 32}
"""Connection status bits as <linux/netfilter/nf_conntrack_common.h> (enum ip_conntrack_status) gives them."""
