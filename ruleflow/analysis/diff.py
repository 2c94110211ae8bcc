r"""What changed between two rule sets: which packets fare differently, completely, and what was edited.

>>> import ruleflow
>>> drop = "*filter\n:INPUT DROP [0:0]\nCOMMIT\n"
>>> ssh = drop.replace("COMMIT", "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT")
>>> [(one.kind, one.way, one.words) for one in diff(ruleflow.parse(drop), ruleflow.parse(ssh)).families[0].told][:1]
[('opens', 'in', ('tcp to port 22 (ssh)',))]
"""

from collections.abc import Iterable, Sequence

import msgspec

from ruleflow import __version__
from ruleflow.analysis.change_classes import ChangeClasses
from ruleflow.analysis.changes import SCHEMA, Changes, Class, Declared, FamilyChanges, Intent, Published
from ruleflow.analysis.diff_input import Version
from ruleflow.analysis.host_diff import host_differences
from ruleflow.analysis.rule_diff import RuleDiff
from ruleflow.netfilter.compare import Comparison
from ruleflow.netfilter.encode import FREE_BASE, Free
from ruleflow.netfilter.host import Host
from ruleflow.netfilter.numbers import address_text
from ruleflow.ruleset.ir import Ruleset

ALL_BOXES = 50_000
"""Boxes of one class that are given at most; ``left`` says whether there are more."""


def diff(
    before: Ruleset | Sequence[Ruleset] | Version,
    after: Ruleset | Sequence[Ruleset] | Version,
    *,
    intend: str | None = None,
    ignored: str | None = None,
    told: bool = True,
    limit: int = ALL_BOXES,
    most: int | None = None,
    read_back: bool = True,
) -> Changes:
    """The differences between two rule sets, or between all rule sets of two texts or hosts, family by family.

    ``intend`` says packets that alone should fare differently (``tcp to 8443 from 10.0.0.0/8``), ``ignored``
    names programs whose rules are left out (``docker,kube``). ``told`` False leaves out what is for people only;
    ``limit`` bounds the boxes of a class; with ``most`` only that many changes of a family are put into words, each with a
    packet that shows it, and the rest is there to be counted (none, where it is published ports that changed).
    ``read_back`` False leaves out what the rules declare. Raises `RuleflowError` where chains call each other in a circle.
    """
    one, two = _version(before, "before"), _version(after, "after")
    old, new = _by_family(one, ignored), _by_family(two, ignored)
    hosts = (one.host, two.host) if one.host is not None and two.host is not None else None
    how = _How((one.name, two.name), limit, intend, told, most if intend is None else None)
    families = tuple(
        _family(old.get(family, Ruleset(family)), new.get(family, Ruleset(family)), how, hosts)
        for family in sorted(old.keys() | new.keys())
    )
    host = () if hosts is None else tuple(host_differences(*hosts))
    same = not any(family.classes for family in families)
    declared = _declared(old, new) if read_back else None
    if one.declaration is not None and two.declaration is not None and read_back:
        from ruleflow.analysis.declared.beside import with_beside

        declared = with_beside(declared, one.declaration, two.declaration)
    return Changes(SCHEMA, __version__, one.name, two.name, same, families, host, declared)


def _declared(old: dict[int, Ruleset], new: dict[int, Ruleset]) -> Declared | None:
    """What differs of what the rules declare, of the families whose rules are not the same."""
    pairs = [
        (old.get(family, Ruleset(family)), new.get(family, Ruleset(family)))
        for family in sorted(old.keys() | new.keys())
    ]
    changed = [(one, two) for one, two in pairs if one != two]
    if not changed:
        return None
    from ruleflow.analysis.declared.differences import declared

    return declared(changed)


class _How(msgspec.Struct, frozen=True):
    """How a family is compared."""

    names: tuple[str, str]
    limit: int
    intend: str | None
    told: bool
    most: int | None


def _version(given: Ruleset | Sequence[Ruleset] | Version, name: str) -> Version:
    if isinstance(given, Version):
        return given
    return Version(name, (given,) if isinstance(given, Ruleset) else tuple(given))


def _by_family(version: Version, ignored: str | None) -> dict[int, Ruleset]:
    """One rule set for each family; where a text has several dumps of one, the last counts, as for iptables-restore."""
    found = {one.family: one for one in version.rulesets}
    if ignored is None:
        return found
    from ruleflow.analysis.owned import without_owners

    return {family: without_owners(one, ignored) for family, one in found.items()}


def _family(before: Ruleset, after: Ruleset, how: _How, hosts: tuple[Host, Host] | None) -> FamilyChanges:
    comparison = Comparison(before, after, hosts)
    around = Surroundings(after)
    if hosts is None:
        comparison.space.encoder.elsewhere = around.is_of_type
    edits = RuleDiff(before, after, comparison.sides).edits()
    if before == after and how.intend is None and (hosts is None or hosts[0].routes == hosts[1].routes):
        return FamilyChanges(before.family, edits=edits)
    classes = ChangeClasses(comparison, how.names[1], limit=how.limit, shown=how.most is None)
    found = classes.all(comparison.differences())
    ports: tuple[Published, ...] = ()
    if how.told and found and "nat" in {edit.table for edit in edits}:
        from ruleflow.analysis.published import published

        ports = published((before, after), edits, classes, found)
    told = classes.told(found, 0 if ports and how.most is not None else how.most) if how.told else ()
    return FamilyChanges(
        before.family, found, told, edits, ports, _undecided(comparison, classes.where, classes),
        _intent(how, classes, found), tuple(around.assumed),
    )  # fmt: skip


def _intent(how: _How, classes: ChangeClasses, found: tuple[Class, ...]) -> Intent | None:
    if how.intend is None:
        return None
    from ruleflow.analysis.intent import judged

    return judged(how.intend, classes, found)


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
    home = comparison.diagrams.support(encoder.local())
    levels -= {
        level for level in home if not encoder.free.get(level, Free("")).after
    }  # which way a packet goes is said
    return tuple(dict.fromkeys(classes.wording.free_words(encoder.free[level]) for level in sorted(levels)))
