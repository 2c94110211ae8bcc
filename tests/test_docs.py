"""What the pages say that ruleflow prints, it prints: every ``console`` block is run. ``--renew`` writes them anew."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "docs" / f"{name}.md" for name in ("how-containers-talk", "lint", "reach")]
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


def printed(command: str) -> str:
    """What a line of the page prints, without colours; ``| head -N`` may end it."""
    command, _, count = command.partition(" | head -")
    words = shlex.split(command)
    assert words[0] == "ruleflow"
    made = subprocess.run(
        [sys.executable, "-m", "ruleflow.cli", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=True,
        env=os.environ | {"NO_COLOR": "1"},
    )  # fmt: skip
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
