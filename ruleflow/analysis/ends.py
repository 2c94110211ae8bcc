"""Where the packets of a picture come from and go to: the interfaces that the rules name, or that the host has."""

from collections.abc import Iterator

from ruleflow.analysis.outline import Ends
from ruleflow.netfilter.host import Interface
from ruleflow.netfilter.world import World
from ruleflow.ruleset.ir import Ruleset
from ruleflow.ruleset.matches.header import Header
from ruleflow.ruleset.values import Not

_MOST = 6


def ends_of(rules: Ruleset) -> Ends:
    """From the interfaces that a dump names: nobody knows more."""
    into, out = _named(rules)
    others = "any interface"
    return Ends(
        ("A packet arrives", f"by {_or(into, others)}"),
        ("The packet leaves", f"by {_or(out, others)}"),
        ("Programs on this host", "receive it, or send one"),
    )


def _or(names: list[str], others: str) -> str:
    if not names:
        return others
    shown = names[:_MOST]
    more = " or another interface" if len(names) <= _MOST else f" or one of {len(names) - _MOST} more"
    return ", ".join(shown) + more


def _named(rules: Ruleset) -> tuple[list[str], list[str]]:
    into: dict[str, None] = {}
    out: dict[str, None] = {}
    for _, rule in rules.rules():
        for match in rule.matches:
            if isinstance(match, Header):
                into.update(dict.fromkeys(_name(match.in_interface)))
                out.update(dict.fromkeys(_name(match.out_interface)))
    both = sorted(name for name in {**into, **out} if name != "lo")
    return both, both


def _name(value: object) -> Iterator[str]:
    value = value.value if isinstance(value, Not) else value
    if isinstance(value, str) and value:
        yield value


def ends_in(world: World, family: int) -> Ends:
    """From the interfaces the host has, with their addresses, and who is behind each."""
    main = world.main
    links = [link for link in main.interfaces if not link.is_loopback and main.port(link.name) is None]
    shown = [line for link in links for line in _link(world, link, family)]
    return Ends(
        ("A packet arrives by", *shown),
        ("The packet leaves by", *shown),
        ("Programs on this host", "receive it, or send one"),
    )


def _link(world: World, link: Interface, family: int) -> Iterator[str]:
    own = [
        str(one).partition("/")[0] for one in link.addresses if one.family == family and one.scope == "global"
    ]
    behind = [
        _who(world, host, name, family)
        for host, name in world.segment(world.main.name, link.name)
        if host != world.main.name
    ]
    if not own and not behind:
        return
    more = f" and {len(behind) - _MOST} more" if len(behind) > _MOST else ""
    side = ", ".join(behind[:_MOST]) + more if behind else "the network"
    yield f"{link.name} ({', '.join(own)}): {side}" if own else f"{link.name}: {side}"


def _who(world: World, host: str, interface: str, family: int) -> str:
    link = world.host(host).interface(interface)
    own = [
        str(one).partition("/")[0]
        for one in (link.addresses if link else ())
        if one.family == family and one.scope == "global"
    ]
    return f"{host} {own[0]}" if own else host
