"""Matches on what has been counted so far: quota, nfacct, rateest."""

import re
from collections.abc import Sequence
from typing import Annotated, Any

from ruleflow.ruleset.condition import Condition, Never, Undecided
from ruleflow.ruleset.extension import Match, Maybe, Option, option
from ruleflow.ruleset.values import Not, Number, Text, Unreadable, ValueType, number

# -- quota ------------------------------------------------------------------------------------------------


class Quota(Match, frozen=True, gc=False):
    """So many bytes, and then no more (extensions/libxt_quota.c; quota_mt, net/netfilter/xt_quota.c)."""

    name = "quota"

    quota: Annotated[
        Maybe[int],
        option(
            "--quota", type=Number(0, 0xFFFFFFFFFFFFFFFF), mandatory=True,
            says="within the first {} bytes", says_not="after the first {} bytes",
        ),
    ] = None  # fmt: skip

    def conditions(self) -> tuple[Condition, ...]:
        """How much is left depends on the packets before; of nothing, nothing is."""
        if self.quota == 0:
            return (Never(str(self)),)
        return () if self.quota == Not(0) else (Undecided(str(self), memory=True),)


# -- nfacct -----------------------------------------------------------------------------------------------


class Nfacct(Match, frozen=True, gc=False):
    """Count the packet in an accounting object (extensions/libxt_nfacct.c; nfacct_mt, net/netfilter/xt_nfacct.c).

    It always holds, unless the object has a quota that is not used up: the dump does not show it.
    """

    name = "nfacct"

    object_name: Annotated[
        str | None,
        option("--nfacct-name", type=Text(), negatable=False, mandatory=True, says="counted in {}"),
    ] = None

    @classmethod
    def check(cls, values: dict[str, Any], family: int) -> None:
        """A name is not empty and is cut to what the kernel holds."""
        super().check(values, family)
        if not values["object_name"] or "\n" in values["object_name"]:
            raise Unreadable("--nfacct-name needs a name on one line")
        values["object_name"] = values["object_name"][:31]

    def conditions(self) -> tuple[Condition, ...]:
        """Whether the object has a quota is not known."""
        return (Undecided(str(self), memory=True),)


# -- rateest ----------------------------------------------------------------------------------------------

_BITS = {
    "bit": 1, "kibit": 1024, "kbit": 1000, "mibit": 1024**2, "mbit": 1000**2, "gibit": 1024**3, "gbit": 1000**3,
    "tibit": 1024**4, "tbit": 1000**4, "bps": 8, "kibps": 8 * 1024, "kbps": 8000, "mibps": 8 * 1024**2,
    "mbps": 8 * 1000**2, "gibps": 8 * 1024**3, "gbps": 8 * 1000**3, "tibps": 8 * 1024**4, "tbps": 8 * 1000**4, "": 1,
}  # fmt: skip
_RATE = re.compile(r"\s*(\d{1,30}(?:\.\d*)?|\.\d+)([A-Za-z]*)", re.ASCII)


class BitRate(ValueType[int]):
    """A rate such as ``10mbit`` or ``2MBps``, kept in bytes a second as it will be printed; it may be left out."""

    wide = True

    def read(self, words: Sequence[str], family: int) -> int:
        return self.read_word(words[0], family) if words else 0

    def read_word(self, word: str, family: int) -> int:  # noqa: ARG002
        once = self._bytes(word)
        return self._bytes(self.show(once))

    def _bytes(self, word: str) -> int:
        found = _RATE.fullmatch(word)
        scale = _BITS.get(found[2].lower()) if found else None
        if found is None or scale is None:
            raise Unreadable(f"{word!r} is not a rate", "write it like 10mbit")
        rate = int(float(found[1]) * scale / 8)
        if rate > 0xFFFFFFFF:
            raise Unreadable(f"the rate {word} is too high")
        return rate

    def show(self, value: int) -> str:
        bits = value * 8
        if bits >= 1000**3:
            return f"{bits / 1000**2:.0f}Mbit"
        return f"{bits / 1000:.0f}Kbit" if bits >= 1000**2 else f"{bits}bit"


class PacketRate(ValueType[int]):
    """Packets a second; the number may be left out."""

    wide = True

    def read(self, words: Sequence[str], family: int) -> int:  # noqa: ARG002
        return number(words[0]) if words else 0


class Rateest(Match, frozen=True, gc=False):
    """A measured rate against a bound or another one (extensions/libxt_rateest.c; xt_rateest_mt, net/netfilter/xt_rateest.c).

    The estimators are filled by ``-j RATEEST``. Bound and comparison print in this order for bytes, then for
    packets; what a comparison does not use is not kept.
    """

    name = "rateest"

    delta: Annotated[bool | None, option("--rateest-delta", negatable=False)] = None
    first: Annotated[
        str | None, option("--rateest1", "--rateest", type=Text(quoted=False), negatable=False)
    ] = None
    second: Annotated[str | None, option("--rateest2", type=Text(quoted=False), negatable=False)] = None
    bps1: Annotated[int | None, option("--rateest-bps1", type=BitRate(), negatable=False)] = None
    bps2: Annotated[
        int | None, option("--rateest-bps2", "--rateest-bps", type=BitRate(), negatable=False)
    ] = None
    pps1: Annotated[int | None, option("--rateest-pps1", type=PacketRate(), negatable=False)] = None
    pps2: Annotated[
        int | None, option("--rateest-pps2", "--rateest-pps", type=PacketRate(), negatable=False)
    ] = None
    less: Annotated[Maybe[bool], option("--rateest-lt", excludes=("more", "equal"))] = None
    more: Annotated[Maybe[bool], option("--rateest-gt", excludes=("equal",))] = None
    equal: Annotated[Maybe[bool], option("--rateest-eq")] = None

    @classmethod
    def merge(cls, row: Option, old: object, new: object) -> object:
        """Where bytes and packets are asked, iptables-save prints the comparison twice; so it is read."""
        if row.attr in ("less", "more", "equal") and old == new:
            return old
        return super().merge(row, old, new)

    @classmethod
    def check(cls, values: dict[str, Any], family: int) -> None:
        """Refuse what the kernel refuses (xt_rateest_mt_checkentry) and drop what is not printed."""
        super().check(values, family)
        if not any(attr in values for attr in ("less", "more", "equal")):
            raise Unreadable("rateest needs --rateest-lt, --rateest-gt or --rateest-eq")
        kinds = [kind for kind in ("bps", "pps") if f"{kind}1" in values or f"{kind}2" in values]
        if not kinds or "first" not in values:
            raise Unreadable(
                "rateest needs an estimator and a rate",
                "write --rateest NAME and --rateest-bps or --rateest-pps",
            )
        for kind in kinds:
            first, second = values.pop(f"{kind}1", 0), values.pop(f"{kind}2", 0)
            values[f"{kind}2"] = second if "delta" in values or "second" not in values else 0
            if "delta" in values:
                values[f"{kind}1"] = first
        for attr in ("first", "second"):
            if attr in values:
                values[attr] = values[attr][:15]

    def show(self) -> str:
        """In the order of rateest_save."""
        names = ("--rateest1", "--rateest2") if self.second is not None else ("--rateest", "")
        head = ["--rateest-delta"] if self.delta else []
        rates = [self._rate(kind) for kind in ("bps", "pps") if getattr(self, f"{kind}2") is not None]
        tail = [f"{names[1]} {self.second}"] if self.second is not None else []
        return " ".join([*head, f"{names[0]} {self.first}", *rates, *tail])

    def _rate(self, kind: str) -> str:
        row, value = self._comparison()
        one, two = (self.row(f"{kind}{end}") for end in (1, 2))
        bound = f" {two.type.show(getattr(self, two.attr))}" if self.delta or self.second is None else ""
        if self.delta:
            return f"{one.flag} {one.type.show(getattr(self, one.attr))} {row.show(value)} {two.flag}{bound}"
        return f"{row.show(value)} --rateest-{kind}{bound}"

    def _comparison(self) -> tuple[Option, Maybe[bool]]:
        attr = next(attr for attr in ("less", "more", "equal") if getattr(self, attr) is not None)
        return self.row(attr), getattr(self, attr)

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        """One phrase."""
        row, value = self._comparison()
        words = {"less": "below", "more": "above", "equal": "equal to"}[row.attr]
        other = f'that of "{self.second}"' if self.second is not None else "the bound"
        relation = f"{'not ' if isinstance(value, Not) else ''}{words} {other}"
        bounds = [
            row.type.show(getattr(self, row.attr))
            for row in map(self.row, ("bps2", "pps2"))
            if getattr(self, row.attr)
        ]
        shown = f" ({', '.join(bounds)})" if bounds else ""
        return ((row, f'while the rate of "{self.first}" is {relation}{shown}'),)

    def conditions(self) -> tuple[Condition, ...]:
        """The rates are measured as packets pass."""
        return (Undecided(str(self), memory=True),)
