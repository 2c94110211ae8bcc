"""From what stands to what is wanted, as steps in an order in which the host is never more open than at the end.

Forward: what is no longer wanted goes, raw, mangle and filter close, then links, settings and last nat open. Back: the reverse.
(Links could as well come first; with ip_forward already on they would stand open until the filter is there.)
"""

import socket
from collections.abc import Iterator
from typing import TypeAlias

import msgspec

from ruleflow.kernel import links
from ruleflow.kernel.backend import NFT_FAMILIES, PROGRAMS, Backend
from ruleflow.kernel.links import LinkRefusedError
from ruleflow.kernel.netlink import Netlink
from ruleflow.kernel.owned import Address, Link, Netns, Owned, OwnedTable, Route, Setting, standing
from ruleflow.kernel.run import at_once, installed, run, run_checked
from ruleflow.kernel.saved import Saved, SavedTable
from ruleflow.kernel.seen import Seen
from ruleflow.kernel.table_edit import Change, TableEdit, table_edit
from ruleflow.ruleset.ir import BUILTIN_CHAINS

Thing: TypeAlias = Link | Address | Route | Netns | Setting
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
CLOSING = ("raw", "mangle", "filter", "security")


class Sight(msgspec.Struct, frozen=True):
    """What stands on the host as far as it can concern us: rules by family, links by namespace, settings by name.

    ``base`` holds the nft tables and base chains that are there: (family, table, chain).
    """

    rules: dict[int, Saved]
    seen: dict[str, Seen]
    settings: dict[str, str | None]
    base: frozenset[tuple[int, str, str]] = frozenset()

    def table(self, family: int, name: str) -> SavedTable:
        """A table as it stands; an empty one where there is none."""
        return self.rules.get(family, {}).get(name, SavedTable(name))

    def has(self, thing: Thing) -> bool:
        """Whether it is there, and as wanted."""
        if isinstance(thing, Link):
            link = self.seen[""].link(thing.name)
            return link is not None and links.lasting(thing, link)
        if isinstance(thing, Address):
            return thing in self.seen[thing.netns].addresses
        if isinstance(thing, Route):
            return thing in self.seen[thing.netns].routes
        if isinstance(thing, Netns):
            return links.netns_exists(thing.name)
        return self.settings.get(thing.name) == thing.value


class Step(msgspec.Struct, frozen=True):
    """One call of the kernel: ``verb`` make, change, remove, set, undo, write (a table's rules) or unmake (a base chain)."""

    verb: str
    thing: Thing | OwnedTable | tuple[int, str, str]

    def __str__(self) -> str:
        if isinstance(self.thing, OwnedTable):
            return f"{self.verb} ipv{self.thing.family} {self.thing.table}"
        if isinstance(self.thing, tuple):
            return f"{self.verb} {' '.join(map(str, self.thing))}"
        return f"{self.verb} {self.thing}"


def look(backend: Backend, ours: Owned, rules: dict[int, Saved] | None = None) -> Sight:
    """Observe what ``ours`` names, and all rules of both families unless they are given. Nothing is changed."""
    if rules is None:
        rules = dict(zip((4, 6), at_once(backend.tables, (4, 6)), strict=True))
    return Sight(
        rules,
        seen={name: links.see(name) for name in links.namespaces_of(ours)},
        settings={one.name: links.setting(one.name) for one in ours.settings},
        base=frozenset(_base()) if backend.kind == "nft" else frozenset(),
    )


def _base() -> Iterator[tuple[int, str, str]]:
    """The tables of iptables that are there in nftables, and those of their chains that hooks call.

    Asked of the kernel: iptables-nft-save prints the chains of hooks in any table, also those that are not there (1.8.9).
    """
    netlink = Netlink()
    try:
        for family, number in FAMILIES.items():
            tables = [name for name in netlink.tables(number) if name in BUILTIN_CHAINS]
            yield from ((family, name, "") for name in tables)
            yield from (
                (family, table, chain) for table, chain in netlink.base_chains(number) if table in tables
            )
    finally:
        netlink.close()


def steps(sight: Sight, present: Owned, target: Owned, *, back: bool = False) -> tuple[Step, ...]:
    """What must be done, in order, so that of ``present`` just ``target`` stands. Empty where it does already."""
    nat = _tables(sight, present, target, ("nat",), back=back)
    closing = _tables(sight, present, target, CLOSING, back=back)
    gone, made = list(_removals(sight, present, target)), list(_makes(sight, target))
    undone = [Step("undo", one) for one in present.settings if _undoes(one, target)]
    set_ = [Step("set", one) for one in target.settings if not sight.has(one)]
    unmade = [Step("unmake", one) for one in _unmakes(sight, present, target)]
    if back:
        return (*nat, *undone, *gone, *closing, *made, *set_, *unmade)
    return (*gone, *closing, *made, *set_, *undone, *nat, *unmade)


def _tables(sight: Sight, present: Owned, target: Owned, names: tuple[str, ...], *, back: bool) -> list[Step]:
    keys = dict.fromkeys((*present.places(), *target.places()))
    return [
        Step("write", target.table(*key)) for key in sorted(keys, key=lambda key: (names + key[1:]).index(key[1]))
        if key[1] in names and edit_of(sight.table(*key), present, target.table(*key), back=back).text
    ]  # fmt: skip


def edit_of(live: SavedTable, present: Owned, target: OwnedTable, *, back: bool) -> TableEdit:
    """The edit of one table."""
    return table_edit(live, present.table(*target.key), target, exact=back)


def _removals(sight: Sight, present: Owned, target: Owned) -> Iterator[Step]:
    wanted_links = {link.name for link in target.links}
    things: tuple[Route | Address, ...] = (*present.routes, *present.addresses)
    for thing in things:
        if thing not in (*target.routes, *target.addresses) and sight.has(thing):
            yield Step("remove", thing)
    for link in sorted(present.links, key=lambda one: one.kind == "bridge"):
        if link.name not in wanted_links and sight.seen[""].link(link.name) is not None:
            yield Step("remove", link)
    for one in present.netns:
        if one not in target.netns and links.netns_path(one.name).exists():
            yield Step("remove", one)


def _makes(sight: Sight, target: Owned) -> Iterator[Step]:
    for one in target.netns:
        if not sight.has(one):
            yield Step("make", one)
    for link in target.links:
        there = sight.seen[""].link(link.name)
        if there is None:
            yield Step("make", link)
        elif not links.lasting(link, there):
            yield Step("change", link)
    things: tuple[Address | Route, ...] = (*target.addresses, *target.routes)
    for thing in things:
        if not sight.has(thing):
            yield Step("make", thing)


def _undoes(one: Setting, target: Owned) -> bool:
    """Whether a setting is to be given back, and is not what it was."""
    if one.name in {wanted.name for wanted in target.settings}:
        return False
    now = links.setting(one.name)
    if not one.before or now not in (one.value, one.before):
        return False
    return now != one.before or any(links.setting(name) not in (None, value) for name, value in one.along)


def _unmakes(sight: Sight, present: Owned, target: Owned) -> Iterator[tuple[int, str, str]]:
    """Base chains we made, in which nothing of ours is to stand, nothing foreign stands; then their tables."""
    for family, name, chain in sorted(present.made, key=lambda one: (one[:2], not one[2])):
        if (family, name, chain) in target.made or (family, name, chain) not in sight.base:
            continue
        if _only_ours(sight.table(family, name), present.table(family, name), chain):
            yield family, name, chain


def _only_ours(live: SavedTable, ours: OwnedTable, chain: str) -> bool:
    there = standing(live, ours)
    chains = (
        [live[chain]]
        if chain
        else [one for one in live if one.name not in {own.name for own in there.chains}]
    )
    placed = [one.chain for one in there.placed]
    named = chain or next((one.name for one in chains if one.policy is None), "")
    if not chain and named:
        return False  # somebody's chain lives in this table
    return all(one.policy == "ACCEPT" and len(one.rules) == placed.count(one.name) for one in chains)


def run_step(step: Step) -> None:
    """Do one step that is not about rules. Raises `LinkRefusedError` or `ProcessError`."""
    thing, verb = step.thing, step.verb
    if verb == "unmake":
        assert isinstance(thing, tuple)
        _unmake(*thing)
    elif isinstance(thing, Setting):
        links.write_setting(thing.name, thing.value) if verb == "set" else links.undo_setting(thing)
    elif isinstance(thing, Netns):
        links.make_netns(thing) if verb == "make" else links.remove_netns(thing)
    elif isinstance(thing, Link):
        {"make": links.make_link, "change": links.change_link, "remove": links.remove_link}[verb](thing)
    elif isinstance(thing, Address):
        links.make_address(thing) if verb == "make" else links.remove_address(thing)
    elif isinstance(thing, Route):
        links.make_route(thing) if verb == "make" else links.remove_route(thing)
    else:
        raise LinkRefusedError(f"{step} is not done here")


def _unmake(family: int, table: str, chain: str) -> None:
    """Remove an empty base chain (the kernel refuses where rules are in it), or a table without chains."""
    if chain:
        run((f"{PROGRAMS[family]}-nft", "-w", "5", "-t", table, "-X", chain))
    elif (
        installed("nft") and "chain " not in run(("nft", "list", "table", NFT_FAMILIES[family], table)).output
    ):
        run_checked(("nft", "delete", "table", NFT_FAMILIES[family], table))


def changes(
    sight: Sight, present: Owned, found: tuple[Step, ...], *, back: bool = False
) -> tuple[Change, ...]:
    """The steps as a reader wants them: rules one by one."""
    made: list[Change] = []
    for step in found:
        if isinstance(step.thing, OwnedTable):
            live = sight.table(*step.thing.key)
            made += edit_of(live, present, step.thing, back=back).changes
        elif not isinstance(step.thing, tuple):
            made.append(_change(step, sight))
    return tuple(made)


VERBS = {"make": "add", "set": "change", "undo": "change"}


def _change(step: Step, sight: Sight) -> Change:
    thing = step.thing
    kind = {"Netns": "namespace"}.get(type(thing).__name__, type(thing).__name__.lower())
    verb = VERBS.get(step.verb, step.verb)
    if isinstance(thing, Setting):
        now = sight.settings.get(thing.name) or links.setting(thing.name) or ""
        return Change(verb, kind, thing.name, thing.value if step.verb == "set" else thing.before, now)
    name = str(getattr(thing, "name", getattr(thing, "link", "")))
    return Change(
        verb, kind, name, "" if verb == "remove" else str(thing), str(thing) if verb == "remove" else ""
    )
