"""Packets from what people have at hand: a kernel log line, the text of ``ip route get``."""

import re
import shlex
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from ruleflow.errors import ReadError, Where
from ruleflow.netfilter.numbers import ICMP, ICMPV6, PROTOCOLS, read_address, read_mac
from ruleflow.netfilter.packet import FLAGS, Packet

_LOG_WORD = re.compile(r"(?:^|\s)IN=\S*\s+OUT=")
_LOG_PROTOCOLS = {"UDPLITE": 136, "ICMPV6": ICMPV6, **{name.upper(): at for name, at in PROTOCOLS.items()}}


def is_log_line(text: str) -> bool:
    """Whether ``text`` looks like a line that LOG or TRACE put into the kernel's log."""
    return _LOG_WORD.search(text) is not None


def read_log_line(text: str) -> Packet:
    """The packet of a kernel LOG or TRACE line (net/netfilter/nf_log_syslog.c writes them).

    What comes in brackets is the packet that an ICMP error is about, and is passed over.

    :raises ReadError: where the line has no ``IN= … SRC= … DST=``.
    """
    found = _LOG_WORD.search(text)
    if found is None:
        raise _not_a_log_line(text)
    words = re.sub(r"\[(SRC=|INCOMPLETE).*\]", "", text[found.start() :]).split()
    pairs = dict(word.partition("=")[::2] for word in reversed(words) if "=" in word)  # udp has another LEN
    flags = {word for word in words if "=" not in word}
    try:
        source, family = read_address(pairs["SRC"])
        destination = read_address(pairs["DST"])[0]
    except (KeyError, ReadError):
        raise _not_a_log_line(text) from None
    protocol = _log_protocol(pairs.get("PROTO"))
    return Packet(
        family=family, protocol=protocol, source=source, destination=destination,
        in_interface=pairs["IN"] or None, out_interface=pairs.get("OUT") or None,
        physdev_in=pairs.get("PHYSIN") or None, physdev_out=pairs.get("PHYSOUT") or None,
        ttl=_number(pairs.get("TTL", pairs.get("HOPLIMIT"))), tos=_log_tos(pairs), length=_number(pairs.get("LEN")),
        mark=_number(pairs.get("MARK")), uid=_number(pairs.get("UID")), gid=_number(pairs.get("GID")),
        mac=_log_mac(pairs.get("MAC")), spi=_number(pairs.get("SPI")), fragment=_log_fragment(flags),
        **_log_transport(protocol, pairs, flags),
    )  # fmt: skip


def _not_a_log_line(text: str) -> ReadError:
    where = Where("log", 1, 1, len(text), text)
    return ReadError(
        "this is no line of the kernel's log", where=where, help="it must hold IN= OUT= SRC= DST="
    )


def _number(text: str | None) -> int | None:
    return int(text, 0) if text else None


def _log_protocol(text: str | None) -> int | None:
    if text is None:
        return None
    return int(text) if text.isdecimal() else _LOG_PROTOCOLS.get(text.upper())


def _log_tos(pairs: dict[str, str]) -> int | None:
    """IPv4 prints TOS (upper bits) and PREC (the top three) apart; IPv6 the traffic class as TC."""
    if "TC" in pairs:
        return _number(pairs["TC"])
    if "TOS" not in pairs:
        return None
    return int(pairs["TOS"], 16) | int(pairs.get("PREC", "0"), 16)


def _log_fragment(flags: set[str]) -> int | None:
    """``FRAG:185``: the offset in units of 8 bytes; the first or only fragment has none."""
    return next((int(word[5:]) for word in flags if word.startswith("FRAG:")), None)


def _log_mac(text: str | None) -> int | None:
    """The header on the wire: destination, source, type; only the source says something."""
    pairs = text.split(":") if text else []
    return read_mac(":".join(pairs[6:12])) if len(pairs) >= 12 else None


def _log_transport(protocol: int | None, pairs: dict[str, str], flags: set[str]) -> dict[str, Any]:
    if protocol in (ICMP, ICMPV6):
        return {"icmp_type": _number(pairs.get("TYPE")), "icmp_code": _number(pairs.get("CODE"))}
    facts = {"source_port": _number(pairs.get("SPT")), "destination_port": _number(pairs.get("DPT"))}
    if protocol == 6 and facts["source_port"] is not None:
        facts["tcp_flags"] = sum(bit for name, bit in FLAGS.items() if name.upper() in flags)
    return facts


# --- ip route get -----------------------------------------------------------------------------------------


@dataclass
class _Words:
    """The values after the words of an ``ip route get`` answer."""

    text: str
    found: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        words = shlex.split(self.text.replace("\\", " "), comments=False)
        for word, value in pairwise(words):
            self.found.setdefault(word, value)


_ROUTE_KINDS = frozenset({"local", "broadcast", "multicast", "anycast", "unicast"})


def read_route_get(text: str) -> Packet:
    """The packet that ``ip route get`` was asked about (ip-route(8)): addresses, interfaces, mark, user.

    ``10.0.0.5 from 192.0.2.1 via … dev eth0 iif eth1 mark 0x1 uid 0``: with ``iif`` the packet arrives and
    ``dev`` is where it leaves; without it this host sends it, from ``src`` where no ``from`` is said.

    :raises ReadError: where the text does not begin with an address.
    """
    words = text.split()
    first = words[1:2] if words[:1] and words[0] in _ROUTE_KINDS else words[:1]
    if not first:
        raise ReadError(
            "there is no text of ip route get here", help="paste what ip route get ADDRESS prints"
        )
    destination, family = read_address(first[0])
    values = _Words(text).found
    source = values.get("from", values.get("src"))
    if source == "::":
        source = values.get("src")
    protocol = values.get("ipproto")
    return Packet(
        family=family, destination=destination, source=read_address(source)[0] if source else None,
        protocol=_log_protocol(protocol.upper()) if protocol else None,
        source_port=_number(values.get("sport")), destination_port=_number(values.get("dport")),
        in_interface=values.get("iif"), out_interface=None if words[0] == "local" else values.get("dev"),
        mark=_number(values.get("mark")), uid=_number(values.get("uid")),
    )  # fmt: skip
