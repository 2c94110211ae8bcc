"""Whether some packet of a set gets two different verdicts from two diagrams: stops at the first one."""

from collections.abc import Callable

from ruleflow.netfilter.idd import LEAF_LEVEL, NOTHING, Diagrams


def unlike(diagrams: Diagrams, one: int, other: int, within: int, differ: Callable[[int, int], bool]) -> bool:
    """Whether ``one`` (where it is not `NOTHING`) and ``other`` end in leaves that ``differ`` for a packet of ``within``."""
    level, all_ends, all_kids, tops = diagrams.level, diagrams.ends, diagrams.kids, diagrams.tops
    dead: set[tuple[int, int, int]] = set()

    def walk(a: int, b: int, c: int) -> bool:
        if NOTHING in (a, c) or a == b:
            return False
        at = min(level[a], level[b], level[c])
        if at == LEAF_LEVEL:
            return differ(a, b)
        key = a, b, c
        if key in dead:
            return False
        a_ends, a_kids = (all_ends[a], all_kids[a]) if level[a] == at else ((tops[at],), (a,))
        b_ends, b_kids = (all_ends[b], all_kids[b]) if level[b] == at else ((tops[at],), (b,))
        c_ends, c_kids = (all_ends[c], all_kids[c]) if level[c] == at else ((tops[at],), (c,))
        i = j = k = 0
        count = len(a_ends)
        while i < count:
            if a_kids[i] and c_kids[k] and walk(a_kids[i], b_kids[j], c_kids[k]):
                return True
            x, y, z = a_ends[i], b_ends[j], c_ends[k]
            end = x if x <= y and x <= z else min(y, z)
            i += x == end
            if i < count:
                j += y == end
                k += z == end
        dead.add(key)
        return False

    return walk(one, other, within)
