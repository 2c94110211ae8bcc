"""An outline as a Mermaid flowchart, within the limits that no diagram can raise: 500 edges and 50,000 characters."""

from collections.abc import Iterable, Iterator

from ruleflow.analysis.outline import Box, Call, Outline
from ruleflow.errors import visible
from ruleflow.views.box_size import badge_text, said
from ruleflow.views.paper import shorten

MOST_EDGES, MOST_CHARACTERS = 450, 48_000
_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .,/-+_()=!?")

Pieces = tuple[str, ...]


def mermaid_text(text: str) -> str:
    """``text``, somebody else's, for a quoted label: all but plain letters and figures as ``#35;`` entities.

    That leaves nothing which Mermaid, Markdown or HTML reads in its own way (not even Mermaid's own marks for entities).
    """
    return "".join(character if character in _SAFE else f"#{ord(character)};" for character in visible(text))


def mermaid(outline: Outline) -> tuple[str, Pieces]:
    """The flowchart, and what had to be left out, as sentences."""
    notes: list[str] = []
    for lines in (6, 2, 0):
        for calls in (MOST_EDGES - 30, 150, 40):
            text, left = _flowchart(outline, lines, outline.calls[:calls])
            if len(text) <= MOST_CHARACTERS:
                notes += (
                    [
                        f"Mermaid draws at most {MOST_EDGES} edges: {len(outline.calls) - calls} calls are left out"
                    ]
                    if len(outline.calls) > calls
                    else []
                )
                notes += (
                    [f"Mermaid takes at most 50,000 characters: boxes show at most {lines} lines"]
                    if lines < 6
                    else []
                )
                return text, (*notes, *left)
    few = 150
    cut = tuple(box for box in outline.boxes if int(box.id[1:]) <= few)
    kept = {box.id for box in cut}
    calls_ = tuple(call for call in outline.calls if call.caller in kept and call.callee in kept)[:40]
    text, left = _flowchart(outline, 0, calls_, kept)
    return text, (
        f"Mermaid takes at most 50,000 characters: {len(outline.boxes) - few} boxes are left out",
        *left,
    )


def _flowchart(
    outline: Outline, lines: int, calls: tuple[Call, ...], kept: set[str] | None = None
) -> tuple[str, Pieces]:
    text = "".join(f"{line}\n" for line in _lines(outline, lines, calls, kept))
    return text, ()


def _lines(outline: Outline, lines: int, calls: tuple[Call, ...], kept: set[str] | None) -> Iterator[str]:
    yield "flowchart TB"
    yield f"  accTitle: {mermaid_text(outline.title)}"
    yield f"  accDescr: {mermaid_text(shorten(outline.summary, 1000))}"
    staged: set[str] = set()
    has_path = any(stage.boxes for stage in outline.stages)
    boxes = {box.id: box for box in outline.boxes if kept is None or box.id in kept}
    if has_path:
        yield from _ends(outline)
        for stage in outline.stages:
            yield f'  subgraph s_{stage.hook}["{stage.hook}"]'
            yield f'    p_{stage.hook}(("#8226;"))'
            for box in _reached(stage.boxes, calls, staged):
                if box in boxes:
                    yield f"    {_node(boxes[box], lines)}"
            yield "  end"
    for name, box_ in boxes.items():
        if name not in staged:
            yield f"  {_node(box_, lines)}"
    yield from _edges(outline, calls, has_path=has_path)
    yield from _classes(boxes.values())


def _reached(roots: tuple[str, ...], calls: tuple[Call, ...], staged: set[str]) -> Iterator[str]:
    by_caller: dict[str, list[str]] = {}
    for call in calls:
        by_caller.setdefault(call.caller, []).append(call.callee)
    waiting = list(reversed(roots))
    while waiting:
        box = waiting.pop()
        if box not in staged:
            staged.add(box)
            yield box
            waiting += reversed(by_caller.get(box, []))


def _node(box: Box, lines: int) -> str:
    shown = [f"{badge_text(line)} {shorten(said(line), 90)}" for line in box.lines[:lines]]
    more = [f"and {len(box.lines) - lines} more lines"] if lines and len(box.lines) > lines else []
    text = "<br/>".join(
        mermaid_text(part) for part in (f"{box.table} {box.title}", box.note, *shown, *more) if part
    )
    left, right = ("[[", "]]") if box.members > 1 else ("[", "]")
    return f'{box.id}{left}"{text}"{right}'


def _ends(outline: Outline) -> Iterator[str]:
    for name, lines in (
        ("enter", outline.ends.enter),
        ("leave", outline.ends.leave),
        ("here", outline.ends.here),
    ):
        yield f'  {name}(["{"<br/>".join(mermaid_text(line) for line in lines)}"])'
    yield '  route{{"Routing#58; for this host?"}}'


def _edges(outline: Outline, calls: tuple[Call, ...], *, has_path: bool) -> Iterator[str]:
    if has_path:
        yield from (
            "  enter ==> p_PREROUTING ==> route", '  route ==>|"for this host"| p_INPUT ==> here ==> p_OUTPUT ==> p_POSTROUTING',
            '  route ==>|"passing through"| p_FORWARD ==> p_POSTROUTING ==> leave',
        )  # fmt: skip
        for stage in outline.stages:
            yield from (f"  p_{stage.hook} --> {box}" for box in stage.boxes)
    for call in calls:
        when = call.when[0] if call.rules == 1 else f"{call.rules:,} rules"
        arrow = "-.->" if call.kind == "goto" else "-->"
        yield f'  {call.caller} {arrow}|"{mermaid_text(shorten(when, 60)) or "#160;"}"| {call.callee}'


def _classes(boxes: Iterable[Box]) -> Iterator[str]:
    yield "  classDef added stroke:#00664b,stroke-width:3px"
    yield "  classDef removed stroke:#a34700,stroke-width:3px,stroke-dasharray:5 3"
    yield "  classDef walked stroke-width:4px"
    for box in boxes:
        mark = box.mark or next((line.mark for line in box.lines if line.mark in ("added", "removed")), "")
        if mark:
            yield f"  class {box.id} {mark}"
