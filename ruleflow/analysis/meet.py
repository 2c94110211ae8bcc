"""Two rules' matches as one: what a packet must be to meet both, or None where none can."""

from ruleflow.ruleset.addresses import Prefix
from ruleflow.ruleset.extension import Match
from ruleflow.ruleset.ir import Opaque
from ruleflow.ruleset.matches.header import Header
from ruleflow.ruleset.values import Not

Matches = tuple[Match | Opaque, ...]


class _Apart(Exception):  # noqa: N818 - an answer, no error
    """No packet meets both."""


def meet(first: Matches, second: Matches) -> Matches | None:
    """The matches of both, said once: equal ones together, and the narrower of two where one is in the other."""
    if not first:
        return second
    headers = [match for match in (*first, *second) if isinstance(match, Header)]
    others = list(dict.fromkeys(match for match in (*first, *second) if not isinstance(match, Header)))
    try:
        joined = _headers(headers)
    except _Apart:
        return None
    return (*joined, *others)


def _headers(headers: list[Header]) -> list[Header]:
    if len(headers) < 2:
        return headers
    one, *rest = headers
    kept: list[Header] = []
    for other in rest:
        values: dict[str, object] = {}
        left: dict[str, object] = {}
        for row in Header.rows():
            mine, theirs = getattr(one, row.attr), getattr(other, row.attr)
            value, beside = _both(mine, theirs)
            values[row.attr] = value
            if beside is not None:
                left[row.attr] = beside
        one = Header(**values)  # type: ignore[arg-type]
        if left:
            kept.append(Header(**left))  # type: ignore[arg-type]
    return [one, *kept]


def _both(one: object, other: object) -> tuple[object, object]:
    """The narrower of two values of an option, and what must be said beside it. Raises `_Apart`."""
    if one is None or other is None or one == other:
        return (other if one is None else one), None
    if isinstance(one, Not) and isinstance(other, Not):
        return one, other
    if isinstance(one, Not):
        return _both(other, one)
    if isinstance(other, Not):
        return _excluding(one, other.value)
    if _within(one, other):
        return one, None
    if _within(other, one):
        return other, None
    if _overlap(one, other):
        return one, other
    raise _Apart


def _overlap(one: object, other: object) -> bool:
    """Whether two networks share addresses though neither is in the other (masks with holes)."""
    if not isinstance(one, Prefix) or not isinstance(other, Prefix):
        return False
    common = one.mask & other.mask
    return one.address & common == other.address & common


def _excluding(one: object, excluded: object) -> tuple[object, object]:
    if _within(one, excluded):
        raise _Apart
    return one, (Not(excluded) if _within(excluded, one) else None)


def _within(inner: object, outer: object) -> bool:
    """Whether every packet of ``inner`` is one of ``outer``."""
    if inner == outer:
        return True
    if isinstance(inner, Prefix) and isinstance(outer, Prefix):
        return (
            inner.family == outer.family
            and inner.mask & outer.mask == outer.mask
            and (inner.address & outer.mask == outer.address)
        )
    if isinstance(inner, str) and isinstance(outer, str) and outer.endswith("+"):
        return inner.removesuffix("+").startswith(outer[:-1])
    return False
