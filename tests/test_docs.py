"""What the pages say that ruleflow prints, it prints: every ``console`` block is run. ``--renew`` writes them anew."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [path for path in sorted((ROOT / "docs").glob("*.md")) if "```console\n" in path.read_text("utf-8")]
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


def printed(command: str) -> str:
    """What a line of the page prints, without colours; ``| head -N`` may end it."""
    command, _, count = command.partition(" | head -")
    words = shlex.split(command)
    assert words[0] == "ruleflow"
    made = subprocess.run(
        [sys.executable, "-m", "ruleflow", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False,
        env=os.environ | {"NO_COLOR": "1"},
    )  # fmt: skip
    assert made.returncode in (0, 1), made.stderr  # 1: something was found, or is not met
    lines = made.stdout.splitlines(keepends=True)
    return "".join(lines[: int(count)] if count else lines)


def block(text: str) -> str:
    commands = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
    return "".join(f"$ {command}\n{printed(command)}" for command in commands)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_page_shows_what_is_printed(page: Path, request: pytest.FixtureRequest) -> None:
    text = page.read_text(encoding="utf-8")
    renewed = BLOCK.sub(lambda found: f"```console\n{block(found[1])}```", text)
    if request.config.getoption("--renew"):
        page.write_text(renewed, encoding="utf-8")
    assert page.read_text(encoding="utf-8") == renewed


LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_page_is_in_the_list_of_questions() -> None:
    listed = set(LINK.findall((ROOT / "docs" / "README.md").read_text(encoding="utf-8")))
    assert listed == {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
