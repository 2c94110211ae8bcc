"""What rules say was declared, as values."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ruleflow.analysis.declared.stand_ins import Options, Value
from ruleflow.ruleset.addresses import Prefix


class Run(msgspec.Struct, frozen=True):
    """Published ports in a row: ``low`` to ``high`` of the host, sent to ``target`` and the following ports of ``address``.

    ``low`` is None where rules open the ports at the container's own address alone; then ``perhaps`` says that they may be
    published all the same, as this layout writes no rule for it. ``host`` None: every address of the host.
    """

    family: int
    protocol: int
    address: int
    target: int
    count: int = 1
    host: int | None = None
    low: int | None = None
    perhaps: bool = False

    def port(self, step: int) -> "Run":
        """One of them."""
        low = None if self.low is None else self.low + step
        return msgspec.structs.replace(self, target=self.target + step, low=low, count=1)


class ReadNetwork(msgspec.Struct, frozen=True):
    """A network as its rules tell of it. ``choices`` are all options that give these rules, ``shown`` their names in order."""

    layout: str
    family: int
    shown: tuple[str, ...]
    choices: tuple[Options, ...]
    bridge: str | None = None
    subnet: Prefix | None = None
    name: str | None = None
    outbound: int | None = None
    trusted: tuple[str, ...] = ()
    endpoints: frozenset[int] | None = None
    """The addresses of its endpoints; None where the layout writes nothing for an endpoint without ports."""
    addresses: frozenset[int] = frozenset()
    """All addresses of which a rule says that they are behind it."""


class Reading(msgspec.Struct, frozen=True):
    """What one rule set declares. ``unread`` are bridges and subnets whose rules no layout would write so."""

    layouts: tuple[str, ...] = ()
    networks: tuple[ReadNetwork, ...] = ()
    ports: frozenset[Run] = frozenset()
    unread: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    """What the layouts write no rules for: a ``network`` without endpoints, a port that is ``opened`` but not published."""
    proxies: frozenset[Value] = frozenset()
    """What ``userland_proxy`` can be; none where no layout has it."""


def merged(runs: Iterable[Run]) -> Iterator[Run]:
    """The same ports in as few runs as there are."""
    last: Run | None = None
    for run in sorted(set(runs), key=_order):
        if last is not None and _follows(last, run):
            last = msgspec.structs.replace(last, count=last.count + run.count)
            continue
        if last is not None:
            yield last
        last = run
    if last is not None:
        yield last


def _order(run: Run) -> tuple[Any, ...]:
    return run.protocol, run.address, run.host or -1, run.perhaps, run.low is None, _shift(run), run.target


def _shift(run: Run) -> int:
    return 0 if run.low is None else run.low - run.target


def _follows(one: Run, other: Run) -> bool:
    return _order(one)[:-1] == _order(other)[:-1] and other.target == one.target + one.count
