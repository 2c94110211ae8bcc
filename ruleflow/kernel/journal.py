"""What we did and were about to do, on disk before it is done: whoever finds the journal can go on or go back.

One directory a declaration and namespace: ``journal.json`` (written beside, synced, renamed, directory synced) and ``lock``.
"""

import contextlib
import fcntl
import os
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from ruleflow.errors import RuleflowError
from ruleflow.kernel.given import Given
from ruleflow.kernel.owned import NOTHING, Owned

DEFAULT_STATE = Path("/var/lib/ruleflow")


class BusyError(RuleflowError):
    """Another ruleflow is at work on the same declaration."""


class JournalError(RuleflowError):
    """A journal cannot be read or written, or holds something that must be settled first."""


class DamagedJournalError(JournalError):
    """A journal is there, and nobody can say what it held."""


class Deadline(msgspec.Struct, frozen=True):
    """Until when a change must be confirmed: ``seconds`` since this boot, and the same as time of day for people."""

    boot: str
    seconds: float
    at: float

    @property
    def passed(self) -> bool:
        """Whether it is over; after a reboot it is."""
        return self.boot != boot_id() or time.clock_gettime(time.CLOCK_BOOTTIME) >= self.seconds

    @property
    def left(self) -> float:
        """Seconds until then; 0 where it is over."""
        return 0.0 if self.passed else self.seconds - time.clock_gettime(time.CLOCK_BOOTTIME)


def deadline_in(seconds: float) -> Deadline:
    """The deadline that many seconds from now."""
    return Deadline(boot_id(), time.clock_gettime(time.CLOCK_BOOTTIME) + seconds, time.time() + seconds)


def boot_id() -> str:
    """The name of this boot, proc(5)."""
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


class Pending(msgspec.Struct, frozen=True):
    """A change that is not settled: from ``earlier`` (what of ours stood, as observed) to ``wanted``.

    Going back is to make just ``earlier`` stand again: the inverse edits of our own objects and the earlier settings.
    ``done``: all steps are taken and verified, only the confirmation is missing.
    """

    id: str
    action: Literal["apply", "destroy"]
    earlier: Owned
    wanted: Owned
    given: Given = Given()
    steps: tuple[str, ...] = ()
    deadline: Deadline | None = None
    done: bool = False


class Journal(msgspec.Struct, frozen=True):
    """``own`` is what stands for good, ``pending`` what is on its way, ``given`` the addresses given out."""

    name: str
    namespace: str = ""
    backend: str = ""
    own: Owned = NOTHING
    pending: Pending | None = None
    given: Given = Given()
    outcome: str = ""
    """What became of the last change, for people: confirmed, rolled back …"""
    schema: str = "ruleflow.journal/1"


class Store:
    """The directory of one declaration in one namespace."""

    def __init__(self, state: Path, name: str, namespace: str = "") -> None:
        """``state`` is the directory of all; ``name`` letters, digits, dots, - and _. Raises `JournalError`."""
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", name):
            raise JournalError(
                f"a state cannot be called {name!r}", help="use letters, digits, dots, - and _: --name NAME"
            )
        self.name, self.namespace = name, namespace
        place = re.sub(r"[^A-Za-z0-9_.-]", "-", namespace)
        self.directory = state / (f"{name}@{place}" if namespace else name)
        self.path = self.directory / "journal.json"

    def read(self) -> Journal:
        """The journal; an empty one where there is none.

        :raises DamagedJournalError: where it cannot be understood.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return Journal(self.name, self.namespace)
        except OSError as error:
            raise JournalError(f"cannot read {self.path}: {error.strerror}", help="run as root") from error
        try:
            return msgspec.json.decode(data, type=Journal)
        except msgspec.DecodeError as error:
            advice = (
                f"look at it; what carries our mark is taken away by: ruleflow destroy {self.name} --scan"
            )
            raise DamagedJournalError(f"{self.path} is damaged: {error}", help=advice) from error

    def write(self, journal: Journal) -> None:
        """Put the journal on disk for good before anything else happens. Raises `JournalError`."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            beside = self.path.with_suffix(".new")
            with beside.open("wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(journal), indent=1))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
            _sync_directory(self.directory)
        except OSError as error:
            raise JournalError(
                f"cannot write {self.path}: {error.strerror}", help="--state DIR names another place"
            ) from error

    def set_damaged_aside(self) -> None:
        """Begin anew where the journal cannot be understood; it stays beside, as ``journal.damaged``."""
        try:
            self.read()
        except DamagedJournalError:
            self.path.replace(self.path.with_suffix(".damaged"))
            _sync_directory(self.directory)

    def remove(self) -> None:
        """Nothing of ours is left: neither is the journal."""
        self.path.unlink(missing_ok=True)
        _sync_directory(self.directory)

    @contextlib.contextmanager
    def locked(self, *, wait: bool = False) -> Iterator[None]:
        """Within the block this process alone works on the declaration.

        :raises BusyError: where another does and ``wait`` is false.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self.directory / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise JournalError(
                f"cannot lock {self.directory}: {error.strerror}", help="run as root"
            ) from error
        try:
            self._lock(handle, wait=wait)
            yield
        finally:
            os.close(handle)

    def _lock(self, handle: int, *, wait: bool) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            who = os.pread(handle, 40, 0).decode("ascii", "replace").strip() or "unknown"
            raise BusyError(
                f"another ruleflow (process {who}) is at work on {self.name}",
                help="wait for it, then look: ruleflow status",
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode("ascii"), 0)


def new_id() -> str:
    """A name for one change, never used before."""
    return uuid.uuid4().hex


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
