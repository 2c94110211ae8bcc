"""Expectations beside the rules: what must be let by, dropped, refused, rewritten, reached, and stay so.

A file names what it is about (``against``) and lists expectations: a packet (`netfilter.packet` words), *every* packet
of a space (`intent.Intended` words behind the word ``every``), or a connection between places of a host's directory.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from ruleflow.analysis.intent import FRAGMENT, Intended
from ruleflow.analysis.witness import Witness
from ruleflow.analysis.wording import Wording
from ruleflow.bridge.generate import generate
from ruleflow.bridge.read_declaration import read_declaration
from ruleflow.errors import ReadError, Where
from ruleflow.netfilter.alter import Alter, Is
from ruleflow.netfilter.connect import connect
from ruleflow.netfilter.encode import DPORT, DST, FREE_BASE, SPORT, STATE
from ruleflow.netfilter.flow import Flow
from ruleflow.netfilter.idd import NOTHING
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.side import Side
from ruleflow.netfilter.space import Space
from ruleflow.netfilter.steps import Outcome, Walk
from ruleflow.netfilter.trail import Trail
from ruleflow.netfilter.traveller import Part
from ruleflow.netfilter.walk import Around, walk
from ruleflow.netfilter.walk_input import around, end_of, subject_of, world_of
from ruleflow.netfilter.world import World
from ruleflow.ruleset.addresses import address_text
from ruleflow.ruleset.ir import Ruleset
from ruleflow.ruleset.parse import parse

VERDICTS = ("accept", "drop", "reject")
_STATES = {"invalid": 0, "new": 1, "established": 2, "related": 3, "untracked": 4}
_KEYS = frozenset(
    {*VERDICTS, "from", "reaches", "not_reaches", "proto", "sees", "rewrites_to", "name", "state"}
)
HELP = "an expectation is `accept:`, `drop:` or `reject:` with a packet or `every …`, or `from:` with `reaches:` or `not_reaches:`"


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """One expectation, from ``line`` of its file. ``verdict`` is accept, drop, reject, reaches or not_reaches.

    ``what`` are the words of the packet or space; for connections whom to reach, and ``from_`` who tries.
    """

    line: int
    verdict: str
    what: str
    name: str = ""
    from_: str = ""
    proto: str = "tcp"
    sees: str = ""
    rewrites_to: str = ""
    state: str = "new"

    @property
    def title(self) -> str:
        """What it is called: its name, else its words."""
        return self.name or " ".join(filter(None, (self.from_, self.verdict.replace("_", " "), self.what)))


class Suite(msgspec.Struct, frozen=True, kw_only=True):
    """A file's expectations, what they are about, and what is known of the host."""

    source: str
    expectations: tuple[Expectation, ...]
    against: str = ""
    known: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """``local``, ``routes``, ``sets`` and ``assume``, as on the command line of walk."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How an expectation was met: ``found`` says what is so, ``why`` by which rule; ``witness`` a packet that differs."""

    expectation: Expectation
    ok: bool
    found: str
    why: str = ""
    witness: str = ""
    live: str = ""
    """Of a try in the real kernel: how much was sent."""
    skipped: str = ""
    """Why it was not tried; it is neither met nor not."""


# -- reading ----------------------------------------------------------------------------------------------------


def read_suite(text: str, source: str = "<expectations>") -> Suite:
    """The expectations of a YAML text.

    :raises ReadError: where it is no YAML or an entry is not as `HELP` says, with the line.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        value: Any = YAML().load(text)
    except YAMLError as error:
        raise ReadError(f"this is no YAML: {error}", where=Where(source), help="see docs/test.md") from None
    if not isinstance(value, dict) or not isinstance(value.get("tests"), list):
        raise ReadError(
            "there is no list `tests`", where=Where(source, 1), help=f"write `tests:` and below it: {HELP}"
        )
    known = tuple(
        (name, _words(value.get(name))) for name in ("local", "routes", "sets", "assume") if value.get(name)
    )
    entries = value["tests"]
    found = tuple(
        _read(entry, source, entries.lc.item(number)[0] + 1) for number, entry in enumerate(entries)
    )
    return Suite(source=source, expectations=found, against=str(value.get("against") or ""), known=known)


def _words(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),)


def _read(entry: Any, source: str, line: int) -> Expectation:
    where = Where(source, line)
    if not isinstance(entry, dict):
        raise ReadError(f"{entry!r} is no expectation", where=where, help=HELP)
    unknown = [key for key in entry if key not in _KEYS]
    if unknown:
        raise ReadError(
            f"I do not know the key {unknown[0]!r}",
            where=where,
            help=f"the keys are: {', '.join(sorted(_KEYS))}",
        )
    kinds = [key for key in (*VERDICTS, "reaches", "not_reaches") if key in entry]
    if len(kinds) != 1 or (kinds[0] not in VERDICTS) != ("from" in entry):
        raise ReadError("it does not say one thing to expect", where=where, help=HELP)
    if str(entry.get("state", "new")) not in (*_STATES, "any"):
        raise ReadError(
            f"{entry['state']!r} is no state", where=where, help=f"write one of {', '.join(_STATES)}, any"
        )
    given = {
        key: str(entry[key]) for key in ("name", "proto", "sees", "rewrites_to", "state") if key in entry
    }
    return Expectation(
        line=line, verdict=kinds[0], what=str(entry[kinds[0]]), from_=str(entry.get("from", "")), **given
    )


# -- trying -----------------------------------------------------------------------------------------------------


class Subject:
    """What expectations are about: a dump, a declaration (YAML) or a host's directory, by name."""

    def __init__(self, name: str, suite: Suite) -> None:
        self.name = name
        self.known: dict[str, Any] = {
            "local": (),
            "routes": (),
            "sets": (),
            "host_file": None,
            "assume": (),
            **dict(suite.known),
        }
        self.is_directory = Path(name).is_dir() or (
            name.startswith("sample:")
            and not name.endswith((".rules", ".yaml"))
            and _is_sample_directory(name)
        )
        self._machines: dict[int, Machine] = {}
        self._flows: dict[int, Flow] = {}
        self._world: World | None = None

    @property
    def around(self) -> Around:
        """The assumptions of the file."""
        return around(self.known["assume"])

    @property
    def world(self) -> World:
        """The hosts. Raises `ReadError` where the subject is no directory."""
        if not self.is_directory:
            raise ReadError(
                f"{self.name} is no directory of a host",
                help="`from:` needs one: ruleflow snapshot DIR makes it",
            )
        if self._world is None:
            self._world = world_of(self.name)
        return self._world

    def machine(self, family: int) -> Machine:
        """The machine to walk through."""
        if family not in self._machines:
            self._machines[family] = subject_of(
                self.name, lambda: _document(self.name, family), family, self.known
            )
        return self._machines[family]

    @property
    def knows_addresses(self) -> bool:
        """Whether the host's own addresses are known: from its directory, or said in the file."""
        return self.is_directory or bool(self.known["local"])

    def machine_with(
        self, family: int, local: tuple[str, ...], routes: tuple[tuple[str, str], ...]
    ) -> Machine:
        """The machine with further addresses of its own and routes (network and interface); the same one without any."""
        if not local and not routes:
            return self.machine(family)
        more = {
            "local": (*self.known["local"], *local),
            "routes": (*self.known["routes"], *(f"{net}={name}" for net, name in routes)),
        }
        return subject_of(self.name, lambda: _document(self.name, family), family, {**self.known, **more})

    def flow(self, family: int) -> Flow:
        """The machine's rules as sets. Raises `ReadError` where it has more than one rule set."""
        if family not in self._flows:
            machine = self.machine(family)
            if len(machine.rulesets) != 1:
                raise ReadError(
                    f"{self.name} has rules in two backends", help="ask with packets, not with `every`"
                )
            names = [link.name for link in machine.host.interfaces]
            self._flows[family] = Flow(Side(Space([machine.rulesets[0]], names), machine.rulesets[0]))
        return self._flows[family]


def _is_sample_directory(name: str) -> bool:
    from ruleflow.data import sample

    return sample(name.removeprefix("sample:")).is_dir()


def _document(name: str, family: int) -> Any:
    """The rules of a dump, or those that a declaration makes, as something with ``rulesets``."""
    from ruleflow.data import sample

    path = sample(name.removeprefix("sample:")) if name.startswith("sample:") else Path(name)
    try:
        text = path.read_text("utf-8", "surrogateescape")
    except OSError as error:
        raise ReadError(
            f"cannot read {name!r}: {error.strerror}", help="give a dump, a declaration or a host's directory"
        ) from None
    if path.suffix in (".yaml", ".yml", ".json"):
        return _Made((generate(read_declaration(text, name), family=family),))
    return parse(text, source=name, family=family if "*" not in text else None)


class _Made(msgspec.Struct, frozen=True):
    rulesets: tuple[Ruleset, ...]


def run(suite: Suite, subject: Subject) -> Iterator[Result]:
    """Try every expectation."""
    for one in suite.expectations:
        try:
            yield _try(one, subject)
        except ReadError as error:
            if error.where is None or error.where.source != suite.source:
                error = ReadError(f"line {one.line}: {error.message}", where=error.where, help=error.help)
            raise error from None


def _try(one: Expectation, subject: Subject) -> Result:
    if one.from_:
        return _connection(one, subject)
    if one.what.startswith("every "):
        return _space(one, subject)
    return _packet(one, subject)


def _packet(one: Expectation, subject: Subject) -> Result:
    packet = Packet.parse(one.what)
    found = walk(subject.machine(packet.family), packet, subject.around)
    return judged(one, found)


def judged(one: Expectation, found: Walk, seen: Outcome | None = None) -> Result:
    """How a walk meets an expectation about its packet; ``seen`` is the one of its outcomes that the kernel showed."""
    end = seen or found.end
    verdict = seen.verdict if seen else found.verdict
    target = _place(end.packet)
    ok = verdict.lower() == one.verdict and one.rewrites_to in (
        "",
        target,
        target.rpartition(":")[0].strip("[]"),
    )
    said = verdict if not one.rewrites_to else f"{verdict}, to {target}"
    return Result(expectation=one, ok=ok, found=said, why=end.sentence)


def _place(packet: Packet) -> str:
    address = address_text(packet.destination or 0, packet.family)
    port = packet.destination_port
    return address if port is None else f"[{address}]:{port}" if packet.family == 6 else f"{address}:{port}"


def _connection(one: Expectation, subject: Subject) -> Result:
    address, port = end_of(one.what)
    found = connect(subject.world, one.from_, address, port, one.proto, remedies=False)
    ok = found.is_reached == (one.verdict == "reaches") and one.sees in ("", found.sees or "")
    said = f"{found.result}{f', seen as {found.sees}' if found.sees else ''}"
    return Result(expectation=one, ok=ok, found=said, why=found.because)


def space_of(one: Expectation, subject: Subject) -> tuple[Flow, int, str]:
    """The packets that an expectation with ``every`` is about, as a set of the subject's diagrams, and where they enter."""
    words = one.what.removeprefix("every ").removeprefix("packet ")
    family = (
        6
        if ":" in words.replace(": ", " ") and Intended(words, 6).fits and not Intended(words, 4).fits
        else 4
    )
    wanted = Intended(words, family)
    flow = subject.flow(family)
    tests = dict(wanted.tests)
    for level, name in wanted.names.items():
        number = flow.encoder.atoms.of(name)
        tests[level] = ((number, number),)
    if one.state != "any":
        tests[STATE] = ((_STATES[one.state],) * 2,)
    if DPORT in tests or SPORT in tests:
        tests[FRAGMENT] = ((0, 0),)  # a later fragment has no ports: nobody means it who names one
    entry = {"in": "in", "through": "through", "out": "send"}[wanted.way or "in"]
    where = flow.diagrams.without(flow.diagrams.cube(tests.items()), flow.lost(entry))
    return flow, where, entry


def _space(one: Expectation, subject: Subject) -> Result:
    """Every packet of the space: parted by the rules that decide, until one part differs."""
    flow, where, entry = space_of(one, subject)
    bad = [part for part in Trail(flow).entry(entry, where) if not _as_wanted(part, one)]
    if not bad:
        return Result(expectation=one, ok=True, found=f"{one.verdict}, all of them")
    sure = [part for part in bad if all(level < FREE_BASE for level in flow.diagrams.support(part.where))]
    first = (sure or bad)[0]
    box = next(iter(flow.diagrams.boxes(first.where)))
    packet = Witness(flow.encoder, first.where, "send" if entry == "send" else "arrive").packet(
        out=entry != "in"
    )
    by = f"by {first.by}" if first.by is not None and first.by.index else "by the policy"
    return Result(
        expectation=one,
        ok=False,
        found=f"{first.then}: {Wording(flow.encoder).box(box)}",
        why=by,
        witness=str(packet),
    )


def _as_wanted(part: Part, one: Expectation) -> bool:
    if part.where == NOTHING:
        return True
    right = part.then.split()[0].lower() == one.verdict
    return right and (not one.rewrites_to or _goes_to(part.alter, one.rewrites_to))


def _goes_to(alter: Alter, place: str) -> bool:
    address, port = end_of(place)
    there = alter.get(DST)
    at = alter.get(DPORT)
    return (
        isinstance(there, Is)
        and address == address_text(there.value, 4 if "." in address else 6)
        and (port is None or (isinstance(at, Is) and at.value == port))
    )


# -- recording --------------------------------------------------------------------------------------------------


def record(subject: Subject, family: int, most: int = 200) -> Iterator[tuple[str, str, str]]:
    """One packet for each rule of the filter table that some packet meets: verdict, words, place after rewriting."""
    from ruleflow.analysis.lint.reached import Reached

    machine = subject.machine(family)
    flow = subject.flow(family)
    rules = machine.rulesets[0]
    if "filter" not in rules:
        return
    reached = Reached(flow.side, rules["filter"])
    seen: set[str] = set()
    for (name, low, high), starts in reached.starts.items():
        for hook, came in starts.items():
            for index in range(low, high):
                where = flow.diagrams.both(reached.first(name, low, index), came)
                if where == NOTHING or len(seen) >= most:
                    continue
                packet = Witness(flow.encoder, where, "send" if hook == "OUTPUT" else "arrive").packet(
                    out=False
                )
                packet = packet.with_(fragment=None, pkttype=None)
                if str(packet) in seen:
                    continue
                seen.add(str(packet))
                found = walk(machine, packet, subject.around)
                if found.verdict.lower() in VERDICTS:
                    moved = found.end.packet.destination != packet.destination
                    yield found.verdict.lower(), str(packet), _place(found.end.packet) if moved else ""
