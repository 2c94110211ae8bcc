"""Matches on the ICMP header: icmp for IPv4 and icmp6 for IPv6."""

from typing import Annotated

import msgspec

from ruleflow.ruleset.condition import AllOf, Condition, In, Intervals
from ruleflow.ruleset.extension import Maybe, option
from ruleflow.ruleset.fields import ICMP_CODE, ICMP_TYPE
from ruleflow.ruleset.matches.ports import NO_LATER_FRAGMENT, Transport
from ruleflow.ruleset.values import Not, Unreadable, ValueType, number

ANY = 255
"""The type that stands for every one, in IPv4 only (icmp_match, net/netfilter/xt_tcpudp.c)."""

_Names = dict[str, tuple[int, int | None]]
_V4: _Names = {
    "any": (ANY, None), "echo-reply": (0, None), "pong": (0, None), "destination-unreachable": (3, None),
    "network-unreachable": (3, 0), "host-unreachable": (3, 1), "protocol-unreachable": (3, 2),
    "port-unreachable": (3, 3), "fragmentation-needed": (3, 4), "source-route-failed": (3, 5),
    "network-unknown": (3, 6), "host-unknown": (3, 7), "network-prohibited": (3, 9), "host-prohibited": (3, 10),
    "TOS-network-unreachable": (3, 11), "TOS-host-unreachable": (3, 12), "communication-prohibited": (3, 13),
    "host-precedence-violation": (3, 14), "precedence-cutoff": (3, 15), "source-quench": (4, None),
    "redirect": (5, None), "network-redirect": (5, 0), "host-redirect": (5, 1), "TOS-network-redirect": (5, 2),
    "TOS-host-redirect": (5, 3), "echo-request": (8, None), "ping": (8, None), "router-advertisement": (9, None),
    "router-solicitation": (10, None), "time-exceeded": (11, None), "ttl-exceeded": (11, None),
    "ttl-zero-during-transit": (11, 0), "ttl-zero-during-reassembly": (11, 1), "parameter-problem": (12, None),
    "ip-header-bad": (12, 0), "required-option-missing": (12, 1), "timestamp-request": (13, None),
    "timestamp-reply": (14, None), "address-mask-request": (17, None), "address-mask-reply": (18, None),
}  # fmt: skip
_V6: _Names = {
    "destination-unreachable": (1, None), "no-route": (1, 0), "communication-prohibited": (1, 1),
    "beyond-scope": (1, 2), "address-unreachable": (1, 3), "port-unreachable": (1, 4), "failed-policy": (1, 5),
    "reject-route": (1, 6), "packet-too-big": (2, None), "time-exceeded": (3, None), "ttl-exceeded": (3, None),
    "ttl-zero-during-transit": (3, 0), "ttl-zero-during-reassembly": (3, 1), "parameter-problem": (4, None),
    "bad-header": (4, 0), "unknown-header-type": (4, 1), "unknown-option": (4, 2), "echo-request": (128, None),
    "ping": (128, None), "echo-reply": (129, None), "pong": (129, None), "router-solicitation": (133, None),
    "router-advertisement": (134, None), "neighbour-solicitation": (135, None),
    "neighbor-solicitation": (135, None), "neighbour-advertisement": (136, None),
    "neighbor-advertisement": (136, None), "redirect": (137, None),
}  # fmt: skip


class IcmpKind(msgspec.Struct, frozen=True):
    """An ICMP type with the codes from ``low`` to ``high``."""

    type: int
    low: int = 0
    high: int = 255


class IcmpType(ValueType[IcmpKind]):
    """``type[/code]`` by number, or a name or the beginning of just one name (extensions/libxt_icmp.h).

    A range of codes is taken, as iptables takes it, and printed; iptables-save prints its beginning only,
    which is another rule.
    """

    def __init__(self, names: _Names, *, any_type: int | None = None) -> None:
        self.names, self.any_type = names, any_type
        self.said = {kind: name for name, kind in reversed(names.items())}

    def read_word(self, word: str, family: int) -> IcmpKind:  # noqa: ARG002
        found = [name for name in self.names if name.lower().startswith(word.lower())]
        if len(found) > 1:
            raise Unreadable(f"{word!r} may be {' or '.join(found[:3])}", "write the name in full")
        if found:
            kind, code = self.names[found[0]]
            return IcmpKind(kind) if code is None else IcmpKind(kind, code, code)
        first, slash, last = word.partition("/")
        kind = self._number(first, word)
        if not slash or kind == self.any_type:
            return IcmpKind(kind)
        low, colon, high = last.partition(":")
        return IcmpKind(kind, self._number(low, word), self._number(high if colon else low, word))

    def _number(self, text: str, word: str) -> int:
        try:
            return number(text, 0, 255)
        except Unreadable:
            raise Unreadable(
                f"{word!r} is no icmp type", "write a type, a type/code, or a name such as echo-request"
            ) from None

    def _has_codes(self, kind: int) -> bool:
        return any(named == kind and code is not None for named, code in self.said)

    def show(self, value: IcmpKind) -> str:
        if value.type == self.any_type:
            return "any"
        if (value.low, value.high) == (0, 255):
            return str(value.type)
        codes = str(value.low) if value.low == value.high else f"{value.low}:{value.high}"
        return f"{value.type}/{codes}"

    def say(self, value: IcmpKind) -> str:
        if value.type == self.any_type:
            return "of any type"
        code = value.low if value.low == value.high else None
        name = self.said.get((value.type, code))
        if name is None and code == 0 and not self._has_codes(value.type):
            name = self.said.get((value.type, None))
        if name is not None and (code is not None or (value.low, value.high) == (0, 255)):
            return "echo request (ping)" if name == "echo-request" else name.replace("-", " ")
        whole = self.said.get((value.type, None))
        kind = whole.replace("-", " ") if whole else f"type {value.type}"
        if (value.low, value.high) == (0, 255):
            return kind
        return f"{kind} code {value.low}" if code is not None else f"{kind} codes {value.low} to {value.high}"


def _conditions(kind: Maybe[IcmpKind], any_type: int | None, text: str) -> tuple[Condition, ...]:
    negated = isinstance(kind, Not)
    value = kind.value if isinstance(kind, Not) else kind
    if value is None:
        return (NO_LATER_FRAGMENT,)
    types = (0, 255) if value.type == any_type else (value.type, value.type)
    of_type = In(ICMP_TYPE, Intervals((types,)), negated, text)
    if (value.low, value.high) == (0, 255):
        return (of_type, NO_LATER_FRAGMENT)
    codes = Intervals(((value.low, value.high),) if value.low <= value.high else ())
    both = AllOf((In(ICMP_TYPE, Intervals((types,))), In(ICMP_CODE, codes)), negated, text)
    return (both, NO_LATER_FRAGMENT)


class Icmp(Transport, frozen=True, gc=False):
    """Type and code of an ICMP message (icmp_match, net/netfilter/xt_tcpudp.c)."""

    name = "icmp"
    protocol = ("icmp",)
    families = (4,)
    number = 1

    kind: Annotated[
        Maybe[IcmpKind],
        option(
            "--icmp-type",
            type=IcmpType(_V4, any_type=ANY),
            mandatory=True,
            says="{}",
            says_not="other than {}",
        ),
    ] = None

    def conditions(self) -> tuple[Condition, ...]:
        return _conditions(self.kind, ANY, self.row("kind").say(self.kind))


class Icmp6(Transport, frozen=True, gc=False):
    """Type and code of an ICMPv6 message (icmp6_match, net/netfilter/xt_tcpudp.c)."""

    name = "icmp6"
    aliases = ("icmpv6", "ipv6-icmp")
    protocol = ("ipv6-icmp",)
    families = (6,)
    number = 58

    kind: Annotated[
        Maybe[IcmpKind],
        option("--icmpv6-type", type=IcmpType(_V6), mandatory=True, says="{}", says_not="other than {}"),
    ] = None

    def conditions(self) -> tuple[Condition, ...]:
        return _conditions(self.kind, None, self.row("kind").say(self.kind))
