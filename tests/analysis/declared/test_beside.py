"""Declarations compared directly: what no rule tells of is named, once, and said to be so."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from ruleflow.cli import cli

BASE = """
networks:
  app: {OPTIONS ipam: {config: [{subnet: 172.18.0.0/16}]}}
endpoints:
  web: {ports: ["8080:80"]}
"""


def told(tmp_path: Path, after: str, *options: str) -> list[str]:
    for name, text in (("a.yaml", BASE), ("b.yaml", after)):
        (tmp_path / name).write_text(text.replace("OPTIONS ", ""))
    output = (
        CliRunner().invoke(cli, ["diff", str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml"), *options]).output
    )
    return [line.strip() for line in output.splitlines() if line.startswith("  ~ ") and " was " in line]


@pytest.mark.parametrize(
    ("option", "sentence", "layout"),
    [
        ("mtu: 1400,", "mtu was none, now 1400 (no rule tells of it)", "native"),
        ("icc: false,", "icc was on, now off", "docker-29"),
        ("icc: false,", "icc was on, now off (no rule tells of it)", "cni-portmap"),
        ("hairpin: docker,", "hairpin was conntrack, now docker", "native"),
        (
            "icc_enforcement: port_isolation,",
            "icc_enforcement was br_netfilter, now port_isolation (no rule tells of it)",
            "native",
        ),
    ],
)
def test_options(tmp_path: Path, option: str, sentence: str, layout: str) -> None:
    (line,) = [
        one
        for one in told(tmp_path, BASE.replace("OPTIONS", option), "--layout", layout)
        if "userland" not in one
    ]
    assert line.endswith(f": {sentence}")


def test_an_endpoint_of_which_no_rule_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(BASE.replace("OPTIONS ", ""))
    Path("b.yaml").write_text(f"{BASE}  db: {{}}\n".replace("OPTIONS ", ""))
    runner = CliRunner()
    assert "+ endpoint db (no rule tells of it)" in runner.invoke(cli, ["diff", "a.yaml", "b.yaml"]).output
    docker = runner.invoke(cli, ["diff", "a.yaml", "b.yaml", "--layout", "docker-29"]).output
    assert "+ endpoint 172.18.0.3 on network br-app\n" in docker
    assert "no rule tells" not in docker


def test_how_it_is_applied(tmp_path: Path) -> None:
    assert told(tmp_path, f"{BASE}apply: {{confirm: 60s}}\n") == [
        "~ apply: confirm was none, now 60 (no rule tells of it)"
    ]
    assert told(tmp_path, f"{BASE}apply: {{prefix: MY}}\n") == ["~ apply: prefix was RF, now MY"]
