"""The two ends of a tried connection, by the standard library alone.

``probe.py serve NAME PORT`` tells everybody who asks, by tcp or udp, its name and the address it sees. ``probe.py ask`` tries each
``[protocol, address, port]`` of the JSON list on its input and prints the list of what happened: ``reached NAME peer=ADDRESS``
(ping: ``reached``), ``refused``, ``timeout``, ``unreachable``, or ``closed`` where a proxy took it and nobody is behind.
"""

import errno
import json
import selectors
import socket
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

PATIENCE = 1.5
"""Seconds until nobody answers: the kernel's second SYN goes out after one."""
UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EINVAL)


def serve(name: str, port: int) -> None:
    """Answer for ever."""
    stream, datagram = (
        socket.socket(socket.AF_INET6, kind) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)
    )
    ready = selectors.DefaultSelector()
    for one in (stream, datagram):
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        one.bind(("::", port))
        ready.register(one, selectors.EVENT_READ)
    stream.listen(64)
    datagram.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    while True:
        for key, _ in ready.select():
            (_take if key.fileobj is stream else _reply)(key.fileobj, name)  # type: ignore[arg-type]


def _take(stream: socket.socket, name: str) -> None:
    client, peer = stream.accept()
    with client:
        client.sendall(_greeting(name, peer[0]))


def _reply(datagram: socket.socket, name: str) -> None:
    """From the address that was asked, by whichever interface leads back."""
    _, told, _, peer = datagram.recvmsg(64, 256)
    asked = [(level, kind, data[:16] + struct.pack("i", 0)) for level, kind, data in told]
    datagram.sendmsg([_greeting(name, peer[0])], asked, 0, peer)


def _greeting(name: str, peer: str) -> bytes:
    return f"{name} peer={peer.removeprefix('::ffff:')}".encode()


def ask(protocol: str, address: str, port: int) -> str:
    """Try once."""
    if protocol == "icmp":
        return _ping(address)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM) as own:
        own.settimeout(PATIENCE)
        try:
            own.connect((address, port))
            if protocol == "udp":
                own.send(b"?")
            said = own.recv(64).decode()
        except ConnectionRefusedError:
            return "refused"
        except ConnectionResetError:
            return "closed"
        except TimeoutError:
            return "timeout"
        except OSError as error:
            return "unreachable" if error.errno in UNREACHABLE else str(error)
    return f"reached {said}" if said else "closed"


def _ping(address: str) -> str:
    done = subprocess.run(
        ["busybox", "ping", "-c1", "-W2", address], capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return "reached"
    return "unreachable" if "unreachable" in done.stderr else "timeout"


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], int(sys.argv[3]))
    with ThreadPoolExecutor(16) as pool:
        print(json.dumps(list(pool.map(lambda one: ask(*one), json.load(sys.stdin)))))
