"""A disagreement as a text that says all one needs to see it again: router, rules, packets, and what both sides say."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ruleflow.kernel.agreement import traced, walked
from ruleflow.kernel.lab import Shot
from ruleflow.kernel.observe import Observation
from ruleflow.kernel.pairing import Pair, Sent
from ruleflow.kernel.random_packets import SPEC

if TYPE_CHECKING:
    from ruleflow.kernel.differential import Task


def reproducer(task: "Task", rules: str, sent: Sent, pair: Pair) -> str:
    """The text for the last packet of ``sent``; those before made the connections it may belong to."""
    seen, found = pair.seen, pair.walk
    lines = [
        f"# backend {task.backend}, IPv{task.family}, seed {task.seed}, rule set {task.number}, packet {len(sent)}",
        *(f"# {line}" for line in pair.differs),
        "", "## router", *_router(), "", "## rules", rules.rstrip(), "", "## packets, and what the kernel did",
        *(line for shot, observation in sent for line in _packet(shot, observation)),
        "", "## the way: kernel", *map(_place, traced(seen.steps)), "", "## the way: walk", *map(_place, walked(found)),
        "", "## the walk", *(f"{outcome.verdict}: {outcome.sentence}; {outcome.packet}" for outcome in found.outcomes),
        *(str(step) for step in found.steps if not hasattr(step, "answer") or step.answer != "no"),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _place(place: tuple[str, str, int | str]) -> str:
    return " ".join(map(str, place))


def _router() -> Iterator[str]:
    for each in SPEC.interfaces:
        yield f"interface {each.name} {' '.join(each.addresses)}"
    yield from (f"route {route}" for route in SPEC.routes)
    yield from (f"rule {rule}" for rule in SPEC.rules)


def _packet(shot: Shot, seen: Observation) -> Iterator[str]:
    yield str(shot.packet)
    if shot.quoted is not None:
        yield f"  about {shot.quoted}"
    after = f" {seen.after.packet(length=None)}" if seen.after else ""
    answers = "".join(f" answered by {made.packet(length=None)}" for made in seen.made)
    yield f"  {seen.verdict} {seen.interface or ''}{after}{answers} {seen.error or ''}".rstrip()
