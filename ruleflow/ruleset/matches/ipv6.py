"""Matches on the extension headers of IPv6: frag, hbh, dst, mh, ipv6header; and eui64."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import msgspec

from ruleflow.ruleset.condition import Condition, Derived, In, Intervals, Masked, Undecided, Values
from ruleflow.ruleset.extension import Match, Maybe, Option, option
from ruleflow.ruleset.fields import FRAGMENT, ICMPV6_HEADERS, MH_TYPE
from ruleflow.ruleset.protocols import NUMBERS
from ruleflow.ruleset.values import Not, Number, NumberRange, Range, Unreadable, ValueType, number

HEADERS = {0: 128, 60: 64, 43: 32, 44: 16, 51: 8, 50: 4, 59: 2, 255: 1}
"""Bits of the headers a packet has, by protocol number (MASK_*, <linux/netfilter_ipv6/ip6t_ipv6header.h>)."""
_EVERY = Range(0, 0xFFFFFFFF)


class InsideHeader(Match, frozen=True, gc=False):
    """A match inside one extension header; a packet without that header does not meet it."""

    header: ClassVar[int]
    words: ClassVar[str]

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        """The header first, then what is asked of it."""
        return ((None, f"with {self.words}"), *super().phrases())

    def conditions(self) -> tuple[Condition, ...]:
        """The header is there; what stands in it is rarely known."""
        bit = HEADERS[self.header]
        there = In(ICMPV6_HEADERS, Masked(bit, bit), text=f"with {self.words}")
        return (there, *self.inside())

    def inside(self) -> tuple[Condition, ...]:
        """What is asked of the header's content."""
        return tuple(
            Undecided(
                f"-m {self.name} {row.show(value.value if isinstance(value, Not) else value)}",
                negated=isinstance(value, Not),
            )
            for row, value in self.given()
        )


# -- fragments --------------------------------------------------------------------------------------------


class Frag(InsideHeader, frozen=True, gc=False):
    """The fragment header (extensions/libip6t_frag.c; frag_mt6, net/ipv6/netfilter/ip6t_frag.c).

    iptables-save prints no ``--fragid`` for the whole range, and so it is not kept.
    """

    name = "frag"
    families = (6,)
    header = 44
    words = "a fragment header"

    ident: Annotated[
        Maybe[Range],
        option(
            "--fragid", type=NumberRange(ordered=False), hidden=_EVERY,
            says="of identification {}", says_not="of any identification but {}",
        ),
    ] = None  # fmt: skip
    length: Annotated[
        Maybe[int], option("--fraglen", type=Number(), says="{} bytes long", says_not="not {} bytes long")
    ] = None
    reserved: Annotated[
        bool | None, option("--fragres", negatable=False, says="whose reserved bits are null")
    ] = None
    first: Annotated[bool | None, option("--fragfirst", negatable=False, says="of the first fragment")] = None
    more: Annotated[
        bool | None,
        option("--fragmore", negatable=False, excludes=("last",), says="with more fragments to come"),
    ] = None
    last: Annotated[bool | None, option("--fraglast", negatable=False, says="of the last fragment")] = None

    @classmethod
    def check(cls, values: dict[str, Any], family: int) -> None:
        """Drop what iptables-save does not print."""
        super().check(values, family)
        if values.get("ident") == Not(_EVERY):
            del values["ident"]

    def inside(self) -> tuple[Condition, ...]:
        """Whether it is the first fragment follows from the offset."""
        if not self.first:
            return super().inside()
        start = In(FRAGMENT, Intervals(((0, 0),)), text="of the first fragment")
        return (start, *InsideHeader.inside(msgspec.structs.replace(self, first=None)))


# -- options headers --------------------------------------------------------------------------------------

_MOST_OPTIONS = 16  # IP6T_OPTS_OPTSNR
_ANY_LENGTH = 0xFF


class OptionList(ValueType[tuple[tuple[int, int], ...]]):
    """``type[:length],…``: the options in order; a length left out (255) is any (parse_options of libip6t_hbh.c)."""

    def read_word(self, word: str, family: int) -> tuple[tuple[int, int], ...]:  # noqa: ARG002
        parts = word.split(",")
        if len(parts) > _MOST_OPTIONS or (len(parts) == _MOST_OPTIONS and ":" in parts[-1]):
            raise Unreadable(
                f"at most {_MOST_OPTIONS} options can be listed, the last of them without a length"
            )
        return tuple(self._option(part) for part in parts)

    def _option(self, text: str) -> tuple[int, int]:
        kind, colon, length = text.partition(":")
        kind_number = number(kind, 0, (1 << 64) - 1) & 0xFF
        if colon and kind_number == 0:
            raise Unreadable("option 0 (PAD0) has no length")
        return kind_number, (number(length, 0, (1 << 64) - 1) & 0xFF) if colon else _ANY_LENGTH

    def show(self, value: tuple[tuple[int, int], ...]) -> str:
        return ",".join(str(kind) if length == _ANY_LENGTH else f"{kind}:{length}" for kind, length in value)

    def say(self, value: tuple[tuple[int, int], ...]) -> str:
        return ", ".join(
            str(kind) if length == _ANY_LENGTH else f"{kind} of {length} bytes" for kind, length in value
        )


class HopByHop(InsideHeader, frozen=True, gc=False):
    """The hop-by-hop options header (extensions/libip6t_hbh.c; hbh_mt6, net/ipv6/netfilter/ip6t_hbh.c)."""

    name = "hbh"
    families = (6,)
    header = 0
    words = "a hop-by-hop options header"

    length: Annotated[
        Maybe[int], option("--hbh-len", type=Number(), says="{} bytes long", says_not="not {} bytes long")
    ] = None
    options_listed: Annotated[
        tuple[tuple[int, int], ...] | None,
        option("--hbh-opts", type=OptionList(), negatable=False, says="with options {}"),
    ] = None


class DestinationOptions(InsideHeader, frozen=True, gc=False):
    """The destination options header (extensions/libip6t_dst.c; hbh_mt6, net/ipv6/netfilter/ip6t_hbh.c)."""

    name = "dst"
    families = (6,)
    header = 60
    words = "a destination options header"

    length: Annotated[
        Maybe[int], option("--dst-len", type=Number(), says="{} bytes long", says_not="not {} bytes long")
    ] = None
    options_listed: Annotated[
        tuple[tuple[int, int], ...] | None,
        option("--dst-opts", type=OptionList(), negatable=False, says="with options {}"),
    ] = None


# -- mobility ---------------------------------------------------------------------------------------------

_MOBILITY = {
    "binding-refresh-request": 0, "brr": 0, "home-test-init": 1, "hoti": 1, "careof-test-init": 2, "coti": 2,
    "home-test": 3, "hot": 3, "careof-test": 4, "cot": 4, "binding-update": 5, "bu": 5, "binding-acknowledgement": 6,
    "ba": 6, "binding-error": 7, "be": 7,
}  # fmt: skip
_MOBILITY_PROTOCOL = 135


class MobilityType(NumberRange):
    """Types of mobility messages by number or name, which may be cut short (name_to_type of libip6t_mh.c)."""

    def end(self, text: str) -> int:
        name = text.lower()
        if name in _MOBILITY:
            return _MOBILITY[name]
        found = next((kind for known, kind in _MOBILITY.items() if known.startswith(name)), None)
        return number(text, self.low, self.high) if found is None else found

    def say(self, value: Range) -> str:
        if value.low != value.high:
            return f"{value.low} to {value.high}"
        return next(
            (name.replace("-", " ") for name, kind in _MOBILITY.items() if kind == value.low), str(value.low)
        )


class MobilityHeader(Match, frozen=True, gc=False):
    """The type of a mobility message (extensions/libip6t_mh.c; mh_mt6, net/ipv6/netfilter/ip6t_mh.c)."""

    name = "mh"
    protocol = ("mobility-header",)
    families = (6,)
    picky = True

    type: Annotated[
        Maybe[Range],
        option(
            "--mh-type", type=MobilityType(0, 255), field=MH_TYPE, hidden=Range(0, 255),
            says="mobility message {}", says_not="any mobility message but {}",
        ),
    ] = None  # fmt: skip

    @classmethod
    def check(cls, values: dict[str, Any], family: int) -> None:
        """Drop what iptables-save does not print."""
        super().check(values, family)
        if values.get("type") == Not(Range(0, 255)):
            del values["type"]

    def misfit(self, protocol: Maybe[int], matches: Sequence[Match]) -> str | None:  # noqa: ARG002
        return None if protocol == _MOBILITY_PROTOCOL else "-m mh needs -p mobility-header"


# -- which headers there are ------------------------------------------------------------------------------

_NAMES = {
    "hop-by-hop": 0, "protocol": 255, "hop": 0, "dst": 60, "route": 43, "frag": 44, "auth": 51, "esp": 50, "none": 59,
    "prot": 255, "0": 0, "60": 60, "43": 43, "44": 44, "51": 51, "50": 50, "59": 59, "255": 255,
}  # fmt: skip
_PRINTED = {
    128: "hop-by-hop", 64: "ipv6-opts", 32: "ipv6-route", 16: "ipv6-frag", 8: "ah", 4: "esp", 2: "ipv6-nonxt",
    1: "protocol",
}  # fmt: skip
_SAID = {
    128: "hop-by-hop options", 64: "destination options", 32: "routing", 16: "fragment", 8: "authentication", 4: "esp",
    2: "no next", 1: "a protocol's own",
}  # fmt: skip


class HeaderList(ValueType[int]):
    """Names or numbers of headers as bits; printed by the names of /etc/protocols where it has one."""

    def read_word(self, word: str, family: int) -> int:  # noqa: ARG002
        mask = 0
        for part in word.split(","):
            if part:
                mask |= self._bit(part)
        if not mask:
            raise Unreadable("no header is named")
        return mask

    def _bit(self, name: str) -> int:
        found = NUMBERS.get(name, _NAMES.get(name)) if name != "all" else None
        if found is None or found not in HEADERS:
            raise Unreadable(
                f"I do not know the header {name!r}", "write hop, dst, route, frag, auth, esp, none or prot"
            )
        return HEADERS[found]

    def show(self, value: int) -> str:
        return ",".join(name for bit, name in _PRINTED.items() if value & bit)

    def say(self, value: int) -> str:
        return ", ".join(name for bit, name in _SAID.items() if value & bit)

    def values(self, value: int) -> Values:
        return Masked(value, 0xFF)


class Ipv6Header(Match, frozen=True, gc=False):
    """Exactly these headers stand in the packet; with ``--soft``, at least these (negated: none of these).

    After extensions/libip6t_ipv6header.c and ipv6header_mt6, net/ipv6/netfilter/ip6t_ipv6header.c.
    """

    name = "ipv6header"
    families = (6,)

    headers: Annotated[
        Maybe[int],
        option(
            "--header", type=HeaderList(), field=ICMPV6_HEADERS, mandatory=True,
            says="with exactly these headers: {}", says_not="with other headers than exactly these: {}",
        ),
    ] = None  # fmt: skip
    soft: Annotated[bool | None, option("--soft", negatable=False)] = None

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        """One phrase."""
        return ((self.row("headers"), self._sentence()),)

    def _sentence(self) -> str:
        row = self.row("headers")
        if not self.soft:
            return row.say(self.headers)
        if isinstance(self.headers, Not):
            return f"with none of these headers: {row.type.say(self.headers.value)}"
        return f"with these headers, perhaps among others: {row.type.say(self.headers)}"

    def conditions(self) -> tuple[Condition, ...]:
        """The bits of the headers, all of them or only those named."""
        row = self.row("headers")
        if not self.soft:
            return (row.condition(self.headers),)
        negated = isinstance(self.headers, Not)
        mask = self.headers.value if isinstance(self.headers, Not) else self.headers
        assert mask is not None
        return (In(ICMPV6_HEADERS, Masked(0 if negated else mask, mask), text=self._sentence()),)


# -- eui64 ------------------------------------------------------------------------------------------------


class Eui64(Match, frozen=True, gc=False):
    """The source's lower half is made of the sender's MAC address (eui64_mt6, net/ipv6/netfilter/ip6t_eui64.c).

    Its condition is the derived fact ``eui64`` over the source address and the MAC address.
    """

    name = "eui64"
    families = (6,)
    hooks = ("PREROUTING", "INPUT", "FORWARD")

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        """It has no options."""
        return ((None, "whose source address is made of its mac address"),)

    def conditions(self) -> tuple[Condition, ...]:
        """One derived fact."""
        return (Derived("eui64", text="whose source address is made of its mac address"),)
