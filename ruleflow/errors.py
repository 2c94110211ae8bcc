"""Every error of ruleflow: where it is, what is wrong, and what to do about it."""

from typing import NamedTuple


class Where(NamedTuple):
    """A place in a text somebody gave us: columns count characters from 1, ``width`` is the caret's."""

    source: str = "<text>"
    line: int | None = None
    column: int | None = None
    width: int = 1
    text: str | None = None

    def __str__(self) -> str:
        parts = [self.source, self.line, self.column]
        return ":".join(str(part) for part in parts if part is not None)


class RuleflowError(Exception):
    """The root of all errors: ``message`` says what, ``where`` the place, ``help`` what to do.

    ``code`` is the finding's code (RF0.. for reading), if it has one.
    """

    def __init__(
        self,
        message: str,
        *,
        where: Where | None = None,
        help: str | None = None,  # noqa: A002 - the word the reader sees
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.help = help
        self.code = code

    def __str__(self) -> str:
        """The error as rustc would show it: message, place, the text with a caret, the advice."""
        head = f"error[{self.code}]: {self.message}" if self.code else f"error: {self.message}"
        lines = [head, *_excerpt(self.where)]
        if self.help:
            lines.append(f"   = help: {self.help}")
        return "\n".join(lines)


class ReadError(RuleflowError):
    """A text that cannot be read as rules, as a packet or as a description of a host."""


def visible(text: str) -> str:
    r"""``text`` with control characters spelled out (``\x1b``), safe to show on a terminal.

    Text from a dump is somebody else's data: an escape sequence in a comment must not reach the screen.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, kept by surrogateescape
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _excerpt(where: Where | None) -> list[str]:
    if where is None:
        return []
    lines = [f"  --> {visible(str(where))}"]
    if where.text is None or where.line is None:
        return lines
    start = max(0, (where.column or 1) - 1)
    shown, before = _window(where.text, start)
    number = str(where.line)
    lines.append(f"{number} | {shown}")
    if where.column is not None:
        width = max(1, min(where.width, max(1, len(shown) - before)))
        lines.append(f"{' ' * len(number)} | {' ' * before}{'^' * width}")
    return lines


def _window(text: str, start: int, size: int = 160) -> tuple[str, int]:
    """At most ``size`` characters of ``text`` around ``start``, and where ``start`` stands in them."""
    first = 0 if len(text) <= size or start < size // 2 else start - size // 2
    piece = text[first : first + size]
    head = visible(piece[: start - first])
    shown = head + visible(piece[start - first :])
    dots = "..." if first else ""
    return dots + shown + ("..." if first + size < len(text) else ""), len(dots) + len(head)
