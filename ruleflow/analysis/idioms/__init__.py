"""What rules are for: idioms that known programs and careful people write, recognised by their structure.

A claim is made only where all that the rule asks and does fits the idiom; names of chains and comments are
evidence for the *owner*, which is always said as a guess. What fits no idiom gets no claim. Each owner has a
module with ``claims(shapes)``, ``owners(shapes)`` (which chains it seems to have made) and ``made(shapes)`` (one
sentence on the owner); to add an owner, add a module and its name to ``_MODULES``.
"""

import importlib
from collections.abc import Iterator
from types import ModuleType

from ruleflow.analysis.explanation import Claim
from ruleflow.analysis.idioms.shape import Shapes
from ruleflow.ruleset.ir import Ruleset

_MODULES = ("docker", "kubernetes", "portmap", "libvirt", "ufw", "firewalld", "fail2ban", "calico", "shorewall", "everybody")
"""Owners first: what they explain is not explained again by the general idioms."""


def recognise(rules: Ruleset) -> tuple[Claim, ...]:
    """All claims about the rules of a rule set; the first claim about a rule is the one to tell."""
    shapes = Shapes(rules)
    return tuple(claim for module in _modules() for claim in module.claims(shapes))


def owners(rules: Ruleset) -> dict[tuple[str, str], str]:
    """Who seems to have made a chain, by table and chain: ``Docker, by its name and its place``."""
    shapes = Shapes(rules)
    found: dict[tuple[str, str], str] = {}
    for module in _modules():
        for key, owner in module.owners(shapes):
            found.setdefault(key, owner)
    return found


def made(rules: Ruleset) -> tuple[str, ...]:
    """A sentence on each program that seems to have written a part of the rules, with the evidence."""
    shapes = Shapes(rules)
    return tuple(sentence for module in _modules() for sentence in module.made(shapes))


def _modules() -> Iterator[ModuleType]:
    for name in _MODULES:
        yield importlib.import_module(f"{__name__}.{name}")
