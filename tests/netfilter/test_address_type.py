"""``addrtype`` and ``rpfilter`` against the kernel: packets from a neighbour, and the counters of real rules."""

import random
import re
from pathlib import Path

import pytest
from namespaces import namespaces, record, shell
from test_routing import LINKS, random_address, random_route, random_rule

from ruleflow.netfilter.address_type import TYPES, address_type, is_of_type
from ruleflow.netfilter.host import Host
from ruleflow.netfilter.numbers import read_address
from ruleflow.netfilter.read_host import read_host
from ruleflow.netfilter.reverse_path import Arrival, Options, believes

SEND = """
import socket, sys
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); wire.bind((sys.argv[1], 0))
for line in sys.stdin:
    wire.send(bytes.fromhex(line))
"""
UNROUTED = ("BLACKHOLE", "PROHIBIT", "THROW", "NAT", "XRESOLVE")


def frame(mac: str, source: str, destination: str) -> str:
    """A UDP packet in a frame to ``mac``, in hexadecimal digits."""
    (one, family), (two, _) = read_address(source), read_address(destination)
    width = 4 if family == 4 else 16
    ends = one.to_bytes(width, "big") + two.to_bytes(width, "big")
    udp = bytes.fromhex("0035003600080000")
    if family == 4:
        head = bytes.fromhex("4500001c0001000040110000") + ends
        total = sum(int.from_bytes(head[i : i + 2], "big") for i in range(0, 20, 2))
        total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
        packet = head[:10] + total.to_bytes(2, "big") + head[12:]
    else:
        packet = bytes.fromhex("6000000000081140") + ends
    kind = "0800" if family == 4 else "86dd"
    return mac.replace(":", "") + "0200000000aa" + kind + (packet + udp).hex()


def counters(outer: str, inner: str, family: int, rules: list[str], frames: list[str]) -> list[bool]:
    """For each rule in raw PREROUTING, whether it counted a packet after ``frames`` came in."""
    tool = "iptables" if family == 4 else "ip6tables"
    text = (
        "*raw\n:PREROUTING ACCEPT [0:0]\n" + "".join(f"-A PREROUTING {rule}\n" for rule in rules) + "COMMIT\n"
    )
    shell(outer, f"{tool}-nft-restore <<'END'\n{text}END")
    lines = "\n".join(frames)
    shell(inner, f"python3 -c '{SEND}' p0 <<'END'\n{lines}\nEND\nsleep 0.3")
    saved = shell(outer, f"{tool}-nft-save -c -t raw")
    return [int(count) > 0 for count in re.findall(r"^\[(\d+):\d+\] -A PREROUTING", saved, re.MULTILINE)]


def host_with(outer: str, inner: str, rng: random.Random, family: int, directory: Path) -> tuple[Host, str]:
    """The namespace with d0's other end outside of it, random routes and rules; and d0's link-layer address."""
    shell(outer, LINKS)
    shell(outer, f"ip link set p0 netns {inner}")
    shell(inner, "ip link set p0 up; sysctl -qw net.ipv6.conf.p0.disable_ipv6=1")
    flag = "" if family == 4 else "-6"
    script = [f"ip {flag} route add {random_route(rng, family)} 2>/dev/null" for _ in range(15)]
    script += [
        f"ip {flag} rule add {random_rule(rng, family)} 2>/dev/null" for _ in range(rng.choice((0, 3)))
    ]
    shell(outer, "\n".join(script), check=False)
    return read_host(record(outer, directory), "host"), shell(outer, "cat /sys/class/net/d0/address").strip()


@pytest.mark.root
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("family", [4, 6])
def test_addrtype_as_the_kernel(tmp_path: Path, family: int, seed: int) -> None:
    rng = random.Random(seed * 10 + family)
    source = "10.0.0.77" if family == 4 else "fd00:0:0:a::99"
    extra = (
        ("0.0.0.0", "255.255.255.255", "224.0.0.1", "239.1.1.1")
        if family == 4
        else ("ff02::1", "ff05::5", "fe80::77")
    )
    wanted = list(dict.fromkeys([*extra, *(random_address(rng, family) for _ in range(25))]))
    wanted = [address for address in wanted if address != "::1"]
    asked: list[tuple[str, tuple[str, ...], str | None]] = []
    for address in wanted:
        asked += [
            (address, (kind,), None)
            for kind in TYPES
            if not (family == 6 and kind in (*UNROUTED, "BROADCAST"))
        ]
        asked += [(address, ("LOCAL",), "d0"), (address, ("UNICAST", "LOCAL"), None)]
        asked += (
            [(address, ("LOCAL", "BROADCAST", "MULTICAST"), None)]
            if family == 4
            else [(address, ("LOCAL", "ANYCAST"), None)]
        )
    with namespaces("outer", "inner") as (outer, inner):
        host, mac = host_with(outer, inner, rng, family, tmp_path)
        limit = {None: "", "d0": " --limit-iface-in"}
        rules = [
            f"-d {at} -i d0 -p udp -m addrtype --dst-type {','.join(kinds)}{limit[on]}"
            for at, kinds, on in asked
        ]
        counted = counters(outer, inner, family, rules, [frame(mac, source, at) for at in wanted])
    wrong = [
        f"{at} {kinds} {on}: kernel {said}"
        for (at, kinds, on), said in zip(asked, counted, strict=True)
        if is_of_type(host, read_address(at)[0], family, kinds, on) != said
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.root
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("family", [4, 6])
def test_rpfilter_as_the_kernel(tmp_path: Path, family: int, seed: int) -> None:
    rng = random.Random(seed * 10 + family + 5)
    to = "10.0.0.1" if family == 4 else "fd00:0:0:a::1"
    sources = list(dict.fromkeys(random_address(rng, family) for _ in range(30)))
    sources = [address for address in sources if address != "::1"]
    kinds = {"": Options(), " --loose": Options(loose=True), " --accept-local": Options(accept_local=True)}
    asked = [(address, words) for address in sources for words in kinds]
    with namespaces("outer", "inner") as (outer, inner):
        host, mac = host_with(outer, inner, rng, family, tmp_path)
        rules = [f"-s {at} -i d0 -p udp -m rpfilter{words}" for at, words in asked]
        counted = counters(outer, inner, family, rules, [frame(mac, at, to) for at in sources])
    end = read_address(to)[0]
    wrong = [
        f"{at}{words}: kernel {said}"
        for (at, words), said in zip(asked, counted, strict=True)
        if believes(
            host, Arrival(source=read_address(at)[0], destination=end, iif="d0"), family, kinds[words]
        )
        != said
    ]
    assert not wrong, "\n".join(wrong)


def test_not_known_without_tables() -> None:
    host = Host()
    assert address_type(host, read_address("10.0.0.1")[0], 4) is None
    assert address_type(host, read_address("224.0.0.1")[0], 4) == "MULTICAST"
    assert address_type(host, read_address("2001:db8::1")[0], 6) is None
    assert believes(host, Arrival(source=1, destination=2, iif="eth0"), 4, Options()) is None
