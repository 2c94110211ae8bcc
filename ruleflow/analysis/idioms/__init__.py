"""What rules are for: idioms that known programs and careful people write, recognised by their structure.

A claim is made only where all that the rule asks and does fits the idiom; names of chains and comments are
evidence for the *owner*, which is always said as a guess. What fits no idiom gets no claim. Each owner has a
module with ``claims(shapes)``, ``owners(shapes)`` (which chains it seems to have made) and ``made(shapes)`` (one
sentence on the owner). To add an owner, add a module and a row to ``_MODULES``.
"""

import importlib
from collections.abc import Iterator
from types import ModuleType

import msgspec

from ruleflow.analysis.explanation import Claim
from ruleflow.analysis.idioms.shape import Shapes
from ruleflow.ruleset.ir import Ruleset

_MODULES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("docker", ()),
    ("native", ("RF-",)),
    ("kubernetes", ("KUBE-",)),
    ("portmap", ("CNI-", "NETAVARK")),
    ("libvirt", ("LIBVIRT_",)),
    ("ufw", ("ufw",)),
    ("firewalld", ("INPUT_", "FORWARD_", "PREROUTING_", "POSTROUTING_", "OUTPUT_")),
    ("fail2ban", ()),
    ("calico", ("cali",)),
    ("shorewall", ("dynamic", "smurfs", "tcpflags")),
    ("tailscale", ("ts-",)),
    ("named", ()),
    ("everybody", ()),
)
"""Modules, and how the chains begin without which a module need not be asked (it is then not even loaded).
Owners first: what they explain is not explained again by the general idioms."""


class Recognised(msgspec.Struct, frozen=True):
    """All that is recognised in a rule set.

    The first claim about a rule is the one to tell. ``owners`` says who seems to have made a chain, by table
    and chain; ``made`` has a sentence on each program that seems to have written rules, with the evidence.
    """

    claims: tuple[Claim, ...]
    owners: dict[tuple[str, str], str]
    made: tuple[str, ...]


def recognise(rules: Ruleset) -> Recognised:
    """What the rules are for, and who seems to have made them."""
    shapes = Shapes(rules)
    claims: list[Claim] = []
    owners: dict[tuple[str, str], str] = {}
    made: list[str] = []
    for module in _modules({chain for _, chain in shapes.chains}):
        claims += module.claims(shapes)
        made += module.made(shapes)
        for key, owner in module.owners(shapes):
            owners.setdefault(key, owner)
    return Recognised(tuple(claims), owners, tuple(made))


def _modules(chains: set[str]) -> Iterator[ModuleType]:
    for name, beginnings in _MODULES:
        if not beginnings or any(chain.startswith(beginnings) for chain in chains):
            yield importlib.import_module(f"{__name__}.{name}")
