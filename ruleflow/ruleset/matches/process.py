"""Matches on who has the packet's socket: owner, cgroup and socket."""

from typing import Annotated

from ruleflow.ruleset.condition import (
    AllOf,
    AnyOf,
    Condition,
    Derived,
    In,
    Intervals,
    Never,
    Undecided,
    Values,
)
from ruleflow.ruleset.extension import Match, Maybe, Option, option
from ruleflow.ruleset.fields import CGROUP, GID, SOCKET_EXISTS, UID
from ruleflow.ruleset.values import Not, Number, Range, Text, Unreadable, ValueType, number

LOCAL_SOCKET = In(SOCKET_EXISTS, Intervals(((1, 1),)), text="sent by a process of this host")
NO_LOCAL_SOCKET = In(SOCKET_EXISTS, Intervals(((0, 0),)), text="sent by no process of this host")

# -- owner ------------------------------------------------------------------------------------------------


class Owners(ValueType[Range]):
    """A number, a range of numbers parted by ``-`` or ``:``, or a name this machine knows (owner_parse_range)."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def read_word(self, word: str, family: int) -> Range:  # noqa: ARG002
        if not word[:1].isdigit():
            known = self._named(word)
            return Range(known, known)
        first, separator, last = word.replace(":", "-", 1).partition("-")
        low = number(first, 0, 0xFFFFFFFE)
        high = number(last, 0, 0xFFFFFFFE) if separator else low
        if low > high:
            raise Unreadable(f"the range {word} ends before it begins", f"write {high}-{low}")
        return Range(low, high)

    def _named(self, word: str) -> int:
        import grp
        import pwd

        try:
            return pwd.getpwnam(word).pw_uid if self.kind == "user" else grp.getgrnam(word).gr_gid
        except (KeyError, ValueError):
            raise Unreadable(f"this machine has no {self.kind} named {word!r}", "write the number") from None

    def show(self, value: Range) -> str:
        return str(value.low) if value.low == value.high else f"{value.low}-{value.high}"

    def say(self, value: Range) -> str:
        if value == Range(0, 0):
            return "root" if self.kind == "user" else "group 0 (root)"
        return f"{self.kind} {self.show(value)}"

    def values(self, value: Range) -> Values | None:
        return Intervals(((value.low, value.high),))


class Owner(Match, frozen=True, gc=False):
    """Whose process sends the packet (owner_mt, net/netfilter/xt_owner.c).

    A packet without a socket (one that is forwarded) meets the match where every option is negated, and else
    it does not. The kernel's own sockets (for its ICMP and its resets) exist and have no owner: they meet
    what is negated of the owner. The groups beside the main one are no fact here.
    """

    name = "owner"
    hooks = ("OUTPUT", "POSTROUTING")

    socket_exists: Annotated[
        Maybe[bool],
        option(
            "--socket-exists",
            says="sent by a process of this host",
            says_not="sent by no process of this host",
        ),
    ] = None
    user: Annotated[
        Maybe[Range],
        option("--uid-owner", type=Owners("user"), field=UID, says="sent by {}", says_not="not sent by {}"),
    ] = None
    group: Annotated[
        Maybe[Range],
        option(
            "--gid-owner",
            type=Owners("group"),
            field=GID,
            says="sent by a process of {}",
            says_not="not sent by a process of {}",
        ),
    ] = None
    other_groups: Annotated[
        bool | None, option("--suppl-groups", negatable=False, says="be it the main group or another one")
    ] = None

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:  # noqa: ARG003
        """An option is needed, and a group for ``--suppl-groups``."""
        if not values:
            raise Unreadable("owner needs an option", "write --uid-owner 1000, say")
        given = [attr for attr in values if attr in ("group", "other_groups")]
        if given[:1] == ["other_groups"]:
            raise Unreadable("--suppl-groups needs --gid-owner before it")

    def conditions(self) -> tuple[Condition, ...]:
        """Asked of the process; without one the negations alone count."""
        asked = tuple(_of_owner(row, value) for row, value in self.given() if row.attr in ("user", "group"))
        if self.other_groups:
            asked = (*asked[:-1], self._any_group())
        every_negated = all(isinstance(value, Not) for _, value in self.given())
        if isinstance(self.socket_exists, Not):
            return (NO_LOCAL_SOCKET,) if every_negated else (Never("a process of this host that is none"),)
        if every_negated:
            text = "; ".join(row.say(value) for row, value in self.given())
            return (AnyOf((NO_LOCAL_SOCKET, AllOf(asked)), text=text),)
        return (*asked, LOCAL_SOCKET)

    def _any_group(self) -> Condition:
        negated = isinstance(self.group, Not)
        row = self.row("group")
        main = row.condition(self.group.value if isinstance(self.group, Not) else self.group)
        other = Undecided("the process's other groups are not known")
        return AnyOf((main, other), negated, f"{row.say(self.group)}, {self.row('other_groups').says}")


def _of_owner(row: Option, value: object) -> Condition:
    """A socket of the kernel itself has no owner, so what is negated holds for it."""
    if not isinstance(value, Not):
        return row.condition(value)
    return AllOf((row.condition(value.value),), negated=True, text=row.say(value))


# -- cgroup -----------------------------------------------------------------------------------------------


class CgroupPath(Text):
    """A path below the root of the hierarchy, cut at 511 bytes (struct xt_cgroup_info_v2)."""

    def read_word(self, word: str, family: int) -> str:  # noqa: ARG002
        return word.encode("utf-8", "surrogateescape")[:511].decode("utf-8", "surrogateescape")


class Cgroup(Match, frozen=True, gc=False):
    """The control group of the process that has the packet's socket (cgroup_mt_v2, net/netfilter/xt_cgroup.c).

    A packet without a socket never meets it, ``!`` or not. The path is no fact here.
    """

    name = "cgroup"

    path: Annotated[
        Maybe[str],
        option(
            "--path", type=CgroupPath(), excludes=("class_id",),
            says="of a process in the cgroup {}", says_not="of a process outside the cgroup {}",
        ),
    ] = None  # fmt: skip
    class_id: Annotated[
        Maybe[int],
        option(
            "--cgroup", type=Number(), field=CGROUP, excludes=("path",),
            says="of a process in the network class {}", says_not="of a process outside the network class {}",
        ),
    ] = None  # fmt: skip

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:
        """One of its options is needed (cgroup_mt_check_v2)."""
        super().check(values, family)
        if not values:
            raise Unreadable("cgroup needs --path or --cgroup")

    def conditions(self) -> tuple[Condition, ...]:
        return (*super().conditions(), LOCAL_SOCKET)


# -- socket -----------------------------------------------------------------------------------------------


class Socket(Match, frozen=True, gc=False):
    """Whether a socket of this host waits for the packet (socket_match, net/netfilter/xt_socket.c).

    The fact ``socket`` with the arguments ``transparent`` (only a socket with IP_TRANSPARENT counts),
    ``any_address`` (a socket bound to every address counts too: ``--nowildcard``) and ``restore_mark``. The
    last one is a change: where a bound, transparent socket is found, the packet gets the socket's mark.
    """

    name = "socket"
    hooks = ("PREROUTING", "INPUT")

    transparent: Annotated[bool | None, option("--transparent", negatable=False)] = None
    any_address: Annotated[bool | None, option("--nowildcard", negatable=False)] = None
    restore_mark: Annotated[
        bool | None, option("--restore-skmark", negatable=False, says="whose mark the packet gets")
    ] = None

    def conditions(self) -> tuple[Condition, ...]:
        arguments = tuple(
            (attr, bool(getattr(self, attr))) for attr in ("transparent", "any_address", "restore_mark")
        )
        return (Derived("socket", arguments, text=self.phrases()[0][1]),)

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        """The socket in one sentence, and the mark."""
        kind = "transparent socket" if self.transparent else "socket"
        bound = " (bound to its address or to any)" if self.any_address else ""
        socket = (None, f"for which this host has a {kind}{bound}")
        return (
            (socket, (self.row("restore_mark"), "and it gets the socket's mark"))
            if self.restore_mark
            else (socket,)
        )
