"""Service matrices: small ones by hand, and those of fffuu (verified in Isabelle) as relations."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ruleflow.analysis.matrix import Matrices, Matrix
from ruleflow.netfilter.side import Side
from ruleflow.netfilter.space import Space
from ruleflow.ruleset.addresses import address_number
from ruleflow.ruleset.parse import parse

sys.path.insert(0, str(Path(__file__).parent))
import fffuu_reader

SHARED = Path(__file__).parents[3] / "shared"
ORACLES = sorted((SHARED / "oracle" / "fffuu").glob("*.txt")) if SHARED.is_dir() else []


def matrices(dump: str | bytes, chain: str = "FORWARD", family: int = 4, **how: str) -> Matrices:
    rules = next(one for one in parse(dump, family=family, lenient=True).rulesets if "filter" in one)
    return Matrices(Side(Space([rules]), rules), chain, **how)


def table(*rules: str) -> str:
    return "\n".join(("*filter", ":INPUT DROP [0:0]", ":FORWARD DROP [0:0]", *rules, "COMMIT", ""))


def test_a_matrix_by_hand() -> None:
    found = matrices(
        table("-A FORWARD -s 10.0.0.0/8 -d 192.0.2.1/32 -p tcp -m tcp --dport 22 -j ACCEPT")
    ).port(22)
    assert len(found.classes) == 3
    assert found.allows(address_number("10.1.2.3", 4), address_number("192.0.2.1", 4))
    assert not found.allows(address_number("192.0.2.1", 4), address_number("10.1.2.3", 4))
    assert len(found.edges) == 1


def test_what_is_not_known_may_or_must_be_so() -> None:
    dump = table("-A FORWARD -m recent --rcheck --name a --rsource -p tcp -j ACCEPT")
    assert len(matrices(dump, unknown="may").port(22).edges) == 1
    assert not matrices(dump, unknown="must").port(22).edges


def test_all_ports_are_those_of_each_port() -> None:
    one = matrices(
        table(
            "-A FORWARD -p tcp -m tcp --dport 22:25 -s 10.0.0.0/8 -j ACCEPT",
            "-A FORWARD -p tcp -m tcp --dport 80 -j ACCEPT",
        )
    )
    ranges = [(each.port, each.last, len(each.edges)) for each in one.all_ports()]
    assert ranges == [(0, 21, 0), (22, 25, 2), (26, 79, 0), (80, 80, 1), (81, 65535, 0)]


def simpler(text: str) -> Iterator[str]:
    """The rules that fffuu ends with, as iptables would write them."""
    part = re.split(r"== (?:to even-simpler firewall|checking spoofing protection) ==", text)[1]
    for line in part.strip().split("\n"):
        words = line.split()
        if words[:1] not in (["ACCEPT"], ["DROP"]):
            continue
        verdict, protocol, _, source, destination, *more = words
        rule = f"-A FORWARD -s {source} -d {destination}" + (f" -p {protocol}" if protocol != "all" else "")
        for kind, ports in zip(more[::2], more[1::2], strict=True):
            rule += f" -m {protocol} --{kind.removesuffix('s:')[0]}port {ports}"
        yield f"{rule} -j {verdict}"


def disagreements(found: Matrix, read: fffuu_reader.Read) -> tuple[int, int]:
    """How many pairs of classes only we allow, and only fffuu does; each pair of classes by its own addresses."""
    classes, edges = read
    points = {low for parts in classes.values() for low, _ in parts} | {
        low for parts in found.classes for low, _ in parts
    }
    named = {
        (next(n for n, parts in classes.items() if any(a <= p <= b for a, b in parts)), found.of(p))
        for p in points
    }
    ours = theirs = 0
    for one, mine in named:
        for two, other in named:
            here, there = (mine, other) in found.edges, (one, two) in edges
            ours += here and not there
            theirs += there and not here
    return ours, theirs


@pytest.mark.shared
@pytest.mark.parametrize("path", ORACLES, ids=lambda path: path.stem[-60:])
def test_the_relations_of_fffuu(path: Path) -> None:
    """On its own simplified rules exactly; on the dump itself never more than its over-approximation."""
    dump, chain = path.stem.rsplit(".", 1)
    family = 6 if dump.endswith(".v6") else 4
    text = path.read_text()
    exact = matrices(table(*simpler(text)), family=family)
    real = matrices((SHARED / "dumps" / "found" / dump).read_bytes(), chain, family)
    for port, read in fffuu_reader.matrices(text, family).items():
        assert disagreements(exact.port(port), read) == (0, 0)
        assert disagreements(real.port(port), read)[0] == 0
