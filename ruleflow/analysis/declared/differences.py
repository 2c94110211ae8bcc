"""Two readings compared: which networks, options and published ports differ, each in a sentence.

What one side leaves open is no difference: an option is named only where no choice of its value explains both sides. Where
one or another option would explain it, the fewest are named, in the order of `OPTIONS`.
"""

from collections.abc import Collection, Iterator, Sequence
from itertools import combinations

import msgspec

from ruleflow.analysis.changes import Declared, DeclaredChange
from ruleflow.analysis.declared.published_ports import port_changes
from ruleflow.analysis.declared.read_back import read_back
from ruleflow.analysis.declared.reading import Reading, ReadNetwork
from ruleflow.analysis.declared.stand_ins import OPTIONS, VALUED, Value
from ruleflow.analysis.declared.words import network_name, value_words
from ruleflow.ruleset.addresses import address_text
from ruleflow.ruleset.ir import Ruleset

Choice = dict[str, object]
"""A value for each option that a layout shows."""


def declared(sides: Sequence[tuple[Ruleset, Ruleset]]) -> Declared | None:
    """What differs between the declarations of two sides, given family by family; None where no layout is recognised."""
    readings = [(read_back(before), read_back(after)) for before, after in sides]
    if not any(one.layouts for pair in readings for one in pair):
        return None
    found: dict[DeclaredChange, tuple[int, ...]] = {}
    for (rules, _), pair in zip(sides, readings, strict=True):
        for change in differences(*pair):
            found[change] = (*found.get(change, ()), rules.family)
    before, after = (
        tuple(dict.fromkeys(name for pair in readings for name in pair[side].layouts)) for side in (0, 1)
    )
    unread = {name for pair in readings for one in pair for name in one.unread}
    changes = tuple(msgspec.structs.replace(one, families=families) for one, families in found.items())
    return Declared(before, after, changes, tuple(sorted(unread)))


def differences(before: Reading, after: Reading) -> Iterator[DeclaredChange]:
    """What differs between two readings of one family: ports, then networks, then options."""
    pairs, gone, new = _paired(before.networks, after.networks)
    yield from port_changes(before, after)
    for sign, mine, others, here, other in (("-", gone, new, before, after), ("+", new, gone, after, before)):
        for network in mine:
            if _would_show(network, others, other):
                yield _whole_network(network, sign)
            elif "network" in here.silent & other.silent and not any(
                run.address in network.addresses for run in here.ports
            ):
                yield _unseen_network(network, sign)
    for one, two in pairs:
        yield from _addresses(one, two)
    yield from _options(before, after, pairs)


# -- networks ---------------------------------------------------------------------------------------------


def _paired(
    before: Sequence[ReadNetwork], after: Sequence[ReadNetwork]
) -> tuple[list[tuple[ReadNetwork, ReadNetwork]], list[ReadNetwork], list[ReadNetwork]]:
    """Which network is which: by its bridge, else by its name, its subnet, or an address; and those of one side only."""
    gone, new, pairs = list(before), list(after), []
    for same in (_same_bridge, _same_name, _same_subnet, _same_addresses):
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


def _same_addresses(one: ReadNetwork, two: ReadNetwork) -> bool:
    return bool(one.addresses & two.addresses)


def _would_show(network: ReadNetwork, others: Sequence[ReadNetwork], other: Reading) -> bool:
    """Whether the other side would have rules for a network, if it were there: not where its layout writes none without endpoints.

    ``others`` are the networks that only the other side has: it may be one of them, if nothing tells which bridge, or which
    subnet, it has there.
    """
    if {network.bridge, str(network.subnet)} & other.unread:
        return False
    if any(network.bridge is None and one.subnet is None for one in others):
        return False
    return "network" not in other.silent


def _whole_network(network: ReadNetwork, sign: str) -> DeclaredChange:
    """A network that one side has alone; a new one with its subnet, and with the options that are surely not the default."""
    name = network_name(network)
    if sign == "-":
        return DeclaredChange(sign, "network", f"network {name} is gone", name)
    own = [str(network.subnet)] if network.subnet is not None and str(network.subnet) != name else []
    told = ", ".join([*own, *_not_default(network)])
    return DeclaredChange(sign, "network", f"network {name}{f': {told}' if told else ''}", name)


def _unseen_network(network: ReadNetwork, sign: str) -> DeclaredChange:
    """A network without published ports that has rules on one side alone: its masquerade is all that a layout writes for it."""
    name, nobody = network_name(network), "off, or nobody is on it"
    was, now = ("on", "off") if sign == "-" else ("off", "on")
    said = f"ip_masq was on, now {nobody}" if sign == "-" else f"ip_masq was {nobody}, now on"
    return DeclaredChange("~", "option", f"network {name}: {said}", name, "ip_masq", was, now)


def _not_default(network: ReadNetwork) -> Iterator[str]:
    """The options that are not the default under any choice: ``icc off``."""
    choices = list(_choices(network, (), {name: set() for name in VALUED}))
    for name in OPTIONS:
        values = dict.fromkeys(value_words(choice[name]) for choice in choices if name in choice)
        default = value_words(None if name in VALUED else OPTIONS[name][0])
        if values and default not in values:
            yield f"{name} {' or '.join(values)}"


def _addresses(one: ReadNetwork, two: ReadNetwork) -> Iterator[DeclaredChange]:
    """Another subnet, and endpoints that are on one side only, where both sides show them."""
    if one.subnet is not None and two.subnet is not None and one.subnet != two.subnet:
        yield _option(two, "subnet", str(one.subnet), str(two.subnet))
    if one.endpoints is None or two.endpoints is None:
        return
    for sign, addresses in (("-", one.endpoints - two.endpoints), ("+", two.endpoints - one.endpoints)):
        for address in sorted(addresses):
            said = address_text(address, one.family)
            text = f"endpoint {said} on network {network_name(two)}{' is gone' if sign == '-' else ''}"
            yield DeclaredChange(sign, "endpoint", text, said)


# -- options ----------------------------------------------------------------------------------------------


def _options(
    before: Reading, after: Reading, pairs: Sequence[tuple[ReadNetwork, ReadNetwork]]
) -> Iterator[DeclaredChange]:
    """The proxy, which all networks share, then each network's own options."""
    proxies = before.proxies, after.proxies
    both = proxies[0] & proxies[1]
    if all(proxies) and not both:
        yield _option(None, "userland_proxy", *(value_words(min(each, key=str)) for each in proxies))
    for one, two in pairs:
        given = {name: _values(one, name) | _values(two, name) for name in VALUED}
        sides = [
            list(_choices(each, both or mine, given)) for each, mine in zip((one, two), proxies, strict=True)
        ]
        for option, was, now in fewest(*sides):
            yield _option(two, option, was, now)


def _option(network: ReadNetwork | None, option: str, was: str, now: str) -> DeclaredChange:
    name = "" if network is None else network_name(network)
    where = f"network {name}: " if name else ""
    return DeclaredChange("~", "option", f"{where}{option} was {was}, now {now}", name, option, was, now)


def _values(network: ReadNetwork, option: str) -> set[object]:
    """The value of an option of `VALUED`, as far as the rules show one."""
    if option == "outbound_addr":
        return set() if network.outbound is None else {address_text(network.outbound, network.family)}
    return {network.trusted} if network.trusted else set()


def _choices(
    network: ReadNetwork, proxies: Collection[Value], given: dict[str, set[object]]
) -> Iterator[Choice]:
    """The choices of its own options that explain a network.

    Where one has a value that the rules do not show, it may be any that is ``given`` on either side.
    """
    for options in network.choices:
        choice: Choice = dict(zip(network.shown, options, strict=True))
        if proxies and choice.pop("userland_proxy", None) not in (None, *proxies):
            continue
        choice.pop("userland_proxy", None)
        found = [choice]
        for name in VALUED:
            if name in choice:
                values = (_values(network, name) or given[name] or {"some"}) if choice[name] else {None}
                found = [{**each, name: value} for each in found for value in values]
        yield from found


def fewest(one: Sequence[Choice], two: Sequence[Choice]) -> list[tuple[str, str, str]]:
    """The fewest options in which a choice of ``one`` and one of ``two`` differ, with both values; [] where none need differ.

    >>> fewest([{"icc": True, "internal": False}], [{"icc": False, "internal": False}, {"icc": False, "internal": True}])
    [('icc', 'on', 'off')]
    """
    if not one or not two:
        return []
    common = [name for name in OPTIONS if name in one[0] and name in two[0]]
    for count in range(len(common) + 1):
        for named in combinations(common, count):
            same = [name for name in common if name not in named]
            sides = [{tuple(each[name] for name in same) for each in side} for side in (one, two)]
            both = sides[0] & sides[1]
            if both:
                return [
                    (name, _any_of(name, one, same, both), _any_of(name, two, same, both)) for name in named
                ]
    return []


def _any_of(
    name: str, side: Sequence[Choice], same: Sequence[str], both: Collection[tuple[object, ...]]
) -> str:
    """The values of an option among the choices of a side that agree with one of the other side in the rest."""
    values = (each[name] for each in side if tuple(each[one] for one in same) in both)
    return " or ".join(dict.fromkeys(value_words(value) for value in values))
