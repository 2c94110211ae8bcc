"""A host made ready for walking: its rule sets of one family, and what it answered once, kept."""

import functools
from collections.abc import Callable
from typing import Any

import msgspec

from ruleflow.netfilter.address_type import is_of_type
from ruleflow.netfilter.chains import Program
from ruleflow.netfilter.fib import uses_default_rules
from ruleflow.netfilter.host import Host, Interface
from ruleflow.netfilter.infer import infer_host
from ruleflow.netfilter.path import HOOKS, LEGACY_HOOKS, Stage
from ruleflow.netfilter.read_host import default_rules
from ruleflow.netfilter.routing import Decision, is_multicast, route
from ruleflow.ruleset.condition import Condition, In
from ruleflow.ruleset.effect import CopyBits, Rewrite, Untrack
from ruleflow.ruleset.extension import Target
from ruleflow.ruleset.fields import CONNMARK
from ruleflow.ruleset.ir import Opaque, Rule, Ruleset


class Machine:
    """One network namespace with the rules that packets of ``family`` meet there.

    ``tables`` has, for each table's name, one program per backend that has such a table, in the order in
    which the kernel asks them (nft before legacy, as the modules register where both are there).
    """

    def __init__(
        self, host: Host, rulesets: tuple[Ruleset, ...], family: int, assumed: tuple[str, ...] | None = None, *,
        legacy: bool = False,
    ) -> None:  # fmt: skip
        self.behind: Callable[[str, int | None, int | None], str | None] | None = None
        """Tells the port of a bridge behind which a link-layer or an IP address is, where the neighbours are known."""
        self.legacy, self.hooks = legacy, LEGACY_HOOKS if legacy else HOOKS
        self.host, self.family, self.rulesets = host, family, rulesets
        self.assumed, self.inferred = assumed or (), assumed is not None
        self.knows_own = not self.inferred
        """Whether an address that is not among the host's is surely another's."""
        self.tables: dict[str, list[Program]] = {}
        for ruleset in rulesets:
            for table in ruleset.tables:
                self.tables.setdefault(table.name, []).append(Program.of(table, family))
        self._types: dict[tuple[Any, ...], bool | None] = {}
        self._sure: dict[int, bool] = {}
        self._believing: dict[str, bool] = {}
        self._stages: dict[str, tuple[Stage, ...]] = {}
        self._routes: dict[tuple[Any, ...], Decision] = {}
        self._links = {link.name: link for link in host.interfaces}

    @classmethod
    def of(cls, host: Host, family: int) -> "Machine":
        """The machine of a host as it was read: its own dumps of that family."""
        found = tuple(host.rulesets(family))
        legacy = bool(found) and all(backend == "legacy" for backend, _ in found)
        return cls(host, tuple(ruleset for _, ruleset in found), family, legacy=legacy)

    @classmethod
    def inferred_from(
        cls, ruleset: Ruleset, *, local: tuple[str, ...] = (), routes: tuple[tuple[str, str], ...] = ()
    ) -> "Machine":
        """The machine whose rules these may be: what is inferred stands in ``assumed``.

        ``local`` are addresses known to be its own (where they are given, no others are taken for its own than the
        rules tell of), ``routes`` networks and the interface each is behind. Whether
        packets are forwarded is taken as yes, since somebody asks. Raises `ReadError` for what is no address.
        """
        plain = not local and not routes
        kept = ruleset.__dict__.get("_machine") if plain else None
        if isinstance(kept, cls):
            return kept
        host, assumed = infer_host(ruleset, local=local, routes=routes)
        host = msgspec.structs.replace(host, sysctls=None, rules=(*default_rules(4), *default_rules(6)))
        told = tuple(
            sentence for sentence in assumed if "forward" not in sentence and "all else" not in sentence
        )
        if local:
            told = (
                *told,
                f"besides {', '.join(local)}, as given, no address is this host's that the rules do not tell of",
            )
        made = cls(host, (ruleset,), ruleset.family, told)
        made.knows_own = bool(local)
        if plain:
            ruleset.__dict__["_machine"] = made
        return made

    def is_sure(self, address: int) -> bool:
        """Whether it is known if ``address`` is this host's own: of an inferred host only part is known."""
        if not self.inferred:
            return True
        known = self._sure.get(address)
        if known is None:
            known = self._sure[address] = self._look_whether_sure(address)
        return known

    def _look_whether_sure(self, address: int) -> bool:
        if self.family == 4 and (address >> 28 == 14 or address in (0, 0xFFFFFFFF)):
            return True
        if self.knows_own and not is_multicast(address, self.family):
            return True
        if len(self._sure) > _KEPT:
            self._sure.clear()
        way = route(self.host, address, family=self.family).route
        return way is not None and way.length > 0

    def stages(self, hook: str) -> tuple[Stage, ...]:
        """What stands at a hook and may do something: tables with rules, and conntrack where somebody asks for it."""
        found = self._stages.get(hook)
        if found is None:
            found = self._stages[hook] = tuple(
                stage for stage in self.hooks[hook] if self._may_act(hook, stage)
            )
        return found

    def _may_act(self, hook: str, stage: Stage) -> bool:
        if stage.kind == "table":
            chains = [program.chains.get(hook) for program in self.tables.get(stage.name, ())]
            return any(
                chain is not None and (chain.chain.rules or chain.policy == "DROP") for chain in chains
            )
        return "nat" in self.tables if stage.kind in ("nat", "confirm") else self.tracks

    @functools.cached_property
    def asks_state_only(self) -> bool:
        """Whether no rule wants more of a connection than the packet's state."""
        if "nat" in self.tables:
            return False
        rules = (rule for ruleset in self.rulesets for _, rule in ruleset.rules())
        return not any(_sets_connection(rule) or any(map(_asks_more, rule.conditions())) for rule in rules)

    @functools.cached_property
    def tracks(self) -> bool:
        """Whether conntrack works in the namespace: some rule's extension has asked for it (nf_ct_netns_get)."""
        return any(_needs_connections(rule) for ruleset in self.rulesets for _, rule in ruleset.rules())

    def interface(self, name: str | None) -> Interface | None:
        """The interface called ``name``."""
        return self._links.get(name) if name else None

    def has_type(self, address: int, types: tuple[str, ...], interface: str | None = None) -> bool | None:
        """`is_of_type` for this host, remembered; None where it is not known."""
        key = (address, types, interface)
        if self.inferred and "LOCAL" in types and not self.is_sure(address):
            return None
        if key not in self._types:
            if len(self._types) > _KEPT:
                self._types.clear()
            self._types[key] = is_of_type(self.host, address, self.family, types, interface)
        return self._types[key]

    def route(self, destination: int, **flow: Any) -> Decision:
        """`routing.route` for this host, remembered."""
        key: tuple[Any, ...]
        if self._is_plain and flow["iif"] is not None and self._is_ordinary(flow["source"], flow["iif"]):
            key = destination, flow["iif"]
            found = self._routes.get(key)
            if found is None:
                found = self._asked(key, destination, flow)
            if found.interface != flow["iif"]:  # else the source decides, too (__fib_validate_source)
                return found
        key = (destination, *flow.values())
        return self._routes.get(key) or self._asked(key, destination, flow)

    def _asked(self, key: tuple[Any, ...], destination: int, flow: dict[str, Any]) -> Decision:
        if len(self._routes) > _KEPT:
            self._routes.clear()
        found = self._routes[key] = route(self.host, destination, family=self.family, **flow)
        return found

    @functools.cached_property
    def _is_plain(self) -> bool:
        """Whether only the destination chooses a route: the kernel's own ip rules, no source or tos in routes."""
        routes = self.host.routes
        return (
            self.family == 4
            and routes is not None
            and uses_default_rules(self.host)
            and not any(one.tos or one.source_length for one in routes)
        )

    def _is_ordinary(self, source: int | None, iif: str) -> bool:
        """Whether a source is believed wherever the packet goes: rp_filter is off, and it is nothing special."""
        if (
            source is None
            or source in self._own
            or not 0x01000000 <= source < 0xE0000000
            or source >> 24 == 127
        ):
            return False
        if any(low <= source <= high for low, high in self._no_sources):
            return False
        believed = self._believing.get(iif)
        if believed is None:
            believed = self._believing[iif] = not self.host.rp_filter(iif)
        return believed

    @functools.cached_property
    def _own(self) -> frozenset[int]:
        return frozenset(own.address for _, own in self.host.addresses(self.family))

    @functools.cached_property
    def _no_sources(self) -> tuple[tuple[int, int], ...]:
        """Networks whose routes are not unicast (broadcasts, refusals, more local ones): nobody there is believed."""
        return tuple(
            (one.destination, one.destination | (1 << (32 - one.length)) - 1)
            for one in self.host.routes or ()
            if one.family == 4 and one.kind != "unicast" and one.destination >> 24 != 127
        )


def _sets_connection(rule: Rule) -> bool:
    """Whether its target translates, changes the connection (CONNMARK) or its tracking; a nat table alone does not track."""
    target = rule.target
    changes = target.effects().changes if isinstance(target, Target | Opaque) else ()
    return any(
        isinstance(one, Untrack | CopyBits | Rewrite) or getattr(one, "field", None) == CONNMARK
        for one in changes
    )


def _needs_connections(rule: Rule) -> bool:
    """Whether putting the rule in switches conntrack on: to leave packets untracked (xt_ct_tg_check) does not."""
    target = rule.target
    if isinstance(target, Target):
        changes = target.effects().changes
        if target.name in _TRACKING and not any(isinstance(one, Untrack) for one in changes):
            return True
        if any(
            isinstance(one, CopyBits | Rewrite) or getattr(one, "field", None) == CONNMARK for one in changes
        ):
            return True
    named = any(match.name in _TRACKING for match in rule.matches)
    return named or any(map(_asks_connection, rule.conditions()))


_TRACKING = frozenset({
    "conntrack", "state", "connmark", "connbytes", "connlimit", "connlabel", "helper", "cluster", "CT", "CONNMARK",
    "CONNSECMARK", "SYNPROXY",
})  # fmt: skip
"""Extensions that ask for conntrack when a rule with them is put in, beside those that translate."""


def _asks_more(condition: Condition) -> bool:
    if isinstance(condition, In):
        return condition.field.name != "state" and _asks_connection(condition)
    return any(_asks_more(part) for part in getattr(condition, "conditions", ()))


def _asks_connection(condition: Condition) -> bool:
    if isinstance(condition, In):
        name = condition.field.name
        return name.startswith("ct_") or name in ("state", "connmark", "helper")
    return any(_asks_connection(part) for part in getattr(condition, "conditions", ()))


_KEPT = 1 << 16
"""How many answers are kept; then all are forgotten, so that a long run of distinct packets stays small."""
