"""Shapes of a picture as SVG: boxes with their lines, wires, frames and places."""

from collections.abc import Iterator

from ruleflow.views.box_size import (
    BADGE_PAD,
    PAD,
    STEP,
    TITLE,
    Row,
    Sized,
    badge_text,
    badge_width,
    number_of,
)
from ruleflow.views.own_layout import Frame, Place, Text, Wire
from ruleflow.views.paper import number as n
from ruleflow.views.paper import text_width, xml

_HEIGHT = 15.0
"""Of a verdict's shape."""


def rect(x: float, y: float, width: float, height: float, style: str, radius: float = 0) -> str:
    """A rectangle, its corners round by ``radius``."""
    corner = f' rx="{n(radius)}"' if radius else ""
    return f'<rect class="{style}" x="{n(x)}" y="{n(y)}" width="{n(width)}" height="{n(height)}"{corner}/>'


def text(x: float, y: float, words: str, style: str = "") -> str:
    """A line of text with its base at ``y``."""
    name = f' class="{style}"' if style else ""
    return f'<text{name} x="{n(x)}" y="{n(y)}">{xml(words)}</text>'


def polygon(points: Iterator[tuple[float, float]] | list[tuple[float, float]], style: str) -> str:
    """A closed shape."""
    return f'<polygon class="{style}" points="{" ".join(f"{n(x)},{n(y)}" for x, y in points)}"/>'


def frame(frame: Frame) -> str:
    """The ground of a hook or the dotted frame of a table."""
    return rect(frame.x, frame.y, frame.width, frame.height, f"frame-{frame.style}", 8)


def words(text_: Text) -> Iterator[str]:
    """Text that stands by itself; what speaks of a box is a link to it."""
    lines = "".join(
        text(text_.x, text_.y + STEP * index, line, text_.style) for index, line in enumerate(text_.lines)
    )
    yield f'<a href="#{text_.target}">{lines}</a>' if text_.target else lines


def place(place: Place) -> Iterator[str]:
    """An end of the road (round) or the routing decision (pointed)."""
    style = place.style.split()
    yield f'<g class="place {place.style}">'
    if style[0] == "route":
        x, y, right, bottom = place.x, place.y, place.x + place.width, place.y + place.height
        middle = y + place.height / 2
        yield polygon(
            [
                (x, middle),
                (x + 14, y),
                (right - 14, y),
                (right, middle),
                (right - 14, bottom),
                (x + 14, bottom),
            ],
            "shape",
        )
    else:
        yield rect(place.x, place.y, place.width, place.height, "shape", min(18, place.height / 2))
    y = place.y + (place.height - STEP * len(place.lines)) / 2 + 11.5
    for index, line in enumerate(place.lines):
        yield text(place.x + 16, y + STEP * index, line, "first" if index == 0 else "")
    yield "</g>"


def wire(wire: Wire) -> Iterator[str]:
    """A line and its arrow."""
    points = list(wire.points)
    names = wire.style.split()
    size = 5.5 if names[0] == "road" else 5.0 + max(0.0, (wire.width - 1.5) / 2)
    head = ""
    if wire.arrow:
        head, points[-1] = _head(
            points[-2], points[-1], size, f"head-{names[0]}{' head-walked' if 'walked' in names else ''}"
        )
    path = "M" + "L".join(f"{n(x)},{n(y)}" for x, y in points)
    faded = ' class="faded"' if "faded" in names else ""
    name = " ".join(["wire", *(name for name in names if name != "faded")])
    call = f' data-from="{wire.call.caller}" data-to="{wire.call.callee}"' if wire.call else ""
    yield f'<g{faded}{call}><path class="{name}" stroke-width="{n(wire.width)}" d="{path}"/>{head}</g>'


def _head(
    before: tuple[float, float], end: tuple[float, float], size: float, style: str
) -> tuple[str, tuple[float, float]]:
    """The arrow's head, and where the line must stop for it."""
    (x, y), length = end, size * 1.6
    if before[0] == x:
        sign = 1 if y > before[1] else -1
        base = (x, y - sign * length)
        return polygon([end, (x - size, base[1]), (x + size, base[1])], style), base
    sign = 1 if x > before[0] else -1
    base = (x - sign * length, y)
    return polygon([end, (base[0], y - size), (base[0], y + size)], style), base


def box(x: float, y: float, size: Sized, link: str = "") -> Iterator[str]:
    """A chain's box at a place; its lines lead to ``link`` (a file), each to its own line."""
    it = size.box
    names = [
        "box",
        "fold" if it.members > 1 else "chain",
        *(["plain"] if not it.rules else []),
        it.mark,
        "faded" if it.faded else "",
        "partly" if _partly(size) else "",
    ]
    yield f'<g id="{it.id}" class="{" ".join(name for name in names if name)}">'
    for shift in (6, 3) if it.members > 1 else ():
        yield rect(x + shift, y + shift, size.width, size.height, "body", 3)
    yield f"<g><title>{xml(it.tooltip)}</title>{rect(x, y, size.width, size.height, 'body', 3)}"
    base = y + PAD + TITLE - 3
    yield text(x + PAD, base, size.title[0], "name")
    for index, note in enumerate(size.notes):
        yield text(x + PAD, base + STEP * (index + 1), note, "note")
    if size.beside:
        yield text(x + PAD + text_width(size.title[0], TITLE, bold=True) + 8, base, size.beside, "note")
    yield "</g>"
    for row in size.rows:
        yield from _row(x, y, size, row, link)
    yield "</g>"


def _partly(size: Sized) -> bool:
    """Whether some of the lines are marked as added or removed, so that the others may step back."""
    return any(row.line.mark in ("added", "removed") for row in size.rows)


def _row(x: float, y: float, size: Sized, row: Row, link: str) -> Iterator[str]:
    line = row.line
    base = y + row.y
    target = (
        f"{link.rstrip('#')}#L{line.ref.line}"
        if link and line.ref is not None and line.ref.line is not None
        else ""
    )
    if target:
        yield f'<a href="{xml(target)}">'
    ref = f' data-rule="{line.ref.line}"' if line.ref is not None and line.ref.line is not None else ""
    yield f'<g class="row k-{line.kind}{f" {line.mark}" if line.mark else ""}"{ref}><title>{xml(line.tooltip)}</title>'
    yield rect(x + 3, base - 13, size.width - 6, STEP * len(row.texts) + 3, "ground-of-row", 2)
    if number_of(line):
        yield text(x + PAD, base, number_of(line), "number")
    x += size.numbers
    yield badge(x + PAD, base - 11.5, badge_width(line), line.kind)
    yield text(x + PAD + BADGE_PAD, base, badge_text(line), "word")
    for index, words_ in enumerate(row.texts):
        yield text(x + PAD + row.badge + 7, base + STEP * index, words_, "said")
    yield "</g></a>" if target else "</g>"


def badge(x: float, y: float, width: float, kind: str) -> str:
    """The shape around a verdict's word: round accepts, eight corners drop, slanted changes, plain does neither."""
    right, bottom = x + width, y + _HEIGHT
    if kind == "accept":
        return rect(x, y, width, _HEIGHT, "badge", _HEIGHT / 2)
    if kind in ("drop", "reject"):
        thick = ' style="stroke-width:2.4px"' if kind == "reject" else ""
        points = [
            (x + 5, y),
            (right - 5, y),
            (right, y + 5),
            (right, bottom - 5),
            (right - 5, bottom),
            (x + 5, bottom),
            (x, bottom - 5),
            (x, y + 5),
        ]
        return polygon(points, "badge").replace("/>", f"{thick}/>")
    if kind in ("rewrite", "mark"):
        return polygon([(x + 4, y), (right, y), (right - 4, bottom), (x, bottom)], "badge")
    if kind in ("goto", "unknown"):
        return rect(x, y, width, _HEIGHT, "badge").replace("/>", ' stroke-dasharray="4 2.5"/>')
    return rect(x, y, width, _HEIGHT, "badge") if kind in ("jump", "queue") else ""


def legend(x: float, y: float) -> Iterator[str]:
    """What the shapes mean, in one line; it ends about 700 pixels further right."""
    parts = (
        ("accept", "ACCEPT", "lets it pass"), ("drop", "DROP", "ends it"), ("rewrite", "DNAT", "changes it"),
        ("jump", "→ CHAIN", "asks a chain, which may send it back"),
    )  # fmt: skip
    yield '<g class="legend">'
    for kind, word, means in parts:
        width = text_width(word, 11, bold=True) + 2 * BADGE_PAD
        yield f'<g class="k-{kind}">{badge(x, y, width, kind)}{text(x + BADGE_PAD, y + 11.5, word, "word")}</g>'
        yield text(x + width + 6, y + 11.5, means, "note")
        x += width + 6 + text_width(means, 11) + 20
    yield "</g>"
