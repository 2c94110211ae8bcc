"""Targets that set the marks of packets and connections (net/netfilter/xt_mark.c, xt_connmark.c, xt_HMARK.c)."""

import re
from collections.abc import Sequence
from typing import Annotated

import msgspec

from ruleflow.ruleset.effect import Change, CopyBits, Effects, Note, SetBits, SetUnknown
from ruleflow.ruleset.extension import Extension, Option, Target, option
from ruleflow.ruleset.fields import CONNMARK, MARK, PRIORITY
from ruleflow.ruleset.targets.nat import read_mask
from ruleflow.ruleset.values import MaskedValue, Number, Text, Unreadable, ValueType, number

FULL = 0xFFFFFFFF


class Change32(ValueType[MaskedValue]):
    """``mark = (mark & ~mask) ^ value``, printed ``value/mask`` always; ``way`` is the option that spells it."""

    def __init__(self, way: str = "xor", *, mark: str = "mark") -> None:
        self.way = way
        self.mark = mark

    def read_word(self, word: str, family: int) -> MaskedValue:  # noqa: ARG002
        if self.way in ("set", "xset"):
            value, slash, mask = word.partition("/")
            bits, under = number(value), number(mask) if slash else FULL
            return MaskedValue(bits, bits | under if self.way == "set" else under)
        bits = number(word)
        spelled = {"and": (0, FULL & ~bits), "or": (bits, bits), "xor": (bits, 0)}
        return MaskedValue(*spelled[self.way])

    def show(self, value: MaskedValue) -> str:
        return f"0x{value.value:x}/0x{value.mask:x}"

    def say(self, value: MaskedValue) -> str:
        bits, mask, mark = value.value, value.mask, self.mark
        if mask == FULL:
            return f"set the {mark} to 0x{bits:x}"
        if bits == mask:
            return f"set the bits 0x{bits:x} of the {mark}" if bits else f"leave the {mark} as it is"
        if bits == 0:
            return f"clear the bits 0x{mask:x} of the {mark}"
        if mask == 0:
            return f"flip the bits 0x{bits:x} of the {mark}"
        if bits & ~mask:
            return f"clear the bits 0x{mask:x} of the {mark}, then flip 0x{bits:x}"
        return f"set the bits 0x{mask:x} of the {mark} to 0x{bits:x}"


def _spelled(flag: str, way: str, into: str = "mark") -> Option:
    return option(flag, type=Change32(way), negatable=False, into=into)


class SetMark(Target, frozen=True, gc=False):
    """The packet's mark is changed (MARK; net/netfilter/xt_mark.c, `mark_tg`); in OUTPUT of mangle it is routed anew."""

    name = "MARK"

    mark: Annotated[
        MaskedValue | None,
        option("--set-xmark", type=Change32("xset"), negatable=False, mandatory=True, says="{}"),
    ] = None
    spellings = (
        _spelled("--set-mark", "set"), _spelled("--and-mark", "and"), _spelled("--or-mark", "or"),
        _spelled("--xor-mark", "xor"),
    )  # fmt: skip

    def effects(self) -> Effects:
        """The mark's bits, then the next rule."""
        mark = self.mark or MaskedValue(0, 0)
        return Effects((SetBits(MARK, mark.mask, mark.value),))


_MASKS = ("connection_mask", "both_masks")
_CONN = Change32("xset", mark="connection mark")


class SetConnmark(Target, frozen=True, gc=False):
    """The connection's mark is changed, or copied from or to the packet (CONNMARK; xt_connmark.c, `connmark_tg_shift`).

    A packet without a connection is left alone. With a shift the new value is not followed (`SetUnknown`).
    """

    name = "CONNMARK"

    mark: Annotated[
        MaskedValue | None,
        option("--set-xmark", type=_CONN, negatable=False, excludes=("save", "restore"), says="{}"),
    ] = None
    save: Annotated[
        bool | None,
        option("--save-mark", negatable=False, excludes=("restore",), says="save the mark in the connection"),
    ] = None
    restore: Annotated[
        bool | None, option("--restore-mark", negatable=False, says="restore the mark from the connection")
    ] = None
    packet_mask: Annotated[
        int | None,
        option("--nfmask", type=Number(form="0x{:x}"), negatable=False, says="bits {} of the packet's"),
    ] = None
    connection_mask: Annotated[
        int | None,
        option("--ctmask", type=Number(form="0x{:x}"), negatable=False, says="bits {} of the connection's"),
    ] = None
    left: Annotated[
        int | None,
        option("--left-shift-mark", type=Number(0, 31), negatable=False, says="shifted left by {}"),
    ] = None
    right: Annotated[
        int | None,
        option("--right-shift-mark", type=Number(0, 31), negatable=False, says="shifted right by {}"),
    ] = None
    spellings = (
        _spelled("--set-mark", "set"), _spelled("--and-mark", "and"), _spelled("--or-mark", "or"),
        _spelled("--xor-mark", "xor"),
        option("--mask", type=Number(form="0x{:x}"), negatable=False, into="both_masks"),
    )  # fmt: skip

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:
        """One operation; both masks of a copy, even where they are full; ``--mask`` is both."""
        super().check(values, family)
        both = values.pop("both_masks", None)
        if both is not None:
            if "packet_mask" in values or "connection_mask" in values:
                raise Unreadable("--mask cannot stand beside --nfmask and --ctmask")
            values["packet_mask"] = values["connection_mask"] = both
        if "save" in values or "restore" in values:
            values.setdefault("packet_mask", FULL)
            values.setdefault("connection_mask", FULL)
        elif "mark" in values:
            values.pop("packet_mask", None)
            values.pop("connection_mask", None)
        else:
            raise Unreadable("CONNMARK needs an operation", "write --set-mark, --save-mark or --restore-mark")
        for shift in ("left", "right"):
            if values.get(shift) == 0:
                del values[shift]
        if "left" in values and "right" in values:
            raise Unreadable("a mark is shifted one way only")

    @classmethod
    def read(cls, given: Sequence[tuple[Option, bool, tuple[str, ...]]], family: int) -> Extension:
        """As the rows say; a mask that comes after the new mark takes the place of the mark's own."""
        read = super().read(given, family)
        at = next((place for place, (row, _, _) in enumerate(given) if row.attr == "mark"), len(given))
        masks = [row.type.read(words, family) for row, _, words in given[at:] if row.attr in _MASKS]
        if masks and isinstance(read, SetConnmark) and read.mark is not None:
            return msgspec.structs.replace(read, mark=MaskedValue(read.mark.value, masks[-1]))
        return read

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        """One sentence; full masks are not worth a word."""
        return tuple(
            (row, row.say(value))
            for row, value in self.given()
            if not (row.attr in ("packet_mask", "connection_mask") and value == FULL)
        )

    def effects(self) -> Effects:
        """The bits of the one mark or of the other, then the next rule."""
        return Effects((self._change(),))

    def _change(self) -> Change:
        field = MARK if self.restore else CONNMARK
        if self.left or self.right:
            return SetUnknown(field, "the connection mark is shifted")
        if self.mark is not None:
            return SetBits(CONNMARK, self.mark.mask, self.mark.value)
        packet, connection = self.packet_mask or 0, self.connection_mask or 0
        if self.save:
            return CopyBits(CONNMARK, MARK, connection, packet)
        return CopyBits(MARK, CONNMARK, packet, connection)


_CLASS = re.compile(r"\s*([+-]?(?:0x)?[0-9a-f]+):\s*([+-]?(?:0x)?[0-9a-f]+)", re.ASCII | re.IGNORECASE)
"""As sscanf's ``%x:%x`` reads it, which does not mind what follows."""


class Classify(Target, frozen=True, gc=False):
    """The packet's queueing class is set (CLASSIFY; net/netfilter/xt_CLASSIFY.c)."""

    name = "CLASSIFY"
    hooks = ("FORWARD", "OUTPUT", "POSTROUTING")

    class Class(ValueType[int]):
        """``major:minor``, both hexadecimal, printed with four digits."""

        def read_word(self, word: str, family: int) -> int:  # noqa: ARG002
            found = _CLASS.match(word)
            if found is None:
                raise Unreadable(f"{word!r} is no class", "write major:minor in hexadecimal, like 1:10")
            return (int(found[1], 16) << 16 & FULL) | (int(found[2], 16) & 0xFFFF)

        def show(self, value: int) -> str:
            return f"{value >> 16:04x}:{value & 0xFFFF:04x}"

        def say(self, value: int) -> str:
            return f"{value >> 16:x}:{value & 0xFFFF:x}"

    priority: Annotated[
        int | None,
        option(
            "--set-class", type=Class(), negatable=False, mandatory=True, says="put it into queueing class {}"
        ),
    ] = None

    def effects(self) -> Effects:
        """The priority that queueing reads, then the next rule."""
        return Effects((SetBits(PRIORITY, FULL, self.priority or 0),))


class Secmark(Target, frozen=True, gc=False):
    """The packet gets a security context (SECMARK; net/netfilter/xt_SECMARK.c), at most 255 bytes."""

    name = "SECMARK"
    tables = ("mangle", "security")

    context: Annotated[
        str | None,
        option(
            "--selctx", type=Text(255, quoted=False), negatable=False, mandatory=True,
            says="label the packet with the security context {}",
        ),
    ] = None  # fmt: skip

    def effects(self) -> Effects:
        """A label that no rule reads, then the next rule."""
        return Effects((Note(self.phrases()[0][1]),))


class Connsecmark(Target, frozen=True, gc=False):
    """The security label is copied to or from the connection (CONNSECMARK; net/netfilter/xt_CONNSECMARK.c)."""

    name = "CONNSECMARK"
    tables = ("mangle", "security")

    save: Annotated[
        bool | None,
        option(
            "--save", negatable=False, excludes=("restore",), says="save the security label in the connection"
        ),
    ] = None
    restore: Annotated[
        bool | None,
        option("--restore", negatable=False, says="restore the security label from the connection"),
    ] = None

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:
        super().check(values, family)
        if not values:
            raise Unreadable("CONNSECMARK needs --save or --restore")

    def effects(self) -> Effects:
        """A label that no rule reads, then the next rule."""
        return Effects((Note(self.phrases()[0][1]),))


# -- HMARK ------------------------------------------------------------------------------------------------


class Tuple(ValueType[tuple[str, ...]]):
    """What is hashed: a list of ``ct src dst sport dport proto spi``, each of which may be cut short."""

    NAMES = ("ct", "src", "dst", "sport", "dport", "proto", "spi")

    def read_word(self, word: str, family: int) -> tuple[str, ...]:  # noqa: ARG002
        return tuple(self._name(part) for part in word.split(","))

    def _name(self, part: str) -> str:
        found = next((name for name in self.NAMES if part and name.startswith(part.lower())), None)
        if found is None:
            raise Unreadable(f"{part!r} is none of {', '.join(self.NAMES)}")
        return found

    def show(self, value: tuple[str, ...]) -> str:
        return ",".join(value)


class PrefixLength(ValueType[int]):
    """A prefix length of the family, or its mask."""

    def read_word(self, word: str, family: int) -> int:
        return read_mask(word, family).bit_count()


def _hex(flag: str, digits: int, bits: int, says: str) -> Option:
    kind = Number(0, (1 << bits) - 1, f"0x{{:0{digits}x}}")
    return option(flag, type=kind, negatable=False, says=says)


def _prefix(flag: str, says: str) -> Option:
    return option(flag, type=PrefixLength(), negatable=False, says=says)


class Hmark(Target, frozen=True, gc=False):
    """The mark becomes a hash of addresses and ports, modulo a number, plus an offset (HMARK; xt_HMARK.c).

    ``--hmark-tuple src`` is printed as the full mask that it means; only ``ct`` keeps that spelling.
    """

    name = "HMARK"

    source: Annotated[int | None, _prefix("--hmark-src-prefix", "the first {} bits of the source")] = None
    destination: Annotated[
        int | None, _prefix("--hmark-dst-prefix", "the first {} bits of the destination")
    ] = None
    source_port: Annotated[int | None, _hex("--hmark-sport-mask", 4, 16, "the source port under {}")] = None
    port: Annotated[int | None, _hex("--hmark-dport-mask", 4, 16, "the port under {}")] = None
    spi: Annotated[int | None, _hex("--hmark-spi-mask", 8, 32, "the spi under {}")] = None
    set_source_port: Annotated[int | None, _hex("--hmark-sport", 4, 16, "the source port joined with {}")] = (
        None
    )
    set_port: Annotated[int | None, _hex("--hmark-dport", 4, 16, "the port joined with {}")] = None
    set_spi: Annotated[int | None, _hex("--hmark-spi", 8, 32, "the spi joined with {}")] = None
    protocol: Annotated[int | None, _hex("--hmark-proto-mask", 2, 16, "the protocol under {}")] = None
    seed: Annotated[int | None, _hex("--hmark-rnd", 8, 32, "with the seed {}")] = None
    modulus: Annotated[
        int | None,
        option("--hmark-mod", type=Number(1), negatable=False, mandatory=True, says="modulo {}"),
    ] = None
    offset: Annotated[
        int | None, option("--hmark-offset", type=Number(), negatable=False, says="plus {}")
    ] = None
    connection: Annotated[
        tuple[str, ...] | None,
        option("--hmark-tuple", type=Tuple(), negatable=False, says="as the connection first had them"),
    ] = None

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:
        """Spread the tuple over the masks; refuse what hashes nothing, and an spi beside ports."""
        super().check(values, family)
        for name in values.pop("connection", ()):  # type: ignore[attr-defined]
            attr, full = _TUPLE[name]
            values[attr] = full if full is not None else 32 if family == 4 else 128
        if "ct" in values:
            del values["ct"]
            values["connection"] = ("ct",)
        if "seed" not in values:
            raise Unreadable("HMARK needs --hmark-rnd")
        if "spi" in values and values.keys() & {"source_port", "port"}:
            raise Unreadable("--hmark-spi-mask cannot stand beside masks of ports")
        if "set_spi" in values and values.keys() & {"set_source_port", "set_port"}:
            raise Unreadable("--hmark-spi cannot stand beside ports")
        if not values.keys() - {"seed", "modulus", "offset"}:
            raise Unreadable("HMARK needs something to hash", "write --hmark-tuple src,dst")

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        return ((None, "set the mark to a hash of"), *Target.phrases(self))

    def effects(self) -> Effects:
        """A mark between offset and offset plus modulus less one, then the next rule."""
        low = self.offset or 0
        high = low + (self.modulus or 1) - 1
        if high > FULL:
            low, high = 0, FULL
        return Effects((SetUnknown(MARK, "HMARK's hash is the kernel's", low, high),))


_TUPLE: dict[str, tuple[str, int | None]] = {
    "ct": ("ct", 1), "src": ("source", None), "dst": ("destination", None), "sport": ("source_port", 0xFFFF),
    "dport": ("port", 0xFFFF), "proto": ("protocol", 0xFFFF), "spi": ("spi", FULL),
}  # fmt: skip
