"""What packet and host do not decide: a walk takes it one way, and is walked again the other way."""

from collections.abc import Callable, Hashable
from typing import NamedTuple, TypeVar

import msgspec

from ruleflow.netfilter.steps import Choice
from ruleflow.ruleset.ir import RuleRef

LIMIT = 200
"""How many ways are followed at most."""

Assumed = tuple[tuple[str, bool], ...]
"""What the caller says of conditions: a word of their text, and whether they hold."""


class Chooser:
    """The choices of one walk: the first ones as ``script`` says, the later ones by default.

    The same question (``key``) is answered alike within a walk; a condition with memory has no key.
    """

    def __init__(self, script: tuple[bool, ...] = (), assumed: Assumed = ()) -> None:
        self.script, self.assumed = script, assumed
        self.made: list[Choice] = []
        self.told: dict[str, bool] = {}
        self.missing: list[str] = []
        """What the rules name and the dump does not have, as sentences."""
        self._known: dict[Hashable, bool] = {}

    def ask(
        self, text: str, *, key: Hashable = None, negated: bool = False, default: bool = False,
        ref: RuleRef | None = None, probability: float | None = None,
    ) -> bool:  # fmt: skip
        """Whether a condition holds, in this walk, as ``text`` says it.

        ``key`` is the same for a condition and its negation (``negated``), so that they are never both taken.
        """
        for word, says in self.assumed:
            if word in text:
                self.told[text] = says
                return says
        if key is not None and key in self._known:
            return self._known[key] != negated
        at = len(self.made)
        taken = self.script[at] if at < len(self.script) else default
        self.made.append(Choice(text, taken, ref, probability))
        if key is not None:
            self._known[key] = taken != negated
        return taken

    def others(self) -> list[tuple[bool, ...]]:
        """The scripts that take one of this walk's own choices the other way."""
        taken = [choice.taken for choice in self.made]
        return [(*taken[:at], not taken[at]) for at in range(len(self.script), len(taken))]


T = TypeVar("T")


def explore(
    walk: Callable[[Chooser], T], assumed: Assumed = (), limit: int = LIMIT
) -> tuple[list[tuple[T, Chooser]], bool]:
    """Every way of ``walk``, the default way first, and whether these are all."""
    waiting: list[tuple[bool, ...]] = [()]
    found: list[tuple[T, Chooser]] = []
    while waiting and len(found) < limit:
        chooser = Chooser(waiting.pop(0), assumed)
        found.append((walk(chooser), chooser))
        waiting += chooser.others()
    return found, not waiting


Way = tuple[Choice, ...]


def merged(ways: list[tuple[Way, Hashable]]) -> list[tuple[Way, Hashable]]:
    """The ways without the choices that change nothing: each end with the conditions that lead to it.

    A choice after which both sides go on alike is left out, from the last one back.
    """
    return _flat(_grown(ways, 0))


class _Node(NamedTuple):
    choice: Choice
    no: "_Tree"
    yes: "_Tree"


_Tree = _Node | Hashable


def _grown(ways: list[tuple[Way, Hashable]], depth: int) -> "_Tree":
    """The tree of choices; where one side was not followed, the other stands for both."""
    if len(ways) == 1 and len(ways[0][0]) <= depth:
        return ("end", ways[0][1])
    sides: dict[bool, list[tuple[Way, Hashable]]] = {False: [], True: []}
    for way, end in ways:
        if len(way) > depth:
            sides[way[depth].taken].append((way, end))
    if not sides[False] or not sides[True]:
        both = sides[False] + sides[True]
        return _grown(both, depth + 1) if both else ("end", ways[0][1])
    no, yes = _grown(sides[False], depth + 1), _grown(sides[True], depth + 1)
    if _shape(no) == _shape(yes):
        return no
    return _Node(sides[True][0][0][depth], no, yes)


def _shape(tree: "_Tree") -> Hashable:
    if isinstance(tree, _Node):
        return tree.choice.text, tree.choice.ref, _shape(tree.no), _shape(tree.yes)
    return tree


def _flat(tree: "_Tree", before: Way = ()) -> list[tuple[Way, Hashable]]:
    if not isinstance(tree, _Node):
        assert isinstance(tree, tuple)
        return [(before, tree[1])]
    no = msgspec.structs.replace(tree.choice, taken=False)
    yes = msgspec.structs.replace(tree.choice, taken=True)
    return [*_flat(tree.no, (*before, no)), *_flat(tree.yes, (*before, yes))]


def likelihood(way: Way) -> float | None:
    """How likely a way is; None where a choice's probability is not known."""
    likely = 1.0
    for choice in way:
        if choice.probability is None:
            return None
        likely *= choice.probability if choice.taken else 1 - choice.probability
    return likely
