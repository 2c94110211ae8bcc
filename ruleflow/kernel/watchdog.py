"""A process of its own that goes back where nobody confirms: it survives the terminal, the shell and the kill of its parent.

It holds nothing but the place of the journal; the deadline stands there. Where it is killed itself, or the machine starts anew,
`ruleflow rollback --expired` (a unit at boot and a timer, docs/apply.md) does the same from the same journal.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ruleflow.errors import RuleflowError
from ruleflow.kernel.backend import Backend
from ruleflow.kernel.journal import BusyError, Journal, Store, boot_id

POLL = 0.2


def arm(store: Store, backend: Backend) -> None:
    """Start the watchdog for the change that is pending in ``store``; it is in the network namespace of the caller's thread.

    Forks twice: the caller goes on when the watchdog is detached (its own session, HUP ignored, no terminal, no open files).
    """
    pending = store.read().pending
    assert pending is not None
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:  # never back into the caller's code
        os.setsid()
        if os.fork() == 0:
            _detach()
            watch(store, backend, pending.id)
    finally:
        os._exit(0)


def _detach() -> None:
    """No terminal, no signal from one, no file of the parent: its lock is to end with it."""
    for name in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGTTOU, signal.SIGPIPE):
        signal.signal(name, signal.SIG_IGN)
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.closerange(3, min(os.sysconf("SC_OPEN_MAX"), 65536))


def watch(store: Store, backend: Backend, change: str) -> None:
    """Wait until the change is settled; go back when its time is over, or when who made it died before it was done."""
    while True:
        journal = store.read()
        if journal.pending is None or journal.pending.id != change:
            return
        if _is_over(journal) or (not journal.pending.done and _is_free(store)):
            go_back(store, backend, change)
            return
        time.sleep(POLL)


def _is_over(journal: Journal) -> bool:
    deadline = journal.pending.deadline if journal.pending else None
    return deadline is not None and deadline.passed


def _is_free(store: Store) -> bool:
    try:
        with store.locked():
            return True
    except BusyError:
        return False


def go_back(store: Store, backend: Backend, change: str) -> None:
    """Roll the change back unless it was settled while we waited for the lock; tried again where it fails."""
    from ruleflow.kernel.apply import rollback

    for attempt in range(5):
        with store.locked(wait=True):
            journal = store.read()
            if journal.pending is None or journal.pending.id != change:
                return
            with contextlib.suppress(RuleflowError):
                rollback(store, backend, why="nobody confirmed in time")
                return
        time.sleep(2**attempt)


def expired(store: Store) -> bool:
    """Whether a change must be rolled back now: its time is over, or it was cut off and nobody is at work."""
    pending = store.read().pending
    if pending is None:
        return False
    if pending.deadline is not None and pending.deadline.passed:
        return True
    return not pending.done and _is_free(store)


def roll_back_expired(state: Path) -> Iterator[str]:
    """Roll back every change below ``state`` whose time is over or that was cut off; gives their names.

    Each in its own namespace; one that is gone with the machine's last boot took all of its state along.
    :raises RollbackFailedError: where going back fails.
    """
    for path in sorted(state.glob("*/journal.json")):
        name, _, place = path.parent.name.partition("@")
        store = Store(state, name, place)
        if not expired(store):
            continue
        with store.locked(wait=True):
            _roll_back(store, store.read())
        yield path.parent.name


def _roll_back(store: Store, journal: Journal) -> None:
    from ruleflow.kernel.apply import rollback
    from ruleflow.kernel.links import netns_exists, within

    netns = f"pid:{journal.namespace}" if journal.namespace.isdigit() else journal.namespace
    deadline = journal.pending.deadline if journal.pending else None
    rebooted = deadline is not None and deadline.boot != boot_id()
    if netns and (rebooted or not netns_exists(netns)):
        store.write(msgspec.structs.replace(journal, pending=None, outcome="the namespace is gone"))
    else:
        within(netns, lambda: rollback(store, Backend(journal.backend), why="nobody confirmed in time"))
