"""What is drawn of a rule set, as a value: chains with the lines shown in them, calls between them, and the path.

Nothing here knows of pixels: views draw an `Outline`, and its JSON is what ``graph --format json`` prints.
"""

import msgspec

from ruleflow.ruleset.ir import RuleRef

SCHEMA = "ruleflow.graph/1"

STAGES: dict[str, tuple[str, ...]] = {
    "PREROUTING": ("raw", "mangle", "nat"),
    "INPUT": ("mangle", "filter", "security", "nat"),
    "FORWARD": ("mangle", "filter", "security"),
    "OUTPUT": ("raw", "mangle", "nat", "filter", "security"),
    "POSTROUTING": ("mangle", "nat"),
}
"""The hooks, and the tables each asks, in order (hook priorities of <linux/netfilter_ipv4.h>)."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line in a chain's box: one rule, or several of one kind.

    ``kind`` is accept, drop, reject, queue, rewrite, mark, jump, goto, return, pass, log, count, unknown or
    more; ``word`` stands in the verdict's shape, ``text`` behind it; ``tooltip`` explains. ``calls`` is the
    id of the box it leads to. ``mark`` is ``added``, ``removed``, ``walked`` or empty.
    """

    kind: str
    word: str
    text: str
    tooltip: str = ""
    ref: RuleRef | None = None
    calls: str | None = None
    packets: int | None = None
    mark: str = ""


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """A chain, or ``members`` chains of one shape (then ``chain`` is one of them and ``title`` names all)."""

    id: str
    table: str
    chain: str
    title: str
    note: str = ""
    lines: tuple[Line, ...] = ()
    policy: str | None = None
    members: int = 1
    rules: int = 0
    tooltip: str = ""
    line: int | None = None
    mark: str = ""
    faded: bool = False


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One box's rules lead to another: ``kind`` jump or goto; ``when`` says for which packets, for each of the
    first rules, whose ``numbers`` in their chain stand beside; ``rules`` counts all of them.
    """

    caller: str
    callee: str
    kind: str
    when: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    rules: int = 1
    packets: int | None = None
    mark: str = ""
    faded: bool = False


class Stage(msgspec.Struct, frozen=True):
    """A hook of the path and the boxes of the tables asked there, in order."""

    hook: str
    boxes: tuple[str, ...] = ()


class Ends(msgspec.Struct, frozen=True):
    """Where packets come from and go to, in lines: from outside, to outside, and on this host."""

    enter: tuple[str, ...] = ("A packet arrives",)
    leave: tuple[str, ...] = ("The packet leaves",)
    here: tuple[str, ...] = ("Programs on this host",)


class Outline(msgspec.Struct, frozen=True, kw_only=True):
    """The whole picture. ``loose`` are boxes that no stage leads to; ``way`` the places a walked packet passed.

    ``way`` is of the words arrive, the hooks, route, deliver, send and leave; ``verdict`` how the walk ended.
    """

    schema: str = SCHEMA
    ruleflow: str = ""
    source: str = ""
    family: int = 4
    level: str = "chains"
    title: str = ""
    summary: str = ""
    boxes: tuple[Box, ...] = ()
    calls: tuple[Call, ...] = ()
    stages: tuple[Stage, ...] = ()
    loose: tuple[str, ...] = ()
    ends: Ends = Ends()
    way: tuple[str, ...] = ()
    verdict: str = ""
    notes: tuple[str, ...] = ()
    """What is not shown, or shown differently: to be said to the reader."""
