"""What lint says of rules, asked of the kernel: without them every packet fares the same, and those that never match count none."""

import contextlib
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ruleflow.analysis.findings import EXACT, Finding
from ruleflow.analysis.lint import gather, reported
from ruleflow.analysis.lint.case import Case
from ruleflow.analysis.lint.fix import fix
from ruleflow.analysis.reach import Reach
from ruleflow.kernel.lab import Lab, LoadRefusedError
from ruleflow.kernel.router import FORWARDING, Interface, Spec
from ruleflow.kernel.run import run
from ruleflow.kernel.wire import WireError
from ruleflow.netfilter.numbers import address_text
from ruleflow.netfilter.packet import Packet
from ruleflow.ruleset.parse import parse

sys.path.insert(0, str(Path(__file__).parents[1] / "analysis"))
sys.path.insert(0, str(Path(__file__).parents[1] / "analysis" / "lint"))
sys.path.insert(0, str(Path(__file__).parents[1] / "netfilter"))
import small_rules
from near_packets import Near
from random_rules import Rules

SHARED = Path(__file__).parents[3] / "shared" / "dumps"
FORGETFUL = re.compile(
    r"-m (limit|hashlimit|recent|statistic|quota|time|connlimit|nfacct|string|u32)|--random"
)
"""Rules that answer by chance or by the clock: two runs of the same packets differ."""
NEVER = {"RF201", "RF203"}
NOBODY = ("8.8.8.8", "2001:db8:8::8")


def proved(case: Case) -> list[Finding]:
    """The findings that say a line may go."""
    return [
        one
        for one in reported([case], select=("RF2",))[0].findings
        if one.edit is not None and one.edit.new is None and one.strength == EXACT
    ]


def spec(near: Near, out: str) -> Spec:
    """The router that `Near` makes packets for."""
    family, width = near.family, 32 if near.family == 4 else 128
    own: dict[str, list[str]] = {name: [] for name in near.names}
    for number, address in enumerate(near.local):
        own[near.names[number % len(near.names)]].append(f"{address_text(address, family)}/{width}")
    return Spec(
        interfaces=(
            Interface("lo", kind="loopback"),
            *(Interface(name, tuple(own[name])) for name in near.names),
        ),
        routes=(f"{'-6 ' if family == 6 else ''}default dev {out}",),
        sysctls=FORWARDING,
    )


def conversation(near: Near, out: str, number: int) -> Iterator[Packet]:
    """Packets that come first, and for each what may follow: an answer, and the same again."""
    for way in ("in", "through", "out"):
        for first in near.packets(way, out, number):
            packet = first.with_(
                state=None, helper=None, out_interface=None, length=None, extension_headers=None
            )
            yield packet
            yield packet.with_(
                source=packet.destination, destination=packet.source, source_port=packet.destination_port,
                destination_port=packet.source_port, in_interface=out if way == "through" else packet.in_interface,
                tcp_flags=18 if packet.protocol == 6 else None, uid=None, gid=None, mark=None,
            ) if way != "out" else packet.with_(tcp_flags=16 if packet.protocol == 6 else None)  # fmt: skip


def fares(lab: Lab, text: str, family: int, packets: list[Packet]) -> list[tuple[object, ...]]:
    """What becomes of the packets; one that cannot be put on the wire becomes nothing."""
    lab.load(text, family)
    found: list[tuple[object, ...]] = []
    for packet in packets:
        try:
            (seen,) = lab.send([packet])
        except WireError:
            found.append(())
            continue
        after = seen.after
        ends = (after.source, after.destination) if after is not None else ()
        found.append((seen.verdict, seen.interface, *ends))
    return found


def counted(lab: Lab, family: int) -> dict[tuple[str, str, int], int]:
    """How many packets each rule has counted: table, chain, index from 1."""
    with lab.inside():
        said = run((f"{'iptables' if family == 4 else 'ip6tables'}-{lab.backend}-save", "-c"), text="").output
    table = ""
    found: dict[tuple[str, str, int], int] = {}
    last: dict[tuple[str, str], int] = {}
    for line in said.split("\n"):
        if line.startswith("*"):
            table = line[1:].strip()
        elif rule := re.match(r"\[(\d+):\d+\] -A (\S+)", line):
            number = last[table, rule[2]] = last.get((table, rule[2]), 0) + 1
            found[table, rule[2], number] = int(rule[1])
    return found


def kernel_agrees(text: str, family: int, seed: int, number: int, most: int = 6) -> tuple[int, int]:
    """How many findings of a rule set were tried, and with how many packets. Fails where the kernel says otherwise."""
    rules = parse(text, family=family).rulesets[0]
    text = "".join(f"{line}\n" for line in str(rules).split("\n") if line and not line.startswith("#"))
    (case,) = gather.of_document(parse(text, family=family), family)
    findings, chance = proved(case), random.Random(seed)
    if not findings:
        return 0, 0
    near = Near(Reach(case.rules), chance)
    out = chance.choice(near.names)
    packets = list(conversation(near, out, number))
    fixed = fix([case], findings, text)
    lines = text.split("\n")
    with Lab(spec(near, out), trace=False) as lab:
        whole = fares(lab, text, family, packets)
        counters = counted(lab, family)
        for one in findings:
            ref = one.primary.ref
            if one.code in NEVER and ref is not None and ref.index:
                assert not counters[ref.table, ref.chain, ref.index], f"{ref} matched\n{text}"
        assert fares(lab, fixed.text, family, packets) == whole, f"--fix\n{fixed.text}\n{text}"
        for one in chance.sample(findings, min(most, len(findings))):
            without = "\n".join(line for n, line in enumerate(lines, 1) if n != one.primary.line)
            try:
                found = fares(lab, without, family, packets)
            except LoadRefusedError:  # the line is needed by others: a chain's, say
                continue
            differs = [p for p, a, b in zip(packets, whole, found, strict=True) if a != b]
            assert not differs, f"{one.code} {one.primary.ref}: {differs[0]}\n{text}"
    return len(findings), len(packets)


@pytest.mark.root
@pytest.mark.parametrize("seed", range(12))
def test_random_rule_sets(seed: int) -> None:
    kernel_agrees(Rules(seed).text(), 4, seed, 10)


@pytest.mark.root
@pytest.mark.parametrize("seed", range(12))
def test_small_rule_sets(seed: int) -> None:
    assert kernel_agrees(small_rules.text(random.Random(seed)), 4, seed, 10) is not None


def dumps() -> Iterator[Path]:
    """Some of the middling ones, none whose rules answer by chance or by the clock."""
    found = sorted(path for path in SHARED.glob("*/*") if 500 < path.stat().st_size < 30_000)
    steady = [path for path in found if not FORGETFUL.search(path.read_text("utf-8", "replace"))]
    yield from steady[:: max(1, len(steady) // 12)]


@pytest.mark.root
@pytest.mark.shared
@pytest.mark.parametrize("path", list(dumps()) if SHARED.is_dir() else [], ids=lambda path: path.name[-60:])
def test_real_dumps(path: Path) -> None:
    for rules in parse(path.read_bytes(), source=path.name, lenient=True).rulesets[:1]:
        with contextlib.suppress(
            LoadRefusedError
        ):  # what the real restore does not take the kernel never has
            kernel_agrees(str(rules), rules.family, 3, 12)
