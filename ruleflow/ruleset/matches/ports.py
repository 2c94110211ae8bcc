"""Matches on the header of a transport protocol: tcp, udp, dccp, and multiport over all that have ports."""

from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar

from ruleflow.ruleset.condition import AnyOf, Condition, In, Intervals, Masked, Values
from ruleflow.ruleset.extension import Match, Maybe, option
from ruleflow.ruleset.fields import (
    DCCP_TYPE,
    DESTINATION_PORT,
    FRAGMENT,
    SOURCE_PORT,
    TCP_FLAGS,
    TCP_OPTIONS,
)
from ruleflow.ruleset.ports import Ports, port_number, service_name
from ruleflow.ruleset.protocols import PORTED, protocol_name
from ruleflow.ruleset.values import BitNames, MaskedValue, Not, Number, Range, Unreadable, ValueType, either

NO_LATER_FRAGMENT = In(FRAGMENT, Intervals(((0, 0),)), text="no later fragment")
"""A later fragment has no transport header, so no match on one ever takes it (``par->fragoff != 0``)."""
ALL_PORTS = Range(0, 65535)


class Transport(Match, frozen=True, gc=False):
    """What matches on one protocol's header share: the rule must say ``-p``, and later fragments never match."""

    picky = True
    misfit_by_value = False
    number: ClassVar[int]
    """The protocol's number."""

    def misfit(self, protocol: Maybe[int], matches: Sequence[Match]) -> str | None:  # noqa: ARG002
        """The kernel registers the match for its protocol and refuses it without (xt_check_match)."""
        return None if protocol == self.number else f"-m {self.name} needs -p {protocol_name(self.number)}"

    def conditions(self) -> tuple[Condition, ...]:
        """As the rows say, on packets that carry the header."""
        return (*super().conditions(), NO_LATER_FRAGMENT)


# -- tcp and udp ------------------------------------------------------------------------------------------


class TcpFlags(ValueType[MaskedValue]):
    """``mask comp``: which flags are looked at, and which of them must be set (extensions/libxt_tcp.c)."""

    words = 2
    names: ClassVar = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32}
    _read: ClassVar = {**names, "ALL": 63, "NONE": 0}

    def read(self, words: Sequence[str], family: int) -> MaskedValue:  # noqa: ARG002
        if words[1][:1] in ("-", "!"):
            raise Unreadable("--tcp-flags needs two lists of flags", "write --tcp-flags SYN,ACK SYN")
        return MaskedValue(self._flags(words[1]), self._flags(words[0]))

    def _flags(self, word: str) -> int:
        bits = 0
        for name in filter(None, word.split(",")):
            if name.upper() not in self._read:
                raise Unreadable(f"{name!r} is no tcp flag", f"write {', '.join(self._read)}")
            bits |= self._read[name.upper()]
        return bits

    def _listed(self, bits: int) -> list[str]:
        return [name for name, bit in self.names.items() if bits & bit]

    def show(self, value: MaskedValue) -> str:
        return " ".join(",".join(self._listed(bits)) or "NONE" for bits in (value.mask, value.value))

    def say(self, value: MaskedValue) -> str:
        if value == SYN:
            return "that opens a connection (syn)"
        there = " and ".join(self._listed(value.value)).lower()
        missing = " or ".join(self._listed(value.mask & ~value.value)).lower()
        if value.value & ~value.mask:
            return "with flags that cannot be"
        if there and missing:
            return f"with {there} but not {missing}"
        if there:
            return f"with {there}"
        return "without any flag" if value.mask == 63 else f"without {missing}"

    def values(self, value: MaskedValue) -> Values | None:
        if value.value & ~value.mask:
            return Intervals(())  # tcp_mt compares (flags & mask) with comp as it is: never equal
        return Masked(value.value, value.mask)


SYN = MaskedValue(2, 23)
"""``--syn``: SYN set, ACK, FIN and RST not."""


class TcpOption(Number):
    """The number of a TCP option that is present."""

    def values(self, value: int) -> Values | None:
        return Masked(1 << value, 1 << value)


class Tcp(Transport, frozen=True, gc=False):
    """Ports, flags and options of a TCP packet (tcp_mt, net/netfilter/xt_tcpudp.c).

    A port range that is everything and ``--tcp-flags NONE NONE`` are not printed. Their negations, which
    match nothing, iptables-save would print as matching everything; they are printed as they are.
    iptables-nft asks ports and flags without this match, and so takes the payload of a later fragment for ports
    where nothing puts fragments together (no connection tracking); here no later fragment is taken.
    """

    name = "tcp"
    protocol = ("tcp",)
    number = 6
    spellings = (option("--syn", into="flags", means=SYN),)

    source_port: Annotated[
        Maybe[Range],
        option(
            "--sport", "--source-port", type=Ports("tcp", ordered=True), field=SOURCE_PORT, hidden=ALL_PORTS,
            says="from {}", says_not="not from {}",
        ),
    ] = None  # fmt: skip
    destination_port: Annotated[
        Maybe[Range],
        option(
            "--dport", "--destination-port", type=Ports("tcp", ordered=True), field=DESTINATION_PORT,
            hidden=ALL_PORTS, says="to {}", says_not="not to {}",
        ),
    ] = None  # fmt: skip
    tcp_option: Annotated[
        Maybe[int],
        option(
            "--tcp-option", type=TcpOption(1, 255), field=TCP_OPTIONS,
            says="with tcp option {}", says_not="without tcp option {}",
        ),
    ] = None  # fmt: skip
    flags: Annotated[
        Maybe[MaskedValue],
        option(
            "--tcp-flags",
            type=TcpFlags(),
            field=TCP_FLAGS,
            hidden=MaskedValue(0, 0),
            says="{}",
            says_not="but no packet {}",
        ),
    ] = None


class Udp(Transport, frozen=True, gc=False):
    """Ports of a UDP packet (udp_mt, net/netfilter/xt_tcpudp.c); a range may end before it begins: no port is in it."""

    name = "udp"
    protocol = ("udp",)
    number = 17

    source_port: Annotated[
        Maybe[Range],
        option(
            "--sport", "--source-port", type=Ports(), field=SOURCE_PORT, hidden=ALL_PORTS,
            says="from {}", says_not="not from {}",
        ),
    ] = None  # fmt: skip
    destination_port: Annotated[
        Maybe[Range],
        option(
            "--dport", "--destination-port", type=Ports(), field=DESTINATION_PORT, hidden=ALL_PORTS,
            says="to {}", says_not="not to {}",
        ),
    ] = None  # fmt: skip


# -- dccp -------------------------------------------------------------------------------------------------

_DCCP_TYPES = {
    "REQUEST": 1, "RESPONSE": 2, "DATA": 4, "ACK": 8, "DATAACK": 16, "CLOSEREQ": 32, "CLOSE": 64, "RESET": 128,
    "SYNC": 256, "SYNCACK": 512, "INVALID": 0xFC00,
}  # fmt: skip


class DccpTypes(BitNames):
    """A list of packet types; INVALID stands for 10 to 15 (extensions/libxt_dccp.c)."""

    def read_word(self, word: str, family: int) -> int:
        return super().read_word(",".join(filter(None, word.split(","))), family)

    def say(self, value: int) -> str:
        return super().say(value).lower()

    def values(self, value: int) -> Values | None:
        return Intervals(tuple((bit, bit) for bit in range(16) if value & 1 << bit))


class Dccp(Transport, frozen=True, gc=False):
    """Ports, type and options of a DCCP packet (dccp_mt, net/netfilter/xt_dccp.c)."""

    name = "dccp"
    protocol = ("dccp",)
    number = 33

    source_port: Annotated[
        Maybe[Range],
        option(
            "--sport",
            "--source-port",
            type=Ports(),
            field=SOURCE_PORT,
            says="from {}",
            says_not="not from {}",
        ),
    ] = None
    destination_port: Annotated[
        Maybe[Range],
        option(
            "--dport",
            "--destination-port",
            type=Ports(),
            field=DESTINATION_PORT,
            says="to {}",
            says_not="not to {}",
        ),
    ] = None
    types: Annotated[
        Maybe[int],
        option(
            "--dccp-types", type=DccpTypes(_DCCP_TYPES, fold=True), field=DCCP_TYPE,
            says="of type {}", says_not="not of type {}",
        ),
    ] = None  # fmt: skip
    dccp_option: Annotated[
        Maybe[int],
        option(
            "--dccp-option",
            type=Number(1, 255),
            says="with dccp option {}",
            says_not="without dccp option {}",
        ),
    ] = None


# -- multiport --------------------------------------------------------------------------------------------


def merged(ranges: Iterable[Range]) -> Intervals:
    """The numbers in any of several ranges, as disjoint intervals in rising order."""
    pairs: list[tuple[int, int]] = []
    for part in sorted(ranges):
        if pairs and part.low <= pairs[-1][1] + 1:
            pairs[-1] = pairs[-1][0], max(pairs[-1][1], part.high)
        else:
            pairs.append((part.low, part.high))
    return Intervals(tuple(pairs))


class PortList(ValueType[tuple[Range, ...]]):
    """At most 15 ports and ranges, a range counting twice (parse_multi_ports_v1, extensions/libxt_multiport.c)."""

    def read_word(self, word: str, family: int) -> tuple[Range, ...]:  # noqa: ARG002
        ranges = tuple(self._range(part) for part in word.split(","))
        if sum(1 + (part.low != part.high) for part in ranges) > 15:
            raise Unreadable("there are more than 15 ports", "a range counts as two: split the rule")
        return ranges

    def _range(self, text: str) -> Range:
        first, colon, last = text.partition(":")
        low = port_number(first)
        high = port_number(last) if colon else low
        if colon and low >= high:
            raise Unreadable(
                f"the range {text} does not rise", f"write {low}" if low == high else f"write {high}:{low}"
            )
        return Range(low, high)

    def show(self, value: tuple[Range, ...]) -> str:
        return ",".join(map(str, value))

    def say(self, value: tuple[Range, ...]) -> str:
        said = [_say_port(part) for part in value]
        one_range = len(value) == 1 and value[0].low != value[0].high
        return f"{'ports' if one_range else 'port'} {either(said)}"

    def values(self, value: tuple[Range, ...]) -> Values | None:
        return merged(value)


def _say_port(part: Range) -> str:
    if part.low != part.high:
        return f"{part.low} to {part.high}"
    service = service_name(part.low)
    return f"{part.low} ({service})" if service else str(part.low)


class Multiport(Match, frozen=True, gc=False):
    """A list of ports of any protocol that has them (multiport_mt, net/netfilter/xt_multiport.c)."""

    name = "multiport"
    picky = True

    source_ports: Annotated[
        Maybe[tuple[Range, ...]],
        option(
            "--sports",
            "--source-ports",
            type=PortList(),
            field=SOURCE_PORT,
            says="from {}",
            says_not="not from {}",
        ),
    ] = None
    destination_ports: Annotated[
        Maybe[tuple[Range, ...]],
        option(
            "--dports", "--destination-ports", type=PortList(), field=DESTINATION_PORT,
            says="to {}", says_not="not to {}",
        ),
    ] = None  # fmt: skip
    ports: Annotated[
        Maybe[tuple[Range, ...]],
        option("--ports", type=PortList(), says="from or to {}", says_not="neither from nor to {}"),
    ] = None

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:  # noqa: ARG003
        """It takes exactly one of its options."""
        if len(values) != 1:
            raise Unreadable("multiport needs one of --sports, --dports and --ports")

    def misfit(self, protocol: Maybe[int], matches: Sequence[Match]) -> str | None:  # noqa: ARG002
        """It needs a protocol with ports."""
        return None if protocol in PORTED else "multiport needs -p tcp, udp, udplite, sctp or dccp"

    def conditions(self) -> tuple[Condition, ...]:
        """As the rows say; ``--ports`` asks that one of both is in the list."""
        if self.ports is None:
            return (*super().conditions(), NO_LATER_FRAGMENT)
        negated = isinstance(self.ports, Not)
        values = merged(self.ports.value if isinstance(self.ports, Not) else self.ports)
        text = self.row("ports").say(self.ports)
        either = AnyOf((In(SOURCE_PORT, values), In(DESTINATION_PORT, values)), negated, text)
        return (either, NO_LATER_FRAGMENT)
