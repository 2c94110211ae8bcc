"""How large a box of a picture is, and where its lines stand in it."""

import msgspec

from ruleflow.analysis.outline import Box, Line
from ruleflow.views.paper import shorten, text_width, wrap

TITLE, TEXT, SMALL = 13.0, 11.5, 11.0
"""Font sizes in pixels."""
STEP = 15.0
"""From one line of text to the next."""
PAD = 9.0
BADGE_PAD = 8.0
_LEAST, _TEXT_ROOM = 170.0, 250.0
_WORDS = {"jump": "→ ", "goto": "⇢ ", "return": "↩ "}


class Row(msgspec.Struct, frozen=True):
    """A line as it stands in its box: ``y`` from the box's top to the first text's base, ``badge`` its width."""

    line: Line
    y: float
    badge: float
    texts: tuple[str, ...]


class Sized(msgspec.Struct, frozen=True):
    """A box with its size; ``title`` and ``notes`` are wrapped, ``rows`` placed."""

    box: Box
    width: float
    height: float
    title: tuple[str, ...]
    notes: tuple[str, ...]
    rows: tuple[Row, ...]
    beside: str = ""
    """A note that stands beside the title."""
    numbers: float = 0.0
    """The width that the rules' numbers take."""


def sized(box: Box, room: float = _TEXT_ROOM) -> Sized:
    """The box with room for all its text; ``room`` is where the text of a line breaks."""
    title = (box.title,)
    notes = wrap(box.note, room + 60, SMALL) if box.note else ()
    badges = [badge_width(line) for line in box.lines]
    texts = [wrap(said(line), room, TEXT, bold=line.mark == "walked") for line in box.lines]
    column = max(badges, default=0.0) if max(badges, default=0.0) < 110 else 0.0
    numbers = max(
        (text_width(number_of(line), SMALL) + 7 for line in box.lines if number_of(line)), default=0.0
    )
    rows: list[Row] = []
    name = text_width(box.title, TITLE, bold=True)
    widest = max(name, *(text_width(note, SMALL) for note in notes), 0.0)
    if not box.lines and not box.rules:  # nothing stands in it: one line is enough
        width = name + 8 + text_width(box.note, SMALL)
        return Sized(box, width + 2 * PAD, TITLE + 2 * PAD - 4, title, (), (), beside=box.note)
    y = PAD + TITLE + 2 + STEP * len(notes) + (6 if box.lines else 0)
    for line, badge, lines in zip(box.lines, badges, texts, strict=True):
        y += STEP + 2
        rows.append(Row(line, y, column or badge, lines))
        widest = max(
            widest,
            numbers
            + (column or badge)
            + 7
            + max(text_width(text, TEXT, bold=line.mark == "walked") for text in lines),
        )
        y += STEP * (len(lines) - 1) + 2
    return Sized(box, max(_LEAST, widest + 2 * PAD), y + PAD - 2, title, notes, tuple(rows), numbers=numbers)


def number_of(line: Line) -> str:
    """The number of the rule in its chain, as iptables counts."""
    return str(line.ref.index) if line.ref is not None else ""


def badge_text(line: Line) -> str:
    """The word of a line with the sign of its kind."""
    return _WORDS.get(line.kind, "") + line.word


def badge_width(line: Line) -> float:
    """The width of the shape around a line's word."""
    return text_width(badge_text(line), SMALL, bold=True) + 2 * BADGE_PAD


_SIGNS = {"added": "+ added: ", "removed": "− removed: "}


def said(line: Line) -> str:
    """The text of a line, with what changed in front and its counter behind."""
    text = _SIGNS.get(line.mark, "") + shorten(line.text)
    return f"{text} ({line.packets:,} packets)" if line.packets else text
