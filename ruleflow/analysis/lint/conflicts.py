"""RF2, on request: rules of one chain that contradict each other where both apply, so that their order decides.

The two kinds that are no fault by themselves, after Al-Shaer and Hamed (Discovery of policy anomalies in distributed
firewalls, INFOCOM 2004): generalisation and correlation. (Shadowing is RF201, redundancy RF202.) Every pair is exact:
there are packets that the earlier rule gets and that the later one asks for, too.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator

import msgspec

from ruleflow.analysis.findings import Code, Finding
from ruleflow.analysis.lint.case import Case
from ruleflow.analysis.lint.reached import Reached, Stretch
from ruleflow.analysis.lint.touch import bits, numbers
from ruleflow.analysis.wording import Wording
from ruleflow.netfilter.encode import IN, LEVELS, OUT, STATE
from ruleflow.netfilter.idd import NOTHING
from ruleflow.netfilter.side import deep
from ruleflow.ruleset.effect import Stop
from ruleflow.ruleset.ir import Goto, Jump, Rule, RuleRef

_LEFT_OUT = (
    " Rules of one chain are compared, for packets that begin a connection, loopback apart. Left out is a rule for "
    "all that comes to it: that is a default, not a conflict."
)
WIDER = Code(
    "RF206", "a wider rule decides otherwise than an earlier one", "info",
    "Every packet that an earlier rule asks for this one asks for, too, and would do something else with it: the "
    "earlier is an exception to this one (generalisation)." + _LEFT_OUT + " Only with --conflicts.",
    "Mostly meant so. Whoever moves this rule up, or adds to it at the top, takes the exception away.",
    "-A INPUT -s 10.0.0.7/32 -p tcp -m tcp --dport 22 -j DROP\n-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j ACCEPT",
    "-A INPUT -p tcp -m tcp --dport 22 -m iprange --src-range 10.0.0.0-10.0.0.6 -j ACCEPT\n"
    "-A INPUT -p tcp -m tcp --dport 22 -m iprange --src-range 10.0.0.8-10.255.255.255 -j ACCEPT",
)  # fmt: skip
CROSSING = Code(
    "RF207", "two rules contradict each other where both apply", "info",
    "Some packets are asked for by both rules, others by one of them only, and the rules decide otherwise: the order "
    "decides about the packets they share (correlation)." + _LEFT_OUT + " Only with --conflicts.",
    "Nothing in the rules says which of the two was meant for what they share; the other order would be as plausible.",
    "-A INPUT -s 10.0.0.0/8 -j DROP\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT",
    "-A INPUT -s 10.0.0.0/8 -j DROP\n-A INPUT ! -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j ACCEPT",
)  # fmt: skip
CODES = (WIDER, CROSSING)

_BEGINNING = ((1, 1),)
"""The state of packets that begin a connection."""
_UNSAID = (STATE, LEVELS["fragment"])
_NONE = ((0, 0),)
_SHOWN = 8
_MOST = 50
"""Earlier rules that are looked up for each rule: with it the work grows no faster than n log n."""


class _Pair(msgspec.Struct, frozen=True):
    """An earlier rule (``index`` from 0) that contradicts: the packets ``shared``, whether it asks for nothing else."""

    index: int
    shared: int
    inside: bool


def check(case: Case) -> Iterator[Finding]:
    """All pairs of every chain, put together by their later rule."""
    for table in case.rules:
        reached = case.reached(table.name)
        strength = case.assumed(table.name)
        for stretch, starts in reached.starts.items():
            if stretch[2] - stretch[1] < 2:
                continue
            came = NOTHING
            for packets in starts.values():
                came = reached.diagrams.either(came, packets)
            with deep():
                yield from _stretch(case, reached, stretch, came, strength)


def _stretch(case: Case, reached: Reached, stretch: Stretch, came: int, strength: str) -> Iterator[Finding]:
    """The findings about a run of rules, for the packets that come to it."""
    name, low, high = stretch
    diagrams, tree = reached.diagrams, reached.tree(name)
    if reached.table.name != "raw":  # others are let by, or dropped, by rules at the top on purpose
        came = diagrams.both(came, diagrams.test(STATE, _BEGINNING))
    lo = (case.side.space.encoder.atoms.range("lo"),)
    for level in (IN, OUT):
        came = diagrams.without(came, diagrams.test(level, lo))
    does = _verdicts(case, reached.table[name].rules, low, high)
    takers = _takers(does)
    for index, word in does.items():
        asks = diagrams.both(tree.asks(index), came)
        if asks in (NOTHING, came) or (name, index) not in reached.hit:
            continue
        pairs = [
            _Pair(
                earlier,
                diagrams.both(takes, asks),
                diagrams.without(tree.asks(earlier), tree.asks(index)) == NOTHING,
            )
            for other, those in takers.items()
            if other != word
            for earlier, takes in itertools.islice(
                _earlier(reached, stretch, came, those, index, asks), _MOST
            )
        ]
        for code, inside in ((WIDER, True), (CROSSING, False)):
            found = [pair for pair in pairs if pair.inside == inside]
            if found:
                yield _finding(case, code, case.ref(reached.table.name, name, index), found, strength)


def _verdicts(case: Case, rules: tuple[Rule, ...], low: int, high: int) -> dict[int, str]:
    """What each rule that decides does: its verdict, or for a rewriting the whole of its target."""
    found: dict[int, str] = {}
    for index in range(low, high):
        target = rules[index].target
        if target is None or isinstance(target, Jump | Goto):
            continue
        effects = case.side.space.effects(target)
        if isinstance(effects.then, Stop):
            found[index] = str(target) if effects.changes else effects.then.verdict
    return found


def _takers(does: dict[int, str]) -> dict[str, int]:
    """By what they do: the rules of a stretch, as bits."""
    indexes: dict[str, list[int]] = defaultdict(list)
    for index, word in does.items():
        indexes[word].append(index)
    return {word: bits(some) for word, some in indexes.items()} if len(indexes) > 1 else {}


def _earlier(
    reached: Reached, stretch: Stretch, came: int, others: int, index: int, asks: int
) -> Iterator[tuple[int, int]]:
    """Rules of ``others`` before ``index`` that get some of ``asks``, each with all it gets; not all, where many."""
    name, low, _ = stretch
    diagrams, tree = reached.diagrams, reached.tree(name)
    tests = reached.side.space.asked(reached.table[name].rules[index]).tests
    for earlier in numbers(tree.touch.box(tests) & others & ((1 << index) - 1)):
        if diagrams.meets(reached.first(name, low, earlier), asks):
            yield earlier, diagrams.both(reached.first(name, low, earlier), came)


def _finding(case: Case, code: Code, ref: RuleRef, pairs: list[_Pair], strength: str) -> Finding:
    pairs = sorted(pairs, key=lambda pair: pair.index)
    label = "is an exception to it" if code is WIDER else "gets the packets that both ask for"
    refs = [case.ref(ref.table, ref.chain, pair.index) for pair in pairs[:_SHOWN]]
    notes = [f"proof: {strength}; {case.named(refs[0])} gets {_box(case, pairs[0].shared)}"]
    if len(pairs) > _SHOWN:
        least = "at least " if len(pairs) >= _MOST else ""
        notes.append(f"note: {least}{len(pairs) - _SHOWN} more earlier rules do otherwise, too")
    return case.finding(
        code, ref, code.name, "would do otherwise with some packets", strength=strength, notes=notes,
        others=[case.mark(each, label) for each in refs],
        help="leave the order as it is, if the exceptions are meant" if code is WIDER else "say in one of them who is not meant",
    )  # fmt: skip


def _box(case: Case, packets: int) -> str:
    """One kind of the packets, in words; what the hook has already decided is not said."""
    first = next(iter(case.side.diagrams.boxes(packets)))
    said = (test for test in first if test[0] not in _UNSAID and test not in ((IN, _NONE), (OUT, _NONE)))
    return Wording(case.side.space.encoder).box(tuple(said))
