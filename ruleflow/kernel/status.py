"""How what stands differs from what was applied: missing, changed, out of order, decided before by others."""

import time
from collections.abc import Iterator
from typing import Literal

import msgspec

from ruleflow.kernel.apply import refuse_unsettled
from ruleflow.kernel.backend import Backend
from ruleflow.kernel.heard import hear
from ruleflow.kernel.journal import Journal, JournalError
from ruleflow.kernel.notes import Note, foreign_notes
from ruleflow.kernel.owned import Owned, OwnedTable, both, standing
from ruleflow.kernel.transition import Sight, look, steps

State = Literal["not applied", "in sync", "drifted", "waits for confirmation", "cut off"]


class Status(msgspec.Struct, frozen=True):
    """What stands of a declaration. ``drift`` codes: missing, changed, order, shadowed; ``waits`` says for what, until when."""

    name: str
    state: State
    drift: tuple[Note, ...] = ()
    waits: str = ""
    namespace: str = ""
    schema: str = "ruleflow.status/1"

    @property
    def fine(self) -> bool:
        """Whether all is as applied, or nothing was."""
        return self.state in ("in sync", "not applied")


def status(journal: Journal, backend: Backend) -> Status:
    """Compare the host with the journal. Nothing is changed."""
    pending = journal.pending
    own = journal.own if pending is None else pending.wanted
    if own == Owned() and pending is None:
        return Status(journal.name, "not applied", namespace=journal.namespace)
    heard = hear(backend)
    sight = look(backend, own if pending is None else both(pending.earlier, own), heard.rules)
    drift = tuple(differences(sight, own))
    notes = foreign_notes(sight, own, own, backend, heard)
    shadows = tuple(note for note in notes if note.code == "foreign-first")
    found = (*drift, *(msgspec.structs.replace(note, code="shadowed") for note in shadows))
    return Status(journal.name, _state(journal, drift=bool(drift)), found, _waits(journal), journal.namespace)


def _state(journal: Journal, *, drift: bool) -> State:
    if journal.pending is not None:
        return "waits for confirmation" if journal.pending.done else "cut off"
    return "drifted" if drift else "in sync"


def _waits(journal: Journal) -> str:
    try:
        refuse_unsettled(journal)
    except JournalError as error:
        deadline = journal.pending.deadline if journal.pending else None
        until = f" until {time.strftime('%H:%M:%S', time.localtime(deadline.at))}" if deadline else ""
        return f"{error.message}{until}: {error.help}"
    return ""


def differences(sight: Sight, own: Owned) -> Iterator[Note]:
    """What of ours is missing, changed or in another order."""
    for table in own.tables:
        yield from _in_table(standing(sight.table(*table.key), table), table)
    for step in steps(sight, own, own):
        if not isinstance(step.thing, (OwnedTable, tuple)):
            code = "missing" if step.verb == "make" else "changed"
            yield Note(code, str(step.thing))


def _in_table(there: OwnedTable, want: OwnedTable) -> Iterator[Note]:
    live = {chain.name: chain.rules for chain in there.chains}
    for chain in want.chains:
        where = f"ipv{want.family} {want.table} {chain.name}"
        if chain.name not in live:
            yield Note("missing", f"the chain {chain.name}", where)
        elif not chain.kept:
            yield from _in_chain(live[chain.name], chain.rules, where)
    for name in dict.fromkeys(one.chain for one in want.placed):
        now = tuple(one.text for one in there.placed if one.chain == name)
        yield from _in_chain(
            now,
            tuple(one.text for one in want.placed if one.chain == name),
            f"ipv{want.family} {want.table} {name}",
        )


def _in_chain(now: tuple[str, ...], want: tuple[str, ...], where: str) -> Iterator[Note]:
    for text in want:
        if text not in now:
            yield Note("missing", text, where)
    for text in now:
        if text not in want:
            yield Note("changed", f"not ours: {text}", where)
    if now != want and sorted(now) == sorted(want):
        yield Note("order", f"{len(want)} rules in another order", where)
