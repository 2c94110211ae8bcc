"""A host made ready for walking: its rule sets of one family, and what it answered once, kept."""

import functools
from typing import Any

import msgspec

from ruleflow.netfilter.address_type import is_of_type
from ruleflow.netfilter.chains import Program
from ruleflow.netfilter.host import Host, Interface
from ruleflow.netfilter.infer import infer_host
from ruleflow.netfilter.read_host import default_rules
from ruleflow.netfilter.routing import Decision, route
from ruleflow.ruleset.condition import Condition, In
from ruleflow.ruleset.ir import Ruleset


class Machine:
    """One network namespace with the rules that packets of ``family`` meet there.

    ``tables`` has, for each table's name, one program per backend that has such a table, in the order in
    which the kernel asks them (nft before legacy, as the modules register where both are there).
    """

    def __init__(
        self, host: Host, rulesets: tuple[Ruleset, ...], family: int, assumed: tuple[str, ...] | None = None
    ) -> None:
        self.host, self.family, self.rulesets = host, family, rulesets
        self.assumed, self.inferred = assumed or (), assumed is not None
        self.tables: dict[str, list[Program]] = {}
        for ruleset in rulesets:
            for table in ruleset.tables:
                self.tables.setdefault(table.name, []).append(Program.of(table, family))
        self._types: dict[tuple[Any, ...], bool | None] = {}
        self._routes: dict[tuple[Any, ...], Decision] = {}
        self._links = {link.name: link for link in host.interfaces}

    @classmethod
    def of(cls, host: Host, family: int) -> "Machine":
        """The machine of a host as it was read: its own dumps of that family."""
        return cls(host, tuple(ruleset for _, ruleset in host.rulesets(family)), family)

    @classmethod
    def inferred_from(
        cls, ruleset: Ruleset, *, local: tuple[str, ...] = (), routes: tuple[tuple[str, str], ...] = ()
    ) -> "Machine":
        """The machine whose rules these may be: what is inferred stands in ``assumed``.

        ``local`` are addresses known to be its own, ``routes`` networks and the interface each is behind. Whether
        packets are forwarded is taken as yes, since somebody asks. Raises `ReadError` for what is no address.
        """
        plain = not local and not routes
        kept = ruleset.__dict__.get("_machine") if plain else None
        if isinstance(kept, cls):
            return kept
        host, assumed = infer_host(ruleset, local=local, routes=routes)
        host = msgspec.structs.replace(host, sysctls=None, rules=(*default_rules(4), *default_rules(6)))
        told = tuple(sentence for sentence in assumed if "forward" not in sentence and "all else" not in sentence)
        made = cls(host, (ruleset,), ruleset.family, told)
        if plain:
            ruleset.__dict__["_machine"] = made
        return made

    def is_sure(self, address: int) -> bool:
        """Whether it is known if ``address`` is this host's own: of an inferred host only part is known."""
        if not self.inferred:
            return True
        if self.family == 4 and (address >> 28 == 14 or address in (0, 0xFFFFFFFF)):
            return True
        way = self.route(address).route
        return way is not None and way.length > 0

    @functools.cached_property
    def tracks(self) -> bool:
        """Whether conntrack works in the namespace: a nat table is there, or a rule asks for connections."""
        if "nat" in self.tables:
            return True
        rules = (rule for ruleset in self.rulesets for _, rule in ruleset.rules())
        return any(_asks_connection(condition) for rule in rules for condition in rule.conditions())

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
        key = (destination, *flow.items())
        found = self._routes.get(key)
        if found is None:
            if len(self._routes) > _KEPT:
                self._routes.clear()
            found = self._routes[key] = route(self.host, destination, family=self.family, **flow)
        return found


def _asks_connection(condition: Condition) -> bool:
    if isinstance(condition, In):
        name = condition.field.name
        return name.startswith("ct_") or name in ("state", "connmark", "helper")
    return any(_asks_connection(part) for part in getattr(condition, "conditions", ()))


_KEPT = 1 << 16
"""How many answers are kept; then all are forgotten, so that a long run of distinct packets stays small."""
