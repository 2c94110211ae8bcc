"""Small worlds made by chance (bridges, containers, macvlan, a network behind a container, rules, routes, settings): every
connection that is really tried in them is predicted, who is reached and which address he sees alike."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from namespaces import namespaces, shell

from ruleflow.kernel.namespaces import inside
from ruleflow.kernel.snapshot import snapshot
from ruleflow.netfilter.connect import connect
from ruleflow.netfilter.world import read_world

SERVE = """
import socket, struct, sys, threading
def tcp(family):
    s = socket.socket(family); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6: s.setsockopt(41, 26, 1)
    s.bind(('', 80)); s.listen(200)
    while True:
        there, peer = s.accept()
        try: there.sendall(f'{sys.argv[1]} {peer[0]}'.encode()); there.close()
        except OSError: pass
def udp(family):  # the answer must come from the address that was asked
    s = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6: s.setsockopt(41, 26, 1); s.setsockopt(41, 49, 1)
    else: s.setsockopt(0, 8, 1)
    s.bind(('', 80))
    while True:
        try:
            _, told, _, peer = s.recvmsg(100, 200)
            level, kind, info = told[0]
            own = struct.pack('I4s4s', 0, info[8:12], bytes(4)) if level == 0 else info[:16] + bytes(4)
            s.sendmsg([f'{sys.argv[1]} {peer[0]}'.encode()], [(level, kind, own)], 0, peer)
        except OSError: pass
for family in (socket.AF_INET, socket.AF_INET6):
    for serve in (tcp, udp): threading.Thread(target=serve, args=(family,)).start()
print('up', flush=True)
"""
ASK = """
import errno, json, socket, sys
from concurrent.futures import ThreadPoolExecutor
UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EINVAL, errno.EACCES}
def attempt(job):
    protocol, to, port = job
    kind = socket.SOCK_STREAM if protocol == 'tcp' else socket.SOCK_DGRAM
    s = socket.socket(socket.AF_INET6 if ':' in to else socket.AF_INET, kind); s.settimeout(1.6)
    try:
        s.connect((to, port)); protocol == 'udp' and s.send(b'x')
        return 'reached ' + s.recv(200).decode()
    except TimeoutError: return 'no-answer'
    except ConnectionRefusedError: return 'refused'
    except OSError as error: return 'unreachable' if error.errno in UNREACHABLE else str(error)
with ThreadPoolExecutor(60) as threads: print(json.dumps(list(threads.map(attempt, json.loads(sys.argv[1])))))
"""
PLACES = ("host", "outside", "a", "b", "c", "d")
QUIET = "net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0 net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.send_redirects=0 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0"  # fmt: skip
HOST = """
ip link add eth0 type veth peer name o0 netns {outside}; ip link set eth0 up
ip addr add 192.0.2.10/24 dev eth0; ip addr add 2001:db8::10/64 dev eth0 nodad
ip route add default via 192.0.2.1 dev eth0; ip -6 route add default via 2001:db8::1 dev eth0
for n in 0 1; do ip link add br$n type bridge; ip link set br$n up; ip addr add 172.1$((7+n)).0.1/16 dev br$n; ip addr add fd00:1$((7+n))::1/64 dev br$n nodad; done
for at in {a}:a:0 {b}:b:0 {c}:c:1; do
  space=${{at%%:*}}; rest=${{at#*:}}; name=${{rest%%:*}}
  ip link add v$name type veth peer name eth0 netns $space; ip link set v$name master br${{rest#*:}} up
done
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
"""
GUEST = "ip link set eth0 up; ip addr add {four} dev eth0; ip addr add {six} dev eth0 nodad; ip route add default via {way4}; ip -6 route add default via {way6}"  # fmt: skip
ROUTER = """ip addr add 10.8.0.1/24 dev {way}; ip addr add fd00:88::1/64 dev {way} nodad
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
"""
BRIDGED = """ip link add in0 type bridge; ip link set in0 up
ip link add v1 type veth peer name eth0 netns {d}; ip link set v1 master in0 up
iptables -t nat -A POSTROUTING -s 10.8.0.0/24 ! -o in0 -j MASQUERADE
"""
MACVLAN = "ip link add mv link eth0 type macvlan mode bridge; ip link set mv netns {d} name eth0"
BEHIND = "ip link add v1 type veth peer name eth0 netns {d}; ip link set v1 up\n"
FAR = ("10.8.0.2/24", "fd00:88::2/64", "10.8.0.1", "fd00:88::1")
LAST = {
    "macvlan": ("host", MACVLAN, ("192.0.2.50/24", "2001:db8::50/64", "192.0.2.10", "2001:db8::1")),
    "behind c": ("c", BEHIND + ROUTER.replace("{way}", "v1"), FAR),
    "bridged in c": ("c", BRIDGED + ROUTER.replace("{way}", "in0"), FAR),
}
"""Where the last place is: who builds it, how, and its addresses and gateways."""
RULES = (
    "-t nat -A POSTROUTING -s 172.17.0.0/16 ! -o br0 -j MASQUERADE", "-t nat -A POSTROUTING -s 172.18.0.0/16 ! -o br1 -j MASQUERADE",
    "-t nat -A PREROUTING -m addrtype --dst-type LOCAL -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
    "-t nat -A OUTPUT -m addrtype --dst-type LOCAL -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
    "-t nat -A PREROUTING -p udp --dport 8080 -d 192.0.2.10 -j DNAT --to-destination 172.18.0.2:80",
    "-t nat -A POSTROUTING -s 172.17.0.2 -d 172.17.0.2 -p tcp -j MASQUERADE",
    "-t nat -A POSTROUTING -o br0 -m addrtype --src-type LOCAL -j MASQUERADE", "-t nat -A PREROUTING -p tcp --dport 81 -j REDIRECT --to-ports 80",
    "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-A FORWARD -i br0 -j ACCEPT", "-A FORWARD -o br1 -j REJECT",
    "-A FORWARD -i br0 -o br1 -j DROP", "-A FORWARD -m conntrack --ctstate DNAT -j ACCEPT", "-P FORWARD DROP", "-A INPUT -p tcp --dport 80 -j DROP",
    "-A INPUT -i br1 -j REJECT", "-A INPUT -p udp -j REJECT --reject-with icmp-host-prohibited", "-A INPUT -p tcp -j REJECT --reject-with tcp-reset",
    "-t raw -A PREROUTING -d 172.17.0.3 ! -i br0 -j DROP", "-A FORWARD -i br0 -o br0 -j DROP",
    "-t nat -A PREROUTING -d 203.0.113.5 -j DNAT --to-destination 172.17.0.3", "-t nat -A POSTROUTING -d 172.17.0.3 -j SNAT --to-source 172.17.0.77",
)  # fmt: skip
RULES_6 = (
    "-t nat -A POSTROUTING -s fd00:17::/64 ! -o br0 -j MASQUERADE", "-P FORWARD DROP", "-A FORWARD -i br0 -j ACCEPT",
    "-t nat -A PREROUTING -p tcp -d 2001:db8::10 --dport 8080 -j DNAT --to-destination [fd00:17::2]:80",
    "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-A INPUT -p tcp --dport 80 -j REJECT", "-A INPUT -i br1 -j DROP",
)  # fmt: skip
CHANCES = (
    "bridge link set dev va hairpin on", "bridge link set dev va isolated on; bridge link set dev vb isolated on",
    "sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1", "sysctl -qw net.bridge.bridge-nf-call-iptables=0",
    "sysctl -qw net.ipv4.conf.br0.rp_filter=1 net.ipv4.conf.eth0.rp_filter=1", "sysctl -qw net.ipv4.conf.br0.route_localnet=1",
    "sysctl -qw net.ipv4.conf.br0.accept_local=1", "ip rule add from 172.17.0.2 lookup 100 pref 100; ip route add blackhole default table 100",
)  # fmt: skip
TARGETS = ("192.0.2.10", "192.0.2.1", "198.51.100.7", "172.17.0.1", "172.18.0.1", "172.17.0.2", "172.17.0.3", "172.18.0.2", "203.0.113.5",
           "127.0.0.1", "2001:db8::10", "fd00:17::1", "fd00:17::2", "fd00:18::2")  # fmt: skip


def build(random: Random, spaces: dict[str, str]) -> str:
    """The world; gives what stands where the last place is."""
    for name in spaces.values():
        shell(name, f"sysctl -qw {QUIET}")
    shell(spaces["host"], HOST.format(**spaces))
    outside = "ip link set o0 up; ip addr add 192.0.2.1/24 dev o0; ip addr add 198.51.100.7/32 dev lo; ip addr add 2001:db8::1/64 dev o0 nodad"
    back = "; ip route add 172.16.0.0/12 via 192.0.2.10; ip -6 route add fd00::/16 via 2001:db8::10"
    shell(spaces["outside"], outside + random.choice(("", back)))
    for name, net, number in (("a", 17, 2), ("b", 17, 3), ("c", 18, 2)):
        shell(
            spaces[name],
            GUEST.format(
                four=f"172.{net}.0.{number}/16",
                six=f"fd00:{net}::{number}/64",
                way4=f"172.{net}.0.1",
                way6=f"fd00:{net}::1",
            ),
        )
    kind = random.choice(tuple(LAST))
    where, script, (four, six, way4, way6) = LAST[kind]
    shell(spaces[where], script.format(**spaces))
    shell(spaces["d"], GUEST.format(four=four, six=six, way4=way4, way6=way6))
    lines = [one for one in CHANCES if random.random() < 0.3]
    lines += [f"iptables {rule}" for rule in random.sample(RULES, random.randint(2, 9))]
    lines += [f"ip6tables {rule}" for rule in random.sample(RULES_6, random.randint(0, 4))]
    shell(spaces["host"], "\n".join(lines))
    return kind


@contextmanager
def running(spaces: dict[str, str]) -> Iterator[None]:
    """A listener on port 80 everywhere, that says who it is and whom it sees."""
    started = []
    try:
        for name, space in spaces.items():
            who = "host" if name == "host" else space
            command = ["ip", "netns", "exec", space, "python3", "-c", SERVE, who]
            started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            assert started[-1].stdout is not None
            started[-1].stdout.readline()
        yield
    finally:
        for one in started:
            with one:
                one.kill()


def asked(spaces: dict[str, str], jobs: list[tuple[str, str, int]]) -> dict[str, list[str]]:
    """What becomes of each job at each place, all at once."""
    started = {
        name: subprocess.Popen(
            ["ip", "netns", "exec", space, "python3", "-c", ASK, json.dumps(jobs)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, space in spaces.items()
    }
    return {name: json.loads(one.communicate()[0]) for name, one in started.items()}


@pytest.mark.root
@pytest.mark.parametrize("seed", range(4))
def test_every_connection_is_predicted(seed: int, tmp_path: Path) -> None:
    random = Random(seed)
    with namespaces(*PLACES) as made:
        spaces = dict(zip(PLACES, made, strict=True))
        kind = build(random, spaces)
        jobs = [
            (protocol, to, port) for to in TARGETS for protocol in ("tcp", "udp") for port in (80, 8080, 81)
        ]
        last = {"macvlan": "192.0.2.50"}.get(kind, "10.8.0.2")
        jobs = [*random.sample(jobs, 40), ("tcp", last, 80), ("udp", last, 80)]
        with running(spaces):
            inside(Path("/run/netns") / spaces["host"], lambda: snapshot(tmp_path, tuple(made[1:])))
            truth = asked(spaces, jobs)
        world, wrong = read_world(tmp_path), []
        for name, answers in truth.items():
            for (protocol, to, port), answer in zip(jobs, answers, strict=True):
                found = connect(
                    world, "host" if name == "host" else spaces[name], to, port, protocol, remedies=False
                )
                said = f"reached {found.by} {found.sees}" if found.result == "reached" else found.result
                if said != answer:
                    wrong.append(
                        f"{kind}: {name} {protocol} {to}:{port}: {answer}, but {said}: {found.because}"
                    )
        assert not wrong, "\n".join(wrong)
