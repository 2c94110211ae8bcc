r"""A line of a dump as words, and a word as iptables-save quotes it.

Both directions follow `add_param_to_argv` (iptables/xshared.c) and `xtables_save_string`
(libxtables/xtables.c) of iptables 1.8.9: a word is quoted when it holds anything outside ``A-Za-z0-9_-``
(only where the option is a string), and ``"``, ``\`` and ``'`` are escaped with a backslash.
"""

import re

import msgspec

_PLAIN = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_SPECIAL = re.compile(r"([\"\\'])")


class Word(msgspec.Struct, frozen=True):
    """A word and where it stands: columns count characters from 1, ``end`` is the first one behind it."""

    text: str
    column: int
    end: int
    quoted: bool = False


def quote(text: str) -> str:
    r"""``text`` as iptables-save writes a string.

    >>> print(quote("plain_1"), quote("two words"), quote('say "x"'))
    plain_1 "two words" "say \"x\""
    """
    if _PLAIN.fullmatch(text):
        return text
    if '"' in text or "\\" in text or "'" in text:
        text = _SPECIAL.sub(r"\\\1", text)
    return f'"{text}"'


class UnclosedQuoteError(ValueError):
    """A quotation mark is opened and not closed on the line; ``column`` is where."""

    def __init__(self, column: int) -> None:
        super().__init__(f"a quotation mark at column {column} is not closed")
        self.column = column


def plain(line: str) -> bool:
    """Whether blanks alone part the line's words, so that ``str.split`` gives them exactly."""
    return '"' not in line and line.isprintable()


def split(line: str) -> tuple[str, ...]:
    """The words of a line, quotes removed. Raises `UnclosedQuoteError`."""
    if plain(line):
        return tuple(line.split())
    if line.count('"') == 2 and "\\" not in line:
        before, inner, after = line.split('"')
        if before[-1:] == " " and after[:1] in ("", " ") and before.isprintable() and after.isprintable():
            return (*before.split(), inner, *after.split())
    return tuple(word.text for word in locate(line))


def locate(line: str) -> list[Word]:
    """The words of a line with their columns. Raises `UnclosedQuoteError`."""
    words: list[Word] = []
    text: list[str] = []
    start = 0  # column of the word's first character; 0: between words
    opened = 0  # column of the quotation mark that is open
    quoted = escaped = False
    for column, character in enumerate(line, 1):
        if opened and escaped:
            text.append(character)
            escaped = False
        elif opened and character == "\\":
            escaped = True
        elif character == '"':
            if opened:  # a closing mark ends the word, an empty one included
                words.append(Word("".join(text), start, column + 1, quoted=True))
                text, start, opened, quoted = [], 0, 0, False
            else:
                opened, quoted, start = column, True, start or column
        elif not opened and character in " \t\n":
            if text:
                words.append(Word("".join(text), start, column, quoted))
            text, start, quoted = [], 0, False
        else:
            start = start or column
            text.append(character)
    if opened:
        raise UnclosedQuoteError(opened)
    if text:
        words.append(Word("".join(text), start, len(line) + 1, quoted))
    return words
