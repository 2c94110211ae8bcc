"""Where in the source a phrase stands: the words of a line are found again when somebody asks."""

import functools
import itertools
from collections.abc import Iterator

from ruleflow.analysis.explanation import Phrase, Span
from ruleflow.analysis.sentences import Piece
from ruleflow.ruleset.extension import Extension, Option
from ruleflow.ruleset.ir import Goto, Jump, Opaque, Rule
from ruleflow.ruleset.words import UnclosedQuoteError, Word, locate

_TARGET = ("-j", "--jump", "-g", "--goto")


class Spans:
    """The lines of a text, and the places of a rule's options in them."""

    def __init__(self, text: str) -> None:
        self._lines = [line.removesuffix("\r") for line in text.split("\n")]

    def line(self, number: int) -> str:
        """A line of the text, counted from 1."""
        return self._lines[number - 1] if 0 < number <= len(self._lines) else ""

    def phrases(self, rule: Rule, pieces: tuple[Piece, ...]) -> tuple[Phrase, ...]:
        """The pieces of a sentence about ``rule``, each with its place where that is found."""
        words = self._words(rule.line)
        return tuple(Phrase(piece.text, self._span(rule, piece, words)) for piece in pieces)

    @functools.lru_cache(maxsize=4)  # noqa: B019 - a few lines, and the object lives as long as one explanation
    def _words(self, number: int | None) -> list[Word]:
        try:
            return locate(self.line(number)) if number is not None else []
        except UnclosedQuoteError:
            return []

    def _span(self, rule: Rule, piece: Piece, words: list[Word]) -> Span | None:
        if rule.line is None or not words:
            return None
        found = list(_places(rule, piece, words))
        if not found:
            return None
        return rule.line, min(first for first, _ in found), max(end for _, end in found)


def _places(rule: Rule, piece: Piece, words: list[Word]) -> Iterator[tuple[int, int]]:
    part = piece.part
    if isinstance(part, Jump | Goto) or part is rule.target:
        yield from _target(piece, words)
    elif isinstance(part, Opaque):
        yield from _named(part, words)
    elif isinstance(part, Extension):
        skip = _earlier(rule, part)
        for row in piece.rows:
            yield from _option(row, words, skip)
        if not piece.rows:
            yield from _module(part.name, words)


def _target(piece: Piece, words: list[Word]) -> Iterator[tuple[int, int]]:
    options = [place for row in piece.rows for place in _option(row, words, 0)]
    if options:
        yield from options
        return
    for index, word in enumerate(words[:-1]):
        if word.text in _TARGET and not word.quoted:
            yield word.column, words[index + 1].end


def _named(part: Opaque, words: list[Word]) -> Iterator[tuple[int, int]]:
    """The words of an opaque part, which stand together."""
    wanted = [word.text for word in locate(part.text)]
    texts = [word.text for word in words]
    for index in range(len(texts) - len(wanted) + 1):
        if texts[index : index + len(wanted)] == wanted and wanted:
            yield words[index].column, words[index + len(wanted) - 1].end
            return


def _module(name: str, words: list[Word]) -> Iterator[tuple[int, int]]:
    for word, value in itertools.pairwise(words):
        if word.text in ("-m", "--match") and value.text == name:
            yield word.column, value.end
            return


def _earlier(rule: Rule, part: Extension) -> int:
    """How many matches of the same kind stand before this one."""
    same = [match for match in rule.matches if type(match) is type(part)]
    return next((index for index, match in enumerate(same) if match is part), 0)


def _option(row: Option, words: list[Word], skip: int) -> Iterator[tuple[int, int]]:
    """The option, its ``!`` and its value; an option may be abbreviated as getopt allows."""
    for index, word in enumerate(words):
        if not _spells(row, word):
            continue
        if skip:
            skip -= 1
            continue
        start = index - 1 if index and words[index - 1].text == "!" else index
        last = min(index + _width(row, words, index), len(words) - 1)
        yield words[start].column, words[last].end
        return


def _spells(row: Option, word: Word) -> bool:
    if word.quoted:
        return False
    text = word.text.partition("=")[0]
    return text in row.flags or (
        len(text) > 4 and any(flag.startswith(text) for flag in row.flags if flag[:2] == "--")
    )


def _width(row: Option, words: list[Word], index: int) -> int:
    if "=" in words[index].text:
        return 0
    negated = index + 1 < len(words) and words[index + 1].text == "!"  # the old spelling: -s ! 10.0.0.0/8
    return row.type.words + negated
