"""An echo request and its answer, by a raw socket: programs may have no ping, and its output differs."""

import os
import socket
import struct
import time

REQUEST, REPLY = {4: 8, 6: 128}, {4: 0, 6: 129}
"""ICMP types: RFC 792, RFC 4443."""
PROTOCOLS = {4: socket.IPPROTO_ICMP, 6: socket.IPPROTO_ICMPV6}
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


def ping_socket(family: int) -> socket.socket:
    """A socket for pings in the namespace of the calling thread. Raises OSError without the right to one."""
    return socket.socket(FAMILIES[family], socket.SOCK_RAW | socket.SOCK_CLOEXEC, PROTOCOLS[family])


def ping(made: socket.socket, family: int, to: str, patience: float) -> bool:
    """Whether ``to`` answers within ``patience`` seconds; a refusal on the way counts as none."""
    name = int.from_bytes(os.urandom(2), "big")
    end = time.monotonic() + patience
    try:
        made.sendto(_request(family, name), (to, 0))
        while (left := end - time.monotonic()) > 0:
            made.settimeout(left)
            if _is_reply(made.recv(2048), family, name):
                return True
    except OSError:  # no answer in time, or no way there
        return False
    return False


def _request(family: int, name: int) -> bytes:
    head = struct.pack(">BBHHH", REQUEST[family], 0, 0, name, 1)
    if family == 6:  # the kernel writes this checksum: RFC 3542 §3.1
        return head
    return struct.pack(">BBHHH", REQUEST[4], 0, _checksum(head), name, 1)


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _is_reply(data: bytes, family: int, name: int) -> bool:
    body = (
        data[(data[0] & 15) * 4 :] if family == 4 else data
    )  # raw(7): an IPv4 socket gives the header along
    return len(body) >= 8 and body[0] == REPLY[family] and body[4:6] == name.to_bytes(2, "big")
