"""Every connection that was really tried beside a real Docker (../shared/truth) is predicted, name and address alike."""

import functools
import json
from pathlib import Path

import pytest

from ruleflow.netfilter.connect import Connection, connect
from ruleflow.netfilter.world import World, read_world

TRUTH = Path(__file__).resolve().parents[3] / "shared" / "truth"
STAGES = sorted(path.parent for path in TRUTH.glob("*/*/truth.jsonl"))


@functools.lru_cache(maxsize=4)
def world(stage: Path) -> World:
    return read_world(stage)


def as_measured(found: Connection) -> str:
    """The answer in the words of truth.jsonl: a ping has no peer, and who got no answer says timeout."""
    if found.result == "reached" and found.protocol != "icmp":
        return f"reached {found.by} peer={found.sees}"
    return {"no-answer": "timeout"}.get(found.result, found.result)


@pytest.mark.shared
@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: f"{stage.parent.name}-{stage.name}")
def test_every_connection_tried(stage: Path) -> None:
    rows = [json.loads(line) for line in (stage / "truth.jsonl").read_text().splitlines()]
    wrong = []
    for row in rows:
        found = connect(world(stage), row["from"], row["to"], row["port"], row["proto"], remedies=False)
        if as_measured(found) != row["result"]:
            wrong.append(f"{row}: {as_measured(found)}, because {found.because}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.shared
def test_all_rows_are_there() -> None:
    assert sum(len((stage / "truth.jsonl").read_text().splitlines()) for stage in STAGES) == 2226
