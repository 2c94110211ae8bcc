"""A program that seems to have written rules: how its claims are made, and what its chains are called."""

import re
from collections.abc import Callable, Iterator

from ruleflow.analysis.explanation import Claim
from ruleflow.analysis.idioms.shape import Shape, Shapes, place, places


class Owner:
    """A program by its ``name``; ``pattern`` fits the chains it makes, ``signs`` are the jumps that show it.

    Chains alone show nothing, since anybody may name one so: they must be called in the way of that program.
    """

    def __init__(
        self, name: str, shapes: Shapes, pattern: str, signs: list[Shape], *, needed: int = 2
    ) -> None:
        self.name, self.shapes, self.signs = name, shapes, signs
        self._pattern = re.compile(pattern)
        self.known = len({(sign.ref.table, sign.ref.chain, sign.calls) for sign in signs}) >= needed

    def mine(self, chain: str | None) -> bool:
        """Whether a chain is named as the program names its own."""
        return chain is not None and self._pattern.fullmatch(chain) is not None

    def rules(self) -> Iterator[Shape]:
        """The rules in its chains, and those that call them from elsewhere."""
        for (_, chain), rules in self.shapes.chains.items():
            for one in rules:
                if self.mine(chain) or self.mine(one.calls):
                    yield one

    def claim(
        self, code: str, one: Shape, reason: str, purpose: str = "", also: tuple[Shape, ...] = ()
    ) -> Claim:
        """A claim about one rule: the owner is a guess by names, the reason holds by the rule's shape."""
        by = "by names and shape" + "".join(f", with {place(other)}" for other in also)
        words = purpose if purpose.startswith("to ") or not purpose else f"for {purpose}"
        code = f"{self.name.split()[0].lower()}-{code}"
        return Claim(code, (one.ref,), reason, by, self.name, words, tuple(other.ref for other in also))

    def owned(self) -> Iterator[tuple[tuple[str, str], str]]:
        """Its chains, each with the words for its heading."""
        if self.known:
            for key in self.shapes.chains:
                if self.mine(key[1]):
                    yield key, f"made by {self.name}, by its name and its place"

    def sentence(
        self, more: str = "", evidence: str = "by the names of its chains and the jumps to them"
    ) -> Iterator[str]:
        """One sentence on the owner, with the evidence."""
        if self.known:
            yield f"{self.name}{more}: a guess, {evidence} ({places(self.signs)})."


Idiom = Callable[[Owner, Shape], Claim | None]


def told(owner: Owner, idioms: tuple[Idiom, ...]) -> Iterator[Claim]:
    """The claims of an owner's idioms about its rules, the first that fits each."""
    if not owner.known:
        return
    for one in owner.rules():
        found = next((claim for idiom in idioms if (claim := idiom(owner, one)) is not None), None)
        if found is not None:
            yield found
