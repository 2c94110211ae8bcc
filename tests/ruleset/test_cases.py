"""Each line of tests/cases/*.t: a rule, the form iptables-save prints for it (or ``=``), and OK or FAIL.

A file is named for its extension. ``@4`` and ``@6`` set the family (without: both), ``*table`` and
``:CHAIN`` the place (filter INPUT without), ``#`` begins a comment. ``OPAQUE`` stands for a rule that is
kept word for word.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from ruleflow.ruleset.ir import Opaque
from ruleflow.ruleset.shape import reader
from ruleflow.ruleset.values import Unreadable

CASES = Path(__file__).parent.parent / "cases"


class Case(NamedTuple):
    where: str
    family: int
    table: str
    chain: str
    rule: str
    canonical: str
    verdict: str


def cases() -> Iterator[Case]:
    for path in sorted(CASES.glob("*.t")):
        families: tuple[int, ...] = (4, 6)
        table, chain = "filter", "INPUT"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            if line in ("@4", "@6", "@46"):
                families = tuple(int(digit) for digit in line[1:])
            elif line.startswith("*"):
                table = line[1:]
            elif line.startswith(":"):
                chain = line[1:]
            else:
                rule, canonical, verdict = (part.strip() for part in line.rsplit(";", 2))
                for family in families:
                    yield Case(f"{path.name}:{number}/v{family}", family, table, chain, rule,
                               rule if canonical == "=" else canonical, verdict)  # fmt: skip


ALL = list(cases())


@pytest.mark.parametrize("case", ALL, ids=[case.where for case in ALL])
def test_case(case: Case) -> None:
    reader_ = reader(case.family)
    if case.verdict == "FAIL":
        with pytest.raises(Unreadable):
            reader_.read(f"-A {case.chain} {case.rule}")
        return
    (line,) = reader_.read(f"-A {case.chain} {case.rule}")
    assert line.rule is not None
    assert str(line.rule) == f"-A {case.chain} {case.canonical}".rstrip()
    opaque = any(isinstance(part, Opaque) for part in (*line.rule.matches, line.rule.target))
    assert opaque == (case.verdict == "OPAQUE")
    (again,) = reader_.read(str(line.rule))
    assert again.rule == line.rule


@pytest.mark.root
@pytest.mark.parametrize("backend", ["legacy", "nft"])
def test_cases_against_the_real_tool(backend: str) -> None:
    """The real restore takes what we take (but for what this kernel lacks) and prints what we print."""
    assert shutil.which("unshare")
    wrong = [text for case in ALL if (text := _differs(case, backend))]
    assert not wrong, "\n".join(wrong)


def _differs(case: Case, backend: str) -> str | None:
    tool = f"{'ip6' if case.family == 6 else 'ip'}tables-{backend}"
    text = f"*{case.table}\n-A {case.chain} {case.rule}\nCOMMIT\n"
    script = f"{tool}-restore && {tool}-save -t {case.table}"
    ran = subprocess.run(
        ["unshare", "-n", "sh", "-c", script], input=text, capture_output=True, text=True, check=False
    )
    if case.verdict == "FAIL":
        return None  # the real tool may be laxer where a kernel refuses later, or stricter by the kernel it meets
    if ran.returncode:
        return None  # an extension, set or object this kernel lacks
    rules = [line for line in ran.stdout.splitlines() if line.startswith("-A")]
    expected = f"-A {case.chain} {case.canonical}".rstrip()
    return None if rules == [expected] else f"{case.where} ({tool}): {expected!r}, the tool prints {rules}"
