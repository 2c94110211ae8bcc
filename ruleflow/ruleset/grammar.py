"""How words may stand together on a line: grammar/save.lark, asked about tokens whose kinds are known.

Imported only where a line of a new kind sequence turns up: lark takes 30 ms to load.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

from lark import Lark, UnexpectedToken
from lark import Token as LarkToken
from lark.lexer import Lexer as LarkLexer

from ruleflow.data import cache_file, grammar
from ruleflow.ruleset.lexer import Misplaced, Token


class Ready(LarkLexer):
    """Hands on the tokens it is given."""

    def __init__(self, conf: object) -> None: ...

    def lex(self, lexer_state: Any, parser_state: Any = None) -> Iterator[LarkToken]:  # noqa: ARG002
        """The tokens themselves, which stand where a text would."""
        yield from lexer_state


@functools.cache
def _parser() -> Lark:
    return Lark(grammar("save.lark"), parser="lalr", lexer=Ready, cache=cache_file("save.lark") or False)


def check(tokens: Sequence[Token]) -> None:
    """Parse the kinds of a line's tokens. Raises `Misplaced` at the first that cannot stand where it does."""
    made = [LarkToken(token.kind, token.text, start_pos=token.index) for token in tokens]
    try:
        _parser().parse(made)
    except UnexpectedToken as error:
        if error.token.type == "$END":
            raise Misplaced("the line ends too early", max(0, len(tokens) - 1)) from None
        raise Misplaced(f"I do not expect {str(error.token)!r} here", error.token.start_pos or 0) from None
