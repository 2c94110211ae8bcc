"""The set match: whether addresses, ports, interfaces of the packet are in an ipset."""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from ruleflow.ruleset.condition import Condition, Derived, Undecided
from ruleflow.ruleset.extension import Match, Maybe, Option, option
from ruleflow.ruleset.values import Not, Number, Unreadable, ValueType


class SetLookup(msgspec.Struct, frozen=True):
    """A set's name, and for each of its dimensions whether the packet's source or destination is looked up."""

    name: str
    directions: tuple[str, ...]


class SetReference(ValueType[SetLookup]):
    """``NAME src,dst,…``, at most 31 bytes and six directions (extensions/libxt_set.h, IPSET_DIM_MAX)."""

    words = 2

    def read(self, words: Sequence[str], family: int) -> SetLookup:  # noqa: ARG002
        name, listed = words
        if len(name.encode("utf-8", "surrogateescape")) > 31:
            raise Unreadable(f"the set name {name!r} is longer than 31 bytes")
        directions = tuple(word[:3] for word in listed.split(","))
        if not set(directions) <= {"src", "dst"}:
            raise Unreadable(
                f"{listed!r} is no list of src and dst", "write a direction for each dimension: src,dst"
            )
        if len(directions) > 6:
            raise Unreadable("a set has at most 6 dimensions")
        return SetLookup(name, directions)

    def show(self, value: SetLookup) -> str:
        return f"{value.name} {','.join(value.directions)}"

    def say(self, value: SetLookup) -> str:
        sides = {"src": "source", "dst": "destination"}
        looked_up = list(dict.fromkeys(sides[direction] for direction in value.directions))
        return f"{' and '.join(looked_up)} in the set {value.name}"


_COUNTER = Number(0, 2**64 - 1)
_PACKETS = ("packets_equal", "packets_below", "packets_above")
_BYTES = ("bytes_equal", "bytes_below", "bytes_above")


def _others(group: tuple[str, ...], attr: str) -> tuple[str, ...]:
    return tuple(other for other in group if other != attr)


class Set(Match, frozen=True, gc=False):
    """An ipset holds the packet (set_match_v4, net/netfilter/xt_set.c).

    The fact ``set`` with the arguments ``name``, ``directions`` (src or dst for each dimension of the set, a
    tuple) and ``return_nomatch`` (an entry marked nomatch counts as found). The counters of the entry that is
    found are asked after it, and are not decided. That the match counts is a change of the set, not of the
    packet: ``! --update-counters`` and ``! --update-subcounters`` forbid it.
    """

    name = "set"
    spellings = (option("--set", into="lookup", type=SetReference()),)

    lookup: Annotated[
        Maybe[SetLookup],
        option(
            "--match-set", type=SetReference(), mandatory=True, says="with its {}", says_not="without its {}"
        ),
    ] = None
    return_nomatch: Annotated[
        bool | None, option("--return-nomatch", negatable=False, says="as an entry marked nomatch")
    ] = None
    update_counters: Annotated[
        Maybe[bool],
        option("--update-counters", hidden=True, says="counting it there", says_not="not counting it there"),
    ] = None
    update_subcounters: Annotated[
        Maybe[bool],
        option(
            "--update-subcounters", hidden=True,
            says="counting it in the sets listed there", says_not="not counting it in the sets listed there",
        ),
    ] = None  # fmt: skip
    packets_equal: Annotated[
        Maybe[int],
        option(
            "--packets-eq", type=_COUNTER, excludes=_others(_PACKETS, "packets_equal"),
            says="with exactly {} packets counted there", says_not="with any number of packets but {} counted there",
        ),
    ] = None  # fmt: skip
    packets_below: Annotated[
        int | None,
        option(
            "--packets-lt", type=_COUNTER, negatable=False, excludes=_others(_PACKETS, "packets_below"),
            says="with fewer than {} packets counted there",
        ),
    ] = None  # fmt: skip
    packets_above: Annotated[
        int | None,
        option(
            "--packets-gt", type=_COUNTER, negatable=False, excludes=_others(_PACKETS, "packets_above"),
            says="with more than {} packets counted there",
        ),
    ] = None  # fmt: skip
    bytes_equal: Annotated[
        Maybe[int],
        option(
            "--bytes-eq", type=_COUNTER, excludes=_others(_BYTES, "bytes_equal"),
            says="with exactly {} bytes counted there", says_not="with any number of bytes but {} counted there",
        ),
    ] = None  # fmt: skip
    bytes_below: Annotated[
        int | None,
        option(
            "--bytes-lt", type=_COUNTER, negatable=False, excludes=_others(_BYTES, "bytes_below"),
            says="with fewer than {} bytes counted there",
        ),
    ] = None  # fmt: skip
    bytes_above: Annotated[
        int | None,
        option(
            "--bytes-gt", type=_COUNTER, negatable=False, excludes=_others(_BYTES, "bytes_above"),
            says="with more than {} bytes counted there",
        ),
    ] = None  # fmt: skip

    @classmethod
    def merge(cls, row: Option, old: object, new: object) -> object:
        """The flags may be given again; once forbidden, counting stays so."""
        if row.attr in ("update_counters", "update_subcounters"):
            return old if isinstance(old, Not) else new
        return old if row.attr == "return_nomatch" else super().merge(row, old, new)

    def conditions(self) -> tuple[Condition, ...]:
        """Membership is derived; counters remember."""
        lookup = self.lookup.value if isinstance(self.lookup, Not) else self.lookup
        counters = tuple(
            Undecided(row.say(value), memory=True)
            for row, value in self.given()
            if row.attr in (*_PACKETS, *_BYTES)
        )
        if lookup is None:
            return counters
        arguments = (
            ("name", lookup.name), ("directions", lookup.directions), ("return_nomatch", bool(self.return_nomatch)),
        )  # fmt: skip
        text = self.row("lookup").say(self.lookup)
        return (Derived("set", arguments, isinstance(self.lookup, Not), text), *counters)
