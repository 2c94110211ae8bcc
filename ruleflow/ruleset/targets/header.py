"""Targets that change a packet's header, packet by packet (mangle; net/netfilter/xt_DSCP.c, xt_HL.c, xt_TCPMSS.c …)."""

from collections.abc import Sequence
from typing import Annotated

from ruleflow.ruleset.addresses import Prefix, full_mask
from ruleflow.ruleset.effect import Adjust, Effects, Note, SetBits, SetUnknown
from ruleflow.ruleset.extension import Match, Maybe, Option, Target, option
from ruleflow.ruleset.fields import DESTINATION, MSS, SOURCE, TCP_FLAGS, TCP_OPTIONS, TOS, TTL, Field
from ruleflow.ruleset.targets.nat import HostPrefix
from ruleflow.ruleset.values import MaskedValue, Number, Unreadable, ValueType, number

_TCP = 6
_ONLY_TCP = "only a tcp packet has that: -p tcp is missing"


# -- type of service, ECN ---------------------------------------------------------------------------------

_TOS_NAMES = {
    "minimize-delay": 0x10, "maximize-throughput": 0x08, "maximize-reliability": 0x04, "minimize-cost": 0x02,
    "normal-service": 0x00,
}  # fmt: skip


class ChangeTos(ValueType[MaskedValue]):
    """``tos = (tos & ~mask) ^ value``; a name counts in the lower six bits only. ``way`` is the option that spells it."""

    def __init__(self, way: str = "set") -> None:
        self.way = way

    def read_word(self, word: str, family: int) -> MaskedValue:  # noqa: ARG002
        if self.way == "set":
            name = _TOS_NAMES.get(word.lower())
            if name is not None:
                return MaskedValue(name, 0x3F)
            value, slash, mask = word.partition("/")
            return MaskedValue(number(value, 0, 0xFF), number(mask, 0, 0xFF) if slash else 0xFF)
        bits = number(word, 0, 0xFF)
        spelled = {"and": (0, 0xFF & ~bits), "or": (bits, bits), "xor": (bits, 0)}
        return MaskedValue(*spelled[self.way])

    def show(self, value: MaskedValue) -> str:
        return f"0x{value.value:02x}/0x{value.mask:02x}"

    def say(self, value: MaskedValue) -> str:
        if value.mask == 0xFF:
            return f"set the tos to 0x{value.value:02x}"
        if value.mask == 0:
            return f"flip the bits 0x{value.value:02x} of the tos"
        if value.value == 0:
            return f"clear the bits 0x{value.mask:02x} of the tos"
        return f"set the bits 0x{value.mask:02x} of the tos to 0x{value.value:02x}"


class SetTos(Target, frozen=True, gc=False):
    """The type of service byte is changed (TOS; net/netfilter/xt_DSCP.c, `tos_tg`)."""

    name = "TOS"
    tables = ("mangle",)

    tos: Annotated[
        MaskedValue | None,
        option("--set-tos", type=ChangeTos(), negatable=False, mandatory=True, says="{}"),
    ] = None
    spellings = (
        option("--and-tos", type=ChangeTos("and"), negatable=False, into="tos"),
        option("--or-tos", type=ChangeTos("or"), negatable=False, into="tos"),
        option("--xor-tos", type=ChangeTos("xor"), negatable=False, into="tos"),
    )

    def effects(self) -> Effects:
        """The byte's bits, then the next rule."""
        tos = self.tos or MaskedValue(0, 0)
        return Effects((SetBits(TOS, tos.mask, tos.value),))


_CLASSES = {f"CS{n}": 8 * n for n in range(8)} | {"BE": 0} | {
    f"AF{c}{d}": 8 * c + 2 * d for c in range(1, 5) for d in range(1, 4)
} | {"EF": 0x2E}  # fmt: skip
"""Differentiated services classes (RFC 2474, RFC 2597, RFC 3246)."""


class DscpClass(ValueType[int]):
    """A class by name, in any case; as in the real tool, what follows the name does not matter."""

    def read_word(self, word: str, family: int) -> int:  # noqa: ARG002
        found = next((code for name, code in _CLASSES.items() if word.upper().startswith(name)), None)
        if found is None:
            raise Unreadable(f"{word!r} is none of {', '.join(_CLASSES)}")
        return found


class SetDscp(Target, frozen=True, gc=False):
    """The upper six bits of the type of service are set (DSCP; net/netfilter/xt_DSCP.c, `dscp_tg`)."""

    name = "DSCP"
    tables = ("mangle",)

    class Code(Number):
        """The code point, with its class in words."""

        def say(self, value: int) -> str:
            name = next((name for name, code in _CLASSES.items() if code == value), None)
            return f"0x{value:02x} ({name})" if name else f"0x{value:02x}"

    dscp: Annotated[
        int | None,
        option(
            "--set-dscp",
            type=Code(0, 63, "0x{:02x}"),
            negatable=False,
            mandatory=True,
            says="set the dscp to {}",
        ),
    ] = None
    spellings = (option("--set-dscp-class", type=DscpClass(), negatable=False, into="dscp"),)

    def effects(self) -> Effects:
        """Six bits, then the next rule."""
        return Effects((SetBits(TOS, 0xFC, (self.dscp or 0) << 2),))


class SetEcn(Target, frozen=True, gc=False):
    """Congestion notification is switched in the tcp or the ip header (ECN; net/ipv4/netfilter/ipt_ECN.c).

    Both tcp bits cleared and ``--ecn-tcp-remove`` are the same, and iptables-save prints the latter.
    """

    name = "ECN"
    families = (4,)
    tables = ("mangle",)
    picky = True

    remove: Annotated[
        bool | None,
        option(
            "--ecn-tcp-remove",
            negatable=False,
            excludes=("cwr", "ece"),
            says="remove ecn from the tcp header",
        ),
    ] = None
    ece: Annotated[
        int | None,
        option("--ecn-tcp-ece", type=Number(0, 1), negatable=False, says="set the tcp flag ece to {}"),
    ] = None
    cwr: Annotated[
        int | None,
        option("--ecn-tcp-cwr", type=Number(0, 1), negatable=False, says="set the tcp flag cwr to {}"),
    ] = None
    ect: Annotated[
        int | None,
        option("--ecn-ip-ect", type=Number(0, 3), negatable=False, says="set the ecn code point to {}"),
    ] = None

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:
        """Bring both spellings of removal together; refuse none at all."""
        super().check(values, family)
        if not values:
            raise Unreadable("ECN needs an operation", "write --ecn-tcp-remove")
        if values.keys() == {"ece", "cwr"} and values["ece"] == values["cwr"] == 0:
            values.clear()
            values["remove"] = True

    def misfit(self, protocol: Maybe[int], matches: Sequence[Match]) -> str | None:  # noqa: ARG002
        tcp = self.remove or self.ece is not None or self.cwr is not None
        return _ONLY_TCP if tcp and protocol != _TCP else None

    def effects(self) -> Effects:
        """The flags and the two bits, then the next rule."""
        changes = []
        for bit, value in ((0x40, self.ece), (0x80, self.cwr)):
            if self.remove or value is not None:
                changes.append(SetBits(TCP_FLAGS, bit, bit if value else 0))
        if self.ect is not None:
            changes.append(SetBits(TOS, 0x03, self.ect))
        return Effects(tuple(changes))


# -- time to live -----------------------------------------------------------------------------------------


def _hops(flag: str, least: int, says: str, *excludes: str) -> Option:
    return option(flag, type=Number(least, 255), negatable=False, excludes=excludes, says=says)


class SetTtl(Target, frozen=True, gc=False):
    """The time to live is set or moved (TTL; net/netfilter/xt_HL.c, `ttl_tg`)."""

    name = "TTL"
    families = (4,)
    tables = ("mangle",)

    to: Annotated[int | None, _hops("--ttl-set", 0, "set the ttl to {}", "down", "up")] = None
    down: Annotated[int | None, _hops("--ttl-dec", 1, "lower the ttl by {}", "up")] = None
    up: Annotated[int | None, _hops("--ttl-inc", 1, "raise the ttl by {}")] = None

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:
        super().check(values, family)
        if not values:
            raise Unreadable("TTL needs --ttl-set, --ttl-dec or --ttl-inc")

    def effects(self) -> Effects:
        """The field, then the next rule."""
        return _move_hops(self.to, self.down, self.up)


class SetHopLimit(Target, frozen=True, gc=False):
    """The hop limit is set or moved (HL; net/netfilter/xt_HL.c, `hl_tg6`)."""

    name = "HL"
    families = (6,)
    tables = ("mangle",)

    to: Annotated[int | None, _hops("--hl-set", 0, "set the hop limit to {}", "down", "up")] = None
    down: Annotated[int | None, _hops("--hl-dec", 1, "lower the hop limit by {}", "up")] = None
    up: Annotated[int | None, _hops("--hl-inc", 1, "raise the hop limit by {}")] = None

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:
        super().check(values, family)
        if not values:
            raise Unreadable("HL needs --hl-set, --hl-dec or --hl-inc")

    def effects(self) -> Effects:
        """The field, then the next rule."""
        return _move_hops(self.to, self.down, self.up)


def _move_hops(to: int | None, down: int | None, up: int | None) -> Effects:
    if to is not None:
        return Effects((SetBits(TTL, 0xFF, to),))
    return Effects((Adjust(TTL, (up or 0) - (down or 0)),))


# -- tcp options, checksum --------------------------------------------------------------------------------


class SegmentSize(ValueType[int]):
    """A segment size that fits into a packet beside the ip header: 65515 in IPv4, 65495 in IPv6."""

    def read_word(self, word: str, family: int) -> int:
        return number(word, 0, 65515 if family == 4 else 65495)


class LimitMss(Target, frozen=True, gc=False):
    """A tcp connection's maximum segment size is lowered, never raised (TCPMSS; net/netfilter/xt_TCPMSS.c).

    Where a SYN says none, it gets one, but for clamping (`tcpmss_mangle_packet`). Legacy wants a match for
    SYN packets in the rule, nft does not.
    """

    name = "TCPMSS"
    picky = True

    size: Annotated[
        int | None,
        option("--set-mss", type=SegmentSize(), negatable=False, says="lower the tcp segment size to {}"),
    ] = None
    clamp: Annotated[
        bool | None,
        option(
            "--clamp-mss-to-pmtu",
            negatable=False,
            says="lower the tcp segment size to what the path's mtu allows",
        ),
    ] = None

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:
        """One of the two; of both the kernel keeps one value, the one given last."""
        super().check(values, family)
        if not values:
            raise Unreadable("TCPMSS needs --set-mss or --clamp-mss-to-pmtu")
        if len(values) > 1:
            del values[next(iter(values))]

    def misfit(self, protocol: Maybe[int], matches: Sequence[Match]) -> str | None:  # noqa: ARG002
        return _ONLY_TCP if protocol != _TCP else None

    def effects(self) -> Effects:
        """A segment size that depends on the old one, then the next rule."""
        return Effects((SetUnknown(MSS, "the lower of the old and the new segment size", 0, self.size),))


_TCP_OPTIONS = {"wscale": 3, "mss": 2, "sack-permitted": 4, "sack": 5, "timestamp": 8, "md5": 19}


class OptionList(ValueType[int]):
    """A list of tcp options by number or name, as a bit mask, printed as numbers in order."""

    def read_word(self, word: str, family: int) -> int:  # noqa: ARG002
        mask = 0
        for part in word.split(","):
            kind = _TCP_OPTIONS.get(part) or number(part, 0, 255)
            if kind < 2:
                raise Unreadable("the tcp options 0 and 1 cannot be taken out")
            if mask >> kind & 1:
                raise Unreadable(f"the tcp option {part} is given twice")
            mask |= 1 << kind
        return mask

    def show(self, value: int) -> str:
        return ",".join(str(kind) for kind in range(256) if value >> kind & 1)

    def say(self, value: int) -> str:
        names = {kind: name for name, kind in _TCP_OPTIONS.items()}
        return ", ".join(names.get(kind, str(kind)) for kind in range(256) if value >> kind & 1)


class StripOptions(Target, frozen=True, gc=False):
    """Tcp options are blanked out with padding (TCPOPTSTRIP; net/netfilter/xt_TCPOPTSTRIP.c)."""

    name = "TCPOPTSTRIP"
    tables = ("mangle",)
    picky = True

    options_: Annotated[
        int | None,
        option("--strip-options", type=OptionList(), negatable=False, says="take out the tcp options {}"),
    ] = None

    def misfit(self, protocol: Maybe[int], matches: Sequence[Match]) -> str | None:  # noqa: ARG002
        return _ONLY_TCP if protocol != _TCP else None

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        return Target.phrases(self) or ((None, "take out no tcp option"),)

    def effects(self) -> Effects:
        """Fewer options, then the next rule."""
        return Effects((SetBits(TCP_OPTIONS, self.options_ or 0, 0),))


class FillChecksum(Target, frozen=True, gc=False):
    """A checksum that hardware was to fill in is computed now (CHECKSUM; net/netfilter/xt_CHECKSUM.c)."""

    name = "CHECKSUM"
    tables = ("mangle",)

    fill: Annotated[
        bool | None,
        option("--checksum-fill", negatable=False, mandatory=True, says="compute the missing checksum"),
    ] = None

    def effects(self) -> Effects:
        """Bytes that no rule reads, then the next rule."""
        return Effects((Note(self.phrases()[0][1]),))


# -- IPv6 prefix translation ------------------------------------------------------------------------------


class NptPrefix(HostPrefix):
    """An IPv6 prefix of at most 64 bits, with no bits behind it (`ip6t_npt_checkentry`)."""

    def __init__(self) -> None:
        super().__init__(cut=False)

    def read_word(self, word: str, family: int) -> Prefix:
        prefix = super().read_word(word, family)
        if prefix.mask.bit_count() > 64:
            raise Unreadable(f"the prefix {word} is longer than 64 bits")
        if prefix.address & ~prefix.mask:
            raise Unreadable(f"{word} has bits behind its prefix")
        return prefix


def _prefix(flag: str, says: str) -> Option:
    return option(flag, type=NptPrefix(), negatable=False, mandatory=True, says=says)


class Dnpt(Target, frozen=True, gc=False):
    """The prefix of the destination is exchanged, without state (DNPT; net/ipv6/netfilter/ip6t_NPT.c, RFC 6296).

    A word behind the prefix is adjusted so that checksums stay right, so the host part changes as well.
    """

    name = "DNPT"
    families = (6,)
    tables = ("mangle",)
    hooks = ("PREROUTING", "OUTPUT")

    old: Annotated[Prefix | None, _prefix("--src-pfx", "exchange the destination's prefix {}")] = None
    new: Annotated[Prefix | None, _prefix("--dst-pfx", "for {}")] = None

    def effects(self) -> Effects:
        """An address inside the new prefix, then the next rule."""
        return _translate(DESTINATION, self.old, self.new)


class Snpt(Target, frozen=True, gc=False):
    """The prefix of the source is exchanged, without state (SNPT; net/ipv6/netfilter/ip6t_NPT.c, RFC 6296)."""

    name = "SNPT"
    families = (6,)
    tables = ("mangle",)
    hooks = ("INPUT", "POSTROUTING")

    old: Annotated[Prefix | None, _prefix("--src-pfx", "exchange the source's prefix {}")] = None
    new: Annotated[Prefix | None, _prefix("--dst-pfx", "for {}")] = None

    def effects(self) -> Effects:
        """An address inside the new prefix, then the next rule."""
        return _translate(SOURCE, self.old, self.new)


def _translate(field: Field, old: Prefix | None, new: Prefix | None) -> Effects:
    """Of two prefixes the longer says how many bits are exchanged (`ip6t_npt_map_pfx`)."""
    if old is None or new is None:
        return Effects()
    mask = old.mask | new.mask
    low = new.address & mask
    why = "the host part is adjusted to keep checksums right"
    return Effects((SetUnknown(field, why, low, low | (full_mask(6) & ~mask)),))
