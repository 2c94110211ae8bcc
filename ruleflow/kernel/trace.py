"""What the kernel tells about a packet's way through the rules, read into one kind of event, whoever told it.

Three tellers: `xtables-monitor --trace`, `nft monitor trace` and the kernel log of the legacy backend's TRACE (on nft also
netlink: `kernel/lab.py`). They give handles or numbers, and no word where a chain ends; `completed` mends both.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from ruleflow.netfilter.packet import Packet

BUILT_IN = frozenset({"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"})


class TraceEvent(msgspec.Struct, frozen=True):
    """One event: the packet ``trace`` stood in a chain of a table, and this happened.

    ``kind`` is ``packet`` (it arrives at a table), ``rule`` (this rule matched), ``return`` (back to the caller by a rule or by
    the chain's end; then ``number`` is None) or ``policy``. ``verdict`` is ACCEPT, DROP, QUEUE, STOLEN, CONTINUE (the next rule
    is asked), JUMP, GOTO, RETURN, or empty where the teller does not say. ``number`` counts a chain's rules from 1.
    """

    trace: str
    family: int
    table: str
    chain: str
    kind: str
    number: int | None = None
    handle: int | None = None
    verdict: str = ""
    target: str | None = None
    line: int | None = None
    packet: Packet | None = None


class Listing(msgspec.Struct, frozen=True):
    """Where the rules of loaded tables stand: ``handles`` of nft to (chain, number), ``lines`` of the dump, lengths of chains."""

    handles: Mapping[tuple[str, int], tuple[str, int]] = {}
    lines: Mapping[tuple[str, str, int], int] = {}
    lengths: Mapping[tuple[str, str], int] = {}

    @classmethod
    def of(cls, text: str, rules: Iterable[tuple[str, str, int]] = ()) -> "Listing":
        """From a dump's text (its ``-A`` lines in order) and, for nft, the kernel's rules as (table, chain, handle)."""
        lines, lengths = _lines(text)
        handles: dict[tuple[str, int], tuple[str, int]] = {}
        counted: dict[tuple[str, str], int] = {}
        for table, chain, handle in rules:
            counted[table, chain] = number = counted.get((table, chain), 0) + 1
            handles[table, handle] = chain, number
        return cls(handles, lines, lengths or counted)


def _lines(text: str) -> tuple[dict[tuple[str, str, int], int], dict[tuple[str, str], int]]:
    lines: dict[tuple[str, str, int], int] = {}
    lengths: dict[tuple[str, str], int] = {}
    table = ""
    for at, line in enumerate(text.split("\n"), 1):
        appended = re.match(r"(?:\[\d+:\d+\] )?-A (\S+)", line)
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(":"):
            lengths.setdefault((table, line[1:].split(" ")[0]), 0)
        elif appended:
            key = table, appended[1]
            lengths[key] = lengths.get(key, 0) + 1
            lines[*key, lengths[key]] = at
    return lines, lengths


NO_LISTING = Listing()


def parse_trace(text: str | Iterable[str]) -> Iterator[TraceEvent]:
    """The events in the output of any of the three tellers (also mixed), in order; lines of other kinds are passed over."""
    for line in text.splitlines() if isinstance(text, str) else text:
        read = _reader(line)
        event = read(line) if read else None
        if event:
            yield event


def _reader(line: str) -> "type[object] | None | object":
    return None


def completed(events: Iterable[TraceEvent], listing: Listing = NO_LISTING) -> Iterator[TraceEvent]:
    """The events with handles turned into rule numbers and lines, and with the ends of chains that nobody told.

    A chain's end is an event of kind ``return`` without number or handle. Events of several packets may be mixed.
    """
    stacks: dict[tuple[str, str], list[TraceEvent]] = {}
    for event in events:
        located = _located(event, listing)
        stack = stacks.setdefault((event.trace, event.table), [])
        yield from _ended(stack, located)
        yield located
        _step(stack, located)


def _located(event: TraceEvent, listing: Listing) -> TraceEvent:
    number = event.number
    if event.handle is not None:
        _, number = listing.handles.get((event.table, event.handle), (event.chain, number))
    if number is None:
        return event
    return msgspec.structs.replace(event, number=number, line=listing.lines.get((event.table, event.chain, number)))


def _ended(stack: list[TraceEvent], event: TraceEvent) -> Iterator[TraceEvent]:
    """The chains that must have ended, unsaid, for this event to stand where it stands."""
    while stack and not _stands_in(stack, event):
        chain = stack.pop()
        caller = chain
        yield TraceEvent(caller.trace, caller.family, caller.table, caller.target or "", "return", verdict="RETURN")


def _stands_in(stack: list[TraceEvent], event: TraceEvent) -> bool:
    top = stack[-1]
    if event.chain != top.target:
        return False
    return True


def _step(stack: list[TraceEvent], event: TraceEvent) -> None:
    if event.verdict in ("JUMP", "GOTO"):
        stack.append(event)
