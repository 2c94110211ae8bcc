"""The links, addresses and routes of a namespace, read from route netlink.

Three questions asked directly: pyroute2, by which `ruleflow.kernel.links` makes and changes things, takes a sixth of a second to
import, and a plan, a status and a second apply only look. Numbers are those of <linux/rtnetlink.h>, if_link.h and if_addr.h.
"""

import os
import socket
import struct
import sys
from collections.abc import Iterator

import msgspec

from ruleflow.errors import RuleflowError
from ruleflow.kernel.netlink import attributes, text
from ruleflow.kernel.owned import Address, Link, Route

GET_LINK, GET_ADDRESS, GET_ROUTE = 18, 22, 26
REQUEST, DUMP, DUMP_INTERRUPTED = 1, 0x300, 0x10
ERROR, DONE = 2, 3
IFNAME, MTU, MASTER, LINKINFO = 3, 4, 10, 18
INFO_KIND, INFO_SLAVE_DATA = 1, 5
PORT_MODE, PORT_ISOLATED = 4, 33
IFA_ADDRESS, IFA_LOCAL = 1, 2
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_TABLE = 1, 4, 5, 15
MAIN = 254

Attributes = dict[int, bytes]


class Seen(msgspec.Struct, frozen=True):
    """The links, addresses and routes of one namespace. ``other`` are links that are neither bridges nor virtual cables."""

    links: tuple[Link, ...] = ()
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    other: tuple[str, ...] = ()

    def link(self, name: str) -> Link | None:
        """The link called so."""
        return next((link for link in self.links if link.name == name), None)


def see_here(netns: str = "") -> Seen:
    """What is there in the namespace of this thread, which is called ``netns``.

    :raises RuleflowError: where the kernel does not answer.
    """
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as kernel:
            kernel.bind((0, 0))
            found = [(head, attributes(rest)) for head, rest in _dump(kernel, GET_LINK, socket.AF_UNSPEC)]
            names = {_index(head): text(a[IFNAME]) for head, a in found}
            return Seen(
                tuple(_link(a, names) for _, a in found if _kind(a) in ("bridge", "veth")),
                tuple(_address(*one, names, netns) for one in _dump(kernel, GET_ADDRESS, socket.AF_UNSPEC)),
                tuple(_routes(kernel, names, netns)),
                tuple(text(a[IFNAME]) for _, a in found if _kind(a) not in ("bridge", "veth")),
            )
    except OSError as error:
        raise RuleflowError(f"links and addresses cannot be read: {error}", help="run as root") from error


LENGTHS = {GET_LINK: 16, GET_ADDRESS: 8, GET_ROUTE: 12}
"""The fixed part of an answer: struct ifinfomsg, ifaddrmsg, rtmsg."""


def _dump(kernel: socket.socket, kind: int, family: int) -> list[tuple[bytes, bytes]]:
    """All answers to one question, each as its fixed part and its attributes; asked again where the list changed meanwhile."""
    length = LENGTHS[kind]
    while True:
        body = bytes([family]) + bytes(length - 1)
        kernel.send(struct.pack("=IHHII", 16 + length, kind, REQUEST | DUMP, 1, 0) + body)
        found, whole = _answers(kernel)
        if whole:
            return [(one[:length], one[length:]) for one in found]


def _answers(kernel: socket.socket) -> tuple[list[bytes], bool]:
    found: list[bytes] = []
    whole = True
    while True:
        data, at = kernel.recv(1 << 18), 0
        while at + 16 <= len(data):
            length, kind, flags, _, _ = struct.unpack_from("=IHHII", data, at)
            whole = whole and not flags & DUMP_INTERRUPTED
            if kind == DONE:
                return found, whole
            if kind == ERROR:
                code = -int.from_bytes(data[at + 16 : at + 20], sys.byteorder, signed=True)
                raise OSError(code, os.strerror(code))
            found.append(data[at + 16 : at + length])
            at += (length + 3) & ~3


def _index(head: bytes) -> int:
    return _number(head[4:8])


def _number(value: bytes) -> int:
    return int.from_bytes(value, sys.byteorder)


def _kind(a: Attributes) -> str:
    return text(attributes(a.get(LINKINFO, b"")).get(INFO_KIND, b""))


def _link(a: Attributes, names: dict[int, str]) -> Link:
    port = attributes(attributes(a[LINKINFO]).get(INFO_SLAVE_DATA, b""))
    return Link(
        text(a[IFNAME]), _kind(a), _number(a[MTU]), names.get(_number(a.get(MASTER, b""))),
        hairpin=any(port.get(PORT_MODE, b"")), isolated=any(port.get(PORT_ISOLATED, b"")),
    )  # fmt: skip


def _address(head: bytes, rest: bytes, names: dict[int, str], netns: str) -> Address:
    a = attributes(rest)
    at = socket.inet_ntop(head[0], a.get(IFA_LOCAL) or a[IFA_ADDRESS])
    return Address(names.get(_index(head), ""), f"{at}/{head[1]}", netns)


def _routes(kernel: socket.socket, names: dict[int, str], netns: str) -> Iterator[Route]:
    for family in (socket.AF_INET, socket.AF_INET6):
        for head, rest in _dump(kernel, GET_ROUTE, family):
            a = attributes(rest)
            if _number(a.get(RTA_TABLE, head[4:5])) == MAIN:
                to = f"{socket.inet_ntop(family, a[RTA_DST])}/{head[1]}" if RTA_DST in a else "default"
                gateway = socket.inet_ntop(family, a[RTA_GATEWAY]) if RTA_GATEWAY in a else ""
                yield Route(to, gateway, names.get(_number(a.get(RTA_OIF, b"")), ""), netns)
