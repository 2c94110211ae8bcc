"""A chain as a binary tree of its rules: what any stretch of it asks, and what it makes of packets.

A question about every rule ("does anything reach it?") is asked of the whole chain first and goes down only where
the answer is not settled; on the way the sets of packets are cut to those that the stretch can meet, which keeps
them small. Asking rule after rule with the whole rest of packets is hundreds of times slower (FACTS §6).
"""

from collections.abc import Callable

from ruleflow.netfilter.idd import NOTHING, Diagrams

Join = Callable[[int, int], int]


class Tree:
    """``asks`` are the sets of packets that each rule asks for, ``does`` what each makes of those packets."""

    __slots__ = ("_asked", "_done", "_join", "asks", "diagrams", "does")

    def __init__(self, diagrams: Diagrams, asks: list[int], does: list[int], join: Join) -> None:
        self.diagrams, self.asks, self.does, self._join = diagrams, asks, does, join
        self._asked: dict[tuple[int, int], int] = {}
        self._done: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self.asks)

    def asked(self, low: int, high: int) -> int:
        """The packets that some rule from ``low`` up to ``high`` asks for."""
        if high - low < 2:
            return self.asks[low] if low < high else NOTHING
        found = self._asked.get((low, high))
        if found is None:
            middle = split(low, high)
            found = self.diagrams.either(self.asked(low, middle), self.asked(middle, high))
            self._asked[low, high] = found
        return found

    def done(self, low: int, high: int) -> int:
        """What the rules from ``low`` up to ``high`` make of packets, one after the other."""
        if high - low < 2:
            return self.does[low] if low < high else NOTHING
        found = self._done.get((low, high))
        if found is None:
            middle = split(low, high)
            found = self._done[low, high] = self._join(self.done(low, middle), self.done(middle, high))
        return found


def split(low: int, high: int) -> int:
    """Where a stretch is cut: at the greatest power of two inside, so that trees of like chains have like parts."""
    return low + (1 << (high - low - 1).bit_length() - 1)
