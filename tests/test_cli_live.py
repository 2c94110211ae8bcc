"""`live:`, this machine, wherever a dump or a host's directory can stand."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from namespaces import namespaces

RULES = "*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n"


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with namespaces("live") as (name,):
        for command in ("iptables-restore", "ip6tables-restore"):
            subprocess.run(["ip", "netns", "exec", name, command], input=RULES, text=True, check=True)
        yield name


def said(host: str, place: Path, *words: str) -> str:
    """What a command prints in the namespace; it leaves no files behind in ``place``."""
    argv = ["ip", "netns", "exec", host, sys.executable, "-m", "ruleflow", *words]
    ran = subprocess.run(
        argv, capture_output=True, text=True, check=False, env=os.environ | {"TMPDIR": str(place)}
    )
    assert ran.returncode in (0, 1), ran.stderr
    assert list(place.iterdir()) == []
    return ran.stdout


@pytest.mark.root
@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("explain live:", "tcp to port 22 (ssh)"),
        ("explain live: -6", "tcp to port 22 (ssh)"),
        ("fmt live:", "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT"),
        ("fmt live: -6", "ip6tables"),
        ("lint live:", "0 errors in"),
        ("reach live:", "filter INPUT 1"),
        ("graph live: -o -", "<title"),
        ("report live: -o -", "live:"),
        ("topology live: -o -", "live:"),
        ("diff live: live:", "no difference"),
        ("walk live: tcp 127.0.0.1:40000 127.0.0.1:22", "ACCEPT"),
        ("connect live: --from host --to 127.0.0.1:80", "host to 127.0.0.1:80"),
    ],
)
def test_live_stands_where_a_dump_can(host: str, tmp_path: Path, words: str, wanted: str) -> None:
    shown = said(host, tmp_path, *words.split(" "))
    assert wanted in shown
    assert "ruleflow-" not in shown  # the directory that it is read from is gone
