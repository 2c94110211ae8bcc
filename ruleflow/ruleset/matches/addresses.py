"""Matches on addresses: addrtype (by what the routing tables say of them) and iprange."""

from typing import Annotated

import msgspec

from ruleflow.ruleset.addresses import address_number, address_text
from ruleflow.ruleset.condition import Condition, Derived, Intervals, Values
from ruleflow.ruleset.extension import Match, Maybe, Option, option
from ruleflow.ruleset.fields import DESTINATION, SOURCE
from ruleflow.ruleset.values import BitNames, Not, Unreadable, ValueType, either

# -- addrtype ---------------------------------------------------------------------------------------------

_TYPES = {
    "UNSPEC": 1, "UNICAST": 2, "LOCAL": 4, "BROADCAST": 8, "ANYCAST": 16, "MULTICAST": 32, "BLACKHOLE": 64,
    "UNREACHABLE": 128, "PROHIBIT": 256, "THROW": 512, "NAT": 1024, "XRESOLVE": 2048,
}  # fmt: skip
_ONLY_V4 = 8 | 64 | 256 | 512 | 1024 | 2048
_SAID_TYPES = {
    "UNSPEC": "an unspecified address", "UNICAST": "a unicast address", "LOCAL": "an address of this host",
    "BROADCAST": "a broadcast address", "ANYCAST": "an anycast address", "MULTICAST": "a multicast address",
    "BLACKHOLE": "an address routed to a black hole", "UNREACHABLE": "an unreachable address",
    "PROHIBIT": "an address with a prohibiting route", "THROW": "an address with a throwing route",
    "NAT": "an address with a nat route", "XRESOLVE": "an address resolved elsewhere",
}  # fmt: skip


class AddressTypes(BitNames):
    """A list of address types, abbreviated at will (parse_types, extensions/libxt_addrtype.c)."""

    def say(self, value: int) -> str:
        return either([_SAID_TYPES[name] for name in self.listed(value)])


_ADDRESS_TYPES = AddressTypes(_TYPES, abbreviated=True)


class Addrtype(Match, frozen=True, gc=False):
    """What kind of address the packet comes from or goes to (addrtype_mt_v1, net/netfilter/xt_addrtype.c).

    Each side asked is the fact ``address_type`` with the arguments ``address`` (source or destination),
    ``types`` (the names asked for, a tuple) and ``interface`` (in or out: the address is looked up on that
    interface only; empty: on any).
    """

    name = "addrtype"

    source_type: Annotated[
        Maybe[int], option("--src-type", type=_ADDRESS_TYPES, says="from {}", says_not="not from {}")
    ] = None
    destination_type: Annotated[
        Maybe[int], option("--dst-type", type=_ADDRESS_TYPES, says="to {}", says_not="not to {}")
    ] = None
    limit_in: Annotated[
        bool | None,
        option(
            "--limit-iface-in",
            negatable=False,
            excludes=("limit_out",),
            says="by what the interface it arrives on has",
        ),
    ] = None
    limit_out: Annotated[
        bool | None,
        option(
            "--limit-iface-out",
            negatable=False,
            excludes=("limit_in",),
            says="by what the interface it leaves by has",
        ),
    ] = None

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:
        """A side is needed; IPv6 has fewer types (addrtype_mt_checkentry_v1)."""
        super().check(values, family)
        sides = [value for attr, value in values.items() if attr in ("source_type", "destination_type")]
        if not sides:
            raise Unreadable("addrtype needs --src-type or --dst-type")
        for value in sides:
            asked = value.value if isinstance(value, Not) else value
            if family == 6 and isinstance(asked, int) and asked & _ONLY_V4:
                raise Unreadable(f"IPv6 has no addresses of type {_ADDRESS_TYPES.show(asked & _ONLY_V4)}")

    def conditions(self) -> tuple[Condition, ...]:
        """Each side asked, as a derived fact."""
        interface = "in" if self.limit_in else "out" if self.limit_out else ""
        return tuple(
            _address_type(row, value, interface)
            for row, value in self.given()
            if not row.attr.startswith("limit")
        )


def _address_type(row: Option, value: object, interface: str) -> Derived:
    asked = value.value if isinstance(value, Not) else value
    types = tuple(_ADDRESS_TYPES.listed(asked)) if isinstance(asked, int) else ()
    side = row.attr.removesuffix("_type")
    arguments = (("address", side), ("types", types), ("interface", interface))
    return Derived("address_type", arguments, isinstance(value, Not), row.say(value))


# -- iprange ----------------------------------------------------------------------------------------------


class AddressRange(msgspec.Struct, frozen=True):
    """The addresses from ``low`` to ``high``; none where it ends before it begins."""

    family: int
    low: int
    high: int


class Addresses(ValueType[AddressRange]):
    """``first-last`` or one address (iprange_parse_range, extensions/libxt_iprange.c)."""

    def read_word(self, word: str, family: int) -> AddressRange:
        first, dash, last = word.partition("-")
        low = address_number(first, family)
        return AddressRange(family, low, address_number(last, family) if dash else low)

    def show(self, value: AddressRange) -> str:
        return f"{address_text(value.low, value.family)}-{address_text(value.high, value.family)}"

    def say(self, value: AddressRange) -> str:
        if value.low == value.high:
            return address_text(value.low, value.family)
        return self.show(value) if value.low < value.high else f"{self.show(value)} (which is none)"

    def values(self, value: AddressRange) -> Values | None:
        return Intervals(((value.low, value.high),) if value.low <= value.high else ())


class Iprange(Match, frozen=True, gc=False):
    """A range of addresses (iprange_mt4 and iprange_mt6, net/netfilter/xt_iprange.c)."""

    name = "iprange"

    source_range: Annotated[
        Maybe[AddressRange],
        option(
            "--src-range", type=Addresses(), field=SOURCE, says="from {}", says_not="from anywhere but {}"
        ),
    ] = None
    destination_range: Annotated[
        Maybe[AddressRange],
        option(
            "--dst-range", type=Addresses(), field=DESTINATION, says="to {}", says_not="to anywhere but {}"
        ),
    ] = None

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:  # noqa: ARG003
        """A range is needed."""
        if not values:
            raise Unreadable("iprange needs --src-range or --dst-range")
