"""Matches that let so many packets or bytes pass in a time: limit and hashlimit."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from ruleflow.ruleset.addresses import address_number, mask_length
from ruleflow.ruleset.condition import Condition, Undecided
from ruleflow.ruleset.extension import Match, Option, option
from ruleflow.ruleset.values import BitNames, Not, Number, Text, Unreadable, ValueType, number

_SECONDS = {"day": 86400, "hour": 3600, "min": 60, "sec": 1}
_SPOKEN = {"day": "day", "hour": "hour", "min": "minute", "sec": "second"}
_UNIT_WORDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_LEADING = re.compile(r"\s*([-+]?\d{1,30})", re.ASCII)


class Rate(msgspec.Struct, frozen=True):
    """So many packets (or, where ``unit`` ends in ``b/s``, bytes) in a unit of time, as iptables-save prints it."""

    count: int
    unit: str

    def __str__(self) -> str:
        return f"{self.count}{self.unit}" if self.unit.endswith("b/s") else f"{self.count}/{self.unit}"

    def words(self) -> str:
        """The rate in words: ``3 a minute``."""
        if self.unit.endswith("b/s"):
            size = {"b/s": "bytes", "kb/s": "kilobytes", "mb/s": "megabytes"}[self.unit]
            return f"{self.count} {size} a second"
        return f"{self.count} a{'n' if self.unit == 'hour' else ''} {_SPOKEN[self.unit]}"


class Cost(msgspec.Struct, frozen=True):
    """A rate as it was written: what one packet costs in the kernel's credit, and the unit's seconds."""

    cost: int
    seconds: int
    in_bytes: bool = False


def leading_number(text: str) -> int:
    """The number a text begins with, 0 where it begins with none (atoi); no rate has more than 30 digits."""
    found = _LEADING.match(text)
    return int(found[1]) if found else 0


def parse_rate(text: str, scale: int, bits: int) -> Cost:
    """``N[/second|/minute|/hour|/day]``, the unit cut off anywhere. Raises `Unreadable`.

    The cost is the whole quotient of unit by rate at ``scale`` parts a second (parse_rate of libxt_limit.c).
    """
    count, slash, unit = text.partition("/")
    seconds = next((n for word, n in _UNIT_WORDS.items() if unit and word.startswith(unit.lower())), 0)
    if slash and not seconds:
        raise Unreadable(f"{text!r} is not a rate", "write it like 3/minute")
    rate = leading_number(count) % (1 << bits)
    if rate == 0:
        raise Unreadable(f"{text!r} is not a rate", "write it like 3/minute")
    cost = scale * (seconds or 1) // rate
    if cost == 0:
        raise Unreadable(f"the rate {text} is too fast", f"at most {scale}/second can be told apart")
    return Cost(cost, seconds or 1)


def rate_of(cost: int, scale: int) -> Rate:
    """A cost as the rate that iptables-save prints for it: in the shortest unit that is exact enough."""
    best = "day"
    for unit in ("hour", "min", "sec"):
        whole = scale * _SECONDS[unit]
        if cost > whole or whole // cost < whole % cost:
            break
        best = unit
    return Rate(scale * _SECONDS[best] // cost, best)


# -- limit ------------------------------------------------------------------------------------------------

_LIMIT_SCALE = 10000  # XT_LIMIT_SCALE, <linux/netfilter/xt_limit.h>


class LimitRate(ValueType[Rate]):
    """A rate in packets. iptables-nft hands it to the kernel as the rate printed, so it is rounded twice."""

    def read_word(self, word: str, family: int) -> Rate:  # noqa: ARG002
        once = rate_of(parse_rate(word, _LIMIT_SCALE, 32).cost, _LIMIT_SCALE)
        return rate_of(_LIMIT_SCALE * _SECONDS[once.unit] // once.count, _LIMIT_SCALE)

    def say(self, value: Rate) -> str:
        return value.words()


class Limit(Match, frozen=True, gc=False):
    """At most so many packets in a time, after a burst (extensions/libxt_limit.c; limit_mt, net/netfilter/xt_limit.c).

    iptables-nft makes a native ``limit`` of it, for which a burst of 0 is the default of 5; the legacy kernel
    refuses that burst.
    """

    name = "limit"

    rate: Annotated[Rate | None, option("--limit", type=LimitRate(), negatable=False, says="at most {}")] = (
        None
    )
    burst: Annotated[
        int | None,
        option("--limit-burst", type=Number(0, 10000), negatable=False, hidden=5, says="after a burst of {}"),
    ] = None

    @classmethod
    def check(cls, values: dict[str, Any], family: int) -> None:
        """Fill in what is left out: three an hour, a burst of five."""
        super().check(values, family)
        values.setdefault("rate", Rate(3, "hour"))
        if values.get("burst") in (0, 5):
            del values["burst"]

    def conditions(self) -> tuple[Condition, ...]:
        """Whether credit is left depends on the packets before."""
        return (Undecided(str(self), memory=True),)


# -- hashlimit --------------------------------------------------------------------------------------------

_HASH_SCALE = 1000000  # XT_HASHLIMIT_SCALE_v2
_BYTE_SHIFT = 4  # XT_HASHLIMIT_BYTE_SHIFT: sixteen bytes are one unit of cost
_U32 = 0xFFFFFFFF
_FACTORS = {"k": 1024, "m": 1024 * 1024}
_SIZES = (("m", 1024 * 1024), ("k", 1024), ("", 1))
_BYTE_EXPIRE, _BYTE_EXPIRE_BURST = 15000, 60000


class Amount(msgspec.Struct, frozen=True):
    """A burst: packets, or bytes in ``unit`` (``b``, ``kb``, ``mb``)."""

    count: int
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.count}{self.unit}"


def _bytes_of(cost: int) -> int:
    return ((_U32 // cost if cost else _U32) - 1) << _BYTE_SHIFT


def _cost_of(count: int) -> int:
    units = ((count >> _BYTE_SHIFT) & _U32) + 1
    return _U32 // units


def _byte_rate(cost: int) -> Rate:
    count = _bytes_of(cost)
    for prefix, size in _SIZES:
        if size == 1 or (count >= size and _cost_of(count & ~(size - 1)) == cost):
            return Rate(count // size, f"{prefix}b/s")
    raise AssertionError("the last size is 1")


class FlowRate(ValueType[Any]):
    """A rate in packets, or in bytes as ``N[k|m]b/s``; read as a `Cost`, kept as a `Rate` (see `Hashlimit.check`)."""

    def read_word(self, word: str, family: int) -> Cost:  # noqa: ARG002
        at = word.find("b/s")
        count = leading_number(word)
        if at <= 0 or count == 0:
            return parse_rate(word, _HASH_SCALE, 64)
        count *= _FACTORS.get(word[at - 1], 1)
        if not 0 < count < 1 << 36:
            raise Unreadable(f"the rate {word} is too high")
        return Cost(_cost_of(count), 15, in_bytes=True)

    def say(self, value: Rate) -> str:
        return value.words()


class Burst(ValueType[Amount]):
    """``N[k|m]b`` in bytes or ``N`` in packets (parse_burst of libxt_hashlimit.c)."""

    def read_word(self, word: str, family: int) -> Amount:  # noqa: ARG002
        digits = re.match(r"\s*\+?(0[xX][0-9a-fA-F]+|\d+)", word, re.ASCII)
        if digits is None:
            raise Unreadable(f"{word!r} is not a number")
        count, rest = number(digits[0], 1, (1 << 64) - 1), word[digits.end() :]
        if not rest and count > 1000000:
            raise Unreadable(f"a burst of {count} is outside 1 to 1000000")
        return Amount(count * _FACTORS.get(rest[:1], 1), "b" if rest else "")


class PrefixLength(ValueType[int]):
    """A prefix length, or the mask in full (xtopt_parse_plen, libxtables/xtoptions.c)."""

    def read_word(self, word: str, family: int) -> int:
        try:
            return number(word, 0, 32 if family == 4 else 128)
        except Unreadable:
            length = mask_length(address_number(word, family), family)
            if length is None:
                raise Unreadable(
                    f"{word} is no prefix length", "the mask's ones must stand together"
                ) from None
            return length


class Interval(ValueType[int]):
    """Seconds above 0, read as atoi reads them."""

    def read_word(self, word: str, family: int) -> int:  # noqa: ARG002
        seconds = leading_number(word)
        if not 0 < seconds < 1 << 31:
            raise Unreadable(f"{word!r} is no number of seconds")
        return seconds


class HashMode(BitNames):
    """What packets are counted together: a list of words parted by commas or ``|``."""

    def read_word(self, word: str, family: int) -> int:
        parts = [part for part in word.replace("|", ",").split(",") if part]
        return super().read_word(",".join(parts), family) if parts else 0


_MODES: Mapping[str, int] = {"srcip": 2, "srcport": 8, "dstip": 1, "dstport": 4}
_MODE_WORDS = {2: "source address", 8: "source port", 1: "destination address", 4: "destination port"}


class Hashlimit(Match, frozen=True, gc=False):
    """At most so many packets or bytes in a time, for each address or port by itself.

    After extensions/libxt_hashlimit.c (revision 3) and hashlimit_mt_common, net/netfilter/xt_hashlimit.c. With
    ``--hashlimit-rate-match`` nothing is kept back: the flow's own rate is measured.
    """

    name = "hashlimit"

    upto: Annotated[
        Rate | None,
        option("--hashlimit-upto", "--hashlimit", type=FlowRate(), excludes=("above",), says="at most {}"),
    ] = None
    above: Annotated[Rate | None, option("--hashlimit-above", type=FlowRate(), says="beyond {}")] = None
    burst: Annotated[
        Amount | None, option("--hashlimit-burst", type=Burst(), negatable=False, says="after a burst of {}")
    ] = None
    mode: Annotated[
        int | None,
        option("--hashlimit-mode", type=HashMode(_MODES), negatable=False, hidden=0, says="for each {}"),
    ] = None
    list_name: Annotated[
        str | None,
        option(
            "--hashlimit-name", type=Text(quoted=False), negatable=False, mandatory=True, says="counted as {}"
        ),
    ] = None
    size: Annotated[
        int | None, option("--hashlimit-htable-size", type=Number(), negatable=False, hidden=0)
    ] = None
    maximum: Annotated[
        int | None, option("--hashlimit-htable-max", type=Number(), negatable=False, hidden=0)
    ] = None
    gc_interval: Annotated[
        int | None, option("--hashlimit-htable-gcinterval", type=Number(1), negatable=False, hidden=1000)
    ] = None
    expire: Annotated[int | None, option("--hashlimit-htable-expire", type=Number(1), negatable=False)] = None
    source_length: Annotated[
        int | None, option("--hashlimit-srcmask", type=PrefixLength(), negatable=False)
    ] = None
    destination_length: Annotated[
        int | None, option("--hashlimit-dstmask", type=PrefixLength(), negatable=False)
    ] = None
    rate_match: Annotated[bool | None, option("--hashlimit-rate-match", negatable=False)] = None
    interval: Annotated[
        int | None, option("--hashlimit-rate-interval", type=Interval(), negatable=False, hidden=1)
    ] = None

    @classmethod
    def check(cls, values: dict[str, Any], family: int) -> None:
        """Refuse what has no rate; turn costs into the rates and times that are printed."""
        super().check(values, family)
        _check_name(values)
        attr = "upto" if "upto" in values else "above"
        written = values.pop(attr, None)
        if written is None:
            raise Unreadable("hashlimit needs --hashlimit-upto or --hashlimit-above")
        if isinstance(written, Not):
            attr, written = "above" if attr == "upto" else "upto", written.value
        _finish(values, written, attr)
        for attr in ("source_length", "destination_length"):
            if values.get(attr) == (32 if family == 4 else 128):
                del values[attr]

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        """One phrase: the rate and whose it is."""
        attr = "upto" if self.upto is not None else "above"
        return ((self.row(attr), self._sentence()),)

    def _sentence(self) -> str:
        rate = self.upto or self.above
        assert rate is not None
        each = ", ".join(word for bit, word in _MODE_WORDS.items() if (self.mode or 0) & bit)
        head = f"{'at most' if self.upto is not None else 'beyond'} {rate.words()}"
        tail = f" for each {each}" if each else ""
        if self.rate_match:
            return f"{head}{tail}, measured over {self.interval or 1} s"
        return f"{head}{tail}{f', after a burst of {self.burst}' if self.burst else ''}"

    def conditions(self) -> tuple[Condition, ...]:
        """Whether credit is left depends on the packets before."""
        return (Undecided(str(self), memory=True),)


def _check_name(values: dict[str, Any]) -> None:
    name = values["list_name"]
    if not name or "/" in name:
        raise Unreadable(
            "--hashlimit-name needs a name without a slash", "it becomes a file in /proc/net/ipt_hashlimit"
        )
    values["list_name"] = name[:254]


def _finish(values: dict[str, Any], written: Cost, attr: str) -> None:
    """Replace what was written by what hashlimit_mt_check makes of it and hashlimit_mt_save prints."""
    burst: Amount | None = values.pop("burst", None)
    cost, expire = written.cost, values.pop("expire", None)
    if written.in_bytes:
        quantum = _BYTE_EXPIRE
        if burst is not None:
            values["burst"], quantum = _byte_burst(burst, cost), _BYTE_EXPIRE_BURST
        values[attr] = _byte_rate(cost)
    else:
        cost = cost // written.seconds if values.get("rate_match") else cost
        if cost == 0:
            raise Unreadable("the rate is too fast")
        rate = values[attr] = rate_of(cost, _HASH_SCALE)
        quantum = _SECONDS[rate.unit] * 1000
        values["burst"] = Amount(burst.count if burst else 5)
        if values["burst"].count > 1000000:
            raise Unreadable(f"a burst of {values['burst'].count} packets is outside 1 to 1000000")
    default = quantum if written.in_bytes else written.seconds * 1000
    if (expire or default) != quantum:
        values["expire"] = expire or default
    interval = values.pop("interval", 1 if written.in_bytes else written.seconds)
    if values.get("rate_match") and interval != 1:
        values["interval"] = interval


def _byte_burst(burst: Amount, cost: int) -> Amount:
    """The burst rounded up to whole seconds of the rate."""
    rate = _bytes_of(cost)
    if rate == 0 or burst.count < rate:
        raise Unreadable(
            f"a burst of {burst.count} bytes is smaller than the rate", f"write at least {rate}b"
        )
    count = -(-burst.count // rate) * rate
    prefix, size = next((prefix, size) for prefix, size in _SIZES if count >= size)
    return Amount(count // size, f"{prefix}b")
