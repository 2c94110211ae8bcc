"""The real Mermaid (the npm package), to read back what we write; skipped aloud where it is not installed."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

TOOLING = Path(__file__).parent / "tooling"


def real_mermaid(sources: list[str]) -> list[dict[str, object]]:
    """What the npm package mermaid makes of some texts."""
    if shutil.which("node") is None or not (TOOLING / "node_modules" / "mermaid").is_dir():
        pytest.skip("the npm package mermaid is not installed: npm install --prefix tests/views/tooling")
    done = subprocess.run(
        ["node", str(TOOLING / "parse.mjs")],
        input=json.dumps(sources).encode(),
        capture_output=True,
        check=True,
    )
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found
