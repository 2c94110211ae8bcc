"""Matches on single fields of a packet's headers: tos, dscp, ecn, ttl, hl, length, tcpmss."""

from collections.abc import Sequence
from typing import Annotated, Any

from ruleflow.ruleset.condition import AllOf, Condition, In, Intervals, Masked, Values
from ruleflow.ruleset.extension import Match, Maybe, option
from ruleflow.ruleset.fields import HOP_LIMIT, LENGTH, MSS, TCP_FLAGS, TOS, TTL
from ruleflow.ruleset.values import (
    MaskedValue,
    Not,
    Number,
    NumberRange,
    Range,
    Unreadable,
    ValueType,
    number,
)

TCP = 6

# -- the type of service byte -----------------------------------------------------------------------------

_SERVICES = {
    "Minimize-Delay": 0x10, "Maximize-Throughput": 0x08, "Maximize-Reliability": 0x04, "Minimize-Cost": 0x02,
    "Normal-Service": 0x00,
}  # fmt: skip
_SERVICE_MASK = 0x3F


class TosMask(ValueType[MaskedValue]):
    """``value[/mask]``, or a name out of RFC 1349, which leaves the two upper bits open (libxtables/xtoptions.c)."""

    def read_word(self, word: str, family: int) -> MaskedValue:  # noqa: ARG002
        for name, service in _SERVICES.items():
            if word.lower() == name.lower():
                return MaskedValue(service, _SERVICE_MASK)
        value, slash, mask = word.partition("/")
        try:
            return MaskedValue(number(value, 0, 0xFF), number(mask, 0, 0xFF) if slash else 0xFF)
        except Unreadable as error:
            raise Unreadable(error.message, f"write value/mask or one of {', '.join(_SERVICES)}") from None

    def show(self, value: MaskedValue) -> str:
        return f"0x{value.value:02x}/0x{value.mask:02x}"

    def say(self, value: MaskedValue) -> str:
        if value.mask == _SERVICE_MASK and value.value in _SERVICES.values():
            name = next(name for name, service in _SERVICES.items() if service == value.value)
            return f"{name.lower().replace('-', ' ')} (0x{value.value:02x})"
        return (
            f"0x{value.value:02x}"
            if value.mask == 0xFF
            else f"0x{value.value:02x} in the bits 0x{value.mask:02x}"
        )

    def values(self, value: MaskedValue) -> Values:
        return Intervals(()) if value.value & ~value.mask else Masked(value.value, value.mask)


class Tos(Match, frozen=True, gc=False):
    """The byte of the IPv4 header's type of service or the IPv6 header's traffic class (tos_mt, net/netfilter/xt_dscp.c)."""

    name = "tos"

    tos: Annotated[
        Maybe[MaskedValue],
        option(
            "--tos", type=TosMask(), field=TOS, mandatory=True,
            says="with type of service {}", says_not="with any type of service but {}",
        ),
    ] = None  # fmt: skip


CLASSES = {
    "CS0": 0x00, "CS1": 0x08, "CS2": 0x10, "CS3": 0x18, "CS4": 0x20, "CS5": 0x28, "CS6": 0x30, "CS7": 0x38,
    "BE": 0x00, "AF11": 0x0A, "AF12": 0x0C, "AF13": 0x0E, "AF21": 0x12, "AF22": 0x14, "AF23": 0x16, "AF31": 0x1A,
    "AF32": 0x1C, "AF33": 0x1E, "AF41": 0x22, "AF42": 0x24, "AF43": 0x26, "EF": 0x2E,
}  # fmt: skip
"""The classes of differentiated services by name (RFC 2474, 2597, 3246)."""


class Dscp(ValueType[int]):
    """A code point of differentiated services, 0 to 63: the upper six bits of the type of service."""

    def read_word(self, word: str, family: int) -> int:  # noqa: ARG002
        return number(word, 0, 63)

    def show(self, value: int) -> str:
        return f"0x{value:02x}"

    def say(self, value: int) -> str:
        name = next((name for name, code in CLASSES.items() if code == value), None)
        return f"{value} ({name})" if name else str(value)

    def values(self, value: int) -> Values:
        return Masked(value << 2, 0xFC)


class DscpClass(Dscp):
    """A code point by its class's name; what follows the name is not looked at (class_to_dscp, dscp_helper.c)."""

    def read_word(self, word: str, family: int) -> int:  # noqa: ARG002
        for name, code in CLASSES.items():
            if word.upper().startswith(name):
                return code
        raise Unreadable(f"I do not know the dscp class {word!r}", f"write one of {', '.join(CLASSES)}")


class DscpMatch(Match, frozen=True, gc=False):
    """The code point of differentiated services (dscp_mt, net/netfilter/xt_dscp.c)."""

    name = "dscp"

    dscp: Annotated[
        Maybe[int],
        option(
            "--dscp",
            type=Dscp(),
            field=TOS,
            mandatory=True,
            says="with dscp {}",
            says_not="with any dscp but {}",
        ),
    ] = None
    spellings = (option("--dscp-class", type=DscpClass(), into="dscp"),)


class EctNumber(Number):
    """The two lower bits of the type of service (RFC 3168)."""

    def say(self, value: int) -> str:
        return ("not ECN capable", "ECN capable, ECT(1)", "ECN capable, ECT(0)", "congestion experienced")[
            value
        ]

    def values(self, value: int) -> Values:
        return Masked(value, 3)


class FlagBit(ValueType[bool]):
    """An option without a value that asks for one bit of its field."""

    words = 0

    def __init__(self, bit: int) -> None:
        self.bit = bit

    def read(self, words: Sequence[str], family: int) -> bool:  # noqa: ARG002
        return True

    def show(self, value: bool) -> str:  # noqa: ARG002
        return ""

    def values(self, value: bool) -> Values:  # noqa: ARG002
        return Masked(self.bit, self.bit)


class Ecn(Match, frozen=True, gc=False):
    """Explicit congestion notification: bits of the IP and of the TCP header (ecn_mt, net/netfilter/xt_ecn.c)."""

    name = "ecn"
    picky = True

    ece: Annotated[
        Maybe[bool],
        option(
            "--ecn-tcp-ece",
            type=FlagBit(64),
            field=TCP_FLAGS,
            says="with the ECE flag",
            says_not="without the ECE flag",
        ),
    ] = None
    cwr: Annotated[
        Maybe[bool],
        option(
            "--ecn-tcp-cwr",
            type=FlagBit(128),
            field=TCP_FLAGS,
            says="with the CWR flag",
            says_not="without the CWR flag",
        ),
    ] = None
    ect: Annotated[
        Maybe[int],
        option(
            "--ecn-ip-ect",
            type=EctNumber(0, 3),
            field=TOS,
            says="marked as {}",
            says_not="marked other than as {}",
        ),
    ] = None

    @classmethod
    def check(cls, values: dict[str, Any], family: int) -> None:
        """Something must be asked."""
        super().check(values, family)
        if not values:
            raise Unreadable("ecn needs an option", "write --ecn-tcp-cwr, --ecn-tcp-ece or --ecn-ip-ect")

    def misfit(self, protocol: Maybe[int], matches: Sequence[Match]) -> str | None:  # noqa: ARG002
        if (self.ece is not None or self.cwr is not None) and protocol != TCP:
            return "--ecn-tcp-ece and --ecn-tcp-cwr need -p tcp"
        return None


# -- time to live, hop limit ------------------------------------------------------------------------------


class Below(Number):
    """All bytes below the value."""

    def values(self, value: int) -> Values:
        return Intervals(((0, value - 1),) if value else ())


class Beyond(Number):
    """All bytes above the value."""

    def values(self, value: int) -> Values:
        return Intervals(((value + 1, 255),) if value < 255 else ())


def _one_of(cls: type[Match], values: dict[str, Any]) -> None:
    if not values:
        flags = ", ".join(row.flag for row in cls.rows())
        raise Unreadable(f"{cls.name} needs one of {flags}")


class Ttl(Match, frozen=True, gc=False):
    """The time to live of an IPv4 packet (ttl_mt, net/netfilter/xt_hl.c)."""

    name = "ttl"
    families = (4,)

    equal: Annotated[
        Maybe[int],
        option(
            "--ttl-eq", "--ttl", type=Number(0, 255), field=TTL, excludes=("less", "more"),
            says="with a ttl of {}", says_not="with a ttl other than {}",
        ),
    ] = None  # fmt: skip
    less: Annotated[
        int | None,
        option(
            "--ttl-lt",
            type=Below(0, 255),
            field=TTL,
            negatable=False,
            excludes=("more",),
            says="with a ttl below {}",
        ),
    ] = None
    more: Annotated[
        int | None,
        option("--ttl-gt", type=Beyond(0, 255), field=TTL, negatable=False, says="with a ttl above {}"),
    ] = None

    @classmethod
    def check(cls, values: dict[str, Any], family: int) -> None:
        """One comparison must be given."""
        super().check(values, family)
        _one_of(cls, values)


class Hl(Match, frozen=True, gc=False):
    """The hop limit of an IPv6 packet (hl_mt6, net/netfilter/xt_hl.c)."""

    name = "hl"
    families = (6,)

    equal: Annotated[
        Maybe[int],
        option(
            "--hl-eq", "--hl", type=Number(0, 255), field=HOP_LIMIT, excludes=("less", "more"),
            says="with a hop limit of {}", says_not="with a hop limit other than {}",
        ),
    ] = None  # fmt: skip
    less: Annotated[
        int | None,
        option(
            "--hl-lt", type=Below(0, 255), field=HOP_LIMIT, negatable=False, excludes=("more",),
            says="with a hop limit below {}",
        ),
    ] = None  # fmt: skip
    more: Annotated[
        int | None,
        option(
            "--hl-gt", type=Beyond(0, 255), field=HOP_LIMIT, negatable=False, says="with a hop limit above {}"
        ),
    ] = None

    @classmethod
    def check(cls, values: dict[str, Any], family: int) -> None:
        """One comparison must be given."""
        super().check(values, family)
        _one_of(cls, values)


# -- sizes ------------------------------------------------------------------------------------------------


class Length(Match, frozen=True, gc=False):
    """The packet's length in bytes, its IP header included (length_mt and length_mt6, net/netfilter/xt_length.c)."""

    name = "length"

    length: Annotated[
        Maybe[Range],
        option(
            "--length", type=NumberRange(0, 65535, ordered=False), field=LENGTH, mandatory=True,
            says="of {} bytes", says_not="not of {} bytes",
        ),
    ] = None  # fmt: skip


class Tcpmss(Match, frozen=True, gc=False):
    """The maximum segment size that a TCP packet offers (tcpmss_mt, net/netfilter/xt_tcpmss.c).

    A packet without that option meets the negated match only.
    """

    name = "tcpmss"
    picky = True

    mss: Annotated[
        Maybe[Range],
        option(
            "--mss", type=NumberRange(0, 65535), field=MSS, mandatory=True,
            says="offering a segment size of {}", says_not="not offering a segment size of {}",
        ),
    ] = None  # fmt: skip

    def misfit(self, protocol: Maybe[int], matches: Sequence[Match]) -> str | None:  # noqa: ARG002
        return None if protocol == TCP else "-m tcpmss needs -p tcp"

    def conditions(self) -> tuple[Condition, ...]:
        """As the row says; negated, it holds for a packet that has no such option too."""
        row, value = next(self.given())
        if not isinstance(value, Not):
            return (row.condition(value),)
        inner = In(MSS, Intervals(((value.value.low, value.value.high),)), text=row.say(value.value))
        return (AllOf((inner,), negated=True, text=row.say(value)),)
