"""Real namespaces for a declaration: the host with its bridges, an outside neighbour, the endpoints, and questions asked there.

Every place but the host serves TCP and UDP on the ports 53 and 80 to 83, and answers with the address it saw.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from namespaces import namespaces, record, shell

from ruleflow.bridge.declaration import Declaration
from ruleflow.bridge.generate import generate
from ruleflow.bridge.needs import needs

OUTSIDE4, OUTSIDE6 = "192.0.2.1", "2001:db8::1"
HOST4, HOST6 = "192.0.2.10", "2001:db8::10"

SERVER = """
import selectors, socket, sys
selector = selectors.DefaultSelector()
for port in (53, 80, 81, 82, 83):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        for family, any_ in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            s = socket.socket(family, kind)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            s.bind((any_, port))
            if kind == socket.SOCK_STREAM:
                s.listen(64)
            selector.register(s, selectors.EVENT_READ, kind)
print("ready", flush=True)
while True:
    for key, _ in selector.select():
        s = key.fileobj
        if key.data == socket.SOCK_STREAM:
            c, peer = s.accept()
            c.sendall(f"{sys.argv[1]} {peer[0]} {s.getsockname()[1]}".encode())
            c.close()
        else:
            data, peer = s.recvfrom(100)
            s.sendto(f"{sys.argv[1]} {peer[0]} {s.getsockname()[1]}".encode(), peer)
"""

CLIENT = """
import itertools, json, os, socket, struct, sys, threading, time
idents = itertools.count(os.getpid() % 30000)
def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    return ~((total >> 16) + (total & 0xffff) + ((total >> 16) + (total & 0xffff) >> 16)) & 0xffff
def ping(address, ident):
    six = ":" in address
    s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP)
    body = struct.pack("!HH8s", ident, 1, b"ruleflow")
    head = struct.pack("!BBH", 128 if six else 8, 0, 0)
    head = head[:2] + struct.pack("!H", 0 if six else checksum(head + body))
    end = time.monotonic() + PATIENCE
    try:
        s.connect((address, 0))
        s.send(head + body)
        while (left := end - time.monotonic()) > 0:
            s.settimeout(left)
            data = s.recv(2000)[0 if six else 20:]
            if data[0] == (129 if six else 0) and data[4:6] == body[:2]:
                return "reached"
    except (TimeoutError, socket.timeout):
        pass
    except OSError as error:
        return f"error {error.errno}"
    return "timeout"
def ask(kind, address, port):
    if kind == "icmp":
        return ping(address, next(idents))
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    s.settimeout(PATIENCE)
    try:
        s.connect((address, port))
        if kind == "udp":
            s.send(b"?")
        return s.recv(100).decode() or "closed"
    except (TimeoutError, socket.timeout):
        return "timeout"
    except ConnectionRefusedError:
        return "refused"
    except OSError as error:
        return f"error {error.errno}"
questions = json.loads(sys.argv[1])
answers = [None] * len(questions)
def run(i):
    answers[i] = ask(*questions[i])
threads = [threading.Thread(target=run, args=(i,)) for i in range(len(questions))]
[t.start() for t in threads]
[t.join() for t in threads]
print(json.dumps(answers))
"""


class Room:
    """The namespaces of one declaration, rules loaded, servers running."""

    def __init__(self, names: dict[str, str], backend: str) -> None:
        self.names, self.backend = names, backend

    def ask(self, place: str, *questions: tuple[str, str, int], patience: float = 1) -> list[str]:
        """What became of each (protocol, address, port) asked from ``place``: NAME PEER PORT, refused, timeout or error N."""
        client = CLIENT.replace("PATIENCE", str(patience))
        done = subprocess.run(
            ["ip", "netns", "exec", self.names[place], sys.executable, "-c", client, json.dumps(questions)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        answers: list[str] = json.loads(done.stdout)
        return answers

    def record(self, directory: Path) -> Path:
        """Everything as `ruleflow snapshot` would write it."""
        for place, name in self.names.items():
            folder = directory if place == "host" else directory / "ns" / place
            record(name, folder)
            folder.joinpath("listen.txt").write_text(shell(name, "ss -H -ltnup", check=False))
        for tool in ("iptables", "ip6tables"):
            rules = shell(self.names["host"], f"{tool}-{self.backend}-save")
            directory.joinpath(f"{tool}.save" if self.backend == "nft" else f"{tool}-legacy.save").write_text(
                rules
            )
        return directory


@contextmanager
def room(declaration: Declaration, *, backend: str = "nft", bridge_netfilter: bool = False) -> Iterator[Room]:
    """The host, ``outside`` and every endpoint with a network, as ``declaration`` says."""
    places = ("host", "outside", *(endpoint.name for endpoint in declaration.endpoints))
    with namespaces(*places) as made:
        names = dict(zip(places, made, strict=True))
        _outside(names)
        _bridges(declaration, names)
        _rules(declaration, names["host"], backend)
        _sysctls(declaration, names["host"], bridge_netfilter=bridge_netfilter)
        servers = [_serve(place, name) for place, name in names.items() if place != "host"]
        try:
            yield Room(names, backend)
        finally:
            for server in servers:
                server.kill()
                server.wait()


def _serve(place: str, name: str) -> subprocess.Popen[str]:
    server = subprocess.Popen(
        ["ip", "netns", "exec", name, sys.executable, "-c", SERVER, place], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    assert server.stdout.readline() == "ready\n"
    server.stdout.close()
    return server


def _outside(names: dict[str, str]) -> None:
    host, outside = names["host"], names["outside"]
    shell(host, f"ip link add eth0 type veth peer name eth0 netns {outside}")
    shell(
        host, f"ip addr add {HOST4}/24 dev eth0; ip addr add {HOST6}/64 dev eth0 nodad; ip link set eth0 up"
    )
    shell(
        outside,
        f"ip addr add {OUTSIDE4}/24 dev eth0; ip addr add {OUTSIDE6}/64 dev eth0 nodad; ip link set eth0 up",
    )
    shell(outside, f"ip route add default via {HOST4}; ip -6 route add default via {HOST6}")


def _bridges(declaration: Declaration, names: dict[str, str]) -> None:
    host = names["host"]
    flags = {(one.endpoint, one.flag) for one in needs(declaration).port_flags}
    for network in declaration.networks:
        shell(host, f"ip link add {network.bridge} type bridge; ip link set {network.bridge} up")
        for family in (4, 6):
            subnet = network.subnet(family)
            if subnet is not None:
                nodad = "nodad" if family == 6 else ""
                shell(
                    host,
                    f"ip addr add {network.gateway(family)}/{subnet.prefixlen} dev {network.bridge} {nodad}",
                )
        for endpoint in declaration.on(network):
            port = f"v-{endpoint.name}"
            inside = names[endpoint.name]
            shell(host, f"ip link add {port} type veth peer name eth0 netns {inside}")
            shell(host, f"ip link set {port} master {network.bridge} up")
            for flag in ("hairpin", "isolated"):
                if (endpoint.name, flag) in flags:
                    shell(host, f"bridge link set dev {port} {flag} on")
            shell(inside, "ip link set eth0 up")
            for family in (4, 6):
                subnet, address = network.subnet(family), endpoint.address(family)
                if subnet is not None and address is not None:
                    nodad = "nodad" if family == 6 else ""
                    shell(inside, f"ip addr add {address}/{subnet.prefixlen} dev eth0 {nodad}")
                    shell(inside, f"ip -{family} route add default via {network.gateway(family)}")


def _rules(declaration: Declaration, host: str, backend: str) -> None:
    for family, tool in ((4, "iptables"), (6, "ip6tables")):
        done = subprocess.run(
            ["ip", "netns", "exec", host, "env", "XTABLES_LOCKFILE=/proc/self/fd/2", f"{tool}-{backend}-restore"],
            input=str(generate(declaration, family=family)), text=True, capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


def _sysctls(declaration: Declaration, host: str, *, bridge_netfilter: bool) -> None:
    for switch in needs(declaration).sysctls:
        shell(host, f"sysctl -qw {switch.name}={switch.value}")
    for name in ("iptables", "ip6tables"):
        shell(host, f"sysctl -qw net.bridge.bridge-nf-call-{name}={int(bridge_netfilter)}", check=False)
    shell(host, "sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0")
    time.sleep(0.2)
