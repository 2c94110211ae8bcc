"""The picture of a host in words that other programs draw: Graphviz's DOT and Mermaid."""

from collections.abc import Iterator

import msgspec

from ruleflow.analysis.plan import Place, Plan, Plug
from ruleflow.views.dot import dot_text
from ruleflow.views.mermaid import mermaid_text


class Joint(msgspec.Struct, frozen=True):
    """A line between two nodes, by number; ``published`` has an arrow."""

    a: str
    b: str
    words: str = ""
    published: bool = False


class Knots(msgspec.Struct, frozen=True):
    """The plan as nodes (id, lines; those within the host apart) and lines between them."""

    inside: tuple[tuple[str, tuple[str, ...]], ...]
    others: tuple[tuple[str, tuple[str, ...]], ...]
    joints: tuple[Joint, ...]


def knots(plan: Plan) -> Knots:
    """The plan taken apart; nodes are called by number, never by a name of somebody else's."""
    ids = {place.name: f"p{number}" for number, place in enumerate(plan.places, 1)}
    inside = [(f"i{number}", _plug(plug)) for number, plug in enumerate(plan.uplinks, 1)]
    inside += [
        (f"b{number}", (f"bridge {bridge.name}", *bridge.addresses))
        for number, bridge in enumerate(plan.bridges, 1)
    ]
    others = tuple((ids[place.name], _lines(place)) for place in plan.places)
    joints = [
        Joint(ids[plug.over[0]], f"i{number}", plug.over[1])
        for number, plug in enumerate(plan.uplinks, 1)
        if plug.over and plug.over[0] in ids
    ]
    for number, bridge in enumerate(plan.bridges, 1):
        joints += [
            Joint(f"b{number}", ids[port.over[0]], port.name)
            for port in bridge.ports
            if port.over and port.over[0] in ids
        ]
        joints += [Joint(f"i{way}", f"b{number}") for way, _ in enumerate(plan.uplinks, 1)]
    first = "i1" if plan.uplinks else "b1" if plan.bridges else ""
    joints += [
        Joint(first, ids[each.place], f"{each.who}, to {each.to}", True)
        for each in plan.published
        if each.place in ids and first
    ]
    return Knots(tuple(inside), others, tuple(joints))


def _plug(plug: Plug) -> tuple[str, ...]:
    return (plug.name, *plug.addresses)


def _lines(place: Place) -> tuple[str, ...]:
    return (place.name, *(" ".join(_plug(plug)) for plug in place.plugs), *place.routes)


def dot(plan: Plan) -> str:
    """The plan as DOT; the same plan gives the same text."""
    import graphviz

    graph = graphviz.Graph(
        name="ruleflow",
        graph_attr={"rankdir": "LR", "fontname": "sans-serif"},
        node_attr={"shape": "box", "fontname": "sans-serif"},
    )
    found = knots(plan)
    with graph.subgraph(name="cluster_host") as host:
        host.attr(label=f"<{dot_text(plan.host)}>")
        for name, lines in found.inside:
            host.node(name, label=_label(lines))
    for name, lines in found.others:
        graph.node(name, label=_label(lines), style="rounded")
    for each in found.joints:
        look = {"style": "dashed", "dir": "forward", "constraint": "false"} if each.published else {}
        graph.edge(each.a, each.b, label=f"<{dot_text(each.words)}>" if each.words else "", **look)
    return str(graph.source)


def _label(lines: tuple[str, ...]) -> str:
    return f"<{'<BR/>'.join(dot_text(line) for line in lines)}>"


def mermaid(plan: Plan) -> str:
    """The plan as a Mermaid flowchart."""
    return "".join(f"{line}\n" for line in _mermaid(plan))


def _mermaid(plan: Plan) -> Iterator[str]:
    found = knots(plan)
    yield "flowchart LR"
    yield f'  subgraph host["{mermaid_text(plan.host)}"]'
    yield from (f"    {name}{_quoted(lines)}" for name, lines in found.inside)
    yield "  end"
    yield from (f"  {name}{_quoted(lines)}" for name, lines in found.others)
    for each in found.joints:
        words = f'|"{mermaid_text(each.words)}"|' if each.words else ""
        yield f"  {each.a} {'-.->' if each.published else '---'}{words} {each.b}"


def _quoted(lines: tuple[str, ...]) -> str:
    return f'["{"<br/>".join(mermaid_text(line) for line in lines)}"]'
