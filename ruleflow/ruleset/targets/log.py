"""Targets that report a packet and go on (net/netfilter/xt_LOG.c, xt_NFLOG.c, xt_AUDIT.c, xt_TRACE.c)."""

from typing import Annotated

from ruleflow.ruleset.effect import Effects, Log
from ruleflow.ruleset.extension import Option, Target, option
from ruleflow.ruleset.values import Choice, Number, Text, Unreadable, number
from ruleflow.ruleset.words import quote

_LEVELS = ("emerg", "alert", "crit", "error", "warning", "notice", "info", "debug")


class Prefix(Text):
    """What a log line begins with: at least a byte, no newline, cut after ``room`` bytes as the real tool does."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def read_word(self, word: str, family: int) -> str:  # noqa: ARG002
        if not word:
            raise Unreadable("the prefix is empty")
        if "\n" in word:
            raise Unreadable("a prefix cannot hold a newline")
        return word.encode("utf-8", "surrogateescape")[: self.room].decode("utf-8", "surrogateescape")

    def show(self, value: str) -> str:
        return quote(value)


class Level(Choice):
    """A syslog level by number or name; ``panic`` is an old word for ``emerg``. Printed as a number."""

    def __init__(self) -> None:
        super().__init__({name: level for level, name in enumerate(_LEVELS)}, also={"panic": 0})

    def read_word(self, word: str, family: int) -> int:
        return super().read_word(word, family) if word[:1].isalpha() else number(word, 0, 7)

    def show(self, value: int) -> str:
        return str(value)

    def say(self, value: int) -> str:
        return _LEVELS[value]


def _flag(flag: str, says: str) -> Option:
    return option(flag, negatable=False, says=says)


class LogPacket(Target, frozen=True, gc=False):
    """The kernel's log gets a line (LOG; net/netfilter/xt_LOG.c). A prefix is cut after 29 bytes."""

    name = "LOG"

    prefix: Annotated[
        str | None, option("--log-prefix", type=Prefix(29), negatable=False, says="with the prefix {}")
    ] = None
    level: Annotated[
        int | None, option("--log-level", type=Level(), negatable=False, hidden=4, says="at level {}")
    ] = None
    tcp_sequence: Annotated[bool | None, _flag("--log-tcp-sequence", "with tcp sequence numbers")] = None
    tcp_options: Annotated[bool | None, _flag("--log-tcp-options", "with tcp options")] = None
    ip_options: Annotated[bool | None, _flag("--log-ip-options", "with ip options")] = None
    user: Annotated[bool | None, _flag("--log-uid", "with the user of the socket")] = None
    mac: Annotated[bool | None, _flag("--log-macdecode", "with mac addresses")] = None

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:
        super().check(values, family)
        if values.get("level") == 4:
            del values["level"]

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        return ((None, "log it"), *Target.phrases(self))

    def effects(self) -> Effects:
        """A log line, then the next rule."""
        return Effects((Log("LOG", self.prefix or ""),))


class LogToGroup(Target, frozen=True, gc=False):
    """A program that listens on a netlink group gets the packet (NFLOG; net/netfilter/xt_NFLOG.c).

    A prefix is cut after 63 bytes, as struct xt_nflog_info and the extension's own tests have it (nft
    would keep 127). The two backends differ: nft forgets ``--nflog-range``, which never
    had an effect; legacy keeps 63 bytes. This follows nft but for the range, which is printed when given.
    """

    name = "NFLOG"

    prefix: Annotated[
        str | None, option("--nflog-prefix", type=Prefix(63), negatable=False, says="with the prefix {}")
    ] = None
    group: Annotated[
        int | None, option("--nflog-group", type=Number(0, 0xFFFF), negatable=False, says="on group {}")
    ] = None
    size: Annotated[
        int | None,
        option(
            "--nflog-size", type=Number(), negatable=False, excludes=("range",), says="its first {} bytes"
        ),
    ] = None
    range: Annotated[
        int | None, option("--nflog-range", type=Number(), negatable=False, says="(range {})")
    ] = None
    threshold: Annotated[
        int | None,
        option("--nflog-threshold", type=Number(0, 0xFFFF), negatable=False, says="in batches of {}"),
    ] = None

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:
        super().check(values, family)
        for attr in ("group", "range", "threshold"):
            if values.get(attr) == 0:
                del values[attr]

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        return ((None, "report it to a listening program"), *Target.phrases(self))

    def effects(self) -> Effects:
        """A report, then the next rule."""
        return Effects((Log("NFLOG", self.prefix or ""),))


class Ulog(Target, frozen=True, gc=False):
    """What NFLOG was before Linux 3.17 (ULOG; net/ipv4/netfilter/ipt_ULOG.c then)."""

    name = "ULOG"
    families = (4,)

    prefix: Annotated[
        str | None, option("--ulog-prefix", type=Prefix(31), negatable=False, says="with the prefix {}")
    ] = None
    group: Annotated[
        int | None, option("--ulog-nlgroup", type=Number(1, 32), negatable=False, says="on group {}")
    ] = None
    size: Annotated[
        int | None,
        option("--ulog-cprange", type=Number(0, (1 << 64) - 1), negatable=False, says="its first {} bytes"),
    ] = None
    threshold: Annotated[
        int | None, option("--ulog-qthreshold", type=Number(1, 50), negatable=False, says="in batches of {}")
    ] = None

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:
        super().check(values, family)
        for attr, default in (("group", 1), ("size", 0), ("threshold", 1)):
            if values.get(attr) == default:
                del values[attr]

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        return ((None, "report it to a listening program"), *Target.phrases(self))

    def effects(self) -> Effects:
        """A report, then the next rule."""
        return Effects((Log("ULOG", self.prefix or ""),))


class Audit(Target, frozen=True, gc=False):
    """The audit log gets a record that says what a later rule does (AUDIT; net/netfilter/xt_AUDIT.c)."""

    name = "AUDIT"

    type: Annotated[
        int | None,
        option(
            "--type", type=Choice({"accept": 0, "drop": 1, "reject": 2}, fold=True), negatable=False, mandatory=True,
            says="write an audit record: {}",
        ),
    ] = None  # fmt: skip

    def effects(self) -> Effects:
        """A record, then the next rule."""
        return Effects((Log("AUDIT"),))


class Trace(Target, frozen=True, gc=False):
    """Every rule that the packet meets from here on is reported (TRACE; net/netfilter/xt_TRACE.c).

    Legacy allows it in raw only, nft everywhere.
    """

    name = "TRACE"

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        return ((None, "trace it through the rules"),)

    def effects(self) -> Effects:
        """Reports, then the next rule."""
        return Effects((Log("TRACE"),))
