"""The sockets that wait for packets, as ``ss -H -ltnup`` lists them, from /proc/net and /proc/*/fd."""

import os
import socket
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

_FILES = (("tcp", 4, "0A"), ("tcp6", 6, "0A"), ("udp", 4, "07"), ("udp6", 6, "07"))
"""File of /proc/net, family, and the state of a socket that waits: TCP_LISTEN, TCP_CLOSE (udp, unconnected)."""


def processes(containers: Iterable[tuple[str, int]] = ()) -> dict[int, str]:
    """The name of a process that holds a socket, by the socket's inode.

    ``containers`` are names, each with a process: of other processes in the same mount namespace it is said that
    they are in that container, too (``nginx container=web``), since it may share the host's network.
    """
    inside = {mounts: name for name, pid in containers if (mounts := _mounts(Path(f"/proc/{pid}")))}
    inside.pop(_mounts(Path("/proc/self")), None)
    found: dict[int, str] = {}
    for directory in Path("/proc").glob("[0-9]*/fd"):
        try:
            name = directory.parent.joinpath("comm").read_text("utf-8", "replace").strip()
            container = inside.get(_mounts(directory.parent)) if inside else None
            name += f" container={container}" if container else ""
            for number in os.listdir(directory):  # noqa: PTH208 - the fast way: a host has many
                target = os.readlink(f"{directory}/{number}")  # noqa: PTH115
                if target.startswith("socket:["):
                    found.setdefault(int(target[8:-1]), name)
        except OSError:  # the process, or this socket, ended meanwhile; or it is not ours to see
            continue
    return found


def _mounts(process: Path) -> int:
    """The mount namespace of a process, 0 where it ended meanwhile."""
    try:
        return process.joinpath("ns/mnt").stat().st_ino
    except OSError:
        return 0


def listening(owners: dict[int, str]) -> str:
    """One line a socket: protocol, state, queues, address, peer, and the process's name from ``owners``."""
    return _lines(list(_all_rows()), owners)


def listening_at(ports: Container[tuple[str, int]]) -> str:
    """The same for some protocols and ports alone; hardly ever is there one, and then nothing more is asked."""
    rows = [row for row in _all_rows() if (row[0], row[3]) in ports]
    return _lines(rows, processes()) if rows else ""


def _all_rows() -> Iterator["Waiting"]:
    return (row for name, family, state in _FILES for row in _rows(name, family, state))


def _lines(rows: list["Waiting"], owners: dict[int, str]) -> str:
    details = _details()
    return "".join(sorted(_line(row, details, owners) for row in rows))


class Detail(msgspec.Struct, frozen=True):
    """What only sock_diag tells of a socket: whether it takes IPv6 alone, and the interface it is bound to."""

    only_six: bool = False
    interface: str = ""


Waiting = tuple[str, int, str, int, int]
"""A socket that waits: protocol, family, address as /proc/net has it, port, inode."""


def _rows(name: str, family: int, state: str) -> Iterator[Waiting]:
    """Protocol, family, address, port and inode of each socket of one file in ``state``, with no peer."""
    path = Path("/proc/thread-self/net") / name
    for row in path.read_text("utf-8").splitlines()[1:] if path.is_file() else ():
        words = row.split()
        if words[3] == state and words[2].endswith(":0000"):
            address, _, port = words[1].partition(":")
            yield name[:3], family, address, int(port, 16), int(words[9])


def _line(row: Waiting, details: dict[int, Detail], owners: dict[int, str]) -> str:
    protocol, family, address, port, inode = row
    detail = details.get(inode, Detail())
    text = _address(address, family, detail)
    state = "LISTEN" if protocol == "tcp" else "UNCONN"
    peer = "*:*" if text.startswith("*") else "0.0.0.0:*" if family == 4 else "[::]:*"
    return f"{protocol} {state} 0 0 {text}:{port} {peer} {owners.get(inode, '')}".rstrip() + "\n"


def _address(text: str, family: int, detail: Detail) -> str:
    """The address of /proc/net (32-bit words in the machine's byte order) as ss writes it."""
    raw = b"".join(int(text[at : at + 8], 16).to_bytes(4, "little") for at in range(0, len(text), 8))
    at = f"%{detail.interface}" if detail.interface else ""
    if family == 4:
        return socket.inet_ntop(socket.AF_INET, raw) + at
    if not detail.only_six and not any(raw):
        return "*" + at
    return f"[{socket.inet_ntop(socket.AF_INET6, raw)}]{at}"


def _details() -> dict[int, Detail]:
    """Of each socket by inode; of a kernel without sock_diag nothing is known, and defaults hold."""
    from pyroute2 import DiagSocket
    from pyroute2.netlink.exceptions import NetlinkError

    found: dict[int, Detail] = {}
    for family in (socket.AF_INET, socket.AF_INET6):
        for protocol in (socket.IPPROTO_TCP, socket.IPPROTO_UDP):
            try:
                with DiagSocket() as kernel:
                    rows = kernel.get_sock_stats(family=family, protocol=protocol, states=_WAITING)
            except NetlinkError:
                continue
            found |= {row["idiag_inode"]: _detail(row) for row in rows}
    return found


_WAITING = 1 << 10 | 1 << 7
"""TCP_LISTEN and TCP_CLOSE (udp, unconnected), as bits of sock_diag's request."""


def _detail(row: Any) -> Detail:
    index = row["idiag_if"]
    return Detail(row.get_attr("INET_DIAG_SKV6ONLY") == 1, socket.if_indextoname(index) if index else "")
