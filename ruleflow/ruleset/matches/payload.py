"""Matches that look into a packet's bytes: string, u32, bpf, osf.

What they ask is almost never known of a packet, so their conditions are undecided. A negated one is the
negation of the same condition: both have the same text.
"""

import re
from collections.abc import Generator, Sequence
from typing import Annotated, Any

import msgspec

from ruleflow.ruleset.condition import Condition, Undecided
from ruleflow.ruleset.extension import Match, Maybe, Option, option
from ruleflow.ruleset.values import Not, Number, Text, Unreadable, ValueType, number

# -- string -----------------------------------------------------------------------------------------------

_LONGEST_PATTERN = 128  # XT_STRING_MAX_PATTERN_SIZE, <linux/netfilter/xt_string.h>
_ALGORITHMS = ("bm", "kmp")


class Pattern(msgspec.Struct, frozen=True):
    """The bytes looked for."""

    data: bytes

    @property
    def printable(self) -> bool:
        """Whether it is printed as text: only printable ASCII, no backslash at the end (is_hex_string)."""
        return all(32 <= byte < 127 for byte in self.data) and not self.data.endswith(b"\\")


class PlainPattern(ValueType[Pattern]):
    """``--string``: the word's own bytes."""

    def read_word(self, word: str, family: int) -> Pattern:  # noqa: ARG002
        data = word.encode("utf-8", "surrogateescape")
        if not 0 < len(data) <= _LONGEST_PATTERN:
            raise Unreadable(f"a pattern has 1 to {_LONGEST_PATTERN} bytes, this one {len(data)}")
        return Pattern(data)

    def show(self, value: Pattern) -> str:
        if not value.printable:
            return f'"|{value.data.hex()}|"'
        escaped = re.sub(r'(["\\])', r"\\\1", value.data.decode("ascii"))
        return f'"{escaped}"'

    def say(self, value: Pattern) -> str:
        return f'"{value.data.decode("ascii")}"' if value.printable else f"the bytes {value.data.hex(' ')}"


class HexPattern(PlainPattern):
    r"""``--hex-string``: text with bytes in hexadecimal between bars, ``\`` before a character that stands for itself."""

    def read_word(self, word: str, family: int) -> Pattern:  # noqa: ARG002
        data = bytes(_hex_bytes(word.encode("utf-8", "surrogateescape")))
        if not 0 < len(data) <= _LONGEST_PATTERN:
            raise Unreadable(f"a pattern has 1 to {_LONGEST_PATTERN} bytes, this one {len(data)}")
        return Pattern(data)


def _hex_bytes(text: bytes) -> Generator[int, None, None]:
    """The bytes that a ``--hex-string`` stands for (parse_hex_string of libxt_string.c). Raises `Unreadable`."""
    at, in_hex = 0, False
    while at < len(text):
        bar = text[at : at + 1] == b"|"
        if bar:  # what follows it is taken as it is, a second bar too
            in_hex = not in_hex
            at += 1
            while in_hex and text[at : at + 1] == b" ":
                at += 1
            if at >= len(text):
                return
        if in_hex:
            at = yield from _hex_pair(text, at)
        elif text[at : at + 1] == b"\\" and not bar:
            if at + 1 >= len(text):
                raise Unreadable("a backslash stands at the end of the pattern")
            yield text[at + 1]
            at += 2
        else:
            yield text[at]
            at += 1


def _hex_pair(text: bytes, at: int) -> Generator[int, None, int]:
    pair = text[at : at + 2]
    if not re.fullmatch(rb"[0-9a-fA-F]{2}", pair) or at + 2 >= len(text):
        raise Unreadable(
            "the bytes between the bars are no pairs of hexadecimal digits", "write it like |0d 0a|"
        )
    yield int(pair, 16)
    return at + (3 if text[at + 2 : at + 3] == b" " else 2)


class String(Match, frozen=True, gc=False):
    """Bytes anywhere in the packet from its IP header on (extensions/libxt_string.c; string_mt, net/netfilter/xt_string.c).

    ``--from`` and ``--to`` bound where they may begin.
    """

    name = "string"

    pattern: Annotated[
        Maybe[Pattern], option("--string", type=PlainPattern(), says="holding {}", says_not="not holding {}")
    ] = None
    algorithm: Annotated[
        str | None, option("--algo", type=Text(15, quoted=False), negatable=False, mandatory=True, says="")
    ] = None
    first: Annotated[
        int | None, option("--from", type=Number(0, 65535), negatable=False, hidden=0, says="from byte {} on")
    ] = None
    last: Annotated[
        int | None, option("--to", type=Number(0, 65535), negatable=False, hidden=65535, says="up to byte {}")
    ] = None
    any_case: Annotated[bool | None, option("--icase", negatable=False, says="in capitals or not")] = None
    spellings = (option("--hex-string", type=HexPattern(), into="pattern"),)

    @classmethod
    def check(cls, values: dict[str, Any], family: int) -> None:
        """A pattern is needed, and the kernel must know the algorithm and search forwards."""
        super().check(values, family)
        if "pattern" not in values:
            raise Unreadable("string needs --string or --hex-string")
        if values["algorithm"] not in _ALGORITHMS:
            raise Unreadable(
                f"the kernel has no search called {values['algorithm']!r}", "write --algo bm or --algo kmp"
            )
        if values.get("first", 0) > values.get("last", 65535):
            raise Unreadable("--from is beyond --to")

    def show(self) -> str:
        """As iptables-save: what is not printable as ``--hex-string``, everything else in quotes."""
        assert self.pattern is not None
        negated = isinstance(self.pattern, Not)
        pattern = self.pattern.value if isinstance(self.pattern, Not) else self.pattern
        rest = [row.show(value) for row, value in self.given() if row.attr != "pattern"]
        row = self.row("pattern") if pattern.printable else self.spellings[0]
        return " ".join([f"{'! ' if negated else ''}{row.flag} {row.type.show(pattern)}", *rest])

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        """The pattern and where it is looked for; how is nobody's business."""
        return tuple((row, row.say(value)) for row, value in self.given() if row.attr != "algorithm")

    def conditions(self) -> tuple[Condition, ...]:
        """The payload is not known."""
        return (_unknown(self, self.pattern),)


def _unknown(match: Match, value: object) -> Undecided:
    """A condition that nobody can decide; the negated one has the same text and says so."""
    return Undecided(
        str(match).replace("! ", "", 1) if isinstance(value, Not) else str(match),
        negated=isinstance(value, Not),
    )


# -- u32 --------------------------------------------------------------------------------------------------

_MOST_TESTS = 10  # XT_U32_MAXSIZE
_SPACE = r"[ \t\n\v\f\r]*"
_U32_NUMBER = r"(?:0[xX][0-9a-fA-F]+|\d+)"
_PLACE = re.compile(rf"{_SPACE}(?:(&|<<|>>|@){_SPACE})?({_U32_NUMBER}){_SPACE}", re.ASCII)
_ALLOWED = re.compile(rf"{_SPACE}({_U32_NUMBER}){_SPACE}(?::{_SPACE}({_U32_NUMBER}){_SPACE})?", re.ASCII)


class U32Test(msgspec.Struct, frozen=True):
    """A number computed from the packet, as operators and operands, and the ranges it may lie in."""

    place: tuple[tuple[str, int], ...]
    ranges: tuple[tuple[int, int], ...]

    def __str__(self) -> str:
        place = "".join(f"{operator}0x{operand:x}" for operator, operand in self.place)
        ranges = ",".join(
            f"0x{low:x}" if low == high else f"0x{low:x}:0x{high:x}" for low, high in self.ranges
        )
        return f"{place}={ranges}"


class U32Tests(ValueType[tuple[U32Test, ...]]):
    """``location=ranges [&& …]``, printed in hexadecimal and in quotes (u32_parse, u32_dump of libxt_u32.c)."""

    def read_word(self, word: str, family: int) -> tuple[U32Test, ...]:  # noqa: ARG002
        parts = word.split("&&")
        if len(parts) > _MOST_TESTS:
            raise Unreadable(f"at most {_MOST_TESTS} tests can be joined by &&")
        return tuple(_u32_test(part) for part in parts)

    def show(self, value: tuple[U32Test, ...]) -> str:
        return '"' + "&&".join(map(str, value)) + '"'

    def say(self, value: tuple[U32Test, ...]) -> str:
        return " and ".join(map(str, value))


def _u32_test(text: str) -> U32Test:
    left, equals, right = text.partition("=")
    place = _all(_PLACE, left)
    ranges = [_ALLOWED.fullmatch(part) for part in right.split(",")]
    if not equals or not place or any(one is None for one in ranges):
        raise Unreadable(f"{text.strip()!r} is no u32 test", "write it like 0&0xFFFF=0x100:0x200")
    if any((found[1] is None) != (at == 0) for at, found in enumerate(place)):
        raise Unreadable(f"in {text.strip()!r} an operator must stand between two numbers, and nowhere else")
    if len(place) > _MOST_TESTS or len(ranges) > _MOST_TESTS:
        raise Unreadable(f"a u32 test has at most {_MOST_TESTS} operands and {_MOST_TESTS} ranges")
    return U32Test(
        tuple((found[1] or "", number(found[2])) for found in place),
        tuple((number(one[1]), number(one[2] or one[1])) for one in ranges if one),
    )


def _all(pattern: re.Pattern[str], text: str) -> list[re.Match[str]]:
    """Every match of ``pattern``, one behind the other over the whole text, or none."""
    found: list[re.Match[str]] = []
    at = 0
    while at < len(text):
        one = pattern.match(text, at)
        if one is None:
            return []
        found.append(one)
        at = one.end()
    return found


class U32(Match, frozen=True, gc=False):
    """Four bytes from anywhere in the packet, masked and shifted, are in given ranges (u32_mt, net/netfilter/xt_u32.c)."""

    name = "u32"

    tests: Annotated[
        Maybe[tuple[U32Test, ...]],
        option(
            "--u32",
            type=U32Tests(),
            mandatory=True,
            says="whose bytes meet {}",
            says_not="whose bytes do not meet {}",
        ),
    ] = None

    def conditions(self) -> tuple[Condition, ...]:
        """The bytes are not known."""
        return (_unknown(self, self.tests),)


# -- bpf --------------------------------------------------------------------------------------------------

_LONGEST_PROGRAM = 64  # XT_BPF_MAX_NUM_INSTR
_INSTRUCTION = re.compile(r"\s*(\d{1,20})\s+(\d{1,20})\s+(\d{1,20})\s+(\d{1,20})\s*", re.ASCII)


class Bytecode(ValueType[tuple[tuple[int, int, int, int], ...]]):
    """``length,code jt jf k,…``: a program of the classic packet filter (bpf_parse_string of libxt_bpf.c)."""

    def read_word(self, word: str, family: int) -> tuple[tuple[int, int, int, int], ...]:  # noqa: ARG002
        length, _, rest = word.partition(",")
        parts = rest.removesuffix(",").split(",")
        found = [_INSTRUCTION.match(part) for part in parts]
        if not re.fullmatch(r"\s*\d{1,9}", length, re.ASCII) or any(one is None for one in found):
            raise Unreadable(
                f"{word!r} is no packet filter program", "write it like 4,48 0 0 9,21 0 1 6,6 0 0 1,6 0 0 0"
            )
        if int(length) != len(found) or not 0 < len(found) <= _LONGEST_PROGRAM:
            raise Unreadable(
                f"the program says it has {length} instructions and has {len(found)}, of at most 64"
            )
        return tuple(_instruction(one.groups()) for one in found if one)

    def show(self, value: tuple[tuple[int, int, int, int], ...]) -> str:
        lines = ",".join(" ".join(map(str, one)) for one in value)
        return f'"{len(value)},{lines}"'

    def say(self, value: tuple[tuple[int, int, int, int], ...]) -> str:
        return f"a packet filter program ({len(value)} instruction{'' if len(value) == 1 else 's'})"


def _instruction(words: Sequence[str]) -> tuple[int, int, int, int]:
    """The four numbers, cut to the widths of struct sock_filter as sscanf cuts them."""
    code, true, false, operand = map(int, words)
    return code & 0xFFFF, true & 0xFF, false & 0xFF, operand & 0xFFFFFFFF


class Bpf(Match, frozen=True, gc=False):
    """A packet filter program holds for the packet (extensions/libxt_bpf.c; bpf_mt, net/netfilter/xt_bpf.c)."""

    name = "bpf"

    bytecode: Annotated[
        tuple[tuple[int, int, int, int], ...] | None,
        option("--bytecode", type=Bytecode(), negatable=False, excludes=("pinned",), says="accepted by {}"),
    ] = None
    pinned: Annotated[
        str | None,
        option(
            "--object-pinned",
            type=Text(511, quoted=False),
            negatable=False,
            says="accepted by the BPF program pinned at {}",
        ),
    ] = None

    @classmethod
    def check(cls, values: dict[str, Any], family: int) -> None:
        """One program must be given."""
        super().check(values, family)
        if not values:
            raise Unreadable("bpf needs --bytecode or --object-pinned")

    def conditions(self) -> tuple[Condition, ...]:
        """What the program reads is not known."""
        return (Undecided(str(self)),)


# -- osf --------------------------------------------------------------------------------------------------


class Osf(Match, frozen=True, gc=False):
    """The operating system of the sender, guessed from its SYN (extensions/libxt_osf.c; net/netfilter/xt_osf.c).

    Which system it is follows from fingerprints loaded on the host.
    """

    name = "osf"
    families = (4,)
    hooks = ("PREROUTING", "INPUT", "FORWARD")
    picky = True

    genre: Annotated[
        Maybe[str],
        option(
            "--genre", type=Text(quoted=False), mandatory=True,
            says="sent by a system that looks like {}", says_not="sent by a system that does not look like {}",
        ),
    ] = None  # fmt: skip
    ttl: Annotated[int | None, option("--ttl", type=Number(0, 2), negatable=False, says="")] = None
    log: Annotated[int | None, option("--log", type=Number(0, 2), negatable=False, says="")] = None

    @classmethod
    def check(cls, values: dict[str, Any], family: int) -> None:
        """A name is cut to what the kernel holds."""
        super().check(values, family)
        genre = values["genre"]
        values["genre"] = Not(genre.value[:31]) if isinstance(genre, Not) else genre[:31]

    def misfit(self, protocol: Maybe[int], matches: Sequence[Match]) -> str | None:  # noqa: ARG002
        return None if protocol == 6 else "-m osf needs -p tcp"

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        """Only the system."""
        row = self.row("genre")
        return ((row, row.say(self.genre)),)

    def conditions(self) -> tuple[Condition, ...]:
        """The fingerprints are not known."""
        return (_unknown(self, self.genre),)
