"""Who may reach what, for people and as JSON ("ruleflow.reach/1")."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ruleflow import __version__
from ruleflow.analysis.cover import fields_of
from ruleflow.analysis.matrix import Matrix
from ruleflow.analysis.reach import Answer, Entry, Fate
from ruleflow.errors import visible
from ruleflow.netfilter.intervals import Interval
from ruleflow.ruleset.addresses import address_text
from ruleflow.ruleset.ir import RuleRef

SCHEMA = "ruleflow.reach/1"
_HEADS = {"in": "Into this host", "through": "Through this host", "out": "Out of this host"}
_WORDS = {"ACCEPT": "pass", "DROP": "dropped", "QUEUE": "to a program"}
_REFS = 4


def answer_lines(answer: Answer, *, witness: bool = True) -> Iterator[str]:
    """What becomes of the packets of one question."""
    state = "" if answer.question.state == "any" else f"{answer.question.state} connections"
    yield f"{_HEADS[answer.question.way]}   {state}".rstrip()
    for fate in answer.fates:
        yield from _fate(fate, witness)
    if not answer.fates:
        yield "  no packet is like that"


def _fate(fate: Fate, witness: bool) -> Iterator[str]:
    moved = f", rewritten {fate.rewritten}" if fate.rewritten else ""
    yield f"  {_WORDS.get(fate.then.split()[0], 'refused')}{moved}"
    for words in fate.words:
        yield f"    {visible(words)}"
    if fate.left:
        yield f"    + {fate.left} more"
    yield f"      by    {_refs(fate.by)}"
    if fate.rewritten_by:
        yield f"      after {_refs(fate.rewritten_by)}"
    if witness:
        yield f"      e.g.  {visible(fate.packet)}"


def _refs(refs: Sequence[RuleRef]) -> str:
    if not refs:
        return "no rule: nothing decides against it"
    said = [str(ref) if ref.index else f"policy of {ref.table} {ref.chain}" for ref in refs[:_REFS]]
    more = f" and {len(refs) - _REFS} more" if len(refs) > _REFS else ""
    return visible(", ".join(said)) + more


def matrix_lines(matrix: Matrix) -> Iterator[str]:
    """One service matrix: classes of addresses, then who may reach whom."""
    ports = str(matrix.port) if matrix.last in (-1, matrix.port) else f"{matrix.port} to {matrix.last}"
    yield f"{matrix.protocol} port {ports}, {matrix.chain}: {len(matrix.classes)} classes of addresses"
    for number, parts in enumerate(matrix.classes):
        yield f"  {_letter(number)}  {_ranges(parts, matrix.family)}"
    for one in range(len(matrix.classes)):
        to = [_letter(two) for two in range(len(matrix.classes)) if (one, two) in matrix.edges]
        if to:
            yield f"  {_letter(one)} may reach {'everybody' if len(to) == len(matrix.classes) else ' '.join(to)}"
    if not matrix.edges:
        yield "  nobody may reach anybody"


def _letter(number: int) -> str:
    text = ""
    while number >= 0:
        text = chr(ord("a") + number % 26) + text
        number = number // 26 - 1
    return text


def _ranges(parts: Sequence[Interval], family: int, most: int = 12) -> str:
    said = [_range(pair, family) for pair in parts[:most]]
    return ", ".join(said) + (f" (+ {len(parts) - most} more)" if len(parts) > most else "")


def _range(pair: Interval, family: int) -> str:
    low, high = (address_text(each, family) for each in pair)
    return low if low == high else f"{low} to {high}"


def spoofing_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """By which interfaces a foreign source may come in."""
    for one in entries:
        nets = ", ".join(one.nets) or "no network known"
        if one.is_safe:
            yield f"{visible(one.interface)}: only {nets} may come in"
        else:
            yield f"{visible(one.interface)}: others than {nets} may come in, by {visible(one.by)}"
            yield f"  e.g. {visible(one.packet)}"


# -- JSON ---------------------------------------------------------------------------------------------------------


def as_value(
    source: str,
    family: int,
    *,
    answers: Sequence[Answer] = (),
    matrices: Sequence[Matrix] = (),
    entries: Sequence[Entry] = (),
) -> dict[str, Any]:
    """Everything that was asked as one value."""
    value: dict[str, Any] = {"schema": SCHEMA, "ruleflow": __version__, "source": source, "family": family}
    if answers:
        value["answers"] = [_answer(one) for one in answers]
    if matrices:
        value["matrices"] = [_matrix(one) for one in matrices]
    if entries:
        value["spoofing"] = [
            {
                "interface": e.interface,
                "networks": list(e.nets),
                "safe": e.is_safe,
                "packet": e.packet or None,
                "by": e.by or None,
            }
            for e in entries
        ]
    return value


def _answer(answer: Answer) -> dict[str, Any]:
    import msgspec

    return {
        "question": msgspec.to_builtins(answer.question),
        "fates": [_fate_value(one) for one in answer.fates],
    }


def _fate_value(fate: Fate) -> dict[str, Any]:
    return {
        "then": fate.then,
        "rewritten": fate.rewritten or None,
        "words": list(fate.words),
        "words_left": fate.left,
        "classes": [
            {name: [list(pair) for pair in parts] for name, parts in fields_of(box)} for box in fate.boxes
        ],
        "classes_left": fate.more,
        "by": [_ref(ref) for ref in fate.by],
        "rewritten_by": [_ref(ref) for ref in fate.rewritten_by],
        "witness": fate.packet,
    }


def _ref(ref: RuleRef) -> dict[str, Any]:
    return {"table": ref.table, "chain": ref.chain, "index": ref.index or None, "line": ref.line}


def _matrix(matrix: Matrix) -> dict[str, Any]:
    return {
        "chain": matrix.chain,
        "protocol": matrix.protocol,
        "ports": [matrix.port, max(matrix.port, matrix.last)],
        "classes": [
            [[address_text(low, matrix.family), address_text(high, matrix.family)] for low, high in parts]
            for parts in matrix.classes
        ],
        "relation": [list(pair) for pair in sorted(matrix.edges)],
    }
