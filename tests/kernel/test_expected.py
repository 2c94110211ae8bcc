"""``test --live``: packets, members of spaces and whole connections in the real kernel, and what is said not to be tried."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from ruleflow.analysis.expectations import Result, Subject, read_suite
from ruleflow.analysis.members import members
from ruleflow.cli import cli
from ruleflow.kernel.expected import tried_live

pytestmark = pytest.mark.root
RULES = """*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING -d 192.0.2.1/32 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -p tcp -m tcp --dport 25 -j REJECT --reject-with tcp-reset
-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 3306:3307 -j ACCEPT
-A FORWARD -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j ACCEPT
COMMIT
"""
KNOWN = "local: [192.0.2.1]\nroutes: [172.17.0.0/16=docker0]\n"


def live(tmp_path: Path, entries: str, against: str = "", head: str = KNOWN) -> list[Result]:
    path = tmp_path / "dump.rules"
    path.write_text(RULES)
    suite = read_suite(f"{head}tests:\n{entries}", "expect.yaml")
    return list(tried_live(suite, Subject(against or str(path), suite)))


@pytest.mark.parametrize("head", [KNOWN, ""], ids=["known", "unknown"])
@pytest.mark.parametrize(
    ("entry", "ok"),
    [
        ("- accept: every tcp to port 22 arriving on eth0 into", True),
        ("- drop: every tcp to port 23 arriving on eth0 into", True),
        ("- reject: every tcp to port 25 from 198.51.100.0/24 into", True),
        ("- drop: every tcp to port 3306 arriving on eth0 into", False),
        ("- accept: every udp to port 53 leaving by eth1 out", True),
        ("- drop: every tcp to 172.17.0.3 through", True),
        ("- accept: every tcp to 172.17.0.2 port 80 leaving by docker0 through", True),
    ],
)
def test_members_of_a_space(tmp_path: Path, head: str, entry: str, ok: bool) -> None:
    (result,) = live(tmp_path, entry, head=head)
    assert not result.skipped
    assert result.ok is ok, result
    assert result.live.endswith("in the kernel")


def test_the_borders_are_among_the_members(tmp_path: Path) -> None:
    (tmp_path / "dump.rules").write_text(RULES)
    suite = read_suite(
        KNOWN + "tests:\n- accept: every tcp to port 3306:3307 from 10.0.0.0/8 arriving on eth0 into"
    )
    found = members(suite.expectations[0], Subject(str(tmp_path / "dump.rules"), suite))
    packets = [member.packet for member in found]
    assert {packet.destination_port for packet in packets} == {3306, 3307}
    assert {10 << 24, (11 << 24) - 1} <= {packet.source for packet in packets}
    assert {0, 65535} <= {packet.source_port for packet in packets}
    assert {packet.destination for packet in packets} == {0xC0000201}


def test_a_packet_that_is_rewritten(tmp_path: Path) -> None:
    entry = "- accept: tcp 203.0.113.9:40000 192.0.2.1:8080 in eth0\n  rewrites_to: 172.17.0.{}:80\n"
    right, wrong = live(tmp_path, entry.format(2) + entry.format(3))
    assert (right.ok, right.live) == (True, "1 packet in the kernel")
    assert not wrong.ok


@pytest.mark.parametrize(
    ("from_", "entry", "packets"),
    [
        ("outside", "reaches: 192.0.2.10:80", 4),
        ("web", "reaches: 198.51.100.7:80", 4),
        ("host", "reaches: 172.17.0.4:80", 4),
    ],
)
def test_a_connection_there_and_back(tmp_path: Path, from_: str, entry: str, packets: int) -> None:
    (result,) = live(tmp_path, f"- from: {from_}\n  {entry}", "sample:docker-host", "")
    assert result.ok, result
    assert result.live == f"{packets} packets in the kernel"


def test_what_cannot_be_tried_is_said_and_has_an_exit_code(tmp_path: Path) -> None:
    (tmp_path / "dump.rules").write_text(RULES)
    file = tmp_path / "expect.yaml"
    ready = f"against: dump.rules\n{KNOWN}tests:\n- accept: tcp 203.0.113.9:40000 192.0.2.1:22 in eth0\n"
    file.write_text(ready)
    assert CliRunner().invoke(cli, ["test", str(file), "--live"]).exit_code == 0
    file.write_text(ready + "- accept: every tcp to port 99 arriving on eth0 into\n  state: established\n")
    run = CliRunner().invoke(cli, ["test", str(file), "--live"])
    assert run.exit_code == 3, run.output
    assert "skip accept every tcp to port 99" in run.output
    assert "not run live: no connection can be established in new namespaces" in run.output
    assert "4 expectations, all met, 1 not tried" in run.output
    tap = CliRunner().invoke(cli, ["test", str(file), "--live", "--format", "tap"]).output
    assert " # SKIP not run live" in tap
    junit = CliRunner().invoke(cli, ["test", str(file), "--live", "--format", "junit"]).output
    assert 'skipped="1"' in junit
    assert CliRunner().invoke(cli, ["test", str(file)]).exit_code == 0
