"""What to do about a word that cannot stand where it stands: the help line of errors of reading."""

import difflib
from collections.abc import Iterable, Sequence

from ruleflow.ruleset.protocols import NUMBERS
from ruleflow.ruleset.registry import Registry
from ruleflow.ruleset.values import Text

_DASHES = ("\N{EN DASH}", "\N{EM DASH}", "\N{MINUS SIGN}", "\N{NON-BREAKING HYPHEN}", "\N{HYPHEN}")
_VERDICTS = ("ACCEPT", "DROP", "REJECT", "RETURN", "LOG", "MASQUERADE")
_PROTOCOL = ("-p", "--protocol")
_TEMPLATE = ("$", "{{", "{%", "<%", "%{", "@@")


def close(word: str, known: Iterable[str]) -> str | None:
    """The words "did you mean …?" for the known word that is most like ``word``; None where none is near."""
    found = difflib.get_close_matches(word, list(known), 1, 0.75)
    return f"did you mean {found[0]}?" if found else None


def template(word: str) -> str | None:
    """The help for a variable of a script or a template that was not filled in; None where it is none."""
    if any(mark in word for mark in _TEMPLATE):
        return f"{word} looks like a variable of a script or template: write what it stands for"
    return None


def unexpected(word: str, before: Sequence[str], registry: Registry) -> str:
    """The help for a word where an option should begin; ``before`` are the line's words up to it."""
    if word.startswith(_DASHES):
        return f"this begins with a typographic dash: write {'--' if len(word) > 2 else '-'}{word.lstrip(''.join(_DASHES))}"
    if word.startswith("#"):
        return 'a comment is a line of its own; for one on the rule write -m comment --comment "…"'
    if word == "\\":
        return "a rule cannot go on over the end of the line: write it on one line"
    filled = template(word) or (template(before[-1]) if before else None)
    if filled is not None:
        return filled
    if word in _VERDICTS or word.upper() in _VERDICTS:
        return f"write -j {word.upper()}"
    text = next((flag for flag in reversed(before) if flag.startswith("-")), "")
    if text and _takes_text(text, registry):
        return f'put a text of several words in quotes: {text} "…"'
    if (
        before
        and (cls := registry.matches.get(before[-1])) is not None
        and len(before) > 1
        and before[-2] in ("-m", "--match")
    ):
        first = next(iter(cls.options()), None)
        return f"write {first} {word}" if first else f"-m {before[-1]} takes no values"
    return "an option begins with a dash"


def _takes_text(flag: str, registry: Registry) -> bool:
    """Whether an option's value is a text of any words."""
    rows = (cls.options().get(flag) for cls in (*registry.matches.values(), *registry.targets.values()))
    return any(row is not None and isinstance(row.type, Text) for row in rows)


def suggestion(word: str, protocol: str | None, words: Sequence[str], registry: Registry) -> str | None:
    """The help for an option that nothing on the line knows; ``protocol`` is what ``-p`` says, ``words`` the line."""
    owners = [cls for cls in registry.matches.values() if word in cls.options()]
    targets = [cls.name for cls in registry.targets.values() if word in cls.options()]
    protocols = [name for cls in owners for name in cls.protocol]
    given = next((words[i + 1] for i in range(len(words) - 1) if words[i] in _PROTOCOL), None)
    if (
        protocols
        and given is not None
        and protocol is None
        and given.lower() not in NUMBERS
        and not given.isdigit()
    ):
        return close(given, NUMBERS) or f"I do not know the protocol {given}"
    if protocols:
        wanted = " or ".join(f"-p {name}" for name in dict.fromkeys(protocols[:2]))
        return f"it needs {wanted}, not {protocol}" if protocol is not None else f"write {wanted} before it"
    if owners:
        return f"write -m {owners[0].name} before it"
    if targets:
        return f"write -j {targets[0]} before it"
    return close(word, registry.flags)
