"""The commands of a shell line that iptables is called in: quotes, comments and what stands behind the command.

Only what people write around an iptables call is read: no variables, no expansion, no loops.
"""

import re
from collections.abc import Iterator

_PIECE = re.compile(
    r"""(?P<blank>[ \t]+) | '(?P<single>[^']*)' | "(?P<double>(?:[^"\\]|\\.)*)" | \\(?P<escaped>.)
    | (?P<redirect>[0-9]*>[>&]?[ \t]*[^ \t;&|<>]*) | (?P<operator>[;&|]+) | (?P<comment>\#.*) | (?P<plain>[^ \t'"\\;&|>#]+|.)""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r'\\([\\"$`])')


def commands(line: str) -> Iterator[tuple[str, ...]]:
    """The words of each command of a line, as a shell takes them; a comment and redirections are left out.

    >>> list(commands("iptables -F; iptables -A INPUT -m comment --comment 'a b' # why"))
    [('iptables', '-F'), ('iptables', '-A', 'INPUT', '-m', 'comment', '--comment', 'a b')]
    """
    words: list[str] = []
    inside = False  # of a word: what follows without a blank belongs to it
    for found in _PIECE.finditer(line):
        kind, text = found.lastgroup, found[found.lastgroup or 0]
        if kind == "comment" and not inside:
            break
        if kind == "operator":
            if words:
                yield tuple(words)
            words = []
        if kind in ("blank", "operator") or (kind == "redirect" and not inside):
            inside = False
            continue
        if kind == "double":
            text = _ESCAPE.sub(r"\1", text)
        if inside:
            words[-1] += text
        else:
            words.append(text)
        inside = True
    if words:
        yield tuple(words)
