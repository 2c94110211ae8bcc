"""Every rule set in ../shared/dumps can be walked: nothing breaks, and the quick walk says the same as the slow one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ruleflow.errors import RuleflowError
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.walk import walk, walk_many
from ruleflow.ruleset.ir import Ruleset
from ruleflow.ruleset.parse import parse

PACKETS = {
    4: (
        "tcp 203.0.113.9:40000 192.0.2.1:22 in eth0", "udp 192.0.2.1:5353 198.51.100.7:53",
        "tcp 10.0.0.5:40000 172.17.0.2:80 in eth0", "icmp echo-request 10.0.0.5 192.0.2.1 in eth0",
        "tcp 127.0.0.1:4000 127.0.0.1:80", "tcp 203.0.113.9:40000 192.0.2.1:443 in eth0 state established",
    ),
    6: (
        "tcp [2001:db8:9::9]:40000 [2001:db8::1]:22 in eth0", "udp [2001:db8::1]:5353 [2001:db8:7::7]:53",
        "icmpv6 echo-request 2001:db8:9::9 2001:db8::1 in eth0",
    ),
}  # fmt: skip


def rulesets(dumps: Path) -> Iterator[Ruleset]:
    for file in sorted(dumps.rglob("*")):
        if not file.is_file() or file.suffix == ".md":
            continue
        try:
            yield from parse(file.read_bytes(), source=file.name, lenient=True).rulesets
        except RuleflowError:  # not every file there is a dump
            continue


@pytest.mark.shared
def test_every_dump_is_walked_and_both_walks_agree(shared: Path) -> None:
    walked = 0
    for rules in rulesets(shared / "dumps"):
        for text in PACKETS[rules.family]:
            packet = Packet.parse(text)
            slow = walk(rules, packet)
            (quick,) = walk_many(rules, [packet])
            assert quick.verdict == slow.verdict
            if len(slow.outcomes) == 1:
                assert (quick.by, quick.packet) == (slow.by, slow.end.packet)
            walked += 1
    assert walked > 1000
