"""A chain as a binary tree of its rules: what any stretch of it makes of packets, made when it is asked for.

A question about a rule ("does anything reach it?") concerns the few rules that its packets may meet (`touch.Touch`);
where these are many, whole stretches of the chain are asked at once. Asking rule after rule with the whole rest of
packets is hundreds of times slower (FACTS §6).
"""

from collections.abc import Callable, Iterator

from ruleflow.analysis.lint.touch import Touch
from ruleflow.netfilter.idd import EVERYTHING, NOTHING, Diagrams

Join = Callable[[int, int], int]
Make = Callable[[int], int]

_DENSE = 4
"""A stretch of which one rule in so many is asked for is asked as a whole."""


class Tree:
    """``ask`` makes the set of packets that a rule asks for, ``do`` what the rule makes of those packets."""

    __slots__ = ("_asks", "_do", "_does", "_done", "_join", "_make", "_size", "_taken", "diagrams", "touch")

    def __init__(self, diagrams: Diagrams, touch: Touch, ask: Make, do: Make, join: Join) -> None:
        self.diagrams, self.touch, self._make, self._do, self._join = diagrams, touch, ask, do, join
        self._size = touch.all.bit_length()
        self._asks: dict[int, int] = {}
        self._does: dict[int, int] = {}
        self._done: dict[tuple[int, int], int] = {}
        self._taken: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return self._size

    def asks(self, index: int) -> int:
        """The packets that a rule asks for."""
        found = self._asks.get(index)
        if found is None:
            found = self._asks[index] = self._make(index)
        return found

    def does(self, index: int) -> int:
        """What a rule makes of the packets that it asks for."""
        found = self._does.get(index)
        if found is None:
            found = self._does[index] = self._do(index)
        return found

    def done(self, low: int, high: int) -> int:
        """What the rules from ``low`` up to ``high`` make of packets, one after the other."""
        if high - low < 2:
            return self.does(low) if low < high else NOTHING
        found = self._done.get((low, high))
        if found is None:
            middle = split(low, high)
            found = self._done[low, high] = self._join(self.done(low, middle), self.done(middle, high))
        return found

    def taken(self, low: int, high: int) -> int:
        """The packets with which the rules from ``low`` up to ``high`` do anything."""
        found = self._taken.get((low, high))
        if found is None:
            found = self._taken[low, high] = support(self.diagrams, self.done(low, high))
        return found

    def rest(self, where: int, low: int, high: int, touching: int) -> int:
        """Those of the packets ``where`` that the rules from ``low`` up to ``high`` leave alone.

        ``touching`` are the rules, as bits, that ``where`` may meet.
        """
        for first, last in self.stretches(low, high, touching):
            if where == NOTHING:
                break
            where = self.diagrams.without(where, self.taken(first, last))
        return where

    def stretches(self, low: int, high: int, touching: int) -> Iterator[tuple[int, int]]:
        """The stretches in order that have all rules of ``touching``, with few others beside them."""
        within = touching >> low & ((1 << max(high - low, 0)) - 1)
        if not within:
            return
        if high - low == 1 or within.bit_count() * _DENSE > high - low:
            yield low, high
            return
        middle = split(low, high)
        yield from self.stretches(low, middle, touching)
        yield from self.stretches(middle, high, touching)


def split(low: int, high: int) -> int:
    """Where a stretch is cut: at the greatest power of two inside, so that trees of like chains have like parts."""
    return low + (1 << (high - low - 1).bit_length() - 1)


def support(diagrams: Diagrams, a: int) -> int:
    """The packets for which ``a`` does not end in `NOTHING`."""
    return diagrams.map_leaves(a, lambda leaf: EVERYTHING if leaf != NOTHING else NOTHING, "anything")
