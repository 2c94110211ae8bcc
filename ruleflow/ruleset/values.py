"""The value types of options: each reads itself from words, prints itself as iptables-save does, says itself
in words, and gives itself as a set over its field.

A value itself is small and immutable (an int, a text, a `Range`, a `Prefix`…); its type knows the rest. The
types follow libxtables/xtoptions.c of iptables 1.8.9. Special types stand beside the one extension that
uses them.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from ruleflow.ruleset import protocols
from ruleflow.ruleset.condition import AnyBit, Intervals, Masked, Names, Values
from ruleflow.ruleset.words import quote

V = TypeVar("V")


class Unreadable(ValueError):  # noqa: N818 - it is caught where the place is known, and becomes a ReadError
    """A word is not a value of this type: ``message`` says why, ``help`` what to write instead."""

    def __init__(self, message: str, help: str | None = None) -> None:  # noqa: A002
        super().__init__(message)
        self.message = message
        self.help = help


class Not(msgspec.Struct, Generic[V], frozen=True):
    """A value with ``!`` before its option."""

    value: V


class Range(msgspec.Struct, frozen=True, order=True):
    """All whole numbers from ``low`` to ``high``, both in it."""

    low: int
    high: int

    def __str__(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low}:{self.high}"


class MaskedValue(msgspec.Struct, frozen=True):
    """A number of which only the bits of ``mask`` count."""

    value: int
    mask: int


class ValueType(Generic[V]):
    """What an option's words mean. ``words`` is how many it takes; a flag takes none."""

    words: int = 1
    wide: bool = False
    """Whether the number of words depends on what follows (an optional value)."""

    def read(self, words: Sequence[str], family: int) -> V:
        """The value that ``words`` spell. Raises `Unreadable`."""
        return self.read_word(words[0], family)

    def read_word(self, word: str, family: int) -> V:
        """The value of a type that takes one word. Raises `Unreadable`."""
        raise NotImplementedError

    def show(self, value: V) -> str:
        """The value as iptables-save prints it."""
        return str(value)

    def say(self, value: V) -> str:
        """The value in words."""
        return self.show(value)

    def values(self, value: V) -> Values | None:  # noqa: ARG002
        """The value as a set over the option's field; None where it is no set of one field."""
        return None


# -- numbers ----------------------------------------------------------------------------------------------

_NUMBER = re.compile(r"\s*\+?(0[xX][0-9a-fA-F]+|[0-9]+)", re.ASCII)


def number(text: str, low: int = 0, high: int = 0xFFFFFFFF) -> int:
    """A whole number as strtoul with base 0 reads it: decimal, ``0x`` or octal. Raises `Unreadable`."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise Unreadable(f"{text!r} is not a number")
    digits = found[1]
    try:
        value = int(
            digits, 16 if digits[:2] in ("0x", "0X") else 8 if digits[0] == "0" and len(digits) > 1 else 10
        )
    except ValueError:
        raise Unreadable(f"{text!r} is not a number (a leading 0 means octal)") from None
    if not low <= value <= high:
        raise Unreadable(f"{text} is outside {low} to {high}")
    return value


class Flag(ValueType[bool]):
    """An option without a value."""

    words = 0

    def read(self, words: Sequence[str], family: int) -> bool:  # noqa: ARG002
        return True

    def show(self, value: bool) -> str:  # noqa: ARG002
        return ""


class Number(ValueType[int]):
    """A whole number between ``low`` and ``high``, printed by ``form`` (``{}``, ``0x{:x}``)."""

    def __init__(self, low: int = 0, high: int = 0xFFFFFFFF, form: str = "{}") -> None:
        self.low, self.high, self.form = low, high, form

    def read_word(self, word: str, family: int) -> int:  # noqa: ARG002
        return number(word, self.low, self.high)

    def show(self, value: int) -> str:
        return self.form.format(value)

    def values(self, value: int) -> Values | None:
        return Intervals(((value, value),))


class NumberRange(ValueType[Range]):
    """``low[:high]``; an end left out is the type's bound. ``full`` ranges print both ends always."""

    def __init__(
        self, low: int = 0, high: int = 0xFFFFFFFF, *, separator: str = ":", ordered: bool = True
    ) -> None:
        self.low, self.high, self.separator, self.ordered = low, high, separator, ordered

    def read_word(self, word: str, family: int) -> Range:  # noqa: ARG002
        first, colon, last = word.partition(self.separator)
        low = self.end(first) if first or not colon else self.low
        high = (self.end(last) if last else self.high) if colon else low
        if self.ordered and low > high:
            raise Unreadable(f"the range {word} ends before it begins", f"write {high}{self.separator}{low}")
        return Range(low, high)

    def end(self, text: str) -> int:
        """One end of the range as a number."""
        return number(text, self.low, self.high)

    def show(self, value: Range) -> str:
        if value.low == value.high:
            return str(value.low)
        return f"{value.low}{self.separator}{value.high}"

    def say(self, value: Range) -> str:
        return str(value.low) if value.low == value.high else f"{value.low} to {value.high}"

    def values(self, value: Range) -> Values | None:
        return Intervals(((value.low, value.high),) if value.low <= value.high else ())


class HexMasked(ValueType[MaskedValue]):
    """``value[/mask]`` in hexadecimal: marks. A full mask is not printed."""

    def __init__(self, bits: int = 32) -> None:
        self.full = (1 << bits) - 1

    def read_word(self, word: str, family: int) -> MaskedValue:  # noqa: ARG002
        value, slash, mask = word.partition("/")
        return MaskedValue(number(value, 0, self.full), number(mask, 0, self.full) if slash else self.full)

    def show(self, value: MaskedValue) -> str:
        return f"0x{value.value:x}" if value.mask == self.full else f"0x{value.value:x}/0x{value.mask:x}"

    def say(self, value: MaskedValue) -> str:
        if value.mask == self.full:
            return f"0x{value.value:x}"
        return f"0x{value.value:x} in the bits 0x{value.mask:x}"

    def values(self, value: MaskedValue) -> Values | None:
        if value.value & ~value.mask:
            return Intervals(())  # xt_mark compares (mark & mask) with the value as it is: never equal
        return Masked(value.value, value.mask)


def either(words: Sequence[str]) -> str:
    """Several words as a choice.

    >>> either(["a", "b", "c"])
    'a, b or c'
    """
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else "".join(words)


# -- names and texts --------------------------------------------------------------------------------------


class Text(ValueType[str]):
    """A string of at most ``longest`` bytes, printed in quotes where iptables-save quotes it."""

    def __init__(self, longest: int | None = None, *, quoted: bool = True) -> None:
        self.longest, self.quoted = longest, quoted

    def read_word(self, word: str, family: int) -> str:  # noqa: ARG002
        if self.longest is not None and len(word.encode("utf-8", "surrogateescape")) > self.longest:
            raise Unreadable(f"{word!r} is longer than {self.longest} bytes")
        return word

    def show(self, value: str) -> str:
        return quote(value) if self.quoted else value

    def say(self, value: str) -> str:
        return f'"{value}"'


class Interface(ValueType[str]):
    """An interface's name, at most 15 characters; a trailing ``+`` stands for any ending."""

    def read_word(self, word: str, family: int) -> str:  # noqa: ARG002
        if len(word.encode("utf-8", "surrogateescape")) > 15:
            raise Unreadable(
                f"the interface name {word!r} is longer than 15 characters",
                "the kernel allows no longer name",
            )
        return word

    def say(self, value: str) -> str:
        return f"an interface named {value[:-1]}…" if value.endswith("+") else value

    def values(self, value: str) -> Values | None:
        return Names((value,))


class Choice(ValueType[int]):
    """One of several words, kept as its number; ``names`` maps the printed word to the number."""

    def __init__(
        self, names: Mapping[str, int], *, also: Mapping[str, int] | None = None, fold: bool = False
    ) -> None:
        self.names = {v: k for k, v in reversed(list(names.items()))}
        self.fold = fold
        self.numbers = {self._key(k): v for k, v in {**names, **(also or {})}.items()}

    def _key(self, word: str) -> str:
        return word.lower() if self.fold else word

    def read_word(self, word: str, family: int) -> int:  # noqa: ARG002
        found = self.numbers.get(self._key(word))
        if found is None:
            raise Unreadable(f"{word!r} is none of {', '.join(self.names.values())}")
        return found

    def show(self, value: int) -> str:
        return self.names[value]

    def values(self, value: int) -> Values | None:
        return Intervals(((value, value),))


class BitNames(ValueType[int]):
    """A comma-separated list of words, each a bit; printed in the order of ``names``.

    ``abbreviated``: a word's beginning will do, and its case does not count (``est`` for ESTABLISHED; the
    first of ``names`` that begins so is meant, as strncasecmp in a row of ifs finds it).
    """

    def __init__(
        self,
        names: Mapping[str, int],
        *,
        also: Mapping[str, int] | None = None,
        fold: bool = False,
        abbreviated: bool = False,
    ) -> None:
        self.names = dict(names)
        self.fold = fold or abbreviated
        self.abbreviated = abbreviated
        self.bits = {self._key(k): v for k, v in {**names, **(also or {})}.items()}

    def _key(self, word: str) -> str:
        return word.upper() if self.fold else word

    def read_word(self, word: str, family: int) -> int:  # noqa: ARG002
        mask = 0
        for name in word.split(","):
            bit = self.bit(self._key(name))
            if bit is None:
                raise Unreadable(f"{name!r} is none of {', '.join(self.names)}")
            mask |= bit
        return mask

    def bit(self, key: str) -> int | None:
        """The bit of one word, or None where it is not known."""
        if self.abbreviated and key:
            return next((bit for name, bit in self.bits.items() if name.startswith(key)), None)
        return self.bits.get(key)

    def listed(self, value: int) -> list[str]:
        """The words of the bits that are set."""
        return [name for name, bit in self.names.items() if bit and value & bit == bit]

    def show(self, value: int) -> str:
        return ",".join(self.listed(value))

    def say(self, value: int) -> str:
        return either(self.listed(value))

    def values(self, value: int) -> Values | None:
        return AnyBit(value)


class ProtocolNumber(ValueType[int]):
    """A protocol by name or number; ``all`` and 0 mean every one."""

    def read_word(self, word: str, family: int) -> int:  # noqa: ARG002
        found = protocols.NUMBERS.get(word.lower())
        if found is not None:
            return found
        try:
            return number(word, 0, 255)
        except Unreadable:
            raise Unreadable(f"I do not know the protocol {word!r}", "write its number") from None

    def show(self, value: int) -> str:
        return protocols.protocol_name(value)

    def values(self, value: int) -> Values | None:
        return Intervals(((value, value),))


# -- addresses --------------------------------------------------------------------------------------------

FLAG = Flag()
AnyType = ValueType[Any]
