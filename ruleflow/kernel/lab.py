"""The kernel as oracle: throw-away namespaces, rules loaded by the real restore, packets sent, and what became of them.

A `Lab` is a router in a namespace of its own and, in a second one, the far ends of its interfaces. Each packet is put on
the wire (or sent by a raw socket of the router), then a barrier waits until the kernel is done with it, and whatever was seen
since belongs to that packet: frames that left, packets delivered (logged behind the last rule of INPUT), refusals, and the trace.
Packets are processed on one CPU in order of arrival, so two runs see the same.
"""

import contextlib
import ctypes
import errno
import os
import re
import socket
import struct
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

import msgspec

from ruleflow.errors import RuleflowError, Where
from ruleflow.kernel.ends import FarEnds
from ruleflow.kernel.namespaces import (
    LabUnavailableError,
    Namespace,
    become_root_of_user_namespace,
    sockets_of,
)
from ruleflow.kernel.netlink import Netlink
from ruleflow.kernel.observe import Observation, judge, paths
from ruleflow.kernel.router import Spec, build
from ruleflow.kernel.run import run
from ruleflow.kernel.trace import Listing, TraceEvent
from ruleflow.kernel.wire import MAGIC, WireError, decode, encode
from ruleflow.netfilter.numbers import address_text
from ruleflow.netfilter.packet import Packet
from ruleflow.ruleset.ir import Ruleset

SO_MARK = 36
LOG_GROUP = 0x5246

WATCHERS = f"""table inet rf {{
 chain arrived {{
  type filter hook prerouting priority -500
  meta nftrace set TRACE
 }}
 chain made {{
  type filter hook output priority -2147483648
  log prefix "rf:made" group {LOG_GROUP}
  meta nftrace set TRACE
 }}
 chain left {{
  type filter hook postrouting priority 2147483646
  log prefix "rf:left" group {LOG_GROUP}
 }}
 chain delivered {{
  type filter hook input priority 2147483647
  log prefix "rf:delivered" group {LOG_GROUP}
  TAKE
 }}
}}
"""


class LoadRefusedError(RuleflowError):
    """The real restore does not take the rule set; the message has its words."""


class Shot(msgspec.Struct, frozen=True):
    """A packet and how it is sent, where that is not the usual way.

    ``port`` is the router's interface at whose far end it is put on the wire (usual: ``packet.physdev_in``, else
    ``packet.in_interface``; with neither the router sends it); ``to_mac`` the frame's destination (usual: the interface or the
    bridge it enters); ``quoted`` the packet an ICMP error is about; ``ip_options`` raw IPv4 options; ``echo`` the identifier of an ICMP request or answer (that of ``quoted``, where there is one).
    """

    packet: Packet
    port: str | None = None
    to_mac: int | None = None
    quoted: Packet | None = None
    more_fragments: bool = False
    ip_options: bytes = b""
    echo: int | None = None


class Lab:
    """A router to try packets in; use it in a `with` block. Nothing is left behind, not even by a kill."""

    def __init__(self, spec: Spec, backend: str = "nft", *, trace: bool = True) -> None:
        """Build the router. ``backend`` is ``nft`` or ``legacy``; ``trace`` records rule paths.

        Without root the process enters a user namespace of its own first, and stays in it. Raises `LabUnavailableError`
        where the kernel does not allow it or a tool is missing, `RouterRefusedError` where the description cannot be built.
        """
        become_root_of_user_namespace()
        self.spec, self.backend, self.trace = spec, backend, trace
        self._open: list[Namespace | Netlink | FarEnds] = []
        self._listings = {4: Listing(), 6: Listing()}
        self._tables: dict[int, tuple[str, ...]] = {4: (), 6: ()}
        self._ident = 0
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def inside(self) -> AbstractContextManager[None]:
        """Within the block the calling thread is in the router's namespace: to take a snapshot of it, or run a tool there."""
        return self._router.inside()

    def close(self) -> None:
        """Take everything down; the kernel removes namespaces nobody holds."""
        while self._open:
            self._open.pop().close()

    def _build(self) -> None:
        self._router, self._outside = Namespace(), Namespace()
        self._open += [self._router, self._outside]
        peers = build(self.spec, self._router, self._outside)
        self._watch()
        self._ends = FarEnds(self.spec, self._router, self._outside, peers)
        self._open.append(self._ends)
        with self._router.inside():
            self._names = dict(socket.if_nameindex())

    def _watch(self) -> None:
        text = WATCHERS.replace("TRACE", "1" if self.trace else "0").replace(
            "TAKE", "" if self.spec.answering else "drop"
        )
        self._must(("nft", "-f", "-"), text)
        with self._router.inside():
            self._events, self._control = Netlink(), Netlink()
            self._open += [self._events, self._control]
            self._events.listen_to_log(LOG_GROUP)
            if self.trace and self.backend == "legacy":
                self._events.listen_to_log(0)
                for family in (2, 10):
                    self._events.log_through_netlink(family)
        if self.trace and self.backend == "nft":
            self._events.listen_to_traces()

    def _must(self, command: tuple[str, ...], text: str) -> None:
        with self._router.inside():
            result = run(command, text=text)
        if not result.ok:
            raise LabUnavailableError(
                f"{command[0]} fails in the lab: {result.errors.strip()}",
                help="install nftables and iptables, and load their kernel modules",
            )

    # rules

    def load(self, rules: str | Ruleset, family: int | None = None) -> None:
        """Replace all rules of a family (4, or the rule set's) through the real restore, and forget all connections.

        Given a `Ruleset`, the steps also say what each rule decides on the legacy backend, whose trace does not.

        Raises `LoadRefusedError` with restore's words; then that family's tables may be half loaded.
        """
        text = rules if isinstance(rules, str) else str(rules)
        family = family or (4 if isinstance(rules, str) else rules.family)
        tables = tuple(re.findall(r"(?m)^\*(\S+)", text))
        self._remove(family, [name for name in self._tables[family] if name not in tables])
        self._tables[family] = tuple(dict.fromkeys((*self._tables[family], *tables)))
        self._restore(text, family)
        self._tables[family] = tables
        self.forget_connections()
        if self.trace:
            handles = self._control.rules({4: 2, 6: 10}[family]) if self.backend == "nft" else ()
            listing = Listing.of_text(text, handles) if isinstance(rules, str) else Listing.of(rules, handles)
            self._listings[family] = listing

    def _restore(self, text: str, family: int) -> None:
        tool = f"{'iptables' if family == 4 else 'ip6tables'}-{self.backend}-restore"
        with self._router.inside():
            result = run((tool,), text=text, environment={"XTABLES_LOCKFILE": "/proc/self/fd/2"})
        if not result.ok:
            raise LoadRefusedError(
                f"{tool} refuses the rules: {result.errors.strip()}",
                where=_refused_line(result.errors, text),
                help="the same text fails on a real host, too; if a set is missing, give its members",
            )

    def _remove(self, family: int, tables: Sequence[str]) -> None:
        if tables and self.backend == "nft":
            name = "ip" if family == 4 else "ip6"
            self._must(("nft", "-f", "-"), "".join(f"delete table {name} {table}\n" for table in tables))
        elif tables:
            empty = "".join(f"*{table}\n{_CHAINS[table]}COMMIT\n" for table in tables)
            self._restore(empty, family)

    def forget_connections(self) -> None:
        """Empty the router's connection tracking table."""
        self._control.forget_connections()

    # packets

    def send(self, packets: Iterable[Packet | Shot]) -> list[Observation]:
        """Send packets one after another, each when the kernel is done with the one before; what became of each.

        A connection's later packets and replies are further packets of the sequence. Raises `WireError` for a packet that cannot be
        sent at all, `EventsLostError` where the trace of one packet is larger than the socket's buffer.
        """
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {_current_cpu()})
        try:
            self._ends.frames()
            list(self._events.events())
            return [self._observe(each if isinstance(each, Shot) else Shot(each)) for each in packets]
        finally:
            os.sched_setaffinity(0, before)

    def _observe(self, shot: Shot) -> Observation:
        self._ident = self._ident % 0xFFFE + 1
        payload = shot.packet.payload
        tag = MAGIC + struct.pack(">H", self._ident) if payload is None else payload
        data = _fitting(shot, tag, self._ident)
        error = self._put(shot, data)
        frames, events = self._ends.frames(), list(self._events.events())
        sent = decode(data)
        assert sent is not None
        local = _port(shot) is None
        seen = judge(sent, frames, events, self._names, local=local, error=error)
        if not self.trace:
            return seen
        steps, answer_steps = paths(sent, events, self._names, self._listings[sent.family], local=local)
        return msgspec.structs.replace(
            seen, steps=self._of_loaded(steps), answer_steps=self._of_loaded(answer_steps)
        )

    def _of_loaded(self, steps: tuple[TraceEvent, ...]) -> tuple[TraceEvent, ...]:
        """Without the tables of earlier rule sets: the legacy backend asks a table for ever, also when it is empty."""
        return tuple(step for step in steps if step.table in self._tables[step.family])

    def _put(self, shot: Shot, data: bytes) -> str | None:
        port = _port(shot)
        if port is None:
            return self._send_from_router(shot.packet, data)
        self._ends.put(shot.packet, data, port, shot.to_mac)
        return None

    def _send_from_router(self, packet: Packet, data: bytes) -> str | None:
        family = socket.AF_INET if packet.family == 4 else socket.AF_INET6
        with self._router.inside(), sockets_of(packet.uid, packet.gid):
            sender = socket.socket(family, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_RAW)
        with sender:
            if packet.mark is not None:
                sender.setsockopt(socket.SOL_SOCKET, SO_MARK, struct.pack("=I", packet.mark))
            if packet.out_interface:
                sender.setsockopt(
                    socket.SOL_SOCKET, socket.SO_BINDTODEVICE, packet.out_interface.encode() + b"\0"
                )
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            if packet.source:  # the route may depend on it; a foreign address cannot be bound to
                with contextlib.suppress(OSError):
                    sender.bind(self._socket_address(packet, packet.source))
            try:
                sender.sendto(data, self._socket_address(packet, packet.destination or 0))
            except OSError as error:
                return errno.errorcode.get(error.errno or 0, str(error.errno))
        return None

    def _socket_address(self, packet: Packet, address: int) -> tuple[str, int] | tuple[str, int, int, int]:
        if packet.family == 4:
            return address_text(address, 4), 0
        scope = next((index for index, name in self._names.items() if name == packet.out_interface), 0)
        return address_text(address, 6), 0, 0, scope


_CHAINS = {
    "filter": ":INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\n",
    "security": ":INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\n",
    "raw": ":PREROUTING ACCEPT\n:OUTPUT ACCEPT\n",
    "nat": ":PREROUTING ACCEPT\n:INPUT ACCEPT\n:OUTPUT ACCEPT\n:POSTROUTING ACCEPT\n",
    "mangle": ":PREROUTING ACCEPT\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\n:POSTROUTING ACCEPT\n",
}
_libc = ctypes.CDLL(None)


def _port(shot: Shot) -> str | None:
    return shot.port or shot.packet.physdev_in or shot.packet.in_interface


def _current_cpu() -> int:
    cpu = int(_libc.sched_getcpu())
    return cpu if cpu in os.sched_getaffinity(0) else min(os.sched_getaffinity(0))


def _refused_line(words: str, text: str) -> Where | None:
    found = re.search(r"line:? (\d+)", words)
    number = int(found[1]) if found else 0
    lines = text.split("\n")
    return Where(line=number, text=lines[number - 1]) if 0 < number <= len(lines) else None


def _fitting(shot: Shot, tag: bytes, ident: int) -> bytes:
    """The packet's bytes; where its given length has no room for the tag, it goes without."""
    quoted = b"" if shot.quoted is None else encode(shot.quoted, b"rfquoted", echo=shot.echo)
    for payload in (tag, b""):
        try:
            return encode(
                shot.packet,
                payload,
                ident=ident,
                more_fragments=shot.more_fragments,
                ip_options=shot.ip_options,
                quoted=quoted,
                echo=shot.echo,
            )
        except WireError:
            if not payload or shot.packet.payload is not None:
                raise
    raise AssertionError
