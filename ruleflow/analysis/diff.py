r"""What changed between two rule sets: which packets fare differently, completely, and what was edited.

>>> import ruleflow
>>> drop = "*filter\n:INPUT DROP [0:0]\nCOMMIT\n"
>>> ssh = drop.replace("COMMIT", "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT")
>>> [(one.kind, one.way, one.words) for one in diff(ruleflow.parse(drop), ruleflow.parse(ssh)).families[0].told][:1]
[('opens', 'in', ('tcp to port 22 (ssh)',))]
"""

from collections.abc import Iterable, Sequence

from ruleflow import __version__
from ruleflow.analysis.change_classes import ChangeClasses
from ruleflow.analysis.changes import SCHEMA, Changes, FamilyChanges
from ruleflow.analysis.rule_diff import RuleDiff
from ruleflow.netfilter.compare import Comparison
from ruleflow.netfilter.encode import FREE_BASE
from ruleflow.netfilter.host import Host
from ruleflow.netfilter.numbers import address_text
from ruleflow.ruleset.ir import Ruleset

ALL_BOXES = 50_000
"""Boxes of one class that are given at most; ``left`` says whether there are more."""


def diff(
    before: Ruleset | Sequence[Ruleset],
    after: Ruleset | Sequence[Ruleset],
    *,
    sources: tuple[str, str] = ("before", "after"),
    limit: int = ALL_BOXES,
    text_only: bool = False,
) -> Changes:
    """The differences between two rule sets, or between all rule sets of two texts, family by family.

    ``sources`` name the two texts. ``limit`` bounds the boxes of a class. ``text_only`` leaves the behaviour
    out. Raises `RuleflowError` where chains call each other in a circle.
    """
    old, new = (_by_family(one) for one in (before, after))
    families = tuple(
        _family(old.get(family, Ruleset(family)), new.get(family, Ruleset(family)), sources, limit, text_only=text_only)
        for family in sorted(old.keys() | new.keys())
    )
    same = not any(family.classes for family in families)
    return Changes(SCHEMA, __version__, sources[0], sources[1], same, families)


def _by_family(rulesets: Ruleset | Sequence[Ruleset]) -> dict[int, Ruleset]:
    """One rule set for each family; where a text has several dumps of one, the last counts, as for iptables-restore."""
    return {one.family: one for one in ([rulesets] if isinstance(rulesets, Ruleset) else rulesets)}


def _family(
    before: Ruleset, after: Ruleset, sources: tuple[str, str], limit: int, *, text_only: bool
) -> FamilyChanges:
    comparison = Comparison(before, after)
    around = Surroundings(after)
    comparison.space.encoder.elsewhere = around.is_of_type
    edits = RuleDiff(before, after, comparison.sides).edits()
    if text_only or before == after:
        return FamilyChanges(before.family, edits=edits)
    classes = ChangeClasses(comparison, sources[1], limit=limit)
    found = classes.all(comparison.differences())
    return FamilyChanges(
        before.family, found, classes.told(found), edits, undecided=_undecided(comparison, classes.where, classes),
        assumed=tuple(around.assumed),
    )


class Surroundings:
    """What rules that masquerade a network show: which addresses are behind this host, not its own."""

    def __init__(self, ruleset: Ruleset) -> None:
        self.ruleset = ruleset
        self.assumed: dict[str, None] = {}
        self._host: Host | None = None

    def is_of_type(self, address: int, types: tuple[str, ...]) -> bool | None:
        """Whether a constant that NAT writes is an address of one of the types; None where the rules do not show it."""
        if self._host is None:
            from ruleflow.netfilter.infer import infer_host

            self._host, _ = infer_host(self.ruleset)
        family = self.ruleset.family
        for link, own in self._host.addresses(family):
            if link.name != "lo" and own.length < (31 if family == 4 else 127) and own.on_link(address):
                ours = own.address == address
                told = f"{address_text(address, family)} is {'' if ours else 'not '}an address of this host: {link.name} has the network"
                self.assumed[told] = None
                return ("LOCAL" if ours else "UNICAST") in types
        return None


def _undecided(comparison: Comparison, sets: Iterable[int], classes: ChangeClasses) -> tuple[str, ...]:
    """The conditions that nobody can decide and that classes depend on, in words."""
    levels = {level for where in sets for level in comparison.diagrams.support(where) if level >= FREE_BASE}
    encoder = comparison.space.encoder
    return tuple(dict.fromkeys(classes.wording.free_words(encoder.free[level]) for level in sorted(levels)))
