"""What a layout writes for each choice of options, as patterns: made by asking the layout itself, with stand-ins for names.

Where a stand-in stands in a rule that is written, anything may stand in the rules that are read; all else of the rule has to be
as it is.
"""

import functools
import re
from collections.abc import Collection, Iterator
from itertools import product
from typing import Any

import msgspec

from ruleflow.analysis.declared.stand_ins import (
    BRIDGE,
    ENDPOINT,
    KINDS,
    NETWORK,
    OPTIONS,
    PUBLISHED,
    TARGET,
    VALUED,
    Options,
    PortKind,
    StandIns,
    Value,
)  # fmt: skip
from ruleflow.analysis.idioms.shape import Shape, shape
from ruleflow.bridge.declaration import Declaration, Network
from ruleflow.bridge.generate import write
from ruleflow.ruleset.addresses import Prefix, full_mask
from ruleflow.ruleset.effect import Rewrite
from ruleflow.ruleset.ir import RuleRef
from ruleflow.ruleset.shape import reader
from ruleflow.ruleset.values import Not, Range

_DOCKER = {"icc", "ip_masq", "outbound_addr", "gateway_mode", "internal", "userland_proxy"}
SHOWN: dict[str, set[str]] = {
    "native": OPTIONS.keys() - {"userland_proxy"},
    "docker-classic": _DOCKER,
    "docker-28": _DOCKER | {"trusted_host_interfaces"},
    "docker-29": _DOCKER | {"trusted_host_interfaces"},
    "cni-portmap": {"ip_masq", "internal"},
}
"""The options that leave a trace in a layout's rules (a test finds the same by trying all). Of others nothing can be said."""

RANGES = {"native"}
"""The layouts that write a range of ports as one rule."""


CHAINS = ("source_chain", "port_chain")
"""What stands for the names of chains that a container has of its own."""

Skeleton = tuple[object, ...]
"""Where a rule stands, what it asks and what it does, without the values."""
Bindings = dict[str, Any]


class Template(msgspec.Struct, frozen=True):
    """A rule of a layout: what stands in its slots is a name of a stand-in (True and its name) or must be so (False, value)."""

    number: int
    slots: tuple[tuple[bool, Any], ...]
    names: frozenset[str]
    comment: re.Pattern[str] | None = None
    """What its comment tells of names."""

    @property
    def asked(self) -> tuple[str, ...]:
        """The names of its stand-ins in order; chains of a container's own stand for its address."""
        names = self.names.difference(CHAINS) | ({"address"} if self.names & set(CHAINS) else set())
        return tuple(sorted(names))

    @property
    def level(self) -> str:
        """Whether it is there for a ``port``, an ``endpoint``, a ``network``, or is ``shared``."""
        if self.names & {"published", "target"}:
            return "port"
        if self.names & {"address", *CHAINS}:
            return "endpoint"
        return "network" if self.names else "shared"


class Case(msgspec.Struct, frozen=True):
    """Which rules a layout writes under ``options``: numbers of templates, for the network, an endpoint, and a port by kind."""

    options: Options
    network: frozenset[int]
    shared: frozenset[int]
    endpoint: frozenset[int]
    ports: tuple[frozenset[int], ...]

    def same_rules(self, other: "Case", levels: Collection[str]) -> bool:
        """Whether the rules are the same; those of an ``endpoint`` or ``port`` count only if they are among ``levels``."""
        return (
            (self.network, self.shared) == (other.network, other.shared)
            and ("endpoint" not in levels or self.endpoint == other.endpoint)
            and ("port" not in levels or self.ports == other.ports)
        )

    def port(self, kind: PortKind) -> frozenset[int]:
        """The rules of a port of a kind."""
        return self.ports[KINDS.index(kind)]


@functools.lru_cache(maxsize=16)
def written(layout: str, family: int, prefix: str = "RF") -> "Written":
    """The patterns of a layout; ``prefix`` is that of our own chains."""
    return Written(layout, family, prefix)


class Written:
    """The patterns of a layout in one family."""

    def __init__(self, layout: str, family: int, prefix: str) -> None:
        self.layout, self.family, self.prefix = layout, family, prefix
        self.shown = tuple(name for name in OPTIONS if name in SHOWN[layout])
        self.templates: list[Template] = []
        self.by_skeleton: dict[Skeleton, list[Template]] = {}
        self.chains: set[tuple[str, str]] = set()
        """The chains whose names are fixed, those that hooks call among them."""
        self._known: dict[tuple[str, str], tuple[int, str, list[int]]] = {}
        """What is known of texts that were seen."""
        self._cases: dict[Options, Case] = {}
        self._stand_ins = StandIns(family)

    def cases(self, valued: frozenset[str]) -> list[Case]:
        """Which rules there are under every choice of options; of the ``VALUED`` ones only those given may be set."""
        domains = [
            OPTIONS[name] if name not in VALUED or name in valued else OPTIONS[name][:1]
            for name in self.shown
        ]
        return [self.case(options) for options in product(*domains)]

    def case(self, options: Options) -> Case:
        """Which rules there are under some options."""
        found = self._cases.get(options)
        if found is None:
            found = self._cases[options] = self._case(options)
        return found

    def toggled(self, case: Case, name: str) -> Case:
        """The same with an option of `VALUED` set."""
        at = self.shown.index(name)
        return self.case((*case.options[:at], True, *case.options[at + 1 :]))

    @functools.cached_property
    def always(self) -> frozenset[int]:
        """What is shared and there under all options: it says nothing of them."""
        return frozenset.intersection(*(case.shared for case in self.cases(frozenset())))

    @functools.cached_property
    def elsewhere(self) -> frozenset[int]:
        """What is written about a network that has no addresses of this family: what it adds to an internal one that has."""
        inner: dict[str, Value] = {
            **dict.fromkeys(self.shown, False),
            "gateway_mode": "nat",
            "hairpin": "off",
            "internal": True,
        }
        alone = self._stand_ins.declaration(inner, self.prefix)
        other = Network(f"{NETWORK}2", BRIDGE)
        both = msgspec.structs.replace(alone, networks=(*alone.networks, other))
        one, two = (set(self._texts(each)) for each in (alone, both))
        return frozenset(self._learn(*text)[0] for text in two - one)

    def _texts(self, declaration: Declaration) -> Iterator[tuple[str, str]]:
        for table, _, _, texts in write(declaration, self.layout, self.family).chains():
            yield from ((table, text) for text in texts)

    def _case(self, options: Options) -> Case:
        levels: dict[str, set[int]] = {"network": set(), "shared": set(), "endpoint": set()}
        ports: tuple[set[int], ...] = tuple(set() for _ in KINDS)
        given: dict[str, Value] = dict(zip(self.shown, options, strict=True))
        declaration = self._stand_ins.declaration(given, self.prefix)
        writing = write(declaration, self.layout, self.family)
        for table, chain, policy, texts in writing.chains():
            if policy is not None or not _is_own(chain):
                self.chains.add((table, chain))
            for text in texts:
                number, level, kinds = self._known.get((table, text)) or self._learn(table, text)
                for kind in kinds:
                    ports[kind].add(number)
                if not kinds:
                    levels[level].add(number)
        return Case(
            options, frozenset(levels["network"]), frozenset(levels["shared"]), frozenset(levels["endpoint"]),
            tuple(map(frozenset, ports)),
        )  # fmt: skip

    def _learn(self, table: str, text: str) -> tuple[int, str, list[int]]:
        """The number of a rule's template, its level, and the kinds of ports that it is for."""
        kinds = sorted({int(digit) for digit in _KIND.findall(text)})
        template = self._template(table, _without_kinds(text) if kinds else text)
        found = self._known[table, text] = template.number, template.level, kinds
        return found

    def _template(self, table: str, text: str) -> Template:
        (line,) = reader(self.family).read(text)
        assert line.rule is not None
        one = shape(RuleRef(table, line.rule.chain, 1), line.rule)
        skeleton, values = outline(one, self.chains_of(one))
        port_level = str(PUBLISHED) in text or str(TARGET) in text
        slots = tuple(self._slot(name, value, port_level) for name, value in values)
        group = self.by_skeleton.setdefault(skeleton, [])
        for other in group:
            if other.slots == slots:
                return other
        names = frozenset(value for free, value in slots if free)
        made = Template(len(self.templates), slots, names, _comment(one.comment))
        self.templates.append(made)
        group.append(made)
        group.sort(key=lambda each: sum(free for free, _ in each.slots))
        return made

    def chains_of(self, one: Shape) -> tuple[bool, bool]:
        """Whether the chain that a rule stands in, and the one that it calls, have names of their own."""
        return _is_own(one.ref.chain), one.calls is not None and _is_own(one.calls)

    def _slot(self, name: str, value: Any, port_level: bool) -> tuple[bool, Any]:
        if name.startswith("@"):
            return True, "port_chain" if value.startswith("CNI-DN-") else "source_chain"
        if name == "protocol":
            return (True, "protocol") if port_level else (False, value)
        if isinstance(value, tuple) and len(value) == 1:
            value = value[0]
        stand_in = self._stand_ins.names.get(value)
        if stand_in is None or (stand_in == "host_ip" and not port_level):
            return False, value
        return True, stand_in


_KIND = re.compile(r"\b6[12]00(\d)\b")
_SOME_PUBLISHED = re.compile(r"\b6100\d(?:,6100\d)*\b")
_SOME_TARGET = re.compile(r"\b6200\d\b")


def _without_kinds(text: str) -> str:
    """A rule's text as that of the first kind of port."""
    return _SOME_TARGET.sub(str(TARGET), _SOME_PUBLISHED.sub(str(PUBLISHED), text))


def _is_own(chain: str) -> bool:
    """Whether a chain's name is made from a container's: ``CNI-`` and a hash (never CNI's shared chains)."""
    return chain.startswith("CNI-") and not chain.startswith("CNI-HOSTPORT-")


def _comment(text: str) -> re.Pattern[str] | None:
    if NETWORK not in text:
        return None
    pattern = re.escape(text).replace(NETWORK, "(?P<network>[^/]+?)").replace(ENDPOINT, "(?P<endpoint>.+)")
    return re.compile(pattern)


# -- rules without their values ---------------------------------------------------------------------------


def outline(one: Shape, own: tuple[bool, bool]) -> tuple[Skeleton, list[tuple[str, Any]]]:
    """A rule's skeleton, and the values that stand in it in a fixed order; ``own``: whether its chain, and the one it calls, are free."""
    values: list[tuple[str, Any]] = []
    parts: list[object] = [one.ref.table, None if own[0] else one.ref.chain]
    if own[0]:
        values.append(("@chain", one.ref.chain))
    for name in sorted(one.facts):
        value = one.facts[name]
        negated = isinstance(value, Not)
        parts.append((name, negated, isinstance(value, tuple)))
        values.append((name, value.value if isinstance(value, Not) else value))
    parts.append(_target(one, own[1], values))
    return tuple(parts), values


def _target(one: Shape, free: bool, values: list[tuple[str, Any]]) -> object:
    """What a rule does; addresses and ports of a translation go to ``values``."""
    if one.calls is not None:
        if not free:
            return one.target, one.calls
        values.append(("@call", one.calls))
        return one.target, None
    change = one.rewrites
    if (
        change is None
        or change.low is None
        or change.low != change.high
        or one.target not in ("DNAT", "SNAT")
    ):
        return str(one.rule.target)
    family = one.rule.target.to.family  # type: ignore[union-attr]
    values.append(("to", Prefix(family, change.low, full_mask(family))))
    ports, straight = _sent_to(change, one.get("dport"))
    if ports is not None:
        values.append(("to_ports", ports))
    more = change.random, change.fully_random, change.persistent
    return one.target, ports is not None, straight, more


def _sent_to(change: Rewrite, asked: object) -> tuple[Range | None, bool]:
    """The ports that a translation sends to, and whether each port asked for has one of its own there, in order."""
    low, high = change.port_low, change.port_high
    if (
        low is None or high is None
    ):  # the port stays: said for a range, for one port another rule than a layout's
        return (asked, True) if isinstance(asked, Range) and asked.low != asked.high else (None, True)
    if not isinstance(asked, Range):
        return Range(low, high), low == high
    shifted = low == high or change.port_base == asked.low
    return Range(low, high), shifted and high - low == asked.high - asked.low
