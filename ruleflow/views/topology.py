"""The picture of a host: who is plugged where, with addresses, and what is published to whom, as SVG."""

import itertools
from collections.abc import Iterator

from ruleflow.analysis.plan import Hop, Plan, Way
from ruleflow.netfilter.stacked import End
from ruleflow.views import draw, style
from ruleflow.views.graph import opening
from ruleflow.views.paper import number as n
from ruleflow.views.paper import text_width, wrap, xml
from ruleflow.views.topology_layout import MARGIN, PAD, STEP, TEXT, TITLE, Cable, Card, Sheet, layout

_TOP = 62.0
_COLOURS = """
.rf text{font-family:DejaVu Sans,Verdana,Helvetica,Arial,sans-serif;fill:var(--ink);font-size:11px;unicode-bidi:isolate;white-space:pre}
.rf .ground{fill:var(--ground)}
.rf .title{font-size:15px;font-weight:bold}.rf .name{font-size:13px;font-weight:bold}.rf .note{fill:var(--dim)}
.rf .card rect{fill:var(--card);stroke:var(--jump);stroke-width:1.5}
.rf .card.host rect{fill:var(--soft);stroke:var(--line)}
.rf .card.outside rect{stroke:var(--road);stroke-width:2.5}
.rf .card.bridge rect{stroke:var(--jump);stroke-width:2.5}
.rf .card.container rect{stroke:var(--accept);stroke-width:2}
.rf .card.nic rect{stroke:var(--road);stroke-width:2.5}
.rf .card.port rect{stroke:var(--line)}
.rf .card.published rect{stroke:var(--rewrite);stroke-width:1.5}
.rf .card.routes rect{fill:none;stroke:none}
.rf .cable{fill:none}
.rf .veth{stroke:var(--road);stroke-width:3.5px}
.rf .published-wire{stroke:var(--rewrite);stroke-width:2.5px;stroke-dasharray:7 4}
.rf .head{fill:var(--rewrite)}
.rf .used{stroke:var(--accept);stroke-width:7px}
.rf .step circle{fill:var(--accept)}.rf .step.back circle{fill:var(--jump)}
.rf .step text{fill:var(--ground);font-weight:bold}
.rf .changed{font-weight:bold}
"""


def rules() -> str:
    """The style sheet's rules for this picture, with variables for colours."""
    return _COLOURS.replace("\n", "").replace(".rf ", ".plan ")


def svg(plan: Plan, *, link: str = "", inside: bool = False) -> str:
    """The plan as SVG; published ports lead to their line in ``link``. The same plan gives the same bytes."""
    return "".join(f"{line}\n" for line in _document(plan, layout(plan), link, inside=inside))


def _document(plan: Plan, sheet: Sheet, link: str, *, inside: bool) -> Iterator[str]:
    steps = list(_steps(plan.way)) if plan.way else []
    notes = [part for note in plan.notes for part in wrap(note, 700, TEXT)]
    below = _TOP + sheet.height
    width = max([sheet.width, 640.0, *(text_width(text, TEXT, bold=True) + 60 for _, text, _ in steps)])
    if plan.way:
        width = max(width, text_width(plan.way.title, TITLE, bold=True) + 2 * MARGIN)
    height = below + (40 + 22 * len(steps) if steps else 0) + STEP * len(notes) + 10
    yield from opening(width, height, _title(plan), summary(plan), inside=True, name="plan")
    if not inside:
        yield f"<style>{style.sheet(rules())}</style>"
    yield draw.rect(0, 0, width, height, "ground")
    yield draw.text(MARGIN, 26, _title(plan), "title")
    yield from _legend(MARGIN, 38)
    yield f'<g transform="translate(0,{n(_TOP)})">'
    cards = sheet.cards
    yield from (line for one in cards if one.style in ("host", "bridge") for line in _card(one, link))
    used = _used(plan, sheet.cables)
    for index, cable in enumerate(sheet.cables):
        yield from _cable(cable, used.get(index, []))
    yield from (line for one in cards if one.style not in ("host", "bridge") for line in _card(one, link))
    for index, numbers in used.items():
        yield from _numbers(sheet.cables[index], numbers)
    yield "</g>"
    if plan.way:
        yield draw.text(MARGIN, below + 14, plan.way.title, "name")
        for index, (back, text, changed) in enumerate(steps):
            y = below + 40 + 22 * index
            yield _disc(MARGIN + 9, y - 4, index + 1, back=back)
            yield draw.text(MARGIN + 28, y, text, "changed" if changed else "")
    for index, note in enumerate(notes):
        yield draw.text(MARGIN, height - 10 - STEP * (len(notes) - 1 - index), note, "note")
    yield "</svg>"


FORMATS = ("svg", "dot", "mermaid", "html", "json")


def topology(plan: Plan, form: str, *, link: str = "") -> str:
    """The plan in one of `FORMATS`."""
    if form == "json":
        import json

        import msgspec

        return json.dumps(msgspec.to_builtins(plan), indent=2) + "\n"
    if form in ("dot", "mermaid"):
        from ruleflow.views.topology_text import dot, mermaid

        return dot(plan) if form == "dot" else mermaid(plan)
    if form == "html":
        from ruleflow.views.page import page, scroll

        return page(_title(plan), scroll(svg(plan, link=link, inside=True)), more_style=rules())
    return svg(plan, link=link)


def _title(plan: Plan) -> str:
    return f"Who is plugged where on {plan.source or plan.host} (IPv{plan.family})"


def summary(plan: Plan) -> str:
    """The picture in words."""
    parts = [
        f"The host has {', '.join(' '.join((plug.name, *plug.addresses)) for plug in plan.uplinks) or 'no way out'}."
    ]
    for bridge in plan.bridges:
        ends = ", ".join(port.over[0] for port in bridge.ports if port.over) or "nobody known"
        parts.append(f"Bridge {' '.join((bridge.name, *bridge.addresses))} joins {ends}.")
    parts += [
        f"Published: {each.who} goes to {each.to} ({each.place or 'nobody known'})."
        for each in plan.published
    ]
    parts += [plan.way.title] if plan.way else []
    return " ".join(parts)


def _legend(x: float, y: float) -> Iterator[str]:
    for name, words in (
        ("veth", "a wire (veth pair)"),
        ("published-wire", "a published port: what arrives for it goes there"),
    ):
        yield f'<path class="cable {name}" d="M{n(x)},{n(y + 8)}L{n(x + 34)},{n(y + 8)}"/>'
        yield draw.text(x + 40, y + 12, words, "note")
        x += 40 + text_width(words, TEXT) + 22


def _card(one: Card, link: str) -> Iterator[str]:
    radius = {"outside": 16, "nic": 8, "port": 10, "published": 10}.get(one.style, 4)
    target = f"{link.rstrip('#')}#L{one.line}" if link and one.line is not None else ""
    yield f'<a href="{xml(target)}">' if target else ""
    yield f'<g class="card {one.style}"><title>{xml(one.tooltip)}</title>{draw.rect(one.x, one.y, one.width, one.height, "shape", radius)}'
    y = one.y + PAD + TITLE - 3
    if one.title:
        yield draw.text(one.x + PAD, y, one.title, "name")
        y += STEP + 1
    else:
        y -= 2 if one.style != "port" else 6
    inset = 8 if one.style == "port" else PAD
    for index, line in enumerate(one.lines):
        yield draw.text(
            one.x + inset, y + STEP * index, line, "" if one.style in ("port", "published") else "note"
        )
    yield "</g></a>" if target else "</g>"


def _cable(cable: Cable, numbers: list[tuple[int, bool]]) -> Iterator[str]:
    points = list(cable.points)
    head = ""
    if cable.style == "published":
        (x, y) = points[-1]
        points[-1] = (x - 9, y)
        head = draw.polygon([(x, y), (x - 10, y - 5.5), (x - 10, y + 5.5)], "head")
    path = "M" + "L".join(f"{n(x)},{n(y)}" for x, y in points)
    name = "published-wire" if cable.style in ("published", "bus") else cable.style
    yield f'<path class="cable {name}{" used" if numbers else ""}" d="{path}"/>{head}'


def _numbers(cable: Cable, numbers: list[tuple[int, bool]]) -> Iterator[str]:
    (x, y), (to_x, _) = cable.points[0], cable.points[1]
    step = min(20.0, (to_x - x) / (len(numbers) + 1))
    for index, (number, back) in enumerate(numbers, 1):
        yield _disc(x + step * index, y, number, back=back)


def _disc(x: float, y: float, number: int, *, back: bool) -> str:
    text = str(number)
    shift = text_width(text, TEXT, bold=True) / 2
    name = "step back" if back else "step"
    return f'<g class="{name}"><circle cx="{n(x)}" cy="{n(y)}" r="9"/><text x="{n(x - shift)}" y="{n(y + 4)}">{text}</text></g>'


def _used(plan: Plan, cables: list[Cable]) -> dict[int, list[tuple[int, bool]]]:
    """For each cable that the connection uses the numbers of the steps in which it is crossed."""
    found: dict[int, list[tuple[int, bool]]] = {}
    hops = plan.way.hops if plan.way else ()
    for number, (hop, onward) in enumerate(itertools.pairwise(hops), 1):
        ends: set[End | None] = {(hop.host, hop.leaves or ""), (onward.host, onward.enters or "")}
        if onward.enters is None:
            continue
        for index, cable in enumerate(cables):
            if ends & set(cable.ends):
                found.setdefault(index, []).append((number, hop.back))
                break
    return found


def _steps(way: Way) -> Iterator[tuple[bool, str, bool]]:
    """Each hop: whether it is on the way back, its words, and whether an address changed there."""
    for hop in way.hops:
        yield hop.back, _hop(hop), hop.changed


def _hop(hop: Hop) -> str:
    came = f"arrives by {hop.enters}" if hop.enters else "answers" if hop.back else "sends"
    change = f"{hop.packet}, rewritten to {hop.after}" if hop.changed else hop.packet
    if hop.verdict != "ACCEPT":
        return f"{hop.host}: {came}, {change}: {hop.verdict}"
    return f"{hop.host}: {came}, {change}{f', leaves by {hop.leaves}' if hop.leaves else ', delivered'}"
