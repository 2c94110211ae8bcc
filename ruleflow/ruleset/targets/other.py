"""Targets for queues, sets, copies and counters: NFQUEUE, SET, TEE, RATEEST, IDLETIMER, LED, CLUSTERIP."""

import math
import re
from collections.abc import Sequence
from typing import Annotated

import msgspec

from ruleflow.ruleset.effect import (
    ACCEPT,
    CONTINUE,
    DROP,
    Change,
    Copy,
    Effects,
    Fork,
    Note,
    SetUnknown,
    Stop,
)
from ruleflow.ruleset.extension import Option, Target, option
from ruleflow.ruleset.fields import MARK, PRIORITY
from ruleflow.ruleset.targets.tracking import Address, Cut
from ruleflow.ruleset.values import Choice, Number, Range, Unreadable, ValueType, number

# -- NFQUEUE ----------------------------------------------------------------------------------------------


class Queues(ValueType[Range]):
    """``first:last``, at least two queues."""

    def read_word(self, word: str, family: int) -> Range:  # noqa: ARG002
        first, colon, last = word.partition(":")
        if not colon:
            raise Unreadable(f"{word!r} is no range", "write first:last")
        low, high = number(first or "0", 0, 0xFFFF), number(last or "65535", 0, 0xFFFF)
        if low >= high or (low, high) == (0, 0xFFFF):
            raise Unreadable(f"{word} is no range of at least two and at most 65535 queues")
        return Range(low, high)

    def say(self, value: Range) -> str:
        return f"{value.low} to {value.high}"


class Nfqueue(Target, frozen=True, gc=False):
    """A program in userspace decides (NFQUEUE; net/netfilter/xt_NFQUEUE.c).

    Without a program the packet is dropped, or with ``--queue-bypass`` let through (nf_queue.c, `nf_queue`).
    """

    name = "NFQUEUE"

    number: Annotated[
        int | None,
        option(
            "--queue-num", type=Number(0, 0xFFFF), negatable=False, excludes=("balance",), says="queue {}"
        ),
    ] = None
    balance: Annotated[
        Range | None, option("--queue-balance", type=Queues(), negatable=False, says="one of the queues {}")
    ] = None
    bypass: Annotated[
        bool | None, option("--queue-bypass", negatable=False, says="let it through if none listens")
    ] = None
    fanout: Annotated[
        bool | None, option("--queue-cpu-fanout", negatable=False, says="chosen by the cpu")
    ] = None

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:
        """Queue 0 where none is given; a choice by cpu needs several."""
        super().check(values, family)
        if "balance" not in values:
            values.setdefault("number", 0)
            if "fanout" in values:
                raise Unreadable("--queue-cpu-fanout needs --queue-balance")

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        return ((None, "let a program decide"), *Target.phrases(self))

    def effects(self) -> Effects:
        """The program's word; with a bypass the rules of this hook may also let it through."""
        if not self.bypass:
            return Effects((), Stop("QUEUE"))
        return Effects((), Fork("whether a program listens on the queue", (Stop("QUEUE"), ACCEPT)))


# -- SET --------------------------------------------------------------------------------------------------


class SetUse(msgspec.Struct, frozen=True):
    """A set and which end of the packet each of its parts is taken from."""

    name: str
    directions: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} {','.join(self.directions)}"


class SetAndDirections(ValueType[SetUse]):
    """A set's name, at most 31 bytes, and up to six of ``src`` and ``dst``."""

    words = 2

    def read(self, words: Sequence[str], family: int) -> SetUse:  # noqa: ARG002
        name, listed = words
        if len(name.encode("utf-8", "surrogateescape")) > 31:
            raise Unreadable(f"the set name {name!r} is longer than 31 bytes")
        parts = listed.split(",")
        bad = next((part for part in parts if part[:3] not in ("src", "dst")), None)
        if bad is not None or len(parts) > 6:
            raise Unreadable(
                f"{listed!r} is no list of src and dst", "write src, dst or src,dst, at most six"
            )
        return SetUse(name, tuple(part[:3] for part in parts))

    def say(self, value: SetUse) -> str:
        """Read as ``… in the set NAME`` and ``… to the set NAME``."""
        return value.name


def _set_row(flag: str) -> Option:
    return option(flag, type=SetAndDirections(), negatable=False)


_ENDS = {"src": "source", "dst": "destination"}


def _ends(use: SetUse) -> str:
    return " and ".join(_ENDS[direction] for direction in use.directions)


class ChangeSet(Target, frozen=True, gc=False):
    """A set gets or loses the packet's addresses or ports, or tells it a mark (SET; net/netfilter/xt_set.c).

    What is added here may be matched by later rules (`Note`: sets are not followed over time). What
    ``--map-set`` writes is known to the set alone.
    """

    name = "SET"

    add: Annotated[SetUse | None, _set_row("--add-set")] = None
    exist: Annotated[
        bool | None, option("--exist", negatable=False, says="renewing its timeout if it is there")
    ] = None
    timeout: Annotated[
        int | None, option("--timeout", type=Number(0, 0xFFFFFFFE), negatable=False, says="for {} seconds")
    ] = None
    remove: Annotated[SetUse | None, _set_row("--del-set")] = None
    map: Annotated[SetUse | None, _set_row("--map-set")] = None
    map_mark: Annotated[bool | None, option("--map-mark", negatable=False, says="for its mark")] = None
    map_priority: Annotated[bool | None, option("--map-prio", negatable=False, says="for its priority")] = (
        None
    )
    map_queue: Annotated[
        bool | None, option("--map-queue", negatable=False, says="for its hardware queue")
    ] = None

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:
        """Refuse details without the change that they belong to."""
        super().check(values, family)
        if not values.keys() & {"add", "remove", "map"}:
            raise Unreadable("SET needs --add-set, --del-set or --map-set")
        if "add" not in values and values.keys() & {"exist", "timeout"}:
            raise Unreadable("--exist and --timeout belong to --add-set")
        details = values.keys() & {"map_mark", "map_priority", "map_queue"}
        if ("map" in values) != bool(details):
            raise Unreadable("--map-set and --map-mark, --map-prio or --map-queue belong together")

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        words = {
            "add": "add its {} to the set {}",
            "remove": "take its {} out of the set {}",
            "map": "look up its {} in the set {}",
        }
        return tuple(
            (
                row,
                words[row.attr].format(_ends(value), value.name)
                if isinstance(value, SetUse)
                else row.say(value),
            )
            for row, value in self.given()
        )

    def effects(self) -> Effects:
        """Notes of what the sets get, unknown marks, then the next rule."""
        changes: list[Change] = [
            Note(text) for row, text in self.phrases() if row is not None and row.attr in ("add", "remove")
        ]
        if self.map is not None:
            why = f"the set {self.map.name} says it"
            changes += [SetUnknown(MARK, why)] if self.map_mark else []
            changes += [SetUnknown(PRIORITY, why)] if self.map_priority else []
        return Effects(tuple(changes))


# -- TEE --------------------------------------------------------------------------------------------------


class Tee(Target, frozen=True, gc=False):
    """A copy of the packet is sent to another host of the neighbourhood (TEE; net/netfilter/xt_TEE.c)."""

    name = "TEE"

    gateway: Annotated[
        tuple[int, int] | None,
        option("--gateway", type=Address(), negatable=False, mandatory=True, says="send a copy to {}"),
    ] = None
    out: Annotated[str | None, option("--oif", type=Cut(15), negatable=False, says="by {}")] = None

    def effects(self) -> Effects:
        """A copy, then the next rule."""
        family, address = self.gateway or (4, 0)
        return Effects((Copy(Address().show((family, address))),))


# -- counters and lamps -----------------------------------------------------------------------------------

_TIME = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(s|secs?|ms|msecs?|us|usecs?)?", re.ASCII | re.IGNORECASE)


class Microseconds(ValueType[int]):
    """A time with ``s``, ``ms`` or ``us`` (none: microseconds), printed with the largest that fits."""

    def read_word(self, word: str, family: int) -> int:  # noqa: ARG002
        found = _TIME.fullmatch(word)
        if found is None:
            raise Unreadable(f"{word!r} is no time", "write it like 250ms or 2s")
        unit = (found[2] or "us").lower()[:1]
        return int(float(found[1]) * {"s": 1_000_000, "m": 1000, "u": 1}[unit]) & 0xFFFFFFFF

    def show(self, value: int) -> str:
        if value >= 1_000_000:
            return f"{value / 1_000_000:.1f}s"
        return f"{value / 1000:.1f}ms" if value >= 1000 else f"{value}us"


class EstimateRate(Target, frozen=True, gc=False):
    """The rate of packets and bytes is estimated for ``-m rateest`` (RATEEST; net/netfilter/xt_RATEEST.c).

    The kernel knows the intervals 250 ms to 8 s by powers of two, and an average over a power of two of
    them; other times are rounded to these.
    """

    name = "RATEEST"

    label: Annotated[
        str | None,
        option(
            "--rateest-name",
            type=Cut(15),
            negatable=False,
            mandatory=True,
            says="count it for the rate estimate {}",
        ),
    ] = None
    interval: Annotated[
        int | None,
        option("--rateest-interval", type=Microseconds(), negatable=False, mandatory=True, says="every {}"),
    ] = None
    average: Annotated[
        int | None,
        option(
            "--rateest-ewmalog", type=Microseconds(), negatable=False, mandatory=True, says="averaged over {}"
        ),
    ] = None

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:
        """Round as `RATEEST_final_check` of extensions/libxt_RATEEST.c does."""
        super().check(values, family)
        interval, average = values["interval"], values["average"]
        assert isinstance(interval, int)
        assert isinstance(average, int)
        step = next((n for n in range(6) if interval <= 250_000 << n), None)
        if step is None:
            raise Unreadable("the interval is longer than 8 seconds")
        log = next((n for n in range(1, 32) if interval / -math.log(1 - 1 / (1 << n)) > average), 32) - 1
        if not 1 <= log < 31:
            raise Unreadable("the average is too short for the interval, or too long")
        values["interval"] = 250_000 << step
        values["average"] = (250_000 << step << log) & 0xFFFFFFFF

    def effects(self) -> Effects:
        """A count that -m rateest reads, then the next rule."""
        return Effects((Note(self.phrases()[0][1]),))


class IdleTimer(Target, frozen=True, gc=False):
    """A timer starts anew; userspace is told when it runs out (IDLETIMER; net/netfilter/xt_IDLETIMER.c)."""

    name = "IDLETIMER"

    timeout: Annotated[
        int | None,
        option(
            "--timeout",
            type=Number(),
            negatable=False,
            mandatory=True,
            says="start anew the timer of {} seconds",
        ),
    ] = None
    label: Annotated[
        str | None, option("--label", type=Cut(27), negatable=False, mandatory=True, says="named {}")
    ] = None
    alarm: Annotated[bool | None, option("--alarm", negatable=False, says="which wakes the machine")] = None

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:
        """The kernel refuses a timeout of 0 and an empty label (`idletimer_tg_helper`)."""
        super().check(values, family)
        if not values["timeout"]:
            raise Unreadable("the timeout is 0")
        if not values["label"]:
            raise Unreadable("the label is empty")

    def effects(self) -> Effects:
        """A timer, then the next rule."""
        return Effects((Note(" ".join(words for _, words in self.phrases())),))


class Trigger(ValueType[str]):
    """A lamp's trigger, at most 16 bytes, printed in quotes always."""

    def read_word(self, word: str, family: int) -> str:  # noqa: ARG002
        if len(word.encode("utf-8", "surrogateescape")) > 16:
            raise Unreadable(f"the trigger {word!r} is longer than 16 bytes")
        return word

    def show(self, value: str) -> str:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'


class Delay(ValueType[int]):
    """Milliseconds, or ``inf`` for ever (kept as all ones)."""

    def read_word(self, word: str, family: int) -> int:  # noqa: ARG002
        return 0xFFFFFFFF if word[:3].lower() == "inf" else number(word)

    def show(self, value: int) -> str:
        return "inf" if value == 0xFFFFFFFF else str(value)

    def say(self, value: int) -> str:
        return "ever" if value == 0xFFFFFFFF else f"{value} ms"


class Led(Target, frozen=True, gc=False):
    """A lamp blinks (LED; net/netfilter/xt_LED.c). For ``inf`` the real tool prints ``-1``, which it cannot read."""

    name = "LED"

    trigger: Annotated[
        str | None,
        option(
            "--led-trigger-id", type=Trigger(), negatable=False, mandatory=True, says="switch on the lamp {}"
        ),
    ] = None
    delay: Annotated[
        int | None, option("--led-delay", type=Delay(), negatable=False, hidden=0, says="for {}")
    ] = None
    blink: Annotated[
        bool | None, option("--led-always-blink", negatable=False, says="blinking for every packet")
    ] = None

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:
        super().check(values, family)
        if values.get("delay") == 0:
            del values["delay"]

    def effects(self) -> Effects:
        """A lamp, then the next rule."""
        return Effects((Note(self.phrases()[0][1]),))


# -- CLUSTERIP --------------------------------------------------------------------------------------------


class GroupMac(ValueType[int]):
    """An ethernet address whose group bit is set, printed in capitals."""

    def read_word(self, word: str, family: int) -> int:  # noqa: ARG002
        if not re.fullmatch(r"([0-9A-Fa-f]{1,2}:){5}[0-9A-Fa-f]{1,2}", word):
            raise Unreadable(f"{word!r} is no ethernet address")
        value = int.from_bytes(bytes(int(part, 16) for part in word.split(":")), "big")
        if not value >> 40 & 1:
            raise Unreadable(f"{word} is no multicast ethernet address")
        return value

    def show(self, value: int) -> str:
        return value.to_bytes(6, "big").hex(":").upper()


class ClusterIp(Target, frozen=True, gc=False):
    """One of several nodes that share an address answers (CLUSTERIP; ipt_CLUSTERIP.c, until Linux 6.2)."""

    name = "CLUSTERIP"
    families = (4,)

    new: Annotated[
        bool | None, option("--new", negatable=False, says="share the address with other nodes")
    ] = None
    mode: Annotated[
        int | None,
        option(
            "--hashmode",
            type=Choice({"sourceip": 0, "sourceip-sourceport": 1, "sourceip-sourceport-destport": 2}),
            negatable=False,
            says="chosen by {}",
        ),
    ] = None
    mac: Annotated[int | None, option("--clustermac", type=GroupMac(), negatable=False, says="at {}")] = None
    nodes: Annotated[
        int | None, option("--total-nodes", type=Number(0, 16), negatable=False, says="{} nodes in all")
    ] = None
    node: Annotated[
        int | None, option("--local-node", type=Number(1, 16), negatable=False, says="this is node {}")
    ] = None
    seed: Annotated[
        int | None, option("--hash-init", type=Number(), negatable=False, says="with the seed {}")
    ] = None

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:
        """All five of a new cluster or none; the seed is printed always."""
        super().check(values, family)
        missing = {"new", "mode", "mac", "nodes", "node"} - values.keys()
        if values and missing:
            raise Unreadable(f"CLUSTERIP needs {cls.row(min(missing)).flag} as well")
        if values:
            values.setdefault("seed", 0)

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        return Target.phrases(self) or ((None, "share the address with other nodes"),)

    def effects(self) -> Effects:
        """The next rule where this node is chosen, else the packet is dropped."""
        return Effects((), Fork("which node of the cluster is chosen", (CONTINUE, DROP)))
