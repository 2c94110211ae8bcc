"""A plan, a result and a status as lines for people."""

import re
from collections.abc import Iterator
from itertools import groupby

from ruleflow.analysis.changes import Changes
from ruleflow.errors import visible
from ruleflow.kernel.plan import Plan
from ruleflow.kernel.status import Status
from ruleflow.kernel.table_edit import Change
from ruleflow.views.diff_text import DiffText
from ruleflow.views.text import Paper

SIGNS = {"add": "+", "remove": "-", "change": "~", "move": "~"}


def plan_lines(plan: Plan, behaviour: Changes | None = None, paper: Paper | None = None) -> Iterator[str]:
    """The plan: what it changes, place by place, what it opens and for whom, what to know, the sum."""
    where = f" in {plan.namespace}" if plan.namespace else ""
    if plan.empty:
        yield f"{plan.name}{where}: nothing to do"
    else:
        yield f"{plan.action} {plan.name}{where}, by iptables-{plan.backend}"
        yield from _changes(plan.changes)
    yield from _published(plan.changes)
    if behaviour is not None and not behaviour.same:
        yield ""
        yield from list(DiffText(behaviour, paper or Paper(None, False)).lines())[
            :-2
        ]  # its sum is of rules, ours of all
    yield from _notes(plan)
    if not plan.empty:
        yield ""
        yield summary(plan.changes)


def _changes(changes: tuple[Change, ...]) -> Iterator[str]:
    for place, group in groupby(changes, _place):
        yield ""
        yield place
        for change in group:
            yield f"  {SIGNS[change.verb]} {_said(change)}"


def _place(change: Change) -> str:
    if change.kind in ("rule", "chain"):
        return f"IPv{change.family} {change.where}"
    return {"setting": "settings", "address": "addresses"}.get(change.kind, f"{change.kind}s")


def _said(change: Change) -> str:
    if change.kind == "chain":
        return f"the chain {visible(change.where.split(' ')[1])}"
    if change.kind == "setting":
        return f"{change.where} = {change.text} (was {change.before or 'not there'})"
    if change.verb == "move":
        return f"{visible(change.text)}   (another place)"
    return visible(change.text or change.before)


def _published(changes: tuple[Change, ...]) -> Iterator[str]:
    """The ports that are published now or no longer, each in a sentence."""
    said = [
        (SIGNS[one.verb], found) for one in changes if (found := _TRANSLATION.search(one.text or one.before))
    ]
    if said:
        yield ""
        yield "published"
    for sign, found in said:
        yield f"  {sign} {_where(found)} leads to {found['to']}"


_TRANSLATION = re.compile(
    r"^-A \S+(?: -d (?P<at>[0-9a-f.:]+)(?:/\d+)?)?(?: .*)? -p (?P<protocol>\S+) .*--dport (?P<port>\S+) .*-j DNAT --to-destination (?P<to>\S+)$"
)


def _where(found: re.Match[str]) -> str:
    port = f"{found['protocol']} {found['port'].replace(':', '-')}"
    if found["at"] is None:
        return f"{port} on every address of this host, for everybody,"
    loopback = found["at"].startswith("127.")
    return (
        f"{port} on {found['at']}, for {'this host alone' if loopback else 'whoever reaches that address'},"
    )


def _notes(plan: Plan) -> Iterator[str]:
    if plan.notes:
        yield ""
    for note in plan.notes:
        place = f"{note.where}: " if note.where and note.code in ("foreign-first", "policy") else ""
        yield f"note: {place}{visible(note.text)}"


def summary(changes: tuple[Change, ...]) -> str:
    """The sum in one line."""
    count = {verb: sum(1 for one in changes if one.verb == verb) for verb in SIGNS}
    said = [f"{count[verb]} to {verb}" for verb in ("add", "change", "move", "remove") if count[verb]]
    return ", ".join(said) or "nothing to do"


def status_lines(status: Status) -> Iterator[str]:
    """The status: in sync or not, what differs, what decides first, what waits."""
    where = f" in {status.namespace}" if status.namespace else ""
    yield f"{status.name}{where}: {status.state}"
    if status.waits:
        yield f"  {status.waits}"
    for drift in status.drift:
        yield f"  {drift.code}: {visible(drift.text)}{f'  ({drift.where})' if drift.where else ''}"
