"""Matches on the routing header of IPv6: rt and srh."""

from collections.abc import Sequence
from typing import Annotated, Any

from ruleflow.ruleset.addresses import HostMask, Prefix, address_number, address_text
from ruleflow.ruleset.extension import Extension, Maybe, Option, option
from ruleflow.ruleset.matches.ipv6 import InsideHeader
from ruleflow.ruleset.values import Not, Number, NumberRange, Range, Unreadable, ValueType

EVERY = Range(0, 0xFFFFFFFF)
_MOST_HOPS = 16  # IP6T_RT_HOPS


class Hops(ValueType[tuple[int, ...]]):
    """IPv6 addresses parted by commas."""

    def read_word(self, word: str, family: int) -> tuple[int, ...]:
        parts = word.split(",")
        if len(parts) > _MOST_HOPS:
            raise Unreadable(f"at most {_MOST_HOPS} addresses can be listed")
        return tuple(address_number(part, family) for part in parts)

    def show(self, value: tuple[int, ...]) -> str:
        return ",".join(address_text(address, 6) for address in value)

    def say(self, value: tuple[int, ...]) -> str:
        return ", ".join(address_text(address, 6) for address in value)


class RoutingHeader(InsideHeader, frozen=True, gc=False):
    """The routing header (extensions/libip6t_rt.c; rt_mt6, net/ipv6/netfilter/ip6t_rt.c).

    iptables-save prints no ``--rt-segsleft`` for the whole range, and so it is not kept.
    """

    name = "rt"
    families = (6,)
    header = 43
    words = "a routing header"

    type: Annotated[
        Maybe[int], option("--rt-type", type=Number(), says="of type {}", says_not="of any type but {}")
    ] = None
    segments_left: Annotated[
        Maybe[Range],
        option(
            "--rt-segsleft", type=NumberRange(ordered=False), hidden=EVERY,
            says="with {} hops to go", says_not="without {} hops to go",
        ),
    ] = None  # fmt: skip
    length: Annotated[
        Maybe[int], option("--rt-len", type=Number(), says="{} bytes long", says_not="not {} bytes long")
    ] = None
    reserved: Annotated[
        bool | None, option("--rt-0-res", negatable=False, says="whose reserved field is set")
    ] = None
    hops: Annotated[
        tuple[int, ...] | None, option("--rt-0-addrs", type=Hops(), negatable=False, says="by way of {}")
    ] = None
    not_strict: Annotated[bool | None, option("--rt-0-not-strict", negatable=False, says="in any place")] = (
        None
    )

    @classmethod
    def read(cls, given: Sequence[tuple[Option, bool, tuple[str, ...]]], family: int) -> Extension:
        """What is only of type 0 stands behind ``--rt-type 0``, as the tool demands."""
        seen: set[str] = set()
        for row, negated, words in given:
            if row.attr in ("reserved", "hops") and "type 0" not in seen:
                raise Unreadable(f"{row.flag} needs --rt-type 0 before it")
            if row.attr == "not_strict" and "hops" not in seen:
                raise Unreadable(f"{row.flag} needs --rt-0-addrs before it")
            plain = row.attr == "type" and not negated and row.type.read(words, family) == 0
            seen.add("type 0" if plain else row.attr)
        return super().read(given, family)

    @classmethod
    def check(cls, values: dict[str, Any], family: int) -> None:
        """Drop what iptables-save does not print."""
        super().check(values, family)
        if values.get("segments_left") == Not(EVERY):
            del values["segments_left"]


class SegmentMask(HostMask):
    """An address with a prefix length that is always printed."""

    def show(self, value: Prefix) -> str:
        return str(value)


def _byte(flag: str, says: str) -> Option:
    return option(f"--srh-{flag}", type=Number(0, 255), says=f"with {says}", says_not=f"without {says}")


def _segment(flag: str, says: str) -> Option:
    return option(
        f"--srh-{flag}", type=SegmentMask(), says=f"{says} {{}}", says_not=f"{says} anything but {{}}"
    )


_SHARED = (
    ("length_is", "length_above", "length_below"),
    ("left_is", "left_above", "left_below"),
    ("last_is", "last_above", "last_below"),
)


class SegmentRouting(InsideHeader, frozen=True, gc=False):
    """The segment routing header (extensions/libip6t_srh.c, revision 1; srh1_mt6, net/ipv6/netfilter/ip6t_srh.c).

    The comparisons of one number share its bound: the one written last holds for all of them.
    """

    name = "srh"
    families = (6,)
    header = 43
    words = "a segment routing header"

    next_header: Annotated[Maybe[int], _byte("next-hdr", "next header {}")] = None
    length_is: Annotated[Maybe[int], _byte("hdr-len-eq", "header length {}")] = None
    length_above: Annotated[Maybe[int], _byte("hdr-len-gt", "header length above {}")] = None
    length_below: Annotated[Maybe[int], _byte("hdr-len-lt", "header length below {}")] = None
    left_is: Annotated[Maybe[int], _byte("segs-left-eq", "{} segments left")] = None
    left_above: Annotated[Maybe[int], _byte("segs-left-gt", "more than {} segments left")] = None
    left_below: Annotated[Maybe[int], _byte("segs-left-lt", "fewer than {} segments left")] = None
    last_is: Annotated[Maybe[int], _byte("last-entry-eq", "last entry {}")] = None
    last_above: Annotated[Maybe[int], _byte("last-entry-gt", "last entry above {}")] = None
    last_below: Annotated[Maybe[int], _byte("last-entry-lt", "last entry below {}")] = None
    tag: Annotated[
        Maybe[int], option("--srh-tag", type=Number(0, 65535), says="with tag {}", says_not="without tag {}")
    ] = None
    previous: Annotated[Maybe[Prefix], _segment("psid", "with the previous segment")] = None
    following: Annotated[Maybe[Prefix], _segment("nsid", "with the next segment")] = None
    final: Annotated[Maybe[Prefix], _segment("lsid", "with the last segment")] = None

    @classmethod
    def read(cls, given: Sequence[tuple[Option, bool, tuple[str, ...]]], family: int) -> Extension:
        """As the rows say, with one bound for each number."""
        bounds = {
            attr: words for row, _, words in given for group in _SHARED if row.attr in group for attr in group
        }
        shared = [(row, negated, bounds.get(row.attr, words)) for row, negated, words in given]
        return super().read(shared, family)
