"""Expectations read, tried against a dump, a declaration and a host, and written in each form."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

from ruleflow.analysis.expectations import Result, Subject, read_suite, record, run
from ruleflow.cli import cli
from ruleflow.errors import ReadError
from ruleflow.views import expectations_text

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
-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 3306 -j ACCEPT
-A INPUT -p tcp -m tcp --dport 25 -j REJECT --reject-with tcp-reset
-A FORWARD -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j ACCEPT
COMMIT
"""
HEAD = "local: [192.0.2.1]\nroutes: [172.17.0.0/16=docker0]\ntests:\n"


def tried(tmp_path: Path, entries: str) -> list[Result]:
    (tmp_path / "dump.rules").write_text(RULES)
    suite = read_suite(HEAD + entries, "expect.yaml")
    return list(run(suite, Subject(str(tmp_path / "dump.rules"), suite)))


@pytest.mark.parametrize(
    ("entry", "ok"),
    [
        ("- accept: tcp 203.0.113.9:40000 192.0.2.1:22 in eth0", True),
        ("- drop: tcp 203.0.113.9:40000 192.0.2.1:22 in eth0", False),
        ("- reject: tcp 203.0.113.9:40000 192.0.2.1:25 in eth0", True),
        ("- accept: tcp 203.0.113.9:40000 192.0.2.1:8080 in eth0\n  rewrites_to: 172.17.0.2:80", True),
        ("- accept: tcp 203.0.113.9:40000 192.0.2.1:8080 in eth0\n  rewrites_to: 172.17.0.3:80", False),
        ("- accept: every tcp to port 22", True),
        ("- drop: every tcp to port 3306 from 192.0.2.0/24", True),
        ("- drop: every tcp to port 3306", False),
        ("- drop: every tcp to port 3306 into\n  state: any", False),
        ("- accept: every tcp to port 3306\n  state: established", True),
        ("- accept: every tcp to 172.17.0.2 port 80 through", True),
        ("- accept: every everything leaving by eth0 out", True),
        ("- accept: every everything out", False),  # what goes to lo comes in again
    ],
)
def test_one_expectation(tmp_path: Path, entry: str, ok: bool) -> None:
    (result,) = tried(tmp_path, entry)
    assert result.ok is ok, result


def test_what_differs_is_shown_by_a_packet(tmp_path: Path) -> None:
    (result,) = tried(tmp_path, "- drop: every tcp to port 3306")
    assert result.found.startswith("ACCEPT: tcp to port 3306")
    assert result.why == "by filter INPUT 3 (line 11)"
    (again,) = tried(tmp_path, f"- accept: {result.witness}")
    assert again.ok


def test_who_names_a_port_means_no_later_fragments(tmp_path: Path) -> None:
    bare = "*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n"
    (tmp_path / "bare.rules").write_text(bare)
    suite = read_suite("tests:\n- accept: every tcp to port 22\n- accept: every tcp\n")
    named, any_port = run(suite, Subject(str(tmp_path / "bare.rules"), suite))
    assert (named.ok, any_port.ok) == (True, False)


def test_connections_on_a_host() -> None:
    suite = read_suite("tests:\n- from: outside\n  not_reaches: 192.0.2.77:1\n")
    assert [one.ok for one in run(suite, Subject("sample:docker-host", suite))] == [True]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("tests:\n- accept: tcp 1.2.3.4:1 1.2.3.5:2 in eth0\n- allow: x", 3, "'allow'"),
        ("tests:\n- accept: a\n  drop: b", 2, "one thing"),
        ("tests:\n- reaches: 1.2.3.4:80", 2, "one thing"),
        ("against: x", 1, "no list `tests`"),
        ("tests:\n- accept: every tcp\n  state: old", 2, "no state"),
    ],
)
def test_faults_say_where(text: str, line: int, words: str) -> None:
    with pytest.raises(ReadError, match=words) as error:
        read_suite(text, "expect.yaml")
    assert error.value.where is not None
    assert error.value.where.line == line


def test_the_forms(tmp_path: Path) -> None:
    results = tried(
        tmp_path, "- name: 'ssh # 1'\n  accept: every tcp to port 22\n- accept: every tcp to port 23\n"
    )
    assert list(expectations_text.text(results, "e.yaml"))[-1] == "2 expectations, 1 not met"
    tap = list(expectations_text.tap(results, "e.yaml"))
    assert tap[:4] == ["TAP version 13", "1..2", "ok 1 - ssh \\# 1", "not ok 2 - accept every tcp to port 23"]
    assert (tap[4], tap[-1]) == ("  ---", "  ...")
    suite = ET.fromstring(expectations_text.junit(results, "e.yaml")).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")


def test_what_is_recorded_is_met(tmp_path: Path) -> None:
    (tmp_path / "dump.rules").write_text(RULES)
    file = tmp_path / "e.yaml"
    run_ = CliRunner().invoke
    assert run_(cli, ["test", str(file), str(tmp_path / "dump.rules"), "--record"]).exit_code == 0
    assert "against: 'dump.rules'" in file.read_text()
    assert run_(cli, ["test", str(file)]).exit_code == 0
    (tmp_path / "dump.rules").write_text(RULES.replace("--dport 22 -j ACCEPT", "--dport 22 -j DROP"))
    assert run_(cli, ["test", str(file)]).exit_code == 1


def test_a_declaration_is_what_it_generates() -> None:
    suite = read_suite("tests:\n- accept: every tcp to 192.0.2.1 port 22\n  state: any\n")
    subject = Subject("sample:net-one-port", suite)
    assert [one.ok for one in run(suite, subject)] == [True]
    assert isinstance(list(record(subject, 4)), list)
