"""Sets of packets that several checks ask about: what a table lets by, what kind of packet comes."""

from collections.abc import Iterable

from ruleflow.analysis.lint.case import Case
from ruleflow.analysis.lint.entering import entering
from ruleflow.netfilter.encode import DPORT, IN, LEVELS, PROTO, STATE
from ruleflow.netfilter.idd import EVERYTHING, NOTHING
from ruleflow.netfilter.intervals import Interval
from ruleflow.ruleset.ir import Rule

NEW, ESTABLISHED = 1, 2
"""Numbers of the level of the connection's state."""
FLAGS = LEVELS["tcp_flags"]


def cube(case: Case, **tests: int | Iterable[Interval]) -> int:
    """The packets with these numbers: ``state``, ``protocol``, ``port`` and others by their field's name."""
    levels = {"state": STATE, "protocol": PROTO, "port": DPORT, **LEVELS}
    return case.side.diagrams.cube(
        (levels[name], ((value, value),) if isinstance(value, int) else tuple(value))
        for name, value in tests.items()
    )


def from_wire(case: Case) -> int:
    """The packets that come by an interface that is not lo."""
    diagrams, encoder = case.side.diagrams, case.side.space.encoder
    lo = diagrams.test(IN, (encoder.atoms.range("lo"),))
    return diagrams.without(diagrams.test(IN, ((1, diagrams.tops[IN]),)), lo)


def passed(case: Case, table: str, hook: str, within: int = EVERYTHING) -> int:
    """Those of the packets ``within`` that a table's chain of a hook accepts, changed or not."""
    side = case.side
    where = side.diagrams.both(entering(side, table, hook), within)
    found = side.hook(table, hook, where)
    accepted = side.diagrams.map_leaves(
        found,
        lambda leaf: (
            EVERYTHING if leaf != NOTHING and side.outcomes.value(leaf).then == "ACCEPT" else NOTHING
        ),
        "accepted",
    )
    return side.diagrams.both(where, accepted)


def some_verdicts(case: Case, table: str, hook: str, within: int) -> frozenset[str]:
    """What becomes of some of the packets ``within`` in a table's chain of a hook, found quickly; none where it is not."""
    reached = case.reached(table)
    if hook in reached.changing_hooks or hook not in case.rules[table]:
        return frozenset()
    where = case.side.diagrams.both(entering(case.side, table, hook), within)
    return frozenset(reached.tried.verdicts(hook, where))


def verdict(rule: Rule) -> str:
    """The name of a rule's target (ACCEPT, DROP, LOG, a chain), "" where it has none."""
    return "" if rule.target is None else str(rule.target).split()[1]


def names_port(case: Case, rule: Rule) -> tuple[Interval, ...]:
    """The destination ports that a rule asks for, () where it does not ask."""
    return tuple(next((tuple(t) for level, t in case.side.space.asked(rule).tests if level == DPORT), ()))
