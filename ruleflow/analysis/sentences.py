"""A rule as a sentence: who it is about, then what happens, put together from the phrases of its matches and target.

Every extension says its own options (`Extension.phrases`); here they are only put in the order in which a
person would say them, and a few pairs are said as one thing (``arriving on docker0 and leaving by it again``).
"""

import functools
from collections.abc import Iterator

import msgspec

from ruleflow.ruleset.addresses import Prefix, full_mask
from ruleflow.ruleset.extension import Match, Option
from ruleflow.ruleset.ir import Goto, Jump, Opaque, Rule
from ruleflow.ruleset.matches.header import Header
from ruleflow.ruleset.values import Not

Part = object
"""A match or a target: what a piece of a sentence comes from."""


class Piece(msgspec.Struct, frozen=True):
    """A phrase and where it comes from: a match or target, and which of its option rows."""

    text: str
    part: object
    rows: tuple[Option, ...] = ()
    slot: int = 99


_ORDER: tuple[tuple[str, ...], ...] = (
    ("protocol",),
    ("tcp_flags", "icmp.kind", "icmp6.kind", "sctp.chunk_types", "dccp_type"),
    ("(a state that is said as an attribute)",),
    ("source", "addrtype.source_type", "mac"),
    ("source_port",),
    ("destination", "addrtype.destination_type"),
    ("destination_port", "multiport.ports"),
    ("in_interface", "in_group"),
    ("out_interface", "out_group"),
    ("conntrack.state", "state"),
)  # fmt: skip
"""Fields and option rows in the order in which a person says them; all others come behind, as they stand."""
_SLOTS = {name: slot for slot, names in enumerate(_ORDER) for name in names}
_ATTRIBUTE, _TO, _TO_PORT, _IN, _OUT, _STATE = 2, 5, 6, 7, 8, 9
_LATER = 10


def who(rule: Rule) -> tuple[str, tuple[Piece, ...]]:
    """The packets a rule is about, in words, and the pieces of the sentence in its order."""
    pieces = [piece for match in rule.matches for piece in _pieces(match)]
    header = next((match for match in rule.matches if isinstance(match, Header)), None)
    if header is not None:
        pieces = _paired(header, pieces)
    if any(piece.slot == _TO and not piece.text.startswith("not") for piece in pieces):
        pieces = [_after_address(piece) for piece in pieces]
    pieces.sort(key=lambda piece: piece.slot)
    return _sentence(pieces), tuple(pieces)


@functools.lru_cache(maxsize=8192)
def _pieces(match: Match | Opaque) -> tuple[Piece, ...]:
    if isinstance(match, Opaque):
        return (Piece(f"and only when {match.text} says so", match, (), _LATER),)
    if match.name == "comment":
        return ()
    only = (
        "but only " if match.name == "statistic" else ""
    )  # "everything, but only 25% of the packets, at random"
    return tuple(
        Piece(
            text if text.startswith("all ") else only + text,
            match,
            (row,) if row is not None else (),
            _slot(match, row, text),
        )
        for row, text in match.phrases()
        if text
    )


def _slot(match: Match, row: Option | None, text: str) -> int:
    if row is None:
        return _LATER
    slot = _SLOTS.get(f"{match.name}.{row.attr}")
    if slot is None:
        slot = _SLOTS.get(row.field.name, _LATER) if row.field is not None else _LATER
    if slot == _STATE and text.startswith(("of ", "that ", "related ", "whose ")):
        return _ATTRIBUTE  # "any packet of a known connection", but "tcp to port 22, in a new connection"
    return slot


def _sentence(pieces: list[Piece]) -> str:
    if not pieces:
        return "everything"
    first, *rest = pieces
    attribute = any(piece.slot == _ATTRIBUTE for piece in pieces)
    if attribute:
        text = (
            f"any {first.text} packet"
            if first.slot == 0 and not first.text.startswith("any")
            else "any packet"
        )
        rest = rest if first.slot == 0 and text != "any packet" else pieces
    else:
        text = first.text if first.slot == 0 else "everything"
        rest = rest if first.slot == 0 else pieces
    before = -1
    for piece in rest:
        if piece.slot == before == _TO:
            text += f" ({piece.text.removeprefix('to ')})"
        else:
            text += _lead(before, piece) + piece.text
        before = piece.slot
    return text


def _lead(before: int, piece: Piece) -> str:
    if piece.text.startswith(("but ", "not ")):
        return ", " if before >= 0 or piece.text.startswith("but ") else " "
    if piece.slot == _STATE:
        return " " if before < 0 else ", "
    if piece.slot == before == _TO_PORT:
        return ", of these "
    if piece.slot >= _LATER or (piece.slot == _TO_PORT and piece.text.startswith("port")):
        return ", "
    if before == _ATTRIBUTE or (piece.slot in (_IN, _OUT) and before in (_TO_PORT, _IN)):
        return ", "
    return " "


def _paired(header: Header, pieces: list[Piece]) -> list[Piece]:
    """The pairs of options that are said as one."""
    pieces = _join(pieces, (_IN, _OUT), _interfaces(header))
    if header.source == header.destination and _is_host(header.source):
        pieces = [
            msgspec.structs.replace(piece, text="to itself") if piece.slot == _TO else piece
            for piece in pieces
        ]
    return pieces


def _is_host(value: object) -> bool:
    return isinstance(value, Prefix) and value.mask == full_mask(value.family)


def _after_address(piece: Piece) -> Piece:
    """``to port 80`` behind ``to 172.17.0.2`` is ``port 80``."""
    if piece.slot == _TO_PORT and piece.text.startswith("to port"):
        return msgspec.structs.replace(piece, text=piece.text[3:])
    return piece


def _interfaces(header: Header) -> str | None:
    """In and out interface as one phrase, where they are the same interface."""
    match header.in_interface, header.out_interface:
        case str(a), str(b) if a == b:
            return f"arriving on {_interface(a)} and leaving by it again"
        case str(a), Not(value=b) if a == b:
            return f"arriving on {_interface(a)} and leaving by another interface"
        case Not(value=a), str(b) if a == b:
            return f"leaving by {_interface(b)} and arriving on another interface"
        case str(a), str(b):
            return f"arriving on {_interface(a)} and leaving by {_interface(b)}"
    return None


def _interface(name: str) -> str:
    return f"an interface named {name[:-1]}…" if name.endswith("+") else name


def _join(pieces: list[Piece], slots: tuple[int, int], text: str | None) -> list[Piece]:
    if text is None:
        return pieces
    first = next(piece for piece in pieces if piece.slot == slots[0])
    rows = tuple(row for piece in pieces if piece.slot in slots for row in piece.rows)
    joined = Piece(text, first.part, rows, slots[0])
    return [piece for piece in pieces if piece.slot not in slots] + [joined]


# -- what happens -----------------------------------------------------------------------------------------

_ADDED = ("with ", "as ", "and ", "at ", "in ", "to ", "from ", "for ")
"""How a phrase begins that goes on with the one before, without a comma."""
_LET = {"INPUT": "in", "FORWARD": "through", "OUTPUT": "out"}


def does(
    rule: Rule, table: str, hooks: frozenset[str], policy: str | None = None
) -> tuple[str, tuple[Piece, ...]]:
    """What happens to those packets, in words: ``hooks`` are those from which the rule's chain is reached."""
    pieces = tuple(_does(rule, table, hooks, policy))
    text = ""
    for piece in pieces:
        text += _behind(text, piece.text) + piece.text
    return text, pieces


def _behind(text: str, phrase: str) -> str:
    """What parts a phrase from the text before it."""
    if not text:
        return ""
    again = phrase.startswith("with ") and " with " in text
    return " " if (phrase.startswith(_ADDED) and not again) or text.endswith(" of") else ", "


def _does(rule: Rule, table: str, hooks: frozenset[str], policy: str | None) -> Iterator[Piece]:
    target = rule.target
    match target:
        case None:
            yield Piece("only count", None)
        case Jump():
            yield Piece(f"see {target.chain}", target)
        case Goto():
            yield Piece(f"go to {target.chain} (no way back)", target)
        case Opaque():
            yield Piece(f"do what {target.text} says (ruleflow does not know it)", target)
        case _ if target.name == "ACCEPT":
            yield Piece(accepts(table, hooks), target)
        case _ if target.name == "DROP":
            yield Piece("drop", target)
        case _ if target.name == "RETURN":
            yield Piece("back to the caller" if policy is None else "leave it to the policy", target)
        case _:
            phrases = target.phrases()
            for row, text in phrases:
                yield Piece(text, target, (row,) if row is not None else ())
            if not phrases:
                yield Piece(target.name.lower(), target)


def accepts(table: str, hooks: frozenset[str]) -> str:
    """What ACCEPT means in a table: only filter and security let something pass for good.

    >>> accepts("filter", frozenset({"INPUT"}))
    'let in'
    """
    if table == "nat":
        return "leave untranslated"
    if table not in ("filter", "security"):
        return f"skip the rest of {table}"
    ways = [word for hook, word in _LET.items() if hook in hooks]
    return f"let {' or '.join(ways)}" if ways else "accept"


def comments(rule: Rule) -> tuple[str, ...]:
    """What the rule's comments say, word for word: somebody else's text."""
    return tuple(
        str(value) for match in rule.matches if isinstance(match, Match) and match.name == "comment"
        for _, value in match.given()
    )  # fmt: skip
