"""What is ours on a host: the chains, rules, links, addresses, routes, namespaces and settings that we put there.

Everything else is somebody else's and is never written. What a host had before us is said in the same values (`Owned`),
so going forward, going back and taking away are one thing: from what stands to what is wanted.
"""

from collections import Counter
from collections.abc import Iterator
from typing import TypeVar

import msgspec

from ruleflow.kernel.saved import Saved, SavedTable
from ruleflow.ruleset.ir import BUILTIN_CHAINS


class Placed(msgspec.Struct, frozen=True):
    """A rule of ours in somebody else's chain: as iptables-save prints it, and how many foreign rules stand above it.

    ``twins`` is how many rules of the same text were there before ours.
    """

    chain: str
    text: str
    above: int = 0
    twins: int = 0


class OwnedChain(msgspec.Struct, frozen=True):
    """A chain of ours and its rules; ``kept``: its rules are the operator's, we only make it."""

    name: str
    rules: tuple[str, ...] = ()
    kept: bool = False


class OwnedTable(msgspec.Struct, frozen=True):
    """What is ours in one table of one family."""

    family: int
    table: str
    chains: tuple[OwnedChain, ...] = ()
    placed: tuple[Placed, ...] = ()

    @property
    def key(self) -> tuple[int, str]:
        """Family and table."""
        return self.family, self.table


class Link(msgspec.Struct, frozen=True):
    """A bridge, or a pair of virtual cables from a bridge into a namespace. ``mtu`` None: as it comes."""

    name: str
    kind: str = "bridge"
    mtu: int | None = None
    bridge: str | None = None
    hairpin: bool = False
    isolated: bool = False
    netns: str = ""
    peer: str = ""

    def __str__(self) -> str:
        into = f" into {self.netns} as {self.peer}" if self.netns else ""
        plugged = f", plugged into {self.bridge}" if self.bridge else ""
        return f"{self.kind} {self.name}{plugged}{into}"


class Address(msgspec.Struct, frozen=True):
    """An address of a link with its prefix length; ``netns`` is empty for this host."""

    link: str
    address: str
    netns: str = ""

    def __str__(self) -> str:
        return f"{self.address} on {self.link}{f' in {self.netns}' if self.netns else ''}"


class Route(msgspec.Struct, frozen=True):
    """A route by a gateway, in a namespace."""

    destination: str
    gateway: str
    link: str
    netns: str = ""

    def __str__(self) -> str:
        return f"{self.destination} by {self.gateway}{f' in {self.netns}' if self.netns else ''}"


class Netns(msgspec.Struct, frozen=True):
    """A named network namespace."""

    name: str

    def __str__(self) -> str:
        return f"namespace {self.name}"


class Setting(msgspec.Struct, frozen=True):
    """A sysctl we set, what it was, and others that the kernel changes along with it, as they were.

    (Setting net.ipv4.ip_forward writes conf.*.forwarding and conf.all.accept_redirects: inet_forward_change in devinet.c.)
    """

    name: str
    value: str
    before: str = ""
    along: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.name} = {self.value}"


class Owned(msgspec.Struct, frozen=True):
    """All of it. ``made`` names nft tables and base chains that were not there: (family, table, chain), chain empty for the table."""

    tables: tuple[OwnedTable, ...] = ()
    netns: tuple[Netns, ...] = ()
    links: tuple[Link, ...] = ()
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    settings: tuple[Setting, ...] = ()
    made: tuple[tuple[int, str, str], ...] = ()

    def table(self, family: int, name: str) -> OwnedTable:
        """What is ours in one table."""
        for one in self.tables:
            if one.key == (family, name):
                return one
        return OwnedTable(family, name)

    def places(self) -> tuple[tuple[int, str], ...]:
        """The tables in which something is ours."""
        return tuple(one.key for one in self.tables)


NOTHING = Owned()
Kind = TypeVar("Kind")


def owned_rules(rules: dict[int, Saved], kept: frozenset[str] = frozenset()) -> tuple[OwnedTable, ...]:
    """What of wanted rules (by family) is ours: all chains that no hook calls, and all rules in the others."""
    return tuple(
        _owned_table(family, table, kept)
        for family, tables in rules.items()
        for table in tables.values()
        if any(chain.rules or chain.policy is None for chain in table)
    )


def _owned_table(family: int, table: SavedTable, kept: frozenset[str]) -> OwnedTable:
    own = tuple(
        OwnedChain(chain.name, chain.rules, kept=chain.name in kept)
        for chain in table if chain.name not in BUILTIN_CHAINS[table.name]
    )  # fmt: skip
    placed = tuple(
        Placed(chain.name, text)
        for chain in table
        if chain.name in BUILTIN_CHAINS[table.name]
        for text in chain.rules
    )
    return OwnedTable(family, table.name, own, placed)


def live_texts(table: SavedTable, chain: str) -> tuple[str, ...]:
    """The rules that stand in a chain of a live table; none where there is no such chain."""
    return table[chain].rules if chain in table else ()


def standing(live: SavedTable, ours: OwnedTable) -> OwnedTable:
    """What of ``ours`` stands in a live table, as it stands there."""
    chains = tuple(
        msgspec.structs.replace(chain, rules=live_texts(live, chain.name))
        for chain in ours.chains
        if chain.name in live
    )
    names = dict.fromkeys(one.chain for one in ours.placed)
    placed = tuple(one for name in names for one in _placed_in(name, live_texts(live, name), ours))
    return msgspec.structs.replace(ours, chains=chains, placed=placed)


def _placed_in(chain: str, live: tuple[str, ...], ours: OwnedTable) -> Iterator[Placed]:
    """Our rules among those of a chain, each with the number of foreign ones above it."""
    twins = {one.text: one.twins for one in ours.placed if one.chain == chain}
    wanted = Counter(one.text for one in ours.placed if one.chain == chain)
    there = Counter(live)
    left = {text: min(count, max(0, there[text] - twins[text])) for text, count in wanted.items()}
    above = 0
    for text in live:
        if left.get(text, 0):
            left[text] -= 1
            yield Placed(chain, text, above, twins[text])
        else:
            above += 1


def both(one: Owned, other: Owned) -> Owned:
    """Everything that is in one of them: what may stand there when a change from one to the other was cut off."""
    keys = dict.fromkeys((*one.places(), *other.places()))
    return Owned(
        tables=tuple(_both_tables(one.table(*key), other.table(*key)) for key in keys),
        netns=_union(one.netns, other.netns),
        links=tuple({each.name: each for each in (*one.links, *other.links)}.values()),
        addresses=_union(one.addresses, other.addresses),
        routes=_union(one.routes, other.routes),
        settings=tuple({each.name: each for each in (*other.settings, *one.settings)}.values()),
        made=_union(one.made, other.made),
    )


def without(owned: Owned, thing: object) -> Owned:
    """The same, but one link, address, route or namespace is not among it."""
    return msgspec.structs.replace(
        owned,
        netns=tuple(one for one in owned.netns if one != thing),
        links=tuple(one for one in owned.links if one != thing),
        addresses=tuple(one for one in owned.addresses if one != thing),
        routes=tuple(one for one in owned.routes if one != thing),
    )


def _both_tables(one: OwnedTable, other: OwnedTable) -> OwnedTable:
    chains = tuple({chain.name: chain for chain in (*one.chains, *other.chains)}.values())
    counted = Counter((each.chain, each.text) for each in one.placed)
    more = []
    for each in other.placed:
        if counted[each.chain, each.text]:
            counted[each.chain, each.text] -= 1
        else:
            more.append(each)
    return OwnedTable(one.family, one.table, chains, (*one.placed, *more))


def _union(one: tuple[Kind, ...], other: tuple[Kind, ...]) -> tuple[Kind, ...]:
    return tuple(dict.fromkeys((*one, *other)))
