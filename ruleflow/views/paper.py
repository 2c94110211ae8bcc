"""What text takes on a picture: its width, where it breaks, and how it is written safely into XML.

The viewer's font is not known, so every width is that of DejaVu Sans, the widest of the common sans-serif
fonts (Verdana has the same widths; Arial, Helvetica, Roboto and Segoe are narrower): text never overflows.
"""

import unicodedata
from collections.abc import Iterator

from ruleflow.errors import visible

FONT = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif"

_PLAIN = (
    32, 40, 46, 84, 64, 95, 78, 27, 39, 39, 50, 84, 32, 36, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 34, 34,
    84, 84, 84, 53, 100, 68, 69, 70, 77, 63, 58, 77, 75, 29, 29, 66, 56, 86, 75, 79, 60, 79, 69, 63, 61, 73, 68, 99,
    69, 61, 69, 39, 34, 39, 84, 50, 50, 61, 63, 55, 63, 62, 35, 63, 63, 28, 28, 58, 28, 97, 63, 61, 63, 63, 41, 52,
    39, 63, 59, 82, 59, 59, 52, 64, 34, 64, 84,
)  # fmt: skip
"""Hundredths of the font size, for the characters from blank to tilde (hmtx table of DejaVuSans.ttf)."""
_BOLD = (
    35, 46, 52, 84, 70, 100, 87, 31, 46, 46, 52, 84, 38, 42, 38, 37, 70, 70, 70, 70, 70, 70, 70, 70, 70, 70, 40, 40,
    84, 84, 84, 58, 100, 77, 76, 73, 83, 68, 68, 82, 84, 37, 37, 77, 64, 100, 84, 85, 73, 85, 77, 72, 68, 81, 77,
    110, 77, 72, 73, 46, 37, 46, 84, 50, 50, 67, 72, 59, 72, 68, 44, 72, 71, 34, 34, 67, 34, 104, 71, 69, 72, 72, 49,
    60, 48, 71, 65, 92, 65, 65, 58, 71, 37, 71, 84,
)  # fmt: skip
"""The same of DejaVuSans-Bold.ttf."""
_WIDE, _OTHER = 125, 85
"""Emoji and East Asian characters, and all that is not ASCII: generous, for their fonts differ."""


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """The width of ``text`` as it is shown, in the unit of ``size``."""
    table = _BOLD if bold else _PLAIN
    return sum(_advance(character, table) for character in visible(text)) * size / 100


def _advance(character: str, table: tuple[int, ...]) -> int:
    code = ord(character)
    if 32 <= code < 127:
        return table[code - 32]
    return _WIDE if code >= 0x1F000 or unicodedata.east_asian_width(character) in "WF" else _OTHER


def wrap(text: str, room: float, size: float, *, bold: bool = False) -> tuple[str, ...]:
    """``text`` in lines no wider than ``room``; words are broken only where one alone is wider."""
    lines: list[str] = []
    line = ""
    for word in _words(visible(text), room, size, bold=bold):
        longer = f"{line} {word}" if line else word
        if line and text_width(longer, size, bold=bold) > room:
            lines.append(line)
            longer = word
        line = longer
    return (*lines, line) if line or not lines else tuple(lines)


def _words(text: str, room: float, size: float, *, bold: bool) -> Iterator[str]:
    for word in text.split(" "):
        rest = word
        while text_width(rest, size, bold=bold) > room and len(rest) > 1:
            fits = next(
                (n for n in range(len(rest) - 1, 0, -1) if text_width(rest[:n], size, bold=bold) <= room), 1
            )
            yield rest[:fits]
            rest = rest[fits:]
        yield rest


def shorten(text: str, most: int = 200) -> str:
    """At most ``most`` characters, dots at the end where there were more."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}


def xml(text: str) -> str:
    """``text``, somebody else's, for XML or HTML: as content and as an attribute's value.

    Control characters, characters that turn the direction of text, and what is no Unicode are spelled out.

    >>> xml('a<b>&c')
    'a&lt;b&gt;&amp;c'
    """
    return "".join(_ENTITIES.get(character, character) for character in visible(text))


def number(value: float) -> str:
    """A coordinate: one digit behind the point, none where it is zero."""
    text = f"{value:.1f}"
    return text.removesuffix(".0")
