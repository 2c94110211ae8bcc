"""A packet said in one line, read by grammar/packet.lark and printed in the same words."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ruleflow.data import cache_file, grammar
from ruleflow.errors import ReadError, Where
from ruleflow.netfilter.numbers import (
    ICMP,
    ICMP_KINDS,
    ICMPV6,
    ICMPV6_KINDS,
    PORTS,
    PROTOCOL_NAMES,
    PROTOCOLS,
    address_text,
    mac_text,
    read_address,
    read_mac,
)
from ruleflow.netfilter.packet import FLAGS, Packet
from ruleflow.ruleset.fields import STATES, STATUSES

if TYPE_CHECKING:
    from lark import Lark, Token, Tree

ANY = "any"
HEADERS = {"hop": 128, "dst": 64, "route": 32, "frag": 16, "auth": 8, "esp": 4, "none": 2, "proto": 1}
"""Bits of <linux/netfilter_ipv6/ip6t_ipv6header.h>."""
DCCP_TYPES = (
    "request",
    "response",
    "data",
    "ack",
    "dataack",
    "closereq",
    "close",
    "reset",
    "sync",
    "syncack",
)
CHUNKS = {
    "data": 0, "init": 1, "init-ack": 2, "sack": 3, "heartbeat": 4, "heartbeat-ack": 5, "abort": 6,
    "shutdown": 7, "shutdown-ack": 8, "error": 9, "cookie-echo": 10, "cookie-ack": 11, "ecn-ecne": 12,
    "ecn-cwr": 13, "shutdown-complete": 14, "i-data": 64, "re-config": 130, "pad": 132, "asconf": 193,
    "asconf-ack": 128, "forward-tsn": 192, "i-forward-tsn": 194,
}  # fmt: skip
PKTTYPES = ("unicast", "broadcast", "multicast")
NO = {"no": 0, "yes": 1}
DIRECTIONS = {"original": 0, "reply": 1}

Endpoint = tuple[int | None, int | None, int | None]
"""Family, address and port; None where it is not said."""


def parse(text: str) -> Packet:
    """The packet that ``text`` says.

    :raises ReadError: with the column of the word that is not understood.
    """
    plain = _PLAIN.fullmatch(text)
    if plain is not None:
        return _plainly(plain, text)
    from lark.exceptions import UnexpectedInput, UnexpectedToken

    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        ended = isinstance(error, UnexpectedToken) and error.token.type == "$END"
        raise _not_understood(text, 0 if ended else error.column) from None
    facts = _Facts(text)
    facts.read(tree)
    return facts.packet()


def words(packet: Packet) -> str:
    """``packet`` in the words that :func:`parse` reads, facts in a fixed order."""
    parts = _head(packet)
    for name, (word, show) in _SAYING.items():
        value = getattr(packet, name)
        if value is not None:
            parts += [word, show(value)] if word else [show(value)]
    for word, side in (("ctorig", "ct_orig"), ("ctreply", "ct_reply")):
        ends = [_endpoint(packet.family, *(getattr(packet, f"{side}_{end}{what}") for what in ("", "_port")))
                for end in ("source", "destination")]  # fmt: skip
        if ends != [ANY, ANY]:
            parts += [word, *ends]
    return " ".join(parts)


_END = r"([0-9.]+|\[[0-9a-fA-F:.]+\]):(\d+)"
_PLAIN = re.compile(rf"(tcp|udp)\s+{_END}\s+{_END}(?:\s+in\s+(\S+))?(\s+syn)?")
"""The commonest packets; the grammar reads them as well, but lark takes 50 ms to load."""


def _plainly(words: re.Match[str], text: str) -> Packet:
    facts = _Facts(text)
    protocol, source, source_port, destination, destination_port, entry, syn = words.groups()
    facts.values = {"protocol": PROTOCOLS[protocol]} | ({"in_interface": entry} if entry else {})
    if syn:
        facts.values["tcp_flags"] = FLAGS["syn"]
    try:
        ends = [read_address(host.strip("[]")) for host in (source, destination)]
    except ReadError as error:
        raise ReadError(
            error.message, where=Where("packet", 1, 1, len(text), text), help=error.help
        ) from None
    facts.families = {family for _, family in ends}
    for (address, family), port, end in zip(
        ends, (source_port, destination_port), ("source", "destination"), strict=True
    ):
        del family
        facts.values |= {end: address, f"{end}_port": int(port)}
    return facts.packet()


@lru_cache(maxsize=1)
def _parser() -> Lark:
    from lark import Lark

    return Lark(
        grammar("packet.lark"), start="packet", parser="lalr", cache=cache_file("packet.lark") or False
    )


def _not_understood(text: str, column: int) -> ReadError:
    column = column if column > 0 else len(text) + 1
    word = text[column - 1 :].split(maxsplit=1)[0] if text[column - 1 :].strip() else ""
    message = f"I do not understand {word!r} in a packet" if word else "the packet ends too early"
    where = Where("packet", 1, column, max(1, len(word)), text)
    return ReadError(message, where=where, help=_HELP)


_HELP = (
    "protocol, source, destination, then facts: tcp 203.0.113.9:40000 192.0.2.1:8080 in eth0;"
    " facts: in out syn flags state mark uid ttl length mac …"
)


class _Facts:
    """Collects what the words of one packet say."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families: set[int] = set()
        self.values: dict[str, Any] = {}

    def read(self, tree: Tree[Any]) -> None:
        ends: list[Endpoint] = []
        for child in tree.children:
            if child is None:
                continue
            if child.data == "endpoint":
                ends.append(self.endpoint(child))
            else:
                self.fact(str(child.data), child)
        self.ends("", ends)

    def fact(self, name: str, tree: Tree[Any]) -> None:
        if name in ("ct_original", "ct_reply"):
            self.ends(
                "ct_orig_" if name == "ct_original" else "ct_reply_",
                [self.endpoint(c) for c in tree.children],
            )
            return
        token: Any = tree.children[0]
        try:
            self.put(name, _READING[name](str(token), self.values), token)
        except ReadError as error:
            raise self.wrong(error.message, token, error.help) from None

    def put(self, name: str, value: Any, token: Token) -> None:
        if name == "icmp_kind":
            self.values["icmp_type"], self.values["icmp_code"] = value
        elif name in _PARTS:
            self.values[_PARTS[name]] = self.values.get(_PARTS[name], 0) | value
        elif self.values.setdefault(name, value) != value:
            raise self.wrong(f"{name.replace('_', ' ')} is said twice", token)

    def endpoint(self, tree: Tree[Any]) -> Endpoint:
        host: Any
        port: Any
        host, port = tree.children
        number = None if port is None else self.port(port)
        if host == ANY:
            return None, None, number
        try:
            address, family = read_address(host.strip("[]"))
        except ReadError as error:
            raise self.wrong(error.message, host, error.help) from None
        self.families.add(family)
        return family, address, number

    def port(self, token: Token) -> int:
        text = str(token)[1:]
        number = int(text) if text.isdecimal() else PORTS.get(text)
        if number is None:
            raise self.wrong(f"I do not know the port {text!r}", token, "give its number")
        if number > 65535:
            raise self.wrong(f"a port is 0 to 65535, not {number}", token)
        return number

    def ends(self, prefix: str, ends: list[Endpoint]) -> None:
        for end, (_, address, port) in zip(("source", "destination"), ends, strict=True):
            self.values[f"{prefix}{end}"] = address
            self.values[f"{prefix}{end}_port"] = port

    def packet(self) -> Packet:
        where = Where("packet", 1, 1, len(self.text), self.text)
        if len(self.families) > 1:
            message = "this cannot be a packet: IPv4 and IPv6 addresses do not go together"
            raise ReadError(message, where=where, help="give both ends in one family")
        icmp = {ICMPV6: 6, ICMP: 4}.get(self.values.get("protocol", -1))
        family = next(iter(self.families), icmp or 4)
        try:
            return Packet(family=family, **self.values)
        except ReadError as error:
            raise ReadError(error.message, where=where, help=error.help) from None

    def wrong(self, message: str, token: Token, advice: str | None = None) -> ReadError:
        where = Where("packet", 1, token.column, len(token), self.text)
        return ReadError(message, where=where, help=advice or _HELP)


_PARTS = {"dscp": "tos", "ecn": "tos", "tcp_flag": "tcp_flags"}
"""Words that give some bits of a fact."""

Reading = Callable[[str, dict[str, Any]], Any]


def _number(text: str, _: dict[str, Any]) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise ReadError(f"{text!r} is not a number") from None


def _name(text: str, _: dict[str, Any]) -> str:
    return text


def _one_of(names: dict[str, int]) -> Reading:
    def read(text: str, values: dict[str, Any]) -> int:
        known = {name.lower(): number for name, number in names.items()}
        if text.lower() in known:
            return known[text.lower()]
        if text[:1].isdecimal():
            return _number(text, values)
        raise ReadError(f"{text!r} is none of {', '.join(known)}")

    return read


def _some_of(names: dict[str, int]) -> Reading:
    one = _one_of(names)

    def read(text: str, values: dict[str, Any]) -> int:
        bits = 0
        for word in text.split(","):
            bits |= 0 if word == "none" and "none" not in names else one(word, values)
        return bits

    return read


def _protocol(text: str, _: dict[str, Any]) -> int | None:
    if text == "ip":
        return None
    if text.isdecimal():
        return int(text)
    if text not in PROTOCOLS:
        raise ReadError(f"I do not know the protocol {text!r}", help="give its number, or ip for any")
    return PROTOCOLS[text]


def _icmp_kind(text: str, values: dict[str, Any]) -> tuple[int, int | None]:
    kinds = ICMPV6_KINDS if values["protocol"] == ICMPV6 else ICMP_KINDS
    if text in kinds:
        return kinds[text]
    number, _, code = text.partition("/")
    if not number.isdecimal():
        raise ReadError(f"I do not know the icmp type {text!r}", help="give its number, as in icmp 3/4")
    return int(number), int(code) if code else None


def _numbers(names: dict[str, int]) -> Reading:
    one = _one_of(names)
    return lambda text, values: tuple(one(word, values) for word in text.split(","))


def _option_bits(text: str, values: dict[str, Any]) -> int:
    return sum(1 << _number(word, values) for word in set(text.split(",")) - {"none"})


def _priority(text: str, values: dict[str, Any]) -> int:
    major, colon, minor = text.partition(":")
    if not colon:
        return _number(text, values)
    try:
        return int(major, 16) << 16 | int(minor, 16)
    except ValueError:
        raise ReadError(f"{text!r} is not a priority", help="write it like 1:2 (tc's handles)") from None


def _payload(text: str, _: dict[str, Any]) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ReadError("a payload is given in hexadecimal digits") from None


_READING: dict[str, Reading] = {
    "protocol": _protocol,
    "icmp_kind": _icmp_kind,
    "in_interface": _name, "out_interface": _name, "physdev_in": _name, "physdev_out": _name, "helper": _name,
    "tcp_flags": _some_of(FLAGS),
    "tcp_flag": lambda text, _: FLAGS[text],
    "tcp_options": _option_bits,
    "state": _one_of(STATES),
    "ct_status": _some_of(STATUSES),
    "ct_direction": _one_of(DIRECTIONS),
    "ct_protocol": _protocol,
    "socket_exists": _one_of(NO),
    "dscp": lambda text, values: _number(text, values) << 2,
    "ecn": _number,
    "mac": lambda text, _: read_mac(text),
    "pkttype": _one_of(dict(zip(PKTTYPES, range(3), strict=True))),
    "extension_headers": _some_of(HEADERS),
    "dccp_type": _one_of({name: number for number, name in enumerate(DCCP_TYPES)}),
    "sctp_chunks": _numbers(CHUNKS),
    "priority": _priority,
    "payload": _payload,
} | dict.fromkeys(
    ("mss", "ct_expire", "mark", "connmark", "uid", "gid", "cgroup", "ttl", "tos", "length", "fragment",
     "spi", "mh_type", "cpu", "realm", "in_group", "out_group"), _number,
)  # fmt: skip


def _head(packet: Packet) -> list[str]:
    """Protocol, kind of icmp, source and destination."""
    number = packet.protocol
    parts = ["ip" if number is None else PROTOCOL_NAMES.get(number, str(number))]
    if packet.icmp_type is not None:
        parts.append(_kind_text(packet))
    source = _endpoint(packet.family, packet.source, packet.source_port)
    return [*parts, source, _endpoint(packet.family, packet.destination, packet.destination_port)]


def _kind_text(packet: Packet) -> str:
    kinds = ICMPV6_KINDS if packet.protocol == ICMPV6 else ICMP_KINDS
    number = str(packet.icmp_type) if packet.icmp_code is None else f"{packet.icmp_type}/{packet.icmp_code}"
    kind = packet.icmp_type, packet.icmp_code
    return next((name for name, value in kinds.items() if value == kind), number)


def _endpoint(family: int, address: int | None, port: int | None) -> str:
    text = ANY if address is None else address_text(address, family)
    if port is None:
        return text
    return f"[{text}]:{port}" if ":" in text else f"{text}:{port}"


def _bits_text(names: dict[str, int]) -> Callable[[int], str]:
    return lambda value: (
        ",".join(n for n, bit in names.items() if value & bit) or ("0" if "none" in names else "none")
    )


def _name_text(names: dict[str, int]) -> Callable[[int], str]:
    shown = {number: name for name, number in names.items()}
    return lambda value: shown.get(value, str(value))


def _option_text(value: int) -> str:
    return ",".join(str(n) for n in range(value.bit_length()) if value >> n & 1) or "none"


_FLAG_ORDER = {name: FLAGS[name] for name in ("syn", "ack", "fin", "rst", "psh", "urg", "ece", "cwr")}


def _flags_text(value: int) -> str:
    return "syn" if value == FLAGS["syn"] else f"flags {_bits_text(_FLAG_ORDER)(value)}"


_SAYING: dict[str, tuple[str, Callable[[Any], str]]] = {
    "in_interface": ("in", str), "out_interface": ("out", str), "physdev_in": ("physin", str),
    "physdev_out": ("physout", str), "tcp_flags": ("", _flags_text), "tcp_options": ("options", _option_text),
    "mss": ("mss", str), "state": ("state", lambda value: _name_text(STATES)(value).lower()),
    "ct_status": ("status", lambda value: _bits_text(STATUSES)(value).lower()),
    "ct_direction": ("direction", _name_text(DIRECTIONS)),
    "ct_protocol": ("ctproto", lambda value: PROTOCOL_NAMES.get(value, str(value))),
    "ct_expire": ("expires", str), "helper": ("helper", str), "mark": ("mark", hex),
    "connmark": ("connmark", hex), "uid": ("uid", str), "gid": ("gid", str),
    "socket_exists": ("socket", _name_text(NO)), "cgroup": ("cgroup", str), "ttl": ("ttl", str),
    "tos": ("tos", hex), "length": ("length", str), "mac": ("mac", mac_text),
    "pkttype": ("pkttype", lambda value: PKTTYPES[value] if value < 3 else str(value)),
    "fragment": ("fragment", str), "extension_headers": ("headers", _bits_text(HEADERS)),
    "spi": ("spi", hex), "dccp_type": ("dccp-type", lambda value: DCCP_TYPES[value] if value < 10 else str(value)),
    "sctp_chunks": ("chunks", lambda value: ",".join(_name_text(CHUNKS)(chunk) for chunk in value)),
    "mh_type": ("mh-type", str), "cpu": ("cpu", str), "realm": ("realm", str), "in_group": ("in-group", str),
    "out_group": ("out-group", str), "priority": ("priority", lambda value: f"{value >> 16:x}:{value & 0xFFFF:x}"),
    "payload": ("payload", bytes.hex),
}  # fmt: skip
