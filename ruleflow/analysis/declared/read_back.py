"""A rule set read back into what it declares: rule by rule by the patterns of its layout, then network by network.

Careful: a network is read only if the rules about it are exactly those that the layout writes under some options, a port map
only if all of its rules are there and no more. The rest is left to those who compare rules.
"""

from collections import defaultdict
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import msgspec

from ruleflow.analysis.declared.reading import Reading, ReadNetwork, Run, merged
from ruleflow.analysis.declared.stand_ins import VALUED, PortKind, Value
from ruleflow.analysis.declared.written import (
    CHAINS,
    RANGES,
    Bindings,
    Case,
    Template,
    Written,
    outline,
    written,
)
from ruleflow.analysis.idioms.shape import Shape, is_host, shape
from ruleflow.ruleset.addresses import Prefix, full_mask
from ruleflow.ruleset.ir import RuleRef, Ruleset
from ruleflow.ruleset.values import Not, Range

_SCTP = 132


def read_back(ruleset: Ruleset) -> Reading:
    """What ``ruleset`` declares."""
    reading = Reading()
    for layout, prefix in layouts(ruleset):
        reader = _Reader(written(layout, ruleset.family, prefix), ruleset)
        if not reader.seen:
            continue
        one = reader.reading()
        reading = Reading(
            (*reading.layouts, *one.layouts), (*reading.networks, *one.networks), reading.ports | one.ports,
            reading.unread | one.unread, reading.silent | one.silent, reading.proxies | one.proxies,
        )  # fmt: skip
    return reading


def layouts(ruleset: Ruleset) -> Iterator[tuple[str, str]]:
    """The layouts whose chains are there, with the prefix of our own chains."""
    names = {table.name: set(table.by_name) for table in ruleset}
    filters, nats = names.get("filter", set()), names.get("nat", set())
    for name in sorted(filters):
        prefix = name.removesuffix("-FORWARD")
        if prefix not in (name, "DOCKER") and f"{prefix}-USER" in filters:
            yield "native", prefix
    if "DOCKER-FORWARD" in filters:
        yield "docker-29" if "DOCKER-INTERNAL" in filters else "docker-28", "RF"
    elif "DOCKER-ISOLATION-STAGE-1" in filters:
        yield "docker-classic", "RF"
    if any(name.startswith("CNI-") for name in nats):
        yield "cni-portmap", "RF"


class _Seen(msgspec.Struct):
    """A rule that is one of the layout's."""

    template: Template
    values: Bindings
    home: Any = None
    """The bridge or subnet that it is about."""


class _Reader:
    def __init__(self, layout: Written, ruleset: Ruleset) -> None:
        self.written, self.ruleset, self.family = layout, ruleset, ruleset.family
        self.full = full_mask(self.family)
        layout.cases(frozenset())
        self._match()
        self.shared = {one.template.number for one in self.seen if one.template.level == "shared"}
        self._name_addresses()
        self.of_address: dict[int, Any] = {}
        """The bridge, or the subnet, that an address is behind."""
        self.subnets: dict[str, Prefix] = {}
        self._place()
        self.index: dict[int, set[tuple[Any, ...]]] = defaultdict(set)
        self._index()

    # -- rules ------------------------------------------------------------------------------------------

    def _match(self) -> None:
        """Sees which rules are the layout's; options with values are looked for only where a rule may show them."""
        shapes = list(self._shapes())
        perhaps = {name for one in shapes for name in _perhaps(one)}
        self.valued = frozenset(name for name in perhaps if name in self.written.shown)
        self.cases = self.written.cases(self.valued)
        self.seen = [found for one in shapes if (found := self._seen(one)) is not None]

    def _shapes(self) -> Iterator[Shape]:
        for table in self.ruleset:
            for chain in table:
                own = (table.name, chain.name) in self.written.chains
                if not own and not chain.name.startswith("CNI-"):
                    continue
                for index, rule in enumerate(chain.rules, 1):
                    yield shape(RuleRef(table.name, chain.name, index, rule.line), rule)

    def _seen(self, one: Shape) -> _Seen | None:
        skeleton, values = outline(one, self.written.chains_of(one))
        for template in self.written.by_skeleton.get(skeleton, ()):
            bindings = self._bindings(template, [value for _, value in values])
            if bindings is None:
                continue
            told = template.comment.fullmatch(one.comment) if template.comment is not None else None
            if told is not None:
                bindings |= {f"{name}_name": value for name, value in told.groupdict().items()}
            return _Seen(template, bindings)
        return None

    def _bindings(self, template: Template, values: list[Any]) -> Bindings | None:
        found: Bindings = {}
        for (free, expected), value in zip(template.slots, values, strict=True):
            if not free:
                if value != expected:
                    return None
            elif found.setdefault(expected, value) != value or not self._may_be(expected, value):
                return None
        interfaces = [found[name] for name in ("bridge", "trusted") if name in found]
        return None if len(set(interfaces)) < len(interfaces) else found

    def _may_be(self, name: str, value: Any) -> bool:
        if name in ("address", "host_ip", "outbound"):
            return is_host(value)
        if name == "subnet":
            return isinstance(value, Prefix) and not is_host(value)
        if name in ("published", "target"):
            ports = value if isinstance(value, tuple) else (value,)
            single = isinstance(value, tuple) or self.written.layout not in RANGES
            return all(isinstance(one, Range) and (one.low == one.high or not single) for one in ports)
        return not isinstance(value, str) or not value.endswith("+")

    def _name_addresses(self) -> None:
        """A container's own chains stand for its address."""
        known = {
            one.values[name]: one.values["address"]
            for one in self.seen for name in CHAINS if name in one.values and "address" in one.values
        }  # fmt: skip
        for one in self.seen:
            for name in CHAINS:
                address = known.get(one.values.pop(name, None))
                if address is not None:
                    one.values.setdefault("address", address)

    def _place(self) -> None:
        """Which bridge or subnet each address is behind."""
        for one in self.seen:
            bridge, subnet = one.values.get("bridge"), one.values.get("subnet")
            if bridge is not None and subnet is not None:
                self.subnets[bridge] = subnet
        for one in self.seen:
            address, home = one.values.get("address"), one.values.get("bridge", one.values.get("subnet"))
            if address is not None and home is not None:
                self.of_address[address.address] = home
        for one in self.seen:
            one.home = self._home(one.values)

    def _home(self, values: Bindings) -> Any:
        """The bridge or subnet that a rule is about, None where it does not tell."""
        if "bridge" in values:
            return values["bridge"]
        if "address" in values:
            address = values["address"].address
            return self.of_address.get(address) or next(
                (bridge for bridge, net in self.subnets.items() if address & net.mask == net.address), None
            )
        return values.get("subnet")

    def _index(self) -> None:
        for one in self.seen:
            names = one.template.asked
            values = [one.values.get(name) for name in names]
            for number, value in enumerate(values):
                if isinstance(value, tuple):  # one rule for several ports says the same of each
                    for part in value:
                        self.index[one.template.number].add((*values[:number], part, *values[number + 1 :]))
                    break
            else:
                self.index[one.template.number].add(tuple(values))

    # -- what they declare ------------------------------------------------------------------------------

    def reading(self) -> Reading:
        """The whole."""
        self.possible: dict[Any, list[Case]] = {}
        rules, unread = self._rules_of_networks(), set()
        for home, numbers in rules.items():
            cases = [
                case
                for case in self.cases
                if case.network == numbers and case.shared <= self.shared | self.written.always
            ]
            if cases:
                self.possible[home] = cases
            elif numbers != self.written.elsewhere:
                unread.add(str(home))
        endpoints = self._endpoints()
        ports = frozenset(merged(self._ports()))
        networks = tuple(self._network(home, endpoints) for home in self.possible)
        return Reading(
            (self.written.layout,), networks, ports, frozenset(unread), frozenset(self._silent()), self._proxies()
        )  # fmt: skip

    def _proxies(self) -> frozenset[Value]:
        """What the rules that all networks share say of the userland proxy."""
        if "userland_proxy" not in self.written.shown:
            return frozenset()
        at, always = self.written.shown.index("userland_proxy"), self.written.always
        return frozenset(
            case.options[at] for case in self.cases if case.shared - always == self.shared - always
        )

    def _silent(self) -> Iterator[str]:
        if not any(case.network for case in self.cases):
            yield "network"
        if not any(case.port(PortKind("", sctp=False, published=False)) for case in self.cases):
            yield "opened"

    def _rules_of_networks(self) -> dict[Any, set[int]]:
        found: dict[Any, set[int]] = {}
        for one in self.seen:
            if one.home is not None:
                mine = found.setdefault(one.home, set())
                if one.template.level == "network":
                    mine.add(one.template.number)
        return found

    def _endpoints(self) -> dict[Any, set[int]]:
        """The addresses of each network for which the layout writes rules without any port."""
        rules: dict[int, set[int]] = {}
        for one in self.seen:
            if "address" in one.values:
                mine = rules.setdefault(one.values["address"].address, set())
                if one.template.level == "endpoint":
                    mine.add(one.template.number)
        found: dict[Any, set[int]] = defaultdict(set)
        for address, numbers in rules.items():
            home = self._home({"address": Prefix(self.family, address, self.full)})
            if home in self.possible and self._narrow(home, lambda case, mine=numbers: case.endpoint == mine):
                found[home].add(address)
        return found

    def _narrow(self, home: Any, fits: Any) -> bool:
        """Keeps of a network's options those that fit; False, and all are kept, where none does."""
        if home not in self.possible:
            return any(fits(case) for case in self.cases if case.shared <= self.shared | self.written.always)
        kept = [case for case in self.possible[home] if fits(case)]
        if kept:
            self.possible[home] = kept
        return bool(kept)

    def _ports(self) -> Iterator[Run]:
        sent: set[tuple[Any, ...]] = set()
        for one in self._about_ports("published", "target"):
            port = self._port(one)
            if port is not None:
                yield port
            sent.add(_aim(one))
        for one in self._about_ports("target"):
            if _aim(one) not in sent:
                sent.add(_aim(one))
                port = self._port(one)
                if port is not None:
                    yield port

    def _about_ports(self, *names: str) -> Iterator[Bindings]:
        """What rules say that name an endpoint and these ports of it."""
        for one in self.seen:
            if one.values.keys() >= {"address", "protocol", *names} and ("published" in one.values) == (
                "published" in names
            ):
                yield one.values

    def _port(self, values: Bindings) -> Run | None:
        """The port map that a rule is about, if all its rules are there and no more."""
        home = self._home(values)
        whole = dict(values)
        if isinstance(home, str):
            whole.setdefault("bridge", home)
        subnet = self.subnets.get(home) if isinstance(home, str) else home
        if subnet is not None:
            whole.setdefault("subnet", subnet)
        host, published = values.get("host_ip"), values.get("published")
        kind = PortKind(_host_kind(host), values["protocol"] == _SCTP, published is not None)
        mine = {number for number in self._port_templates() if self._there(number, whole)}
        unpublished = published is None and self._narrow(
            home, lambda case: case.port(kind) == mine and self._is_routed(case)
        )  # where the host's port may be left out: elsewhere only if the other family is routed
        if not unpublished and not self._narrow(home, lambda case: case.port(kind) == mine):
            return None
        target = values["target"]
        hidden = PortKind("", kind.sctp, published=True)
        perhaps = published is None and self._may(home, lambda case: case.port(hidden) == mine)
        return Run(
            self.family, values["protocol"], values["address"].address, target.low, target.high - target.low + 1,
            None if host is None else host.address, None if published is None else published.low, perhaps,
        )  # fmt: skip

    def _is_routed(self, case: Case) -> bool:
        shown = self.written.shown
        return "gateway_mode" in shown and case.options[shown.index("gateway_mode")] == "routed"

    def _may(self, home: Any, fits: Any) -> bool:
        return any(fits(case) for case in self.possible.get(home, self.cases))

    def _port_templates(self) -> Iterator[int]:
        return (number for number in self.index if self.written.templates[number].level == "port")

    def _there(self, number: int, values: Bindings) -> bool:
        names = self.written.templates[number].asked
        return (
            all(name in values for name in names)
            and tuple(values[name] for name in names) in self.index[number]
        )

    # -- a network --------------------------------------------------------------------------------------

    def _network(self, home: Any, endpoints: dict[Any, set[int]]) -> ReadNetwork:
        mine = [one.values for one in self.seen if one.home == home]
        cases = self._with_hidden(
            self.possible[home], {one.template.level for one in self.seen if one.home == home}
        )
        bridge = home if isinstance(home, str) else None
        return ReadNetwork(
            self.written.layout, self.family, self.written.shown, tuple(case.options for case in cases), bridge,
            self.subnets.get(home) if bridge is not None else home,
            next((each["network_name"] for each in mine if "network_name" in each), None),
            next((each["outbound"].address for each in mine if "outbound" in each), None),
            tuple(sorted({each["trusted"] for each in mine if "trusted" in each})),
            frozenset(endpoints.get(home, ())) if all(case.endpoint for case in cases) else None,
            frozenset(each["address"].address for each in mine if "address" in each),
        )  # fmt: skip

    def _with_hidden(self, cases: list[Case], levels: set[str]) -> list[Case]:
        """The cases, and those with a value given that changes none of the rules of the ``levels`` that are there."""
        found = {case.options: case for case in cases}
        for name in VALUED:
            if name not in self.written.shown or name in self.valued:
                continue
            for case in list(found.values()):
                other = self.written.toggled(case, name)
                if case.same_rules(other, levels):
                    found[other.options] = other
        return list(found.values())


def _perhaps(one: Shape) -> Iterator[str]:
    """Which of the options with values a rule may show."""
    if one.target == "SNAT":
        yield "outbound_addr"
    enters, leaves = one.get("in"), one.get("out")
    elsewhere = isinstance(enters, str) and not isinstance(leaves, Not) and enters != leaves
    if one.verdict == "ACCEPT" and len(one.facts) == 2 and elsewhere:
        yield "trusted_host_interfaces"


def _aim(values: Bindings) -> tuple[Any, ...]:
    return values["address"], values["protocol"], values["target"]


def _host_kind(host: Prefix | None) -> str:
    if host is None:
        return ""
    width = 4 if host.family == 4 else 16
    return "loopback" if ip_address(host.address.to_bytes(width, "big")).is_loopback else "one"
