"""A plan is carried out, step by step, so that at each moment the journal tells how to go back; and going back.

The journal is on disk before the first step. Each table is one atomic restore, read before and after; a step that fails, or a
host that is not as planned in the end, is undone at once. What was cut off (kill, power) is undone by `rollback` from the journal.
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import msgspec

from ruleflow.errors import RuleflowError
from ruleflow.kernel.backend import Backend
from ruleflow.kernel.heirs import hand_over
from ruleflow.kernel.journal import Deadline, Journal, JournalError, Pending, Store, new_id
from ruleflow.kernel.links import LinkRefusedError, remove_leftovers
from ruleflow.kernel.owned import Owned, OwnedTable, both, standing, without
from ruleflow.kernel.plan import Prepared
from ruleflow.kernel.stale import forget
from ruleflow.kernel.table_edit import table_edit
from ruleflow.kernel.transition import Step, look, run_step, steps

Hook: TypeAlias = Callable[[str], None]
"""Told the name of each step before it is done; may raise, or end the process: tests do."""


class WorldChangedError(RuleflowError):
    """The host is not any more as it was when the plan was made."""


class ApplyFailedError(RuleflowError):
    """A step failed and everything was undone: the earlier state is back."""


class RollbackFailedError(RuleflowError):
    """Going back failed in part; the message says what is left to do by hand."""


def quiet(_step: str) -> None:
    """The hook that does nothing."""


def apply(
    store: Store, prepared: Prepared, backend: Backend, *,
    deadline: Deadline | None = None, hook: Hook = quiet, proof: Callable[[], None] | None = None,
) -> Journal:  # fmt: skip
    """Carry a plan out; the caller holds the store's lock. An empty plan writes nothing.

    With ``deadline`` the change waits for `confirm`; the caller arms the watchdog in ``hook`` when it is told ``armed``.
    ``proof`` is asked in the end and raises where packets go another way than foretold.

    :raises JournalError: where an earlier change is not settled.
    :raises ApplyFailedError: where a step failed; the earlier state is back.
    :raises RollbackFailedError: where that failed, too.
    """
    journal = store.read()
    refuse_unsettled(journal)
    if not prepared.steps:
        return _settle_without_steps(store, journal, prepared, backend)
    pending = Pending(
        new_id(), "destroy" if prepared.plan.action == "destroy" else "apply", prepared.earlier, prepared.target,
        prepared.given, prepared.plan.steps, deadline,
    )  # fmt: skip
    journal = msgspec.structs.replace(journal, backend=backend.kind, pending=pending, outcome="")
    hand_over(store, prepared.gifts)
    store.write(journal)
    try:
        hook("armed")
        _forward(store, prepared, backend, hook)
        if proof is not None:
            proof()
        hook("settle")
        return settle(store, journal) if deadline is None else _wait(store, journal, pending)
    except (RuleflowError, OSError, KeyboardInterrupt) as error:
        _undo_after(error, store, backend, hook)
        raise ApplyFailedError(
            f"{_words(error)}; everything was undone, the earlier state is back",
            help=getattr(error, "help", None),
        ) from error


def _undo_after(error: BaseException, store: Store, backend: Backend, hook: Hook) -> None:
    try:
        rollback(store, backend, hook=hook, why=_words(error))
    except (RuleflowError, OSError) as failed:
        advice = getattr(failed, "help", None) or "ruleflow rollback, when that is settled"
        raise RollbackFailedError(f"{_words(error)}; {_words(failed)}", help=advice) from failed


def _words(error: BaseException) -> str:
    if isinstance(error, RuleflowError):
        return error.message
    return "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)


def refuse_unsettled(journal: Journal) -> None:
    """Raise `JournalError` where an earlier change waits for a confirmation or was cut off."""
    pending = journal.pending
    if pending is None:
        return
    if pending.done:
        raise JournalError(
            f"the {pending.action} of {journal.name} waits for its confirmation",
            help="ruleflow confirm, or ruleflow rollback",
        )
    raise JournalError(f"the {pending.action} of {journal.name} was cut off", help="ruleflow rollback")


def _settle_without_steps(store: Store, journal: Journal, prepared: Prepared, backend: Backend) -> Journal:
    """Nothing to do on the host; the journal is written only where what we know to be ours has changed."""
    hand_over(store, prepared.gifts)
    if prepared.plan.action == "destroy":
        store.remove()
    elif (journal.own, journal.given) != (prepared.target, prepared.given):
        journal = msgspec.structs.replace(
            journal, own=prepared.target, given=prepared.given, backend=backend.kind
        )
        store.write(journal)
    return journal


def _forward(store: Store, prepared: Prepared, backend: Backend, hook: Hook) -> None:
    back = prepared.plan.action == "destroy"
    for step in prepared.steps:
        hook(str(step))
        if isinstance(step.thing, OwnedTable):
            write_rules(backend, prepared.present, step.thing, planned=prepared.earlier, exact=back)
        else:
            _do(store, step)
    hook("verify")
    everything = both(prepared.present, prepared.target)
    left = _left(backend, everything, prepared.target, back=back)
    if left:
        raise WorldChangedError(f"after the last step this was not in place: {', '.join(map(str, left))}")


def _do(store: Store, step: Step) -> None:
    """One step that is not about rules; what somebody made since the plan is not ours, and must outlive the way back."""
    try:
        run_step(step)
    except LinkRefusedError as error:
        journal = store.read()
        if error.exists and journal.pending is not None:
            pending = msgspec.structs.replace(
                journal.pending, wanted=without(journal.pending.wanted, step.thing)
            )
            store.write(msgspec.structs.replace(journal, pending=pending))
        raise


def write_rules(
    backend: Backend, present: Owned, target: OwnedTable, *, planned: Owned | None = None, exact: bool = False
) -> None:
    """Make our part of one table ``target``: read, then restore (on legacy no other iptables runs meanwhile).

    What stands in the end is read when all steps are done. On nft a window remains between the two; ``-C`` and ``-N`` narrow it.
    :raises WorldChangedError: where our part is not as ``planned`` before.
    :raises RestoreRefusedError: where the kernel refuses.
    """
    ours = present.table(*target.key)
    with backend.locked():
        live = backend.table(*target.key)
        if planned is not None and _part(standing(live, ours)) != _part(planned.table(*target.key)):
            raise WorldChangedError(
                f"our rules in {target.table} changed since the plan was made", help="make the plan again"
            )
        edit = table_edit(live, ours, target, exact=exact)
        if not edit.text:
            return
        backend.restore(target.family, edit.text)
    if target.table == "nat":
        forget(target.family, _published(standing(live, ours)), _published(target))


def _published(table: OwnedTable) -> tuple[str, ...]:
    """Our rules that translate destinations."""
    chains = (text for chain in table.chains for text in chain.rules)
    return tuple(text for text in (*chains, *(one.text for one in table.placed)) if " -j DNAT " in text)


def _part(table: OwnedTable) -> tuple[object, ...]:
    """Our part of a table without what foreign rules decide: how many of them stand above."""
    placed = tuple((one.chain, one.text) for one in table.placed)
    return tuple((chain.name, chain.rules) for chain in table.chains if not chain.kept), placed


def settle(store: Store, journal: Journal, outcome: str = "applied") -> Journal:
    """The pending change stands for good."""
    assert journal.pending is not None
    pending = journal.pending
    journal = msgspec.structs.replace(
        journal, own=pending.wanted, given=pending.given, pending=None, outcome=outcome
    )
    if journal.own == Owned():
        store.remove()
    else:
        store.write(journal)
    return journal


def _wait(store: Store, journal: Journal, pending: Pending) -> Journal:
    journal = msgspec.structs.replace(journal, pending=msgspec.structs.replace(pending, done=True))
    store.write(journal)
    return journal


def confirm(store: Store) -> Journal:
    """Keep the change that waits; the caller holds the store's lock.

    :raises JournalError: where none waits, it was cut off, or its time is over.
    """
    journal = store.read()
    pending = journal.pending
    if pending is None:
        said = f" (the last change was {journal.outcome})" if journal.outcome else ""
        raise JournalError(f"nothing of {store.name} waits for a confirmation{said}", help="ruleflow status")
    if not pending.done:
        raise JournalError(
            f"the {pending.action} of {store.name} was cut off before it was done", help="ruleflow rollback"
        )
    if pending.deadline is not None and pending.deadline.passed:
        raise JournalError(
            f"the time to confirm the {pending.action} of {store.name} is over", help="ruleflow rollback"
        )
    return settle(store, journal, "confirmed")


def rollback(store: Store, backend: Backend, *, hook: Hook = quiet, why: str = "rolled back") -> Journal:
    """Make the state before the pending change stand again; the caller holds the store's lock.

    May be called again after it was cut off itself. Gives the journal as it then is.

    :raises JournalError: where nothing is pending.
    :raises RollbackFailedError: where something could not be undone; the journal stays as it is.
    """
    journal = store.read()
    if journal.pending is None:
        said = f" (the last change was {journal.outcome})" if journal.outcome else ""
        raise JournalError(
            f"there is nothing of {store.name} to roll back{said}", help="ruleflow destroy takes it away"
        )
    earlier = journal.pending.earlier
    remove_leftovers()
    present = both(earlier, journal.pending.wanted)
    failed = list(_backward(backend, present, earlier, hook))
    left = _left(backend, present, earlier, back=True)
    if left:
        by_hand = "; ".join((*map(str, left), *failed))
        raise RollbackFailedError(
            f"going back did not succeed, this is left to do: {by_hand}", help="then: ruleflow rollback"
        )
    journal = msgspec.structs.replace(journal, pending=None, outcome=f"rolled back: {why}")
    store.write(journal)
    return journal


def _backward(backend: Backend, present: Owned, earlier: Owned, hook: Hook) -> Iterator[str]:
    """Undo what can be undone; what failed is told, the rest goes on."""
    for step in steps(look(backend, present), present, earlier, back=True):
        try:
            hook(f"back: {step}")
            _back(backend, present, step)
        except (RuleflowError, OSError) as error:
            yield f"{step}: {_words(error)}"


def _back(backend: Backend, present: Owned, step: Step) -> None:
    if isinstance(step.thing, OwnedTable):
        write_rules(backend, present, step.thing, exact=True)
    else:
        run_step(step)


def _left(backend: Backend, present: Owned, target: Owned, *, back: bool) -> list[Step]:
    """What is not as it shall be; an nft chain that somebody uses meanwhile may stay."""
    found = steps(look(backend, present), present, target, back=back)
    return [step for step in found if step.verb != "unmake"]
