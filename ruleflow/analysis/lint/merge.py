"""Neighbours that one rule can stand for: the same target and the same conditions but for one network or port.

Only rules whose target ends the chain for a packet are put together, and only where the packets that the new rules ask
for are, as sets, exactly those that the old ones asked for. What remembers (limit, recent) or has a comment of its own
stays as it is.
"""

import ipaddress
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from ruleflow.analysis.idioms import recognise
from ruleflow.analysis.lint.case import Case
from ruleflow.analysis.lint.tried import Key
from ruleflow.analysis.lint.without import without
from ruleflow.netfilter.idd import NOTHING
from ruleflow.netfilter.intervals import Interval, joined
from ruleflow.netfilter.space import Space
from ruleflow.ruleset.effect import Back, Stop
from ruleflow.ruleset.extension import Match
from ruleflow.ruleset.ir import Goto, Jump, Rule, Ruleset
from ruleflow.ruleset.matches.addresses import Iprange
from ruleflow.ruleset.matches.header import Header
from ruleflow.ruleset.matches.ports import Multiport, Udp
from ruleflow.ruleset.parse import parse


def _flag(extension: type[Match], attr: str) -> str:
    """How an option is spelled where iptables-save prints it."""
    return next(row.flag for row in extension.rows() if row.attr == attr)


_ADDRESSES = {
    _flag(Header, "source"): _flag(Iprange, "source_range"),
    _flag(Header, "destination"): _flag(Iprange, "destination_range"),
}
_PORTS = {
    _flag(Udp, "source_port"): _flag(Multiport, "source_ports"),
    _flag(Udp, "destination_port"): _flag(Multiport, "destination_ports"),
}
"""The option for one value, and the one for several."""
_SLOTS = 15
"""Ports that one multiport takes, a range counting twice (XT_MULTI_PORTS)."""
_HOLE = "\0"


class Merge(msgspec.Struct, frozen=True):
    """``lines`` (from 1, adjacent rules) become the rules ``new``."""

    lines: tuple[int, ...]
    new: tuple[str, ...]


def merges(case: Case, table: str, gone: frozenset[Key]) -> Iterator[Merge]:
    """What can be put together in a table once the rules ``gone`` are taken out; what a program keeps stays as it wrote it."""
    known = recognise(case.rules)
    theirs = {ref for claim in known.claims if claim.owner for ref in claim.about}
    kept = {id(rule) for ref, rule in case.each() if ref in theirs}
    for chain in without(case.rules, table, gone)[table]:
        if (table, chain.name) in known.owners:
            continue
        rules = [rule for rule in chain.rules if id(rule) not in kept and _may(case, rule)]
        numbers = {id(rule): number for number, rule in enumerate(chain.rules)}
        places = [numbers[id(rule)] for rule in rules]
        at = 0
        while at < len(rules):
            runs = [(_run(rules, places, at, option), option) for option in (*_ADDRESSES, *_PORTS)]
            end, option = max(runs, key=lambda one: one[0])
            if end - at > 1:
                yield from _of_run(case, table, rules[at:end], option)
            at = end


def _may(case: Case, rule: Rule) -> bool:
    """Whether a rule stands on a line of its own, ends the chain for its packets, and asks nothing that remembers."""
    target = rule.target
    if target is None or rule.line is None or isinstance(target, Jump):
        return False
    if not case.text_of(rule.line).lstrip().startswith(("-A", "[")):
        return False
    if not isinstance(target, Goto) and not isinstance(case.side.space.effects(target).then, Stop | Back):
        return False
    return not case.side.space.asked(rule).remembers


def _run(rules: Sequence[Rule], places: Sequence[int], start: int, option: str) -> int:
    """Up to which rule, from ``start``, neighbours differ in the value of ``option`` only."""
    mask, value = _masked(rules[start], option)
    at, other = start, mask
    while (
        value
        and other == mask
        and rules[at].target == rules[start].target
        and places[at] - places[start] == at - start
    ):
        at += 1
        if at == len(rules):
            break
        other, value = _masked(rules[at], option)
    return max(at, start + 1)


def _of_run(case: Case, table: str, rules: Sequence[Rule], option: str) -> Iterator[Merge]:
    """The merges in a run of neighbours; their order among themselves decides nothing, since all do the same."""
    mask, _ = _masked(rules[0], option)
    values = [_masked(rule, option)[1] for rule in rules]
    for numbers, asked in (_addresses if option in _ADDRESSES else _ports)(mask, option, values):
        taken = [rules[number] for number in numbers]
        if len(asked) < len(taken) and _same(case, table, taken, asked):
            new = [f"-A {_chain(taken[0])} {words} {taken[0].target}" for words in asked]
            counted = _counters(taken)
            lines = tuple(rule.line for rule in taken if rule.line is not None)
            yield Merge(
                lines, (f"{counted}{new[0]}", *(f"{'[0:0] ' if counted else ''}{one}" for one in new[1:]))
            )


def _chain(rule: Rule) -> str:
    return str(Rule(rule.chain)).removeprefix("-A ")


def _masked(rule: Rule, option: str) -> tuple[tuple[str, ...], str]:
    """The rule's matches with a hole where ``option`` has its value, and the value; "" where it is not plainly asked."""
    parts, value = [], ""
    for match in rule.matches:
        text = str(match)
        words = text.split(" ")
        if match.name in ("", "tcp", "udp", "sctp", "dccp", "udplite") and option in words:
            at = words.index(option)
            if at and words[at - 1] == "!":
                return (), ""
            value, words[at + 1] = words[at + 1], _HOLE
            text = " ".join(words)
        parts.append(text)
    return tuple(parts), value


_Part = tuple[list[int], list[str]]
"""Numbers of rules in a run, and the words of the rules that may stand for them."""


def _addresses(mask: tuple[str, ...], option: str, values: Sequence[str]) -> Iterator[_Part]:
    """For each stretch of addresses without a gap."""
    try:
        nets = [ipaddress.ip_network(value) for value in values]
    except ValueError:  # a mask with gaps
        return
    spans = [(int(one.network_address), int(one.broadcast_address)) for one in nets]
    stretches = joined(spans)
    numbers: list[list[int]] = [[] for _ in stretches]
    for number, (low, _) in enumerate(spans):
        numbers[bisect_right(stretches, (low, 1 << 128)) - 1].append(number)
    for (first, last), some in zip(stretches, numbers, strict=True):
        found = list(ipaddress.collapse_addresses(nets[number] for number in some))  # type: ignore[type-var]
        if len(found) > 1 and not any(part.startswith("-m iprange") for part in mask):
            kind = type(nets[0].network_address)
            yield (
                some,
                [_instead(mask, option, f"-m iprange {_ADDRESSES[option]} {kind(first)}-{kind(last)}")],
            )
        else:
            yield some, [_filled(mask, str(one)) for one in found]


def _ports(mask: tuple[str, ...], option: str, values: Sequence[str]) -> Iterator[_Part]:
    """All of them at once."""
    pairs = [value.split(":") for value in values]
    if not all(each.isdecimal() for pair in pairs for each in pair):
        return
    parts = joined((int(pair[0]), int(pair[-1])) for pair in pairs)
    if len(parts) == 1 or any(part.startswith("-m multiport") for part in mask):
        asked = [_filled(mask, _port(part)) for part in parts]
    else:
        lists = (",".join(map(_port, some)) for some in _filling(parts))
        asked = [_instead(mask, option, f"-m multiport {_PORTS[option]} {each}") for each in lists]
    yield list(range(len(values))), asked


def _filling(parts: Iterable[Interval]) -> Iterator[list[Interval]]:
    """As many ports in each as one multiport takes."""
    some: list[Interval] = []
    room = _SLOTS
    for part in parts:
        need = 1 if part[0] == part[1] else 2
        if need > room:
            yield some
            some, room = [], _SLOTS
        some.append(part)
        room -= need
    yield some


def _port(part: Interval) -> str:
    return str(part[0]) if part[0] == part[1] else f"{part[0]}:{part[1]}"


def _filled(mask: tuple[str, ...], value: str) -> str:
    return " ".join(mask).replace(_HOLE, value)


def _instead(mask: tuple[str, ...], option: str, match: str) -> str:
    """The rule without ``option``, but with a match of its own; "-m tcp" goes where nothing is left of it."""
    left = [
        part.replace(f"{option} {_HOLE}", "").replace("  ", " ").strip() if _HOLE in part else part
        for part in mask
    ]
    bare = ("", "-m tcp", "-m udp", "-m sctp", "-m dccp", "-m udplite")
    return " ".join((*(part for part in left if part not in bare), match))


def _same(case: Case, table: str, old: Sequence[Rule], new: Sequence[str]) -> bool:
    """Whether the new rules ask for just the packets of the old."""
    before = [" ".join(str(match) for match in rule.matches) for rule in old]
    sides = [_asking(case.rules.family, table, words) for words in (before, new)]
    space = Space(sides)
    sets = []
    for side in sides:
        found = NOTHING
        for _, rule in side.rules():
            found = space.diagrams.either(found, space.encoder.build(space.asked(rule), None))
        sets.append(found)
    return sets[0] == sets[1]


def _asking(family: int, table: str, words: Iterable[str]) -> Ruleset:
    """Rules that only ask."""
    lines = "".join(f"-A X {each}\n" for each in words)
    return parse(f"*{table}\n:X - [0:0]\n{lines}COMMIT\n", family=family).rulesets[0]


def _counters(rules: Sequence[Rule]) -> str:
    """The sum of what was counted, as it stands before a rule; "" where nothing was."""
    found = [rule.counters for rule in rules if rule.counters is not None]
    return f"[{sum(one.packets for one in found)}:{sum(one.bytes for one in found)}] " if found else ""
