"""Two readings compared: which networks, options and published ports differ, each in a sentence.

What one side leaves open is no difference: an option is named only where no choice of its value explains both sides. Where
one or another option would explain it, the fewest are named, in the order of `OPTIONS`.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

import msgspec

from ruleflow.analysis.changes import Declared, DeclaredChange
from ruleflow.analysis.declared.read_back import ReadNetwork, Reading, Run, merged, read_back
from ruleflow.analysis.declared.written import OPTIONS, VALUED
from ruleflow.ruleset.addresses import address_text
from ruleflow.ruleset.ir import Ruleset
from ruleflow.ruleset.protocols import protocol_name

Choice = dict[str, object]
Pair = tuple[ReadNetwork, ReadNetwork]


def declared(sides: Sequence[tuple[Ruleset, Ruleset]]) -> Declared | None:
    """What differs between the declarations of two sides, given family by family; None where no layout is recognised."""
    readings = [(read_back(before), read_back(after)) for before, after in sides]
    if not any(one.layouts for pair in readings for one in pair):
        return None
    found: dict[DeclaredChange, tuple[int, ...]] = {}
    for (before, _), pair in zip(sides, readings, strict=True):
        for change in _Comparison(*pair).changes():
            found[change] = (*found.get(change, ()), before.family)
    before, after = (
        tuple(dict.fromkeys(name for pair in readings for name in pair[side].layouts)) for side in (0, 1)
    )
    unread = frozenset(name for pair in readings for one in pair for name in one.unread)
    changes = tuple(msgspec.structs.replace(one, families=families) for one, families in found.items())
    return Declared(before, after, changes, tuple(sorted(unread)))


class _Comparison:
    def __init__(self, before: Reading, after: Reading) -> None:
        self.before, self.after = before, after
        self.pairs, self.gone, self.new = _paired(before.networks, after.networks)

    def changes(self) -> Iterator[DeclaredChange]:
        """All differences: what is published first."""
        yield from self._ports()
        yield from self._networks()
        yield from self._options()

    # -- networks ---------------------------------------------------------------------------------------

    def _networks(self) -> Iterator[DeclaredChange]:
        for sign, mine, other in (("-", self.gone, self.after), ("+", self.new, self.before)):
            for network in mine:
                if _would_show(network, other):
                    name = _name(network)
                    text = f"network {name}" if sign == "+" else f"network {name} is gone"
                    yield DeclaredChange(sign, "network", text, name)
        for one, two in self.pairs:
            if one.subnet is not None and two.subnet is not None and one.subnet != two.subnet:
                yield _changed(_name(two), "subnet", str(one.subnet), str(two.subnet))
            if one.endpoints is not None and two.endpoints is not None:
                yield from _endpoints(one, two)

    # -- options ----------------------------------------------------------------------------------------

    def _options(self) -> Iterator[DeclaredChange]:
        proxies = [_proxies(one) for one in (self.before.networks, self.after.networks)]
        if all(proxies) and not proxies[0] & proxies[1]:
            was, now = (sorted(one, key=str)[0] for one in proxies)
            yield _changed("", "userland_proxy", _said(was), _said(now))
        both = proxies[0] & proxies[1]
        for one, two in self.pairs:
            given = _given(one, two)
            sides = [
                [_without_proxy(each) for each in _choices(network, given, mine, both)]
                for network, mine in ((one, proxies[0]), (two, proxies[1]))
            ]
            for option, was, now in fewest(*sides):
                yield _changed(_name(two), option, _said(was), _said(now))

    # -- ports ------------------------------------------------------------------------------------------

    def _ports(self) -> Iterator[DeclaredChange]:
        gone = _singly(self.before.ports - self.after.ports)
        new = _singly(self.after.ports - self.before.ports)
        gone, new = gone - new, new - gone
        gone = {one for one in gone if not _explained(one, self.after)}
        new = {one for one in new if not _explained(one, self.before)}
        yield from self._moved(gone, new)
        for sign, runs in (("-", gone), ("+", new)):
            for run in sorted(merged(runs), key=_order):
                before, after = ("", str(_words(run))) if sign == "+" else (_words(run), "")
                yield DeclaredChange(sign, "port map", _port_sentence(run, sign), _words(run), before=before, after=after)

    def _moved(self, gone: set[Run], new: set[Run]) -> Iterator[DeclaredChange]:
        """Host ports that lead elsewhere now, and ports that are published on another address of the host."""
        for key, word, said in ((_from, "target", _target), (_to, "host address", _host)):
            was, now = _by_key(gone, key), _by_key(new, key)
            moved = [(was[each], now[each]) for each in was.keys() & now.keys()]
            for one, two in moved:
                gone.discard(one)
                new.discard(two)
            for one, two in _rows(moved):
                what = _published(two) if word == "target" else f"{_asked(two)} to {_target(two)}"
                text = f"{what}: {word} was {said(one)}, now {said(two)}"
                yield DeclaredChange("~", "port map", text, _words(two), word.replace(" ", "_"), _words(one), _words(two))


def _paired(before: Sequence[ReadNetwork], after: Sequence[ReadNetwork]) -> tuple[list[Pair], list[ReadNetwork], list[ReadNetwork]]:
    """Which network is which: by its bridge, else by its name, else by its subnet; and those that are on one side only."""
    gone, new, pairs = list(before), list(after), []
    for same in (_same_bridge, _same_name, _same_subnet):
        for one in list(gone):
            two = next((each for each in new if same(one, each)), None)
            if two is not None:
                pairs.append((one, two))
                gone.remove(one)
                new.remove(two)
    return pairs, gone, new


def _same_bridge(one: ReadNetwork, two: ReadNetwork) -> bool:
    return one.bridge is not None and one.bridge == two.bridge


def _same_name(one: ReadNetwork, two: ReadNetwork) -> bool:
    return one.name is not None and one.name == two.name


def _same_subnet(one: ReadNetwork, two: ReadNetwork) -> bool:
    return one.subnet is not None and one.subnet == two.subnet


def _would_show(network: ReadNetwork, other: Reading) -> bool:
    """Whether the other side would have rules for a network, if it were there: not where its layout writes none without endpoints."""
    if {network.bridge, str(network.subnet)} & other.unread:
        return False
    return "network" not in other.silent


def _endpoints(one: ReadNetwork, two: ReadNetwork) -> Iterator[DeclaredChange]:
    was, now = one.endpoints or frozenset(), two.endpoints or frozenset()
    for sign, addresses in (("-", was - now), ("+", now - was)):
        for address in sorted(addresses):
            said = address_text(address, one.family)
            text = f"endpoint {said} on network {_name(two)}{' is gone' if sign == '-' else ''}"
            yield DeclaredChange(sign, "endpoint", text, said)


# -- options ----------------------------------------------------------------------------------------------


def _proxies(networks: Sequence[ReadNetwork]) -> set[object]:
    """What ``userland_proxy`` can be: one value for all networks; {} where no rule or no layout tells."""
    found: set[object] | None = None
    for network in networks:
        if "userland_proxy" in network.shown:
            at = network.shown.index("userland_proxy")
            mine: set[object] = {choice[at] for choice in network.choices}
            found = mine if found is None else (found & mine or found)
    return found or set()


def _given(*networks: ReadNetwork) -> dict[str, list[object]]:
    """The values that the options with a value have on either side."""
    given: dict[str, list[object]] = {name: [] for name in VALUED}
    for one in networks:
        if one.outbound is not None:
            given["outbound_addr"].append(address_text(one.outbound, one.family))
        if one.trusted:
            given["trusted_host_interfaces"].append(one.trusted)
    return given


def _choices(network: ReadNetwork, given: dict[str, list[object]], mine: set[object], both: set[object]) -> Iterator[Choice]:
    """The choices that explain a network, with the values that its options may have."""
    proxies = both or mine
    for options in network.choices:
        choice: Choice = dict(zip(network.shown, options, strict=True))
        if proxies and choice.get("userland_proxy") not in (None, *proxies):
            continue
        yield from _valued(choice, network, given)


def _valued(choice: Choice, network: ReadNetwork, given: dict[str, list[object]]) -> Iterator[Choice]:
    """A choice with each value that its options may have: that of the rules, else any of either side."""
    found = [choice]
    for name in VALUED:
        if name not in choice:
            continue
        own = _given(network)[name]
        values = (own or given[name] or ["some"]) if choice[name] else [None]
        found = [{**each, name: value} for each in found for value in values]
    yield from found


def _without_proxy(choice: Choice) -> Choice:
    return {name: value for name, value in choice.items() if name != "userland_proxy"}


def fewest(one: Sequence[Choice], two: Sequence[Choice]) -> list[tuple[str, object, object]]:
    """The fewest options in which a choice of ``one`` and one of ``two`` differ, with both values; [] where none need differ."""
    if not one or not two:
        return []
    common = [name for name in OPTIONS if name in one[0] and name in two[0]]
    for count in range(len(common) + 1):
        for named in combinations(common, count):
            same = [name for name in common if name not in named]
            known = {tuple(choice[name] for name in same): choice for choice in reversed(one)}
            for choice in two:
                other = known.get(tuple(choice[name] for name in same))
                if other is not None:
                    return [(name, other[name], choice[name]) for name in named]
    return []


# -- ports ------------------------------------------------------------------------------------------------


def _singly(runs: frozenset[Run]) -> set[Run]:
    return {run.port(step) for run in runs for step in range(run.count)}


def _explained(one: Run, other_side: Reading) -> bool:
    """Whether the other side has the same port, at its own address at least: what is not seen there, or here, is no difference."""
    if one.low is None and "opened" in other_side.silent:
        return True
    return any(
        (one.protocol, one.address) == (other.protocol, other.address)
        and other.target <= one.target < other.target + other.count
        and (one.low is None or other.perhaps)
        for other in other_side.ports
    )


def _by_key(runs: set[Run], key: object) -> dict[object, Run]:
    return {key(run): run for run in sorted(runs, key=_order) if run.low is not None}  # type: ignore[operator]


def _from(run: Run) -> object:
    return run.protocol, run.host, run.low


def _to(run: Run) -> object:
    return run.protocol, run.address, run.target, run.low


def _rows(moved: Sequence[tuple[Run, Run]]) -> Iterator[tuple[Run, Run]]:
    """Moved ports as few rows as there are."""
    last: tuple[Run, Run] | None = None
    for pair in sorted(moved, key=lambda pair: (_order(pair[1]), _order(pair[0]))):
        joined = None if last is None else [list(merged(each)) for each in zip(last, pair, strict=True)]
        if joined is not None and all(len(each) == 1 for each in joined):
            last = joined[0][0], joined[1][0]
            continue
        if last is not None:
            yield last
        last = pair
    if last is not None:
        yield last


def _order(run: Run) -> tuple[object, ...]:
    return run.protocol, run.low is None, run.low or 0, run.host or -1, run.address, run.target


# -- words ------------------------------------------------------------------------------------------------


def _name(network: ReadNetwork) -> str:
    """A network by its name, bridge or subnet, as far as rules tell."""
    names = [name for name in (network.name, network.bridge) if name is not None]
    if not names:
        return str(network.subnet)
    return names[0] if len(names) == 1 else f"{names[0]} ({names[1]})"


def _changed(network: str, option: str, was: str, now: str) -> DeclaredChange:
    where = f"network {network}: " if network else ""
    return DeclaredChange("~", "option", f"{where}{option} was {was}, now {now}", network, option, was, now)


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ", ".join(value)
    return "none" if value is None else str(value)


def _ports_text(low: int, count: int) -> str:
    return str(low) if count == 1 else f"{low}-{low + count - 1}"


def _asked(run: Run) -> str:
    """``tcp 8080``."""
    return f"{protocol_name(run.protocol)} {_ports_text(run.target if run.low is None else run.low, run.count)}"


def _host(run: Run) -> str:
    return "every address of this host" if run.host is None else address_text(run.host, run.family)


def _published(run: Run) -> str:
    return _asked(run) if run.host is None else f"{_asked(run)} on {_host(run)}"


def _target(run: Run) -> str:
    address = address_text(run.address, run.family)
    return f"{f'[{address}]' if run.family == 6 else address}:{_ports_text(run.target, run.count)}"


def _words(run: Run) -> str:
    """``127.0.0.1:8080-8081:80-81/tcp at 172.18.0.2``: as declared, and where."""
    family = run.family
    host = "" if run.host is None else f"{f'[{address_text(run.host, 6)}]' if family == 6 else address_text(run.host, 4)}:"
    low = "" if run.low is None else f"{_ports_text(run.low, run.count)}:"
    end = f"{_ports_text(run.target, run.count)}/{protocol_name(run.protocol)}"
    return f"{host}{low}{end} at {address_text(run.address, family)}"


def _port_sentence(run: Run, sign: str) -> str:
    if run.low is None:
        return f"{'opens' if sign == '+' else 'no longer opens'} {_asked(run)} of {address_text(run.address, run.family)}"
    where = "" if run.host is None else f" (on {_host(run)})"
    return f"{'publishes' if sign == '+' else 'no longer publishes'} {_asked(run)} to {_target(run)}{where}"
