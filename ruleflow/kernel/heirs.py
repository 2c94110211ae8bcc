"""Several declarations on one host: what one made or set and another uses too is handed over when the first lets go of it.

Each journal knows only what it found: the second found `ip_forward` on and nft's tables there, because of the first.
"""

from collections.abc import Iterator

import msgspec

from ruleflow.kernel.journal import Journal, Store
from ruleflow.kernel.owned import NOTHING, Owned, Setting


class Gift(msgspec.Struct, frozen=True):
    """What another declaration in the same namespace takes over."""

    heir: Store
    things: Owned


def neighbours(store: Store) -> Iterator[tuple[Store, Journal]]:
    """The other declarations in the same namespace, with their journals. Raises `JournalError` where one is damaged."""
    for path in sorted(store.directory.parent.glob("*/journal.json")):
        other = Store(store.directory.parent, path.parent.name.partition("@")[0], store.namespace)
        if other.directory == path.parent and other.name != store.name:
            yield other, other.read()


def bequeath(store: Store, own: Owned, target: Owned) -> tuple[Owned, tuple[Gift, ...]]:
    """What of ``own`` is to be undone on the way to ``target``, and who takes over what is not."""
    gifts = []
    for heir, journal in neighbours(store):
        theirs = journal.own if journal.pending is None else journal.pending.wanted
        things = _used(own, target, theirs)
        if things != NOTHING:
            own = _without(own, things)
            gifts.append(Gift(heir, things))
    return own, tuple(gifts)


def _used(own: Owned, target: Owned, theirs: Owned) -> Owned:
    """What of ``own`` is not in ``target``, and is used by ``theirs``."""
    wanted = {one.name for one in target.settings}
    needed = {(one.name, one.value) for one in theirs.settings}
    return Owned(
        settings=tuple(
            one for one in own.settings if one.name not in wanted and (one.name, one.value) in needed
        ),
        made=tuple(one for one in own.made if one not in target.made and one[:2] in theirs.places()),
    )


def _without(own: Owned, things: Owned) -> Owned:
    return msgspec.structs.replace(
        own,
        settings=tuple(one for one in own.settings if one not in things.settings),
        made=tuple(one for one in own.made if one not in things.made),
    )


def hand_over(store: Store, gifts: tuple[Gift, ...]) -> None:
    """Write it into the journals of those who take over, before anything else happens; the caller holds ``store``'s lock.

    :raises BusyError: where another process is at work there (of two that ask for each other's lock one waits, by name).
    """
    for gift in gifts:
        with gift.heir.locked(wait=store.name < gift.heir.name):
            journal = gift.heir.read()
            if journal.pending is not None:
                wanted = _richer(journal.pending.wanted, gift.things)
                pending = msgspec.structs.replace(journal.pending, wanted=wanted)
                journal = msgspec.structs.replace(journal, pending=pending)
            else:
                journal = msgspec.structs.replace(journal, own=_richer(journal.own, gift.things))
            gift.heir.write(journal)


def _richer(own: Owned, things: Owned) -> Owned:
    before = {one.name: one for one in things.settings}
    return msgspec.structs.replace(
        own,
        settings=tuple(_as_before(one, before.get(one.name)) for one in own.settings),
        made=tuple(sorted({*own.made, *things.made})),
    )


def _as_before(one: Setting, given: Setting | None) -> Setting:
    """A setting that was found as it is needed takes over what it was before."""
    if given is None or one.before != one.value:
        return one
    return msgspec.structs.replace(one, before=given.before, along=given.along)
