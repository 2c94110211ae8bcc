"""The few netfilter netlink messages the lab needs: trace events, logged packets, rule handles, forgetting connections.

Numbers are those of <linux/netfilter/nfnetlink.h>, nf_tables.h, nfnetlink_log.h and nfnetlink_conntrack.h.
"""

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Iterator

import msgspec

from ruleflow.errors import RuleflowError

NETLINK_NETFILTER = 12
NETLINK_ADD_MEMBERSHIP = 1
SOL_NETLINK = 270
SO_RCVBUFFORCE = 33
REQUEST, ACK, DUMP = 1, 4, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
GROUP_NFTRACE = 9
CT_DELETE = 1 << 8 | 2
LOG_PACKET, LOG_CONFIG = 4 << 8, 4 << 8 | 1
NFT_NEW_RULE, NFT_GET_RULE, NFT_TRACE = 10 << 8 | 6, 10 << 8 | 7, 10 << 8 | 17
NFT_NEW_TABLE, NFT_GET_TABLE, NFT_GET_CHAIN = 10 << 8, 10 << 8 | 1, 10 << 8 | 4
LOG_BIND, LOG_PF_BIND = 1, 3
VERDICTS = {-5: "RETURN", -4: "GOTO", -3: "JUMP", -2: "CONTINUE", -1: "CONTINUE"} | dict(
    enumerate(("DROP", "ACCEPT", "STOLEN", "QUEUE", "REPEAT", "STOP"))
)
TRACE_KINDS = {1: "policy", 2: "return", 3: "rule"}


class EventsLostError(RuleflowError):
    """Events were lost, so what was seen is not the whole."""


class Traced(msgspec.Struct, frozen=True):
    """One trace event of nftables: where a packet stood and what was decided there. ``header`` only at a chain's start."""

    trace: int
    family: int
    table: str
    chain: str
    kind: str
    handle: int | None
    verdict: str
    target: str | None
    mark: int
    in_index: int
    out_index: int
    header: bytes
    transport: bytes


class Logged(msgspec.Struct, frozen=True):
    """One packet handed over by NFLOG: its prefix, bytes from the IP header on, mark and interfaces."""

    prefix: str
    mark: int
    in_index: int
    out_index: int
    physical_in: int
    physical_out: int
    payload: bytes


class Netlink:
    """A netfilter netlink socket of the namespace it is made in."""

    def __init__(self, *, receive_buffer: int = 1 << 24) -> None:
        self.socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER
        )
        with contextlib.suppress(PermissionError):  # in a user namespace the ordinary limit stays
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, receive_buffer)
        self.socket.bind((0, 0))
        self.sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def ask(
        self, kind: int, payload: bytes = b"", *, family: int = 0, resource: int = 0, flags: int = ACK
    ) -> list[bytes]:
        """Send one request; the bodies (after nfgenmsg) of all answers. OSError where the kernel refuses."""
        self.sequence += 1
        body = struct.pack(">BBH", family, 0, resource) + payload
        head = struct.pack("=IHHII", 16 + len(body), kind, REQUEST | flags, self.sequence, 0)
        self.socket.send(head + body)
        return list(self._answers())

    def _answers(self) -> Iterator[bytes]:
        while True:
            for kind, sequence, body in messages(self.socket.recv(1 << 18)):
                if sequence != self.sequence:
                    continue
                if kind == NLMSG_DONE:
                    return
                if kind == NLMSG_ERROR:
                    code = -int.from_bytes(body[:4], "little" if _LITTLE else "big", signed=True)
                    if code:
                        raise OSError(code, os.strerror(code))
                    return
                yield body[4:]

    def listen_to_traces(self) -> None:
        """From now on trace events arrive (`events`)."""
        self.socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, GROUP_NFTRACE)

    def listen_to_log(self, group: int) -> None:
        """From now on whole packets logged to this NFLOG group arrive, one message each, at once."""
        self.ask(LOG_CONFIG, attribute(1, bytes([LOG_BIND])), resource=group)
        self.ask(LOG_CONFIG, attribute(2, struct.pack(">IBB", 0xFFFF, 2, 0)), resource=group)
        self.ask(LOG_CONFIG, attribute(5, struct.pack(">I", 1)), resource=group)

    def log_through_netlink(self, family: int) -> None:
        """Make nfnetlink_log the logger of an address family (2, 10): without one, TRACE of the legacy backend is silent."""
        self.ask(LOG_CONFIG, attribute(1, bytes([LOG_PF_BIND])), family=family)

    def events(self) -> Iterator[Traced | Logged]:
        """All trace events and logged packets that wait, in the order in which they happened.

        Raises `EventsLostError` where some did not fit into the socket's buffer.
        """
        while True:
            try:
                data = self.socket.recv(1 << 16, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                raise EventsLostError(
                    "the kernel had more events than the socket could hold",
                    help="as root the socket is larger; else try with fewer rules or packets",
                ) from error
            for kind, _, body in messages(data):
                if kind == NFT_TRACE:
                    yield traced(body[4:])
                elif kind == LOG_PACKET:
                    yield logged(body[4:])

    def forget_connections(self) -> None:
        """Empty the connection tracking table of this namespace."""
        self.ask(CT_DELETE)

    def rules(self, family: int) -> list[tuple[str, str, int]]:
        """All rules of nftables in an address family as (table, chain, handle), in the order in which they are asked."""
        answers = map(attributes, self.ask(NFT_GET_RULE, family=family, flags=DUMP))
        return [(text(a[1]), text(a[2]), int.from_bytes(a[3], "big")) for a in answers if 3 in a]

    def tables(self, family: int) -> list[str]:
        """The names of the tables of nftables in an address family."""
        return [text(attributes(body)[1]) for body in self.ask(NFT_GET_TABLE, family=family, flags=DUMP)]

    def base_chains(self, family: int) -> list[tuple[str, str]]:
        """The chains of nftables that hooks call, in an address family, as (table, chain)."""
        answers = map(attributes, self.ask(NFT_GET_CHAIN, family=family, flags=DUMP))
        return [(text(a[1]), text(a[3])) for a in answers if 4 in a]


_LITTLE = struct.pack("=H", 1)[0] == 1


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The netlink messages in one datagram: type, sequence number, body."""
    at = 0
    while at + 16 <= len(data):
        length, kind, _, sequence, _ = struct.unpack_from("=IHHII", data, at)
        if length < 16:
            return
        yield kind, sequence, data[at + 16 : at + length]
        at += (length + 3) & ~3


def attributes(data: bytes) -> dict[int, bytes]:
    """Netlink attributes by number (flags for nesting and byte order taken off)."""
    found, at = {}, 0
    while at + 4 <= len(data):
        length, number = struct.unpack_from("=HH", data, at)
        if length < 4:
            break
        found[number & 0x3FFF] = data[at + 4 : at + length]
        at += (length + 3) & ~3
    return found


def attribute(number: int, value: bytes) -> bytes:
    """One netlink attribute, padded to four bytes."""
    return struct.pack("=HH", 4 + len(value), number) + value + b"\0" * (-len(value) % 4)


def text(value: bytes) -> str:
    """A name in a netlink attribute: ends at the zero byte, may be anything before."""
    return value.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def traced(data: bytes) -> Traced:
    """Read one NFT_MSG_TRACE."""
    a = attributes(data)
    verdict = attributes(a.get(5, b""))
    code = a[16] if 16 in a else verdict.get(1, b"\xff\xff\xff\xff")  # a policy event has its own attribute
    number = int.from_bytes(code, "big", signed=True)
    return Traced(
        trace=_number(a, 6),
        family=_number(a, 15),
        table=text(a.get(1, b"")),
        chain=text(a.get(2, b"")),
        kind=TRACE_KINDS.get(_number(a, 4), "unknown"),
        handle=_number(a, 3) if 3 in a else None,
        verdict=VERDICTS.get(number if number < 0 else number & 0xFF, str(number)),
        target=text(verdict[2]) if 2 in verdict else None,
        mark=_number(a, 14),
        in_index=_number(a, 10),
        out_index=_number(a, 12),
        header=a.get(8, b""),
        transport=a.get(9, b""),
    )


def logged(data: bytes) -> Logged:
    """Read one NFULNL_MSG_PACKET."""
    a = attributes(data)
    return Logged(
        prefix=text(a.get(10, b"")),
        mark=_number(a, 2),
        in_index=_number(a, 4),
        out_index=_number(a, 5),
        physical_in=_number(a, 6),
        physical_out=_number(a, 7),
        payload=a.get(9, b""),
    )


def _number(attributes_: dict[int, bytes], number: int) -> int:
    return int.from_bytes(attributes_.get(number, b""), "big")
