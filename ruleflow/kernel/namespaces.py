"""Network namespaces: entering those that are there, and new ones without names.

The latter live as long as their file descriptor, so nothing is left behind on a kill.
"""

import contextlib
import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from ruleflow.errors import RuleflowError

CLONE_NEWUSER = 0x10000000  # <linux/sched.h>
CLONE_NEWNET = 0x40000000
HERE = "/proc/thread-self/ns/net"
NAMED = Path("/run/netns")
"""Where ``ip netns`` keeps its namespaces."""
Result = TypeVar("Result")
_libc = ctypes.CDLL(None, use_errno=True)


class NoNamespaceError(RuleflowError):
    """It is not there: it never was, it ended, or `ip netns add` is just making it (then the file is no namespace yet)."""


class LabUnavailableError(RuleflowError):
    """Namespaces cannot be made on this machine; the message says what is missing."""


class Namespace:
    """One network namespace, held by a file descriptor; it ends with `close` or with the process."""

    def __init__(self) -> None:
        """A new, empty namespace. Raises `LabUnavailableError` where the kernel does not allow it."""
        self.fd = -1
        before = os.open(HERE, os.O_RDONLY)
        try:
            _call("unshare", CLONE_NEWNET)
            try:
                self.fd = os.open(HERE, os.O_RDONLY)
            finally:
                _call("setns", before, CLONE_NEWNET)
        finally:
            os.close(before)

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Within the block the calling thread (its new sockets, processes and /proc/sys/net) is in the namespace."""
        before = os.open(HERE, os.O_RDONLY)
        try:
            _call("setns", self.fd, CLONE_NEWNET)
            try:
                yield
            finally:
                _call("setns", before, CLONE_NEWNET)
        finally:
            os.close(before)

    def close(self) -> None:
        """Let the namespace go; the kernel removes it when no socket or process is left in it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def write_sysctl(self, name: str, value: str) -> None:
        """Set ``net.ipv4.ip_forward`` and the like here; slashes may stand for dots in names of interfaces."""
        with self.inside():
            sysctl_path(name).write_text(value)


def inside(path: Path, work: Callable[[], Result]) -> Result:
    """What ``work`` gives in the network namespace ``path``: it runs in a thread of its own that enters it.

    :raises RuleflowError: where the namespace is not there or may not be entered.
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=1) as threads:
        return threads.submit(_entered, path, work).result()


def _entered(path: Path, work: Callable[[], Result]) -> Result:
    enter(path)
    return work()


def enter(path: Path) -> None:
    """Bring the calling thread into the network namespace ``path``.

    :raises RuleflowError: where it is not there or may not be entered.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if _libc.setns(handle, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        finally:
            os.close(handle)
    except OSError as error:
        kind = NoNamespaceError if error.errno in (errno.ENOENT, errno.EINVAL) else RuleflowError
        raise kind(
            f"the namespace {path.name if path.parent == NAMED else path} cannot be entered: {error.strerror}",
            help="ip netns list; run as root",
        ) from error


def sysctl_path(name: str) -> Path:
    """The file of a sysctl: `net.ipv4.conf.eth0/1.rp_filter` is about the interface `eth0.1` (sysctl(8))."""
    if "/" in name and "." not in name:  # sysctl -a of some systems writes slashes only
        return Path("/proc/sys", name)
    return Path("/proc/sys", name.translate(str.maketrans("./", "/.")))


def become_root_of_user_namespace() -> None:
    """Give a process without root a user namespace of its own, in which it may make network namespaces.

    The process stays in it, without the network, until it ends, and must have one thread (unshare(2)). Does nothing for root. Raises
    `LabUnavailableError` where the kernel refuses.
    """
    if os.geteuid() == 0:
        return
    uid, gid = os.geteuid(), os.getegid()
    _call("unshare", CLONE_NEWUSER | CLONE_NEWNET)  # one cannot go back to a network namespace of others
    try:
        Path("/proc/self/setgroups").write_text("deny")  # else gid_map is refused: user_namespaces(7)
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    except OSError as error:
        raise _unavailable(f"{error.filename}: {error.strerror}") from error


@contextlib.contextmanager
def sockets_of(uid: int | None, gid: int | None) -> Iterator[None]:
    """Within the block new sockets belong to this user and group (what `-m owner` reads): setfsuid(2), this thread only."""
    _set_owner(0 if uid is None else uid, 0 if gid is None else gid)
    try:
        yield
    finally:
        _set_owner(0, 0)


def _set_owner(uid: int, gid: int) -> None:
    for name, wanted in (("setfsgid", gid), ("setfsuid", uid)):
        call = getattr(_libc, name)
        call(ctypes.c_uint(wanted))
        if (
            call(ctypes.c_uint(0xFFFFFFFF)) & 0xFFFFFFFF != wanted
        ):  # it answers the id now in force, and no error
            raise LabUnavailableError(
                f"a socket cannot be given the {name[-3:]} {wanted} here",
                help="without root only your own user exists in the lab: run as root to try owner matches",
            )


def _call(name: str, *arguments: int) -> None:
    if getattr(_libc, name)(*arguments) == 0:
        return
    raise _unavailable(f"{name}: {os.strerror(ctypes.get_errno())}")


def _unavailable(why: str) -> LabUnavailableError:
    return LabUnavailableError(
        f"the lab cannot be built: {why}",
        help="run as root, or as a user where the kernel allows user namespaces: sysctl user.max_user_namespaces,"
        " kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns",
    )
