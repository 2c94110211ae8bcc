"""The match on the time of day: time."""

import calendar
import datetime as dt
import re
from typing import Annotated, Any

from ruleflow.ruleset.condition import Condition, Undecided
from ruleflow.ruleset.extension import Match, Option, option
from ruleflow.ruleset.values import Not, Unreadable, ValueType, number

_MIDNIGHT, _LAST_SECOND = 0, 86399
_EVER = 0x7FFFFFFF
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_ALL_MONTHDAYS, _ALL_WEEKDAYS = 0xFFFFFFFE, 0xFE
_DATE = re.compile(
    r"(\d{1,9})(?:-(\d{1,9})(?:-(\d{1,9})(?:T(\d{1,9})(?::(\d{1,9})(?::(\d{1,9}))?)?)?)?)?", re.ASCII
)
_CLOCK = re.compile(r"(\d{1,9}):(\d{1,9})(?::(\d{1,9}))?", re.ASCII)


class Date(ValueType[int]):
    """``YYYY[-MM[-DD[Thh[:mm[:ss]]]]]`` as seconds since 1970 in UTC (time_parse_date of libxt_time.c)."""

    def read_word(self, word: str, family: int) -> int:  # noqa: ARG002
        found = _DATE.fullmatch(word)
        if found is None:
            raise Unreadable(f"{word!r} is not a date", "write it like 2026-11-24T08:00:00")
        year, month, day, hour, minute, second = (int(n) if n else None for n in found.groups())
        limits = (
            (year or 0, 2038),
            (month or 0, 12),
            (day or 0, 31),
            (hour or 0, 23),
            (minute or 0, 59),
            (second or 0, 59),
        )
        if (year or 0) < 1970 or any(given > most for given, most in limits):
            raise Unreadable(f"{word!r} is not a date", "a year is 1970 to 2038, an hour at most 23")
        whole = 1 if month is None else month, 1 if day is None else day
        when = _seconds(year or 1970, *whole) + 3600 * (hour or 0) + 60 * (minute or 0) + (second or 0)
        if not 0 <= when <= 0xFFFFFFFF:
            raise Unreadable(f"{word!r} is no time the kernel can hold")
        return when

    def show(self, value: int) -> str:
        return dt.datetime.fromtimestamp(value, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _seconds(year: int, month: int, day: int) -> int:
    """Midnight of a date; month and day may be 0 and mean the one before the first, as mktime reads them."""
    if month == 0:
        year, month = year - 1, 12
    return calendar.timegm((year, month, 1, 0, 0, 0)) + 86400 * (day - 1)


class Clock(ValueType[int]):
    """``hh:mm[:ss]`` as seconds since midnight."""

    def read_word(self, word: str, family: int) -> int:  # noqa: ARG002
        found = _CLOCK.fullmatch(word)
        hour, minute, second = (int(n or 0) for n in found.groups()) if found else (24, 0, 0)
        if hour > 23 or minute > 59 or second > 59:
            raise Unreadable(f"{word!r} is not a time of day", "write it like 08:30")
        return 3600 * hour + 60 * minute + second

    def show(self, value: int) -> str:
        return f"{value // 3600:02}:{value // 60 % 60:02}:{value % 60:02}"

    def say(self, value: int) -> str:
        return self.show(value).removesuffix(":00") if value % 60 == 0 else self.show(value)


class Monthdays(ValueType[int]):
    """Days of the month as bits (bit 1: the first)."""

    def read_word(self, word: str, family: int) -> int:  # noqa: ARG002
        mask = 0
        for part in word.split(","):
            mask |= 1 << number(part[:2], 1, 31)  # the tool looks at two digits only
        return mask

    def show(self, value: int) -> str:
        return ",".join(str(day) for day in range(1, 32) if value >> day & 1)

    def say(self, value: int) -> str:
        return self.show(value).replace(",", ", ")


class Weekdays(ValueType[int]):
    """Days of the week as bits (bit 1: Monday), by two letters of their names or by number."""

    def read_word(self, word: str, family: int) -> int:  # noqa: ARG002
        mask = 0
        for part in word.split(","):
            mask |= 1 << self._day(part)
        return mask

    def _day(self, part: str) -> int:
        if re.fullmatch(r"0{0,2}[1-7]", part):
            return int(part)
        for day, name in enumerate(_DAYS, 1):
            if part[:2] == name[:2] and part:
                return day
        raise Unreadable(f"{part!r} is no day of the week", "write them like Mon,Tue or 1,2; Sunday is 7")

    def show(self, value: int) -> str:
        return ",".join(name for day, name in enumerate(_DAYS, 1) if value >> day & 1)

    def say(self, value: int) -> str:
        return self.show(value).replace(",", ", ")


class Time(Match, frozen=True, gc=False):
    """The time at which the packet passes (extensions/libxt_time.c; time_mt, net/netfilter/xt_time.c).

    Times are in UTC unless ``--kerneltz`` says otherwise. Where one end of the day is given, both are printed.
    """

    name = "time"

    start: Annotated[int | None, option("--timestart", type=Clock(), negatable=False, says="from {}")] = None
    stop: Annotated[int | None, option("--timestop", type=Clock(), negatable=False, says="to {}")] = None
    monthdays: Annotated[
        int | None,
        option("--monthdays", type=Monthdays(), hidden=_ALL_MONTHDAYS, says="on day {} of the month"),
    ] = None
    weekdays: Annotated[
        int | None, option("--weekdays", type=Weekdays(), hidden=_ALL_WEEKDAYS, says="on {}")
    ] = None
    from_date: Annotated[
        int | None, option("--datestart", type=Date(), negatable=False, hidden=0, says="from {} on")
    ] = None
    to_date: Annotated[int | None, option("--datestop", type=Date(), negatable=False, says="until {}")] = None
    kernel_zone: Annotated[
        bool | None, option("--kerneltz", "--localtz", negatable=False, says="by the kernel's time zone")
    ] = None
    utc: Annotated[bool | None, option("--utc", negatable=False, excludes=("kernel_zone",), shown=False)] = (
        None
    )
    contiguous: Annotated[
        bool | None, option("--contiguous", negatable=False, says="counting the night as one stretch")
    ] = None

    @classmethod
    def merge(cls, row: Option, old: object, new: object) -> object:
        """Both spellings of the kernel's time zone may be given."""
        return old if row.attr == "kernel_zone" else super().merge(row, old, new)

    @classmethod
    def check(cls, values: dict[str, Any], family: int) -> None:
        """Fill in the other end of the day and turn negated days into the days that remain."""
        super().check(values, family)
        values.pop("utc", None)
        start, stop = values.pop("start", _MIDNIGHT), values.pop("stop", _LAST_SECOND)
        if "contiguous" in values and start < stop:
            raise Unreadable("--contiguous is only for a time that passes midnight")
        if (start, stop) != (_MIDNIGHT, _LAST_SECOND):
            values |= {"start": start, "stop": stop}
        for attr, every in (("monthdays", _ALL_MONTHDAYS), ("weekdays", _ALL_WEEKDAYS)):
            if isinstance(values.get(attr), Not):
                values[attr] = values[attr].value ^ every
        values.setdefault("to_date", _EVER)

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        """As the rows say, the two ends of the day as one; an end of time needs no words."""
        phrases: list[tuple[Option | None, str]] = []
        for row, value in self.given():
            words = row.say(value)
            if row.attr == "start" and self.stop is not None:
                words = f"{words} {self.row('stop').say(self.stop)}{'' if self.kernel_zone else ' UTC'}"
            if row.attr != "stop" and (row.attr, value) != ("to_date", _EVER):
                phrases.append((row, words))
        return tuple(phrases)

    def conditions(self) -> tuple[Condition, ...]:
        """When the packet passes is not known; with nothing asked it holds (until 2038)."""
        asked = [
            row.attr
            for row, value in self.given()
            if row.attr != "kernel_zone" and (row.attr, value) != ("to_date", _EVER)
        ]
        return (Undecided(str(self)),) if asked else ()
