"""An outline in Graphviz's DOT language, and its picture by the program ``dot`` where that is installed.

Boxes are called by number, never by a chain's name. Labels are HTML-like, for only those have links and
tooltips on single lines. Colours are classes, set by the style sheet put into the SVG.
"""

import re
from collections.abc import Iterator
from typing import Any

from ruleflow.analysis.outline import Box, Call, Line, Outline
from ruleflow.errors import RuleflowError
from ruleflow.views import style
from ruleflow.views.box_size import badge_text, said
from ruleflow.views.graph import opening
from ruleflow.views.paper import wrap, xml

SECONDS = 20
"""How long ``dot`` may take."""
_ROOM = 300.0


def dot_text(text: str) -> str:
    """``text``, somebody else's, for an HTML-like label or a quoted string of DOT.

    Those labels are XML, and entities are read in quoted strings, too. A backslash before one of ``GNETHL``
    stands for a name of the graph even when written as an entity (Graphviz, "escString"; tried with 2.43): a
    blank without width keeps the two apart.
    """
    return _NAMES.sub("&#92;&#8203;", xml(text)).replace("\\", "&#92;")


_NAMES = re.compile(r"\\(?=[GNETHL])")


def dot(outline: Outline, *, link: str = "") -> str:
    """The outline as DOT: sorted, without a time or version, so the same outline gives the same text."""
    graph = _graph(outline)
    by_id = {box.id: box for box in outline.boxes}
    staged: set[str] = set()
    for stage in outline.stages:
        with graph.subgraph(name=f"cluster_{stage.hook}") as cluster:
            cluster.attr(label=stage.hook, tooltip=stage.hook, **{"class": "hook"})
            cluster.node(
                f"p_{stage.hook}", label="", shape="point", tooltip=stage.hook, **{"class": "station"}
            )
            for table, boxes in _by_table(outline, stage.boxes, staged):
                with cluster.subgraph(name=f"cluster_{stage.hook}_{by_id[boxes[0]].id}") as inner:
                    inner.attr(
                        label=f"table {dot_text(table)}",
                        tooltip=f"table {dot_text(table)}",
                        **{"class": "table"},
                    )
                    for name in boxes:
                        _node(inner, by_id[name], link)
    for box in outline.boxes:
        if box.id not in staged:
            _node(graph, box, link)
    if staged:
        _path(graph, outline)
    for call in outline.calls:
        _edge(graph, call)
    return str(graph.source)


def _graph(outline: Outline) -> Any:
    import graphviz

    made = graphviz.Digraph(name="ruleflow")
    made.attr(
        "graph",
        rankdir="TB",
        tooltip=dot_text(outline.title),
        fontname="sans-serif",
        fontsize="11",
        compound="true",
        **{"class": "rf"},
    )
    made.attr("node", shape="plain", fontname="sans-serif", fontsize="11")
    made.attr("edge", fontname="sans-serif", fontsize="10", arrowsize="0.7")
    return made


def _by_table(outline: Outline, roots: tuple[str, ...], staged: set[str]) -> Iterator[tuple[str, list[str]]]:
    """For each box of a hook its table, and itself with all it calls that stands nowhere yet."""
    calls: dict[str, list[str]] = {}
    tables = {box.id: box.table for box in outline.boxes}
    for call in outline.calls:
        calls.setdefault(call.caller, []).append(call.callee)
    for root in roots:
        found: list[str] = []
        waiting = [root]
        while waiting:
            box = waiting.pop()
            if box not in staged:
                staged.add(box)
                found.append(box)
                waiting += reversed(calls.get(box, []))
        yield tables[root], found


def _node(graph: Any, box: Box, link: str) -> None:
    rows = "".join(_row(line, link) for line in box.lines)
    head = f'<TR><TD ALIGN="LEFT" COLSPAN="2" TOOLTIP="{dot_text(box.tooltip)}" HREF="#{box.id}" PORT="head"><B>{dot_text(box.title)}</B></TD></TR>'
    note = f'<TR><TD ALIGN="LEFT" COLSPAN="2">{_lines(box.note)}</TD></TR>' if box.note else ""
    border = {"added": 3, "removed": 3, "walked": 3}.get(box.mark, 1)
    label = f'<<TABLE BORDER="{border}" CELLBORDER="0" CELLSPACING="0" CELLPADDING="3">{head}{note}{rows}</TABLE>>'
    names = ["box", box.mark, "faded" if box.faded else ""]
    graph.node(box.id, label=label, id=box.id, **{"class": " ".join(name for name in names if name)})


def _row(line: Line, link: str) -> str:
    target = (
        f"{link}#L{line.ref.line}"
        if link and line.ref is not None and line.ref.line is not None
        else f"#{line.calls or ''}"
    )
    attributes = f'HREF="{dot_text(target)}" TOOLTIP="{dot_text(line.tooltip or line.text)}"'
    port = f' PORT="r{line.ref.index}"' if line.ref is not None else ""
    word = f'<TD ALIGN="LEFT" VALIGN="TOP" {attributes}><B>{dot_text(badge_text(line))}</B></TD>'
    return f'<TR>{word}<TD ALIGN="LEFT" {attributes}{port}>{_lines(said(line))}</TD></TR>'


def _lines(text: str) -> str:
    return "".join(f'{dot_text(line)}  <BR ALIGN="LEFT"/>' for line in wrap(text, _ROOM, 11))


def _edge(graph: Any, call: Call) -> None:
    when = " | ".join(call.when) if call.rules <= 2 else f"{call.rules:,} rules"
    width = 1.2 if not call.packets else min(7.0, 1.2 + 0.8 * len(str(call.packets)))
    marks = " ".join(mark for mark in (call.kind, call.mark, "faded" if call.faded else "") if mark)
    graph.edge(
        call.caller, call.callee, label=f"<{_lines(when)}>", tooltip=dot_text(f"{call.kind}: {when}"), labeltooltip=dot_text(when),
        style="dashed" if call.kind == "goto" else "solid", penwidth=f"{width:.1f}", **{"class": marks},
    )  # fmt: skip


_WAYS = (
    ("enter", "p_PREROUTING", ""), ("p_PREROUTING", "route", ""), ("route", "p_INPUT", "for this host"),
    ("route", "p_FORWARD", "passing through"), ("p_INPUT", "here", ""), ("here", "p_OUTPUT", ""),
    ("p_OUTPUT", "p_POSTROUTING", ""), ("p_FORWARD", "p_POSTROUTING", ""), ("p_POSTROUTING", "leave", ""),
)  # fmt: skip


def _path(graph: Any, outline: Outline) -> None:
    for name, lines in (
        ("enter", outline.ends.enter),
        ("leave", outline.ends.leave),
        ("here", outline.ends.here),
    ):
        label = "".join(f"{dot_text(line)}<BR/>" for line in lines)
        graph.node(
            name,
            label=f"<{label}>",
            shape="box",
            style="rounded",
            tooltip=dot_text(lines[0]),
            **{"class": f"place {name}"},
        )
    graph.node(
        "route",
        label="Routing: for this host?",
        shape="hexagon",
        tooltip="routing",
        **{"class": "place route"},
    )
    for begin, end, words in _WAYS:
        graph.edge(
            begin,
            end,
            label=words,
            tooltip=words or "the packet's way",
            penwidth="3",
            weight="10",
            **{"class": "road"},
        )
    for stage in outline.stages:
        before = f"p_{stage.hook}"
        for box in stage.boxes:
            graph.edge(before, box, penwidth="2", weight="5", tooltip="is asked", **{"class": "ask"})


def svg_by_dot(outline: Outline, *, link: str = "") -> str:
    """The picture as ``dot`` lays it out, with our style sheet and text for those who do not see it.

    Raises `RuleflowError` where ``dot`` is not installed, fails, or takes longer than `SECONDS`.
    """
    import subprocess

    import graphviz

    command = [graphviz.DOT_BINARY, "-Tsvg"]
    try:
        done = subprocess.run(  # noqa: S603 - the program that the graphviz package names, no shell
            [str(part) for part in command],
            input=dot(outline, link=link).encode(),
            capture_output=True,
            timeout=SECONDS,
            check=True,
        )
    except FileNotFoundError:
        raise RuleflowError(
            "Graphviz's program dot is not installed", help="leave out --layout dot, or: apt install graphviz"
        ) from None
    except subprocess.TimeoutExpired:
        raise RuleflowError(
            f"dot took longer than {SECONDS} s", help="leave out --layout dot, or draw a part with --chain"
        ) from None
    except subprocess.CalledProcessError as error:
        raise RuleflowError(
            f"dot failed: {error.stderr.decode(errors='replace').strip()}", help="leave out --layout dot"
        ) from None
    return _styled(done.stdout.decode(), outline)


_COLOURS = (
    ".rf text{fill:var(--ink)}.rf .faded{opacity:.42}.rf .box polygon{fill:none;stroke:var(--jump)}.rf .cluster.table>polygon{stroke:var(--line);stroke-dasharray:2 3;fill:none}"
    ".rf .cluster.hook>polygon{fill:var(--soft);stroke:none}.rf .edge path{stroke:var(--jump)}.rf .edge polygon{fill:var(--jump);stroke:var(--jump)}"
    ".rf .edge.road path,.rf .edge.ask path{stroke:var(--road)}.rf .edge.road polygon,.rf .edge.ask polygon{fill:var(--road);stroke:var(--road)}"
    ".rf .edge.added path{stroke:var(--added)}.rf .edge.removed path{stroke:var(--removed)}.rf .graph>polygon{fill:var(--ground);stroke:none}"
    ".rf .box.added polygon{stroke:var(--added)}.rf .box.removed polygon{stroke:var(--removed)}.rf .place path,.rf .place polygon{fill:var(--card);stroke:var(--road)}"
)


def _styled(picture: str, outline: Outline) -> str:
    """The SVG without what changes with the version of Graphviz, and with what it cannot say itself."""
    size = re.search(r'<svg width="([\d.]+)pt" height="([\d.]+)pt"\s*viewBox="[^"]*"', picture)
    body = picture[picture.index("<g ") :] if size else picture
    body = re.sub(r"<!--.*?-->\n?", "", body, flags=re.DOTALL)
    width, height = (float(size[1]), float(size[2])) if size else (800.0, 600.0)
    first, *rest = opening(width, height, outline.title, outline.summary, inside=True)
    first = first.replace("<svg ", '<svg xmlns:xlink="http://www.w3.org/1999/xlink" ')
    return "\n".join([first, *rest, f"<style>{style.sheet(_COLOURS)}</style>", body])
