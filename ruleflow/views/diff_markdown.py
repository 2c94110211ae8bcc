"""The differences of two rule sets as a table for pull requests, and as GitHub's workflow annotations."""

from collections.abc import Iterator

from ruleflow.analysis.changes import Changes, Told
from ruleflow.errors import visible
from ruleflow.views.diff_text import WAYS, WORDS, declared_words, fate_words


def markdown(changes: Changes) -> Iterator[str]:
    """A heading, a table of what changes, and the edits."""
    yield f"### {cell(changes.before)} → {cell(changes.after)}"
    yield ""
    declared = list(_declared(changes))
    yield from (f"- {cell(f'{sign} {words}')}" for sign, words in declared)
    if declared:
        yield ""
    if changes.same:
        yield "No packet fares differently."
    else:
        yield "| change | packets | was | now | try |"
        yield "| --- | --- | --- | --- | --- |"
        for family in changes.families:
            for one in family.told:
                yield _row(one)
    for family in changes.families:
        for published in family.published:
            yield ""
            yield cell(published.sentence)
    if changes.edits:
        yield ""
        yield "<details><summary>Edits of the rules</summary>"
        yield ""
        yield "```diff"
        for edit in changes.edits:
            yield from (f"- {_plain(text)}" for text in edit.before)
            yield from (f"+ {_plain(text)}" for text in edit.after)
        yield "```"
        yield ""
        yield "</details>"


def _declared(changes: Changes) -> Iterator[tuple[str, str]]:
    """Sign and words of what is declared otherwise."""
    if changes.declared is not None:
        many = len(changes.families) > 1
        yield from ((one.sign, declared_words(one, many=many)) for one in changes.declared.changes)


def _row(one: Told) -> str:
    what = WORDS.get(one.kind, one.kind)
    words = "<br>".join(cell(text) for text in one.words)
    tried = f"<code>{cell(one.walk)}</code>" if one.walk else ""
    return f"| {what} | {WAYS[one.way]}: {words} | {_fate(one, 0)} | {_fate(one, 1)} | {tried} |"


def _fate(one: Told, side: int) -> str:
    fates = (one.before, one.after)[side]
    by = fates[0].by
    place = (
        f"<br>{cell(f'{by.table} {by.chain}')} {by.index or 'policy'}{f' (line {by.line})' if by.line else ''}"
        if by
        else ""
    )
    return f"{cell(fate_words(fates[0]))}{place}"


_SPECIAL = {"\\": "\\\\", "|": "\\|", "&": "&amp;", "<": "&lt;", ">": "&gt;", "[": "\\[", "]": "\\]", "*": "\\*", "_": "\\_", "`": "\\`", "@": "&#64;", "#": "\\#", "!": "\\!", "~": "\\~"}  # fmt: skip


def cell(text: str) -> str:
    """Somebody's text inside Markdown: nothing in it is markup, a link, a mention or the end of a cell."""
    return "".join(_SPECIAL.get(character, character) for character in visible(text))


def _plain(text: str) -> str:
    """Somebody's text inside a fenced block, which only its fence can end."""
    return visible(text).replace("```", "`\u200b``")


def github(changes: Changes) -> Iterator[str]:
    """Workflow commands, one for each change: a warning for what opens, a notice for the rest, and for what is declared."""
    for sign, words in _declared(changes):
        yield f"::notice file={_property(changes.after)},title=ruleflow: declared::{_message(f'{sign} {words}')}"
    for family in changes.families:
        for one in family.told:
            level = "warning" if one.kind in ("opens", "closes") else "notice"
            by = one.after[0].by or one.before[0].by
            line = f",line={by.line}" if by is not None and by.line and one.after[0].by is not None else ""
            words = f"{WORDS.get(one.kind, one.kind)} {WAYS[one.way]}: {'; '.join(one.words)}"
            title = _property(f"ruleflow: {WORDS.get(one.kind, one.kind)}")
            yield f"::{level} file={_property(changes.after)}{line},title={title}::{_message(words)}"


def _message(text: str) -> str:
    return visible(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
