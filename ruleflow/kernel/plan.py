"""What applying would do, before it does: every change, what decides before our rules, what clashes, and what forbids it."""

from collections import Counter
from collections.abc import Iterator

import msgspec

from ruleflow.errors import RuleflowError
from ruleflow.kernel import links
from ruleflow.kernel.backend import Backend
from ruleflow.kernel.given import Given
from ruleflow.kernel.heard import Heard
from ruleflow.kernel.heirs import Gift
from ruleflow.kernel.notes import Note, foreign_notes
from ruleflow.kernel.owned import (
    NOTHING,
    Link,
    Owned,
    OwnedTable,
    Placed,
    Setting,
    both,
    live_texts,
    standing,
)
from ruleflow.kernel.table_edit import Change
from ruleflow.kernel.transition import Sight, Step, changes, look, steps
from ruleflow.ruleset.ir import BUILTIN_CHAINS


class PlanRefusedError(RuleflowError):
    """It must not be applied here as it is; nothing was touched."""


class Plan(msgspec.Struct, frozen=True):
    """What an apply or destroy would do: ``changes`` one by one, ``steps`` the kernel calls in order, ``notes`` what to know."""

    name: str
    action: str
    backend: str
    changes: tuple[Change, ...] = ()
    steps: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    namespace: str = ""
    schema: str = "ruleflow.plan/1"

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.steps


class Prepared(msgspec.Struct, frozen=True):
    """A plan with the values to carry it out: ``present`` what may stand of ours, ``earlier`` what does, ``target`` what shall."""

    plan: Plan
    present: Owned
    earlier: Owned
    target: Owned
    steps: tuple[Step, ...]
    sight: Sight
    given: Given = Given()
    gifts: tuple[Gift, ...] = ()


def plan_apply(
    name: str, backend: Backend, own: Owned, want: Owned, heard: Heard, *, namespace: str = ""
) -> Prepared:
    """The plan to make ``want`` stand where ``own`` (the journal's) may stand, on a host that says ``heard``. Nothing is changed.

    :raises PlanRefusedError: where something foreign has a name that is wanted, or a setting is not there.
    """
    sight = look(backend, both(own, want), heard.rules)
    _refuse_strangers(sight, own, want)
    present = _with_users_chains(sight, own, want)
    target = _resolved(sight, own, want, backend)
    return _prepared("apply", name, backend, sight, (present, target), heard, namespace)


def plan_destroy(name: str, backend: Backend, own: Owned, heard: Heard, *, namespace: str = "") -> Prepared:
    """The plan to take away everything of ours."""
    sight = look(backend, own, heard.rules)
    return _prepared("destroy", name, backend, sight, (own, NOTHING), heard, namespace)


def _prepared(
    action: str, name: str, backend: Backend, sight: Sight, ends: tuple[Owned, Owned], heard: Heard,
    namespace: str,
) -> Prepared:  # fmt: skip
    present, target = ends
    back = action == "destroy"
    found = steps(sight, present, target, back=back)
    plan = Plan(
        name, action, backend.kind, changes(sight, present, found, back=back), tuple(map(str, found)),
        tuple(foreign_notes(sight, present, target, backend, heard)), namespace,
    )  # fmt: skip
    return Prepared(plan, present, standing_of(sight, both(present, target), present), target, found, sight)


def standing_of(sight: Sight, everything: Owned, own: Owned) -> Owned:
    """What of ``own`` stands now, in the tables of ``everything``: the state to come back to."""
    return Owned(
        tables=tuple(standing(sight.table(*key), own.table(*key)) for key in everything.places()),
        netns=tuple(one for one in own.netns if sight.has(one)),
        links=tuple(seen for one in own.links if (seen := _as_seen(sight, one)) is not None),
        addresses=tuple(one for one in own.addresses if sight.has(one)),
        routes=tuple(one for one in own.routes if sight.has(one)),
        settings=tuple(
            msgspec.structs.replace(one, value=now)
            for one in own.settings if (now := links.setting(one.name)) is not None
        ),
        made=own.made,
    )  # fmt: skip


def _as_seen(sight: Sight, link: Link) -> Link | None:
    there = sight.seen[""].link(link.name)
    return None if there is None else msgspec.structs.replace(there, netns=link.netns, peer=link.peer)


def _refuse_strangers(sight: Sight, own: Owned, want: Owned) -> None:
    for table in want.tables:
        ours = {chain.name for chain in own.table(*table.key).chains}
        live = sight.table(*table.key)
        for chain in table.chains:
            if chain.name in live and chain.name not in ours and not chain.kept:
                raise PlanRefusedError(
                    f"{table.table} {chain.name} is there already, and no journal of ours knows it",
                    help="another declaration uses this prefix (apply: {prefix: …}), or its journal is lost: ruleflow destroy --scan",
                )
    _refuse_links(sight, own, want)
    _refuse_settings(want)


def _refuse_links(sight: Sight, own: Owned, want: Owned) -> None:
    here = sight.seen[""]
    for link in want.links:
        there = here.link(link.name)
        if link.name in here.other or (there is not None and there.kind != link.kind):
            raise PlanRefusedError(
                f"there is a link {link.name} already, and it is no {link.kind}", help="choose another name"
            )
        if there is not None and link.kind == "veth" and link.name not in {one.name for one in own.links}:
            raise PlanRefusedError(
                f"there is a link {link.name} already that is not ours", help=f"ip link del {link.name}"
            )
    _refuse_inner_links(sight, own, want)
    for address in want.addresses:
        holders = [one for one in sight.seen[address.netns].addresses if one.address == address.address]
        if holders and address not in holders:
            raise PlanRefusedError(
                f"{address.address} is on {holders[0].link} already", help="choose another gateway or subnet"
            )


def _refuse_inner_links(sight: Sight, own: Owned, want: Owned) -> None:
    ours = {one.name for one in own.links}
    for link in want.links:
        inside = sight.seen.get(link.netns) if link.netns and link.name not in ours else None
        if inside is not None and (inside.link(link.peer) is not None or link.peer in inside.other):
            raise PlanRefusedError(
                f"there is a link {link.peer} in the namespace {link.netns} already",
                help=f"plug it in by one declaration only, or rename it: ip -n {link.netns} link set {link.peer} name …",
            )


def _refuse_settings(want: Owned) -> None:
    for one in want.settings:
        if ".conf." not in one.name and links.setting(one.name) is None:
            module = "modprobe br_netfilter" if ".bridge." in one.name else "the kernel lacks it"
            raise PlanRefusedError(f"there is no setting {one.name} here", help=module)


def _with_users_chains(sight: Sight, own: Owned, want: Owned) -> Owned:
    """The operator's chain outlives a destroy where it holds rules: then it is there and may be used again."""
    tables = []
    for key in dict.fromkeys((*own.places(), *want.places())):
        mine, live = own.table(*key), sight.table(*key)
        known = {chain.name for chain in mine.chains}
        found = [
            one for one in want.table(*key).chains if one.kept and one.name in live and one.name not in known
        ]
        tables.append(msgspec.structs.replace(mine, chains=(*mine.chains, *found)))
    return msgspec.structs.replace(own, tables=tuple(tables))


def _resolved(sight: Sight, own: Owned, want: Owned, backend: Backend) -> Owned:
    """``want`` as it can be ours here: what others made already is used as it is and stays theirs."""
    return Owned(
        tables=tuple(_with_twins(sight, own.table(*one.key), one) for one in want.tables),
        netns=tuple(one for one in want.netns if one in own.netns or not sight.has(one)),
        links=tuple(one for one in want.links if _is_ours(sight, own, one)),
        addresses=tuple(one for one in want.addresses if one in own.addresses or not sight.has(one)),
        routes=tuple(one for one in want.routes if one in own.routes or not sight.has(one)),
        settings=tuple(_settings(own, want)),
        made=tuple(sorted({*own.made, *_made(sight, want)})) if backend.kind == "nft" else (),
    )


def _is_ours(sight: Sight, own: Owned, link: Link) -> bool:
    return link.name in {one.name for one in own.links} or sight.seen[""].link(link.name) is None


def _with_twins(sight: Sight, own: OwnedTable, want: OwnedTable) -> OwnedTable:
    """Rules of ours that somebody else's rules equal: how many of those there are."""
    there = Counter((one.chain, one.text) for one in standing(sight.table(*want.key), own).placed)
    live = {
        name: Counter(live_texts(sight.table(*want.key), name)) for name in {one.chain for one in want.placed}
    }
    placed = tuple(
        Placed(one.chain, one.text, twins=live[one.chain][one.text] - there[one.chain, one.text])
        for one in want.placed
    )
    return msgspec.structs.replace(want, placed=placed)


def _settings(own: Owned, want: Owned) -> Iterator[Setting]:
    known = {one.name: one for one in own.settings}
    for one in want.settings:
        if one.name in known:
            yield msgspec.structs.replace(known[one.name], value=one.value)
            continue
        now = links.setting(one.name)
        along = links.alongside(one.name) if now != one.value else ()  # nothing to undo: it is so already
        yield msgspec.structs.replace(one, before=now or "", along=along)


def _made(sight: Sight, want: Owned) -> Iterator[tuple[int, str, str]]:
    """The nft tables and base chains that restoring our rules makes."""
    for family, table in want.places():
        for one in ("", *BUILTIN_CHAINS[table]):
            if (family, table, one) not in sight.base:
                yield family, table, one
