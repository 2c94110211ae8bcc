"""A trace on paper: headings, rules that matched, rules passed over with their reason, chain ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ruleflow.kernel.trace import Listing, TraceEvent, completed
from ruleflow.netfilter.packet import Packet
from ruleflow.ruleset.parse import parse_one
from ruleflow.views.text import Paper
from ruleflow.views.trace_text import trace_lines

RULES = """*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:WEB - [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -m conntrack --ctstate INVALID -j DROP
-A INPUT -p tcp -j WEB
-A WEB -p tcp -m tcp --dport 443 -j ACCEPT
COMMIT
"""


def events() -> list[TraceEvent]:
    packet = Packet.parse("tcp 203.0.113.9:40000 192.0.2.1:80 in eth0 syn")
    return [
        TraceEvent("a1", 4, "filter", "INPUT", "packet", packet=packet),
        TraceEvent("a1", 4, "filter", "INPUT", "rule", number=4, verdict="JUMP", target="WEB"),
        TraceEvent("a1", 4, "filter", "INPUT", "policy", verdict="DROP"),
    ]


def test_what_the_kernel_left_out_is_filled_in() -> None:
    rules = parse_one(RULES)
    lines = list(trace_lines(completed(events(), Listing.of(rules)), {4: rules}, Paper(None, False)))
    text = [" ".join(line.split()) for line in lines]
    assert text == [
        "",
        "packet tcp 203.0.113.9:40000 192.0.2.1:80 in eth0 syn trace a1",
        "filter INPUT",
        "1 everything arriving on lo no: in is eth0 line 6",
        "2 tcp to port 22 (ssh) no: port is 80 line 7",
        "3 any packet that fits no connection (invalid) no (the event does not say why) line 8",
        "4 tcp match see WEB line 9",
        "filter WEB",
        "1 tcp to port 443 (https) no: port is 80 line 10",
        "- back: the chain's end",
        "- drop (policy)",
    ]


def test_hostile_names_do_not_reach_the_terminal() -> None:
    rules = parse_one(RULES.replace("WEB", "W\x1b[31mB"))
    made = [TraceEvent("a1", 4, "filter", "INPUT", "rule", number=4, verdict="JUMP", target="W\x1b[31mB")]
    assert "\x1b" not in "".join(trace_lines(made, {4: rules}, Paper(None, False)))


@pytest.mark.root
def test_snapshot_and_trace_commands(tmp_path: Path) -> None:
    """In a namespace of its own: the directory is written, and a trace of nothing is nothing."""

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = ["unshare", "-n", sys.executable, "-m", "ruleflow", *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "HOME": str(tmp_path)}
        )

    wrote = run("snapshot", str(tmp_path / "host"), "--namespace", "nobody-of-this-name")
    assert wrote.returncode == 2
    assert "nobody-of-this-name" in wrote.stderr
    assert run("trace", "--seconds", "0.2").returncode == 0
