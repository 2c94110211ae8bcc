"""Random rules and packets: the model agrees with the kernel, and where somebody breaks the model that is found."""

from collections.abc import Iterator

import pytest
from faults import FAULTS

from ruleflow.kernel import differential
from ruleflow.kernel.differential import Result, Task, close_labs, host_of, report, run, tasks, try_one
from ruleflow.kernel.features import ALL
from ruleflow.kernel.lab import Lab
from ruleflow.kernel.random_packets import SPEC
from ruleflow.netfilter.host import Host

pytestmark = [pytest.mark.root, pytest.mark.slow]

BOTH = ("nft", "legacy"), (4, 6)
ENOUGH = 5000
"""Within how many pairs a fault must be found."""


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with Lab(SPEC, "nft", trace=False) as lab:
        found = host_of(lab)
    yield found
    close_labs()


def test_the_model_agrees() -> None:
    result = run(tasks(960, 11, *BOTH), workers=1)
    assert [text for _, text in result.disagreements] == []
    assert list(report(result))[-1] == "pairs=960 disagreements=0"
    assert {name for name in ALL if not result.decided[name]} == set()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault: str, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        differential, "smaller", lambda pairing, pair: (pairing.rules, tuple(pairing.sent), pair)
    )
    FAULTS[fault](monkeypatch)
    assert pairs_until_found(host) <= ENOUGH


def pairs_until_found(host: Host) -> int:
    """How many pairs were tried until there was a disagreement."""
    tried = Result()
    for task in tasks(ENOUGH, 12, *BOTH):
        tried = tried.plus(try_one(task, host))
        if tried.disagreements:
            return tried.pairs
    return ENOUGH + 1


def test_the_same_seed_gives_the_same_pairs(host: Host) -> None:
    task = Task(13, 0, "nft", 4, 20)
    first, second = try_one(task, host), try_one(task, host)
    assert first.decided == second.decided
    assert sum(each.packets for each in tasks(100, 1, *BOTH)) == 100


def test_a_disagreement_is_made_small(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    FAULTS["DROP policies accept"](monkeypatch)
    found = next(result for task in tasks(ENOUGH, 12, *BOTH) if (result := try_one(task, host)).disagreements)
    text = found.disagreements[0][1]
    rules = [line for line in text.splitlines() if line.startswith("-A ")]
    assert len(rules) < 8
    for part in (
        "## router",
        "## rules",
        "## packets, and what the kernel did",
        "## the way: kernel",
        "## the walk",
    ):
        assert part in text
