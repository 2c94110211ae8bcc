"""The packets that can enter each built-in chain, before any rule is asked."""

from ruleflow.netfilter.encode import IN, OUT, STATE
from ruleflow.netfilter.flow import FRAGMENT, INVALID, Flow
from ruleflow.netfilter.idd import EVERYTHING
from ruleflow.netfilter.side import Side

_NO_IN = frozenset({"OUTPUT"})
_NO_OUT = frozenset({"PREROUTING", "INPUT"})
_SOME_IN = frozenset({"PREROUTING", "INPUT", "FORWARD"})
_SOME_OUT = frozenset({"FORWARD", "OUTPUT", "POSTROUTING"})


def entering(side: Side, table: str, hook: str) -> int:
    """The packets that a table's chain of a hook may see.

    Which interfaces they show; nat sees only what begins a connection; raw sees no connection state, but of what
    comes in again by lo (`netfilter.flow.Flow` says so too).
    """
    diagrams, encoder = side.diagrams, side.space.encoder
    found = EVERYTHING
    for level, none, some in ((IN, _NO_IN, _SOME_IN), (OUT, _NO_OUT, _SOME_OUT)):
        if hook in none:
            found = diagrams.both(found, diagrams.test(level, ((0, 0),)))
        elif hook in some:
            found = diagrams.both(found, diagrams.test(level, ((1, diagrams.tops[level]),)))
    if side.space.tracks:  # conntrack puts fragments together before any table sees them (nf_defrag_ipv4)
        found = diagrams.both(found, diagrams.test(FRAGMENT, ((0, 0),)))
    if table == "nat":
        return diagrams.both(Flow(side).first(), found)
    if table == "raw":
        stateless = diagrams.test(STATE, ((INVALID, INVALID),))
        again = diagrams.test(IN, (encoder.atoms.range("lo"),))
        return diagrams.both(diagrams.either(stateless, again), found)
    return found
