"""Matches that remember packets or toss a coin: recent and statistic."""

import re
from collections.abc import Sequence
from typing import Annotated, Any

from ruleflow.ruleset.addresses import address_number, address_text, full_mask
from ruleflow.ruleset.condition import Condition, Never, Undecided
from ruleflow.ruleset.extension import Extension, Match, Maybe, Option, option
from ruleflow.ruleset.values import Choice, Not, Number, Text, Unreadable, ValueType

# -- recent -----------------------------------------------------------------------------------------------

_OPERATIONS = ("set", "rcheck", "update", "remove")


class HostAddress(ValueType[str]):
    """One address, kept as it is printed."""

    def read_word(self, word: str, family: int) -> str:
        return address_text(address_number(word, family), family)


def _operation(attr: str, says: str, says_not: str) -> Option:
    others = tuple(other for other in _OPERATIONS if other != attr)
    return option(f"--{attr}", excludes=others, says=says, says_not=says_not)


class Recent(Match, frozen=True, gc=False):
    """Whether an address is on a list of those seen lately (extensions/libxt_recent.c; recent_mt, net/netfilter/xt_recent.c).

    ``--set`` puts the address on the list and so always holds; ``--remove`` strikes it off where it stands.
    """

    name = "recent"

    set: Annotated[Maybe[bool], _operation("set", "noting it", "never, but noting it")] = None
    rcheck: Annotated[Maybe[bool], _operation("rcheck", "seen before", "not seen before")] = None
    update: Annotated[Maybe[bool], _operation("update", "seen before", "not seen before")] = None
    remove: Annotated[Maybe[bool], _operation("remove", "seen before", "not seen before")] = None
    seconds: Annotated[int | None, option("--seconds", type=Number(1), negatable=False)] = None
    reap: Annotated[bool | None, option("--reap", negatable=False)] = None
    hitcount: Annotated[
        int | None, option("--hitcount", type=Number(0, 65535), negatable=False, hidden=0)
    ] = None
    same_ttl: Annotated[bool | None, option("--rttl", negatable=False, excludes=("set", "remove"))] = None
    list_name: Annotated[str | None, option("--name", type=Text(quoted=False), negatable=False)] = None
    mask: Annotated[str | None, option("--mask", type=HostAddress(), negatable=False)] = None
    by_source: Annotated[bool | None, option("--rsource", negatable=False)] = None
    by_destination: Annotated[bool | None, option("--rdest", negatable=False)] = None

    @classmethod
    def read(cls, given: Sequence[tuple[Option, bool, tuple[str, ...]]], family: int) -> Extension:
        """As the rows say; of ``--rsource`` and ``--rdest`` the last one counts."""
        sides = [
            place for place, (row, _, _) in enumerate(given) if row.attr in ("by_source", "by_destination")
        ]
        once = {given[place][0].attr for place in sides}
        dropped = sides[:-1] if len(once) == len(sides) else []
        return super().read([one for place, one in enumerate(given) if place not in dropped], family)

    @classmethod
    def check(cls, values: dict[str, Any], family: int) -> None:
        """Refuse what tool and kernel refuse (recent_mt_check); fill in list, mask and side, which are always printed."""
        super().check(values, family)
        if not any(attr in values for attr in _OPERATIONS):
            raise Unreadable("recent needs one of --set, --rcheck, --update and --remove")
        if "reap" in values and "seconds" not in values:
            raise Unreadable("--reap needs --seconds")
        looks = "rcheck" in values or "update" in values
        if not looks and ("seconds" in values or values.get("hitcount")):
            raise Unreadable("--seconds and --hitcount are for --rcheck and --update only")
        values["list_name"] = values.get("list_name", "DEFAULT")[:199]
        if not values["list_name"] or "/" in values["list_name"]:
            raise Unreadable(
                "--name needs a name without a slash", "it becomes a file in /proc/net/xt_recent"
            )
        values.setdefault("mask", address_text(full_mask(family), family))
        if "by_destination" not in values:
            values["by_source"] = True

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        """One phrase: what is asked of the list."""
        attr = next(attr for attr in _OPERATIONS if getattr(self, attr) is not None)
        return ((self.row(attr), self._sentence(attr, negated=isinstance(getattr(self, attr), Not))),)

    def _sentence(self, attr: str, *, negated: bool) -> str:
        side = "destination" if self.by_destination else "source"
        if attr == "set":
            return f'{"never, but " if negated else ""}noting its {side} on the list "{self.list_name}"'
        times = f" at least {self.hitcount} times" if self.hitcount else ""
        within = f" in the last {self.seconds} s" if self.seconds else ""
        also = {"rcheck": "", "update": ", which notes it again", "remove": ", which strikes it off"}[attr]
        was = "was not" if negated else "was"
        return f'whose {side} {was} seen{times}{within or ("" if times else " before")} (list "{self.list_name}"){also}'

    def conditions(self) -> tuple[Condition, ...]:
        """``--set`` always holds; the rest depends on the packets before."""
        if self.set is not None:
            return (Never(str(self)),) if isinstance(self.set, Not) else ()
        return (Undecided(str(self), memory=True),)


# -- statistic --------------------------------------------------------------------------------------------

_WHOLE = 0x80000000  # a probability of 1, <linux/netfilter/xt_statistic.h>
_RANDOM, _NTH = 0, 1
_DECIMAL = re.compile(r"\s*\+?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)


class Probability(ValueType[int]):
    """A number from 0 to 1, kept in parts of 2³¹ and printed with eleven decimals."""

    def read_word(self, word: str, family: int) -> int:  # noqa: ARG002
        if not _DECIMAL.fullmatch(word) or float(word) > 1:
            raise Unreadable(f"{word!r} is no probability", "write a number from 0 to 1")
        return int(_WHOLE * float(word) + 0.5)

    def show(self, value: int) -> str:
        return f"{value / _WHOLE:.11f}"

    def say(self, value: int) -> str:
        return f"{100 * value / _WHOLE:.4g}%"


class Statistic(Match, frozen=True, gc=False):
    """One packet in so many, by chance or by turns (extensions/libxt_statistic.c; statistic_mt, net/netfilter/xt_statistic.c)."""

    name = "statistic"

    mode: Annotated[
        int | None,
        option("--mode", type=Choice({"random": _RANDOM, "nth": _NTH}), negatable=False, mandatory=True),
    ] = None
    probability: Annotated[
        Maybe[int],
        option(
            "--probability", type=Probability(), excludes=("every", "packet"),
            says="{} of the packets, at random", says_not="all packets but {}, at random",
        ),
    ] = None  # fmt: skip
    every: Annotated[
        Maybe[int],
        option(
            "--every",
            type=Number(1),
            says="one packet in {}, by turns",
            says_not="all packets but one in {}, by turns",
        ),
    ] = None
    packet: Annotated[int | None, option("--packet", type=Number(), negatable=False)] = None

    @classmethod
    def check(cls, values: dict[str, Any], family: int) -> None:
        """Each mode needs its own options (statistic_check)."""
        super().check(values, family)
        if ("every" in values) != ("packet" in values):
            raise Unreadable("--every and --packet go together")
        if values["mode"] == _RANDOM and "probability" not in values:
            raise Unreadable("--mode random needs --probability")
        if values["mode"] == _NTH and "every" not in values:
            raise Unreadable("--mode nth needs --every and --packet")
        every = values.get("every")
        if every is not None and values["packet"] >= (every.value if isinstance(every, Not) else every):
            raise Unreadable("--packet must be smaller than --every", "it counts from 0")

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        """One phrase: the share of the packets."""
        attr = "probability" if self.mode == _RANDOM else "every"
        row = self.row(attr)
        return ((row, row.say(getattr(self, attr))),)

    def conditions(self) -> tuple[Condition, ...]:
        """Chance decides, but not where the share is nothing or everything."""
        value = self.probability if self.mode == _RANDOM else self.every
        negated = isinstance(value, Not)
        count = value.value if isinstance(value, Not) else value
        assert count is not None
        share = count / _WHOLE if self.mode == _RANDOM else 1 / count
        holds = 1 - share if negated else share
        if holds in (0, 1):
            return (Never(str(self)),) if holds == 0 else ()
        return (Undecided(str(self), memory=True, probability=holds),)
