"""A declaration wherever a dump can stand: it stands for the rules that are made of it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from ruleflow.cli import cli
from ruleflow.data import sample
from ruleflow.errors import RuleflowError


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("explain FILE", "rules of FILE: 3 tables"),
        ("fmt FILE", "-j DNAT --to-destination 172.18.0.2:80"),
        ("lint FILE --exit-zero", "rules of FILE:"),
        ("reach FILE", "tcp to port 8080"),
        ("walk FILE tcp 203.0.113.9:40000 192.0.2.1:8080 in eth0 --local 192.0.2.1 -q", "ACCEPT"),
        ("graph FILE --format dot -o -", "digraph"),
    ],
)
@pytest.mark.parametrize("shipped", [True, False])
def test_it_stands_where_a_dump_can(tmp_path: Path, words: str, wanted: str, *, shipped: bool) -> None:
    copy = tmp_path / "net.yaml"
    copy.write_text(sample("net-one-port").read_text())
    name = "sample:net-one-port" if shipped else str(copy)
    ran = CliRunner().invoke(cli, words.replace("FILE", name).split(" "))
    assert wanted.replace("FILE", name) in ran.stdout


def test_no_fix_is_written_over_it(tmp_path: Path) -> None:
    copy = tmp_path / "net.yaml"
    copy.write_text(sample("net-one-port").read_text())
    ran = CliRunner().invoke(cli, ["lint", str(copy), "--fix", "--write"])
    assert "edits dumps, not declarations" in str(ran.exception)
    assert copy.read_text() == sample("net-one-port").read_text()


def test_one_without_networks_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "net.yaml"
    empty.write_text("networks: {}\n")
    ran = CliRunner().invoke(cli, ["fmt", str(empty)])
    assert isinstance(ran.exception, RuleflowError)
