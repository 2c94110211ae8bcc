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


def simpler(text: str, section: str = "to even-simpler firewall") -> Iterator[str]:
    """The rules that fffuu ends with, or those of another section, as iptables would write them."""
    part = text.split(f"== {section} ==")[1].split("\n== ", maxsplit=1)[0]
    for line in part.strip().split("\n"):
        words = line.split()
        if words[:1] not in (["ACCEPT"], ["DROP"]):
            continue
        verdict, protocol, _, source, destination, *more = words
        rule = f"-A FORWARD -s {source} -d {destination}" + (f" -p {protocol}" if protocol != "all" else "")
        for kind, said in zip(more[::2], more[1::2], strict=True):
            way = kind.removesuffix(":")
            rule += f" -{way[0]} {said}" if way in ("in", "out") else f" -m {protocol} --{way[0]}port {said}"
        yield f"{rule} -j {verdict}"


READ = re.compile(r" -m (?:tcp|udp)(?:(?: !)? --(?:(?:[sd]port \S+)|(?:tcp-flags \S+ \S+)))+")
UNREAD = re.compile(r" --[sd]port +\S+| -m addrtype(?: (?:! )?--\S+ \S+)+| -[sd] ::ffff:\d+[.]\S+")
"""Tests that fffuu's reader does not know, and so takes for unknown ones: a port that does not stand right behind ``-m tcp``,
``-m addrtype``, and an IPv4-mapped address in mixed notation. All others that occur it reads."""


class AsRead:
    """A dump as fffuu reads it: what it does not know is something unknown, for each rule of its own."""

    def __init__(self, dump: str) -> None:
        self.lines, self.unknowns = dump.split("\n"), 0
        self.copies: list[str] = []

    def __str__(self) -> str:
        lines = [self._line(line) if line.startswith("-A ") else line for line in self.lines]
        head = max((n for n, line in enumerate(lines) if line.startswith("*filter")), default=0) + 1
        names = dict.fromkeys(line.split()[1] for line in self.copies)
        return "\n".join(
            [*lines[:head], *(f":{name} - [0:0]" for name in names), *self.copies, *lines[head:]]
        )

    def _line(self, line: str) -> str:
        kept = READ.findall(line)
        rest = READ.sub(" @", line)
        known = UNREAD.sub("", rest)
        if known == rest:
            return line
        known = re.sub(r" -m tcp(?= )", "", known)
        for words in kept:
            known = known.replace(" @", words, 1)
        before, kind, target = known.rpartition(" -j ")
        if kind and f":{target}" in "".join(
            self.lines
        ):  # a chain is unfolded: its rules are unknown one by one
            self.unknowns += 1
            name = f"{target}~{self.unknowns}"
            body = [each for each in self.lines if each.startswith(f"-A {target} ") and " -j " in each]
            self.copies += [self._unknown(f"-A {name} {each.split(' ', 2)[2]}") for each in body]
            return f"{before} -j {name}"
        return self._unknown(known)

    def _unknown(self, line: str) -> str:
        self.unknowns += 1
        return re.sub(
            r" -([jg]) ", rf" -m recent --rcheck --name u{self.unknowns} --rsource -\1 ", line, count=1
        )


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


def as_read(matrix: Matrix) -> fffuu_reader.Read:
    """One of our matrices, as the reader gives one of fffuu's."""
    classes = {str(number): list(parts) for number, parts in enumerate(matrix.classes)}
    return classes, {(str(one), str(two)) for one, two in matrix.edges}


@pytest.mark.shared
@pytest.mark.parametrize("path", ORACLES, ids=lambda path: path.stem[-60:])
def test_the_relations_of_fffuu(path: Path) -> None:
    """On its own simplified rules exactly, and on the dump itself as it reads that.

    In its last step it forgets interfaces: it leaves out rules that drop by one, and keeps those that accept by the same. Where
    that is a difference, ours is the relation of its rules before that step. What only fffuu allows the kernel refuses
    (tests/kernel/test_matrix_pairs.py).
    """
    dump, chain = path.stem.rsplit(".", 1)
    family = 6 if dump.endswith(".v6") else 4
    text, data = path.read_text(), (SHARED / "dumps" / "found" / dump).read_bytes()
    exact = matrices(table(*simpler(text)), family=family)
    with_interfaces = matrices(table(*simpler(text, "to simple firewall")), family=family)
    read = matrices(str(AsRead(data.decode("utf-8", "surrogateescape"))), chain, family)
    real = matrices(data, chain, family)
    for port, told in fffuu_reader.matrices(text, family).items():
        assert disagreements(exact.port(port), told) == (0, 0)
        ours = read.port(port)
        assert (0, 0) in (
            disagreements(ours, told),
            disagreements(ours, as_read(with_interfaces.port(port))),
        )
        assert disagreements(real.port(port), told)[0] == 0
