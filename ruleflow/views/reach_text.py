"""Who may reach what, for people."""

from collections.abc import Iterable, Iterator, Sequence

from ruleflow.analysis.matrix import Matrix
from ruleflow.analysis.reach import Answer, Entry, Fate
from ruleflow.errors import visible
from ruleflow.netfilter.intervals import Interval
from ruleflow.ruleset.addresses import address_text
from ruleflow.ruleset.ir import RuleRef

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
