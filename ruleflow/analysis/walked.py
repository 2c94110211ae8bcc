"""A walk as marks on a picture: the rules that were met, the chains that were asked, and the places passed."""

import msgspec

from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.steps import ChainStep, RouteStep, RuleStep, Walk


class Walked(msgspec.Struct, frozen=True):
    """``rules`` met, by table, chain and index; ``chains`` asked; ``way`` the places in order; ``verdict`` in words."""

    rules: frozenset[tuple[str, str, int]]
    chains: frozenset[tuple[str, str]]
    way: tuple[str, ...]
    verdict: str
    policies: frozenset[tuple[str, str]]
    """Chains whose policy was applied."""
    enter: tuple[str, ...]
    leave: tuple[str, ...]
    """What to say of the packet where it comes in and where it goes out."""


def walked(walk: Walk) -> Walked:
    """The marks of the way that the steps of a walk show."""
    rules: set[tuple[str, str, int]] = set()
    chains: set[tuple[str, str]] = set()
    for step in walk.steps:
        if isinstance(step, RuleStep):
            chains.add((step.ref.table, step.ref.chain))
            if step.answer == "match" or step.taken:
                rules.add((step.ref.table, step.ref.chain, step.ref.index))
        elif isinstance(step, ChainStep):
            chains.add((step.table, step.chain))
    policies = {(s.table, s.chain) for s in walk.steps if isinstance(s, ChainStep) and s.event == "policy"}
    came, went = walk.packet.in_interface, walk.end.out_interface
    enter = (f"This packet arrives by {came}" if came else "A program sends this packet", _ends(walk.packet))
    leave = (f"It leaves by {went}" if went else "It leaves", _ends(walk.end.packet))
    return Walked(
        frozenset(rules), frozenset(chains), _way(walk), _verdict(walk), frozenset(policies), enter, leave
    )


def _ends(packet: Packet) -> str:
    """From where to where it is, and nothing else of it."""
    nothing = Packet(family=packet.family)
    kept = ("protocol", "source", "destination", "source_port", "destination_port", "icmp_type")
    *what, source, destination = str(nothing.with_(**{name: getattr(packet, name) for name in kept})).split(
        " "
    )
    return " ".join((*what, source, "→", destination))


def _way(walk: Walk) -> tuple[str, ...]:
    """The places from the entry to where the walk ended."""
    if walk.packet.in_interface is None and walk.packet.physdev_in is None:
        return _until(walk, ("send", "OUTPUT", "POSTROUTING", "leave"))
    here = (
        walk.end.local
        or walk.end.hook == "INPUT"
        or any(isinstance(step, RouteStep) and step.kind == "local" for step in walk.steps)
    )
    through = ("INPUT", "deliver") if here else ("FORWARD", "POSTROUTING", "leave")
    return _until(walk, ("arrive", "PREROUTING", "route", *through))


def _until(walk: Walk, way: tuple[str, ...]) -> tuple[str, ...]:
    if walk.end.verdict == "ACCEPT":
        return way
    if walk.end.hook in way:
        return way[: way.index(walk.end.hook) + 1]
    return way[: way.index("route") + 1] if "route" in way and walk.end.reason == "routing" else way[:2]


def _verdict(walk: Walk) -> str:
    if walk.verdict == "UNKNOWN":
        forks = "; ".join(choice.text for choice in walk.forks)
        return f"UNKNOWN: it depends on {forks}"
    return f"{walk.verdict}: {walk.end.sentence}"
