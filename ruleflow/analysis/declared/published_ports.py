"""Published ports of two readings compared: what is published now, what no longer, what leads elsewhere."""

from collections.abc import Callable, Iterator, Sequence

from ruleflow.analysis.changes import DeclaredChange
from ruleflow.analysis.declared.reading import Reading, Run, merged
from ruleflow.analysis.declared.words import (
    host_words,
    port_map_words,
    port_sentence,
    ports_words,
    target_words,
)

Moved = list[tuple[Run, Run]]


def port_changes(before: Reading, after: Reading) -> Iterator[DeclaredChange]:
    """All differences: moved ports first."""
    one, two = _singly(before.ports - after.ports), _singly(after.ports - before.ports)
    gone, new = _unexplained(one - two, after), _unexplained(two - one, before)
    for was, now in _rows(_taken(gone, new, _from)):
        where = "" if now.host is None else f" on {host_words(now)}"
        told = f"target was {target_words(was)}, now {target_words(now)}"
        yield _moved(was, now, "target", f"{ports_words(now)}{where}: {told}")
    for was, now in _rows(_taken(gone, new, _to)):
        told = f"host address was {host_words(was)}, now {host_words(now)}"
        yield _moved(was, now, "host_ip", f"{ports_words(now)} to {target_words(now)}: {told}")
    for sign, runs in (("-", gone), ("+", new)):
        for run in sorted(merged(runs), key=_order):
            said = port_map_words(run)
            before_after = ("", said) if sign == "+" else (said, "")
            yield DeclaredChange(sign, "port map", port_sentence(run, sign), said, "", *before_after)


def _moved(was: Run, now: Run, what: str, text: str) -> DeclaredChange:
    return DeclaredChange(
        "~", "port map", text, port_map_words(now), what, port_map_words(was), port_map_words(now)
    )


def _singly(runs: frozenset[Run]) -> set[Run]:
    return {run.port(step) for run in runs for step in range(run.count)}


def _unexplained(runs: set[Run], other_side: Reading) -> set[Run]:
    """Those that the other side has not: not at the container's own address either, if one side does not show what is published."""
    if "opened" in other_side.silent:
        runs = {run for run in runs if run.low is not None}
    by_address: dict[tuple[int, int], list[Run]] = {}
    for run in other_side.ports:
        by_address.setdefault((run.protocol, run.address), []).append(run)
    return {run for run in runs if not _explained(run, by_address.get((run.protocol, run.address), ()))}


def _explained(one: Run, others: Sequence[Run]) -> bool:
    return any(
        other.target <= one.target < other.target + other.count and (one.low is None or other.perhaps)
        for other in others
    )


def _taken(gone: set[Run], new: set[Run], key: Callable[[Run], object]) -> Moved:
    """The ports of both sides that have the same key, in pairs; they are taken out of both."""
    was, now = _by_key(gone, key), _by_key(new, key)
    pairs = [(was[each], now[each]) for each in was.keys() & now.keys()]
    gone.difference_update(one for one, _ in pairs)
    new.difference_update(two for _, two in pairs)
    return pairs


def _by_key(runs: set[Run], key: Callable[[Run], object]) -> dict[object, Run]:
    return {key(run): run for run in sorted(runs, key=_order) if run.low is not None}


def _from(run: Run) -> object:
    return run.protocol, run.host, run.low


def _to(run: Run) -> object:
    return run.protocol, run.address, run.target, run.low


def _rows(pairs: Moved) -> Iterator[tuple[Run, Run]]:
    """Ports that moved alike, in as few rows as there are."""
    last: tuple[Run, Run] | None = None
    for pair in sorted(pairs, key=lambda pair: (_order(pair[1]), _order(pair[0]))):
        joined = _joined(last, pair) if last is not None else None
        if joined is None and last is not None:
            yield last
        last = joined or pair
    if last is not None:
        yield last


def _joined(one: tuple[Run, Run], two: tuple[Run, Run]) -> tuple[Run, Run] | None:
    """Two rows as one, if they are ports in a row before and after."""
    sides: Sequence[list[Run]] = [list(merged(each)) for each in zip(one, two, strict=True)]
    return (sides[0][0], sides[1][0]) if all(len(each) == 1 for each in sides) else None


def _order(run: Run) -> tuple[int, ...]:
    return run.protocol, run.low is None, run.low or 0, run.host or -1, run.address, run.target
