"""What only fffuu allows: the kernel is the judge. From such an address to such another it lets nothing through."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ruleflow.analysis.matrix import Matrix
from ruleflow.kernel.lab import Lab
from ruleflow.kernel.router import FORWARDING, Interface, Spec
from ruleflow.netfilter.intervals import Interval
from ruleflow.netfilter.numbers import V4_MAPPED
from ruleflow.netfilter.packet import Packet
from ruleflow.ruleset.addresses import address_number, address_text
from ruleflow.ruleset.ir import Ruleset
from ruleflow.ruleset.parse import parse

sys.path.insert(0, str(Path(__file__).parents[1] / "analysis"))
import fffuu_reader
from test_matrix import ORACLES, SHARED, matrices

LIKED = {
    4: ("203.0.113.9", "198.51.100.7", "10.9.8.7", "1.2.3.4"),
    6: ("2001:db8:5::9", "2001:db8:6::7", "fd00:9::1"),
}
Pair = tuple[int, int, int]
"""Source, destination, port."""


def one_of(parts: list[Interval], family: int) -> int:
    """An address out of intervals, an ordinary one where there is one."""
    liked = [address_number(text, family) for text in LIKED[family]]
    liked += [(low + high) // 2 for low, high in parts]
    inside = [each for each in liked if any(low <= each <= high for low, high in parts)]
    return next((each for each in inside if family == 6 or each >> 24 not in (0, 127)), inside[0])


def only_there(found: Matrix, read: fffuu_reader.Read) -> Iterator[Pair]:
    """A pair of addresses for each pair of classes that only fffuu allows."""
    classes, edges = read
    cells = {
        (name, number): [(max(a, c), min(b, d)) for a, b in theirs for c, d in ours if max(a, c) <= min(b, d)]
        for name, theirs in classes.items()
        for number, ours in enumerate(found.classes)
    }
    named = {key: one_of(parts, found.family) for key, parts in cells.items() if parts}
    for (one, mine), source in named.items():
        for (two, other), destination in named.items():
            if (one, two) in edges and (mine, other) not in found.edges:
                yield source, destination, found.port


def interfaces(rules: Ruleset) -> tuple[str, ...]:
    """The interfaces that rules name, and one that none names."""
    found = re.findall(r"-[io] (\S+)", str(rules))
    return (*sorted({name.replace("+", "9") for name in found} - {"lo"}), "other0")


def spec(names: tuple[str, ...], local: set[int], out: str, family: int) -> Spec:
    """A router with these interfaces, these addresses of its own, and everything else behind ``out``."""
    width, net = (32, "10.255.255.{}/32") if family == 4 else (128, "fd77::{:x}/128")
    own = tuple(f"{address_text(each, family)}/{width}" for each in sorted(local - {1}))
    links = (Interface(name, (net.format(number),)) for number, name in enumerate(names, 1))
    return Spec(
        interfaces=(Interface("lo", own, kind="loopback"), *links),
        routes=(f"{'-6 ' if family == 6 else ''}default dev {out}",),
        sysctls=FORWARDING,
    )


def kernel_refuses(rules: Ruleset, chain: str, pairs: list[Pair]) -> int:
    """Send a SYN for each pair by each interface, and out by each; how many were sent. Fails where one gets through."""
    names, family = interfaces(rules), rules.family
    packets = [
        Packet(
            family=family, protocol=6, source=source, destination=destination, source_port=10000, destination_port=port,
            tcp_flags=2, in_interface=name,
        )
        for source, destination, port in pairs for name in names
        if family == 4 or source >> 32 != V4_MAPPED  # such a source never travels (ip6_rcv)
    ]  # fmt: skip
    local = {destination for _, destination, _ in pairs} if chain == "INPUT" else set()
    for out in names if chain == "FORWARD" else names[:1]:
        with Lab(spec(names, local, out, family), trace=False) as lab:
            lab.load(rules)
            for packet, seen in zip(packets, lab.send(packets), strict=True):
                assert seen.verdict not in ("forwarded", "delivered"), f"{packet} out {out}"
    return len(packets)


@pytest.mark.root
@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("path", ORACLES, ids=lambda path: path.stem[-60:])
def test_the_kernel_refuses_what_only_fffuu_allows(path: Path) -> None:
    dump, chain = path.stem.rsplit(".", 1)
    family = 6 if dump.endswith(".v6") else 4
    data = (SHARED / "dumps" / "found" / dump).read_bytes()
    ours = matrices(data, chain, family)
    pairs = [
        pair
        for port, read in fffuu_reader.matrices(path.read_text(), family).items()
        for pair in only_there(ours.port(port), read)
    ]
    if pairs:
        document = parse(data, family=family, lenient=True)
        assert kernel_refuses(next(one for one in document.rulesets if "filter" in one), chain, pairs)
