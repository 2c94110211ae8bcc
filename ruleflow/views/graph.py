"""An outline as a picture: SVG by our own layout, which needs no program, or by Graphviz's ``dot``."""

from collections.abc import Iterator

from ruleflow.analysis.outline import Outline
from ruleflow.views import draw, style
from ruleflow.views.own_layout import Layout, layout
from ruleflow.views.paper import number as n
from ruleflow.views.paper import wrap, xml

_HEAD, _LEGEND = 34.0, 26.0
_RULE_ROOM = 430.0


def svg(outline: Outline, *, link: str = "", inside: bool = False) -> str:
    """The picture as SVG: titles tell more on hovering, lines lead to ``link`` (a file, relative to the picture;
    ``#``: the page it stands in).

    ``inside``: for an HTML page that has the style sheet already. The same outline gives the same bytes.
    """
    placed = layout(outline, _RULE_ROOM if outline.level == "rules" else 250.0)
    return "".join(f"{line}\n" for line in _document(outline, placed, link, inside=inside))


def _document(outline: Outline, placed: Layout, link: str, *, inside: bool) -> Iterator[str]:
    heading = list(_heading(outline, max(placed.width, 720.0)))
    top = _HEAD + 15.0 * (len(heading) - 1) + _LEGEND
    width, height = max(placed.width, 760.0), placed.height + top
    yield from opening(width, height, outline.title, outline.summary, inside=inside)
    yield draw.rect(0, 0, width, height, "ground")
    for index, line in enumerate(heading):
        yield draw.text(18, 26 + 17.0 * index, line, "title" if index == 0 else "note")
    yield from draw.legend(18, top - 16)
    yield f'<g transform="translate(0,{n(top)})">'
    yield from (draw.frame(frame) for frame in placed.frames)
    for wire in sorted(placed.wires, key=lambda each: "walked" in each.style):
        yield from draw.wire(wire)
    for place in placed.places:
        yield from draw.place(place)
    for text in placed.texts:
        yield from draw.words(text)
    for x, y, size in placed.boxes:
        yield from draw.box(x, y, size, link)
    yield "</g>"
    yield "</svg>"


def _heading(outline: Outline, width: float) -> Iterator[str]:
    yield from wrap(outline.title, width - 36, 15, bold=True)
    if outline.verdict:
        yield from wrap(outline.verdict, width - 36, 11)
    for note in outline.notes:
        yield from wrap(note, width - 36, 11)


def opening(
    width: float, height: float, title: str, summary: str, *, inside: bool = False, name: str = "rf"
) -> Iterator[str]:
    """The first lines of every SVG: its size, its name and text for those who do not see it, its colours.

    ``name`` begins its ids and is a class of it, where it is not ``rf``: a page may hold several.
    """
    classes = "rf" if name == "rf" else f"rf {name}"
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{classes}" width="{n(width)}" height="{n(height)}" '
        f'viewBox="0 0 {n(width)} {n(height)}" role="img" aria-labelledby="{name}-title {name}-desc">'
    )
    yield f'<title id="{name}-title">{xml(title)}</title>'
    yield f'<desc id="{name}-desc">{xml(summary)}</desc>'
    if not inside:
        yield f"<style>{style.sheet()}</style>"
