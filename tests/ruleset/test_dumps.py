"""Every dump in ../shared and every sample, against what the real iptables makes of it.

The real restore loads a dump in a namespace of its own and the real save prints it. What our canonical
text says must be the same, comment lines, counters and the order of tables apart.
"""

import re
import subprocess
from pathlib import Path

import pytest

from ruleflow.errors import RuleflowError
from ruleflow.ruleset.document import Document
from ruleflow.ruleset.ir import Ruleset
from ruleflow.ruleset.parse import parse

ROOT = Path(__file__).parent.parent.parent
SHARED = ROOT.parent / "shared"
TRUTH = sorted((SHARED / "truth").glob("*/*/ip*tables.save"))
SAMPLES = sorted((ROOT / "samples").glob("*.rules")) + sorted((ROOT / "samples").glob("*/ip*tables.save"))
DUMPS = [p for p in sorted((SHARED / "dumps").glob("*/*")) if p.is_file()]


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


@pytest.mark.parametrize("path", [*SAMPLES, *TRUTH], ids=name)
def test_comes_back_byte_for_byte(path: Path) -> None:
    data = path.read_bytes()
    document = parse(data, source=path.name)
    assert str(document).encode("utf-8", "surrogateescape") == data
    assert not document.warnings


@pytest.mark.shared
@pytest.mark.root
@pytest.mark.parametrize("path", DUMPS, ids=name)
def test_prints_what_the_real_tool_prints(path: Path) -> None:
    data = path.read_bytes()
    family = 6 if path.name.endswith((".v6", ".v6.save")) else 4
    real = {backend: _real(data, family, backend) for backend in ("legacy", "nft")}
    try:
        document = parse(data, source=path.name, family=family)
    except RuleflowError:
        assert set(real.values()) == {None}, "the real tool takes what we refuse"
        return
    if set(real.values()) == {None}:
        return
    ours = _tables(document, family)
    theirs = [_parts(text) for text in real.values() if text is not None]
    assert ours in theirs, _difference(ours, theirs[-1])


@pytest.mark.shared
@pytest.mark.root
@pytest.mark.parametrize("path", DUMPS, ids=name)
def test_what_is_canonical_comes_back_byte_for_byte(path: Path) -> None:
    data = path.read_bytes()
    family = 6 if path.name.endswith((".v6", ".v6.save")) else 4
    saved = [_real(data, family, backend, counters=True) for backend in ("legacy", "nft")]
    text = data.decode("utf-8", "surrogateescape")
    if any(real is not None and _without_comments(real) == _without_comments(text) for real in saved):
        assert str(parse(data, family=family)) == text  # the others are held by the test above


def _real(data: bytes, family: int, backend: str, *, counters: bool = False) -> str | None:
    tool = f"{'ip6' if family == 6 else 'ip'}tables-{backend}"
    flag = " -c" if counters else ""
    ran = subprocess.run(
        ["unshare", "-n", "sh", "-c", f"{tool}-restore{flag} && {tool}-save"],
        input=data,
        capture_output=True,
        check=False,
    )
    return None if ran.returncode else ran.stdout.decode("utf-8", "surrogateescape")


def _without_comments(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def _parts(text: str) -> dict[str, list[str]]:
    """The lines of each table; chain counters and a table without anything in it do not count."""
    tables: dict[str, list[str]] = {}
    for line in text.split("\n"):
        if line.startswith("*"):
            tables[line[1:]] = current = []
        elif line and not line.startswith("#"):
            current.append(
                re.sub(r"\[\d+:\d+\]", "[0:0]", line)
                if line[0] == ":"
                else re.sub(r"^\[\d+:\d+\] ", "", line)
            )
    return {
        table: lines
        for table, lines in tables.items()
        if any(line[0] == "-" for line in lines) or _says(lines)
    }


def _says(lines: list[str]) -> bool:
    return any(line[0] == ":" and " ACCEPT " not in line for line in lines)


def _tables(document: Document, family: int) -> dict[str, list[str]]:
    """What a restore of the whole text leaves: of each table the last one."""
    merged: dict[str, list[str]] = {}
    for ruleset in document.rulesets:
        assert isinstance(ruleset, Ruleset)
        if ruleset.family == family:
            merged |= _parts(str(ruleset))
    return merged


def _difference(ours: dict[str, list[str]], theirs: dict[str, list[str]]) -> str:
    lines = []
    for table in sorted({*ours, *theirs}):
        mine, other = ours.get(table, []), theirs.get(table, [])
        lines += [f"{table}: only we print {line}" for line in mine if line not in other]
        lines += [f"{table}: only the tool prints {line}" for line in other if line not in mine]
        if sorted(mine) == sorted(other) and mine != other:
            lines.append(f"{table}: the order differs")
    return "\n".join(lines[:20])
