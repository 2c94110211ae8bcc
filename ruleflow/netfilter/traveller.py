"""What packets of a set have in common on their way through the rules, and what became of them."""

import msgspec

from ruleflow.netfilter.alter import UNCHANGED, Alter, compose
from ruleflow.netfilter.idd import NOTHING, Diagrams
from ruleflow.ruleset.ir import RuleRef

Tags = tuple[tuple[str, str], ...]


class Traveller(msgspec.Struct, frozen=True):
    """What packets of a set have in common on their way.

    ``alter`` is what rules changed, ``context`` what the kernel shows beside that; ``by`` is the rule that let
    them pass in each table, ``rewritten`` the rules that translated them.
    """

    alter: Alter = UNCHANGED
    context: Alter = UNCHANGED
    tags: Tags = ()
    by: tuple[tuple[str, RuleRef], ...] = ()
    rewritten: tuple[RuleRef, ...] = ()


class Part(msgspec.Struct, frozen=True):
    """A set of packets (``where``) with one fate: ``then`` is the verdict, ``by`` the rule or policy that gave it.

    A policy's reference has the index 0; None means that nothing decided against the packet.
    """

    where: int
    then: str
    by: RuleRef | None
    alter: Alter = UNCHANGED
    tags: Tags = ()
    rewritten: tuple[RuleRef, ...] = ()
    place: str = ""
    """The last hook it came to."""


class Crowd(msgspec.Struct, frozen=True):
    """Rules of which each packet of a set meets one that decides: which it is, is looked up when somebody asks.

    ``rules`` are their references with the packets that each decides for, as seen through ``eyes``.
    """

    rules: tuple[tuple[RuleRef, int], ...]
    eyes: Alter


Group = dict[Traveller, int]
"""Sets of packets by what they have in common."""


def add(group: Group, traveller: Traveller, where: int, diagrams: Diagrams) -> None:
    """Put a set of packets to those that have the same in common."""
    if where != NOTHING:
        old = group.get(traveller)
        group[traveller] = where if old is None else diagrams.either(old, where)


def merged(one: Group, two: Group, diagrams: Diagrams) -> Group:
    """Both, put into the first."""
    for traveller, where in two.items():
        add(one, traveller, where, diagrams)
    return one


def tagged(traveller: Traveller, tags: Tags) -> Traveller:
    """The traveller, with what else happened to it."""
    fresh = tuple(tag for tag in tags if tag not in traveller.tags)
    return msgspec.structs.replace(traveller, tags=traveller.tags + fresh) if fresh else traveller


def changed(traveller: Traveller, alter: Alter) -> Traveller:
    """The traveller, as a rule changed it."""
    return msgspec.structs.replace(traveller, alter=compose(traveller.alter, alter)) if alter else traveller


def shown(traveller: Traveller, alter: Alter) -> Traveller:
    """The traveller, with what the kernel shows beside its changes."""
    return msgspec.structs.replace(traveller, context=compose(traveller.context, alter))


def decider(traveller: Traveller) -> RuleRef | None:
    """Of packets that passed: the rule of the filter table, or else of whichever table decided last."""
    by = {table: ref for table, ref in traveller.by if table != "nat"}
    return by.get("filter") or (list(by.values())[-1] if by else None)
