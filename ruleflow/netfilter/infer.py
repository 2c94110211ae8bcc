"""A host guessed from its rules alone; every guess is a sentence in the list that comes with it."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ruleflow.netfilter.describe import parse_address, parse_route
from ruleflow.netfilter.host import Address, Host, Interface, Nexthop, Route, Sysctls
from ruleflow.netfilter.kernel_routes import kernel_routes
from ruleflow.netfilter.numbers import address_text, within
from ruleflow.netfilter.read_host import default_rules
from ruleflow.ruleset.addresses import Prefix
from ruleflow.ruleset.matches.header import Header
from ruleflow.ruleset.values import Not

if TYPE_CHECKING:
    from ruleflow.ruleset.ir import Rule, Ruleset

Network = tuple[int, int]
"""Address and prefix length."""


def infer_host(
    ruleset: "Ruleset", *, local: tuple[str, ...] = (), routes: tuple[tuple[str, str], ...] = ()
) -> tuple[Host, tuple[str, ...]]:
    """A host whose rules ``ruleset`` may be, and what was assumed to make it, a sentence each.

    ``local`` are addresses known to be this host's, ``routes`` networks and the interface each is behind
    (``--local``, ``--route NET=IF``). Networks are taken from rules that masquerade what leaves a bridge, this
    host's addresses from rules that rewrite what is sent to them.

    :raises ReadError: where an address of ``local`` or a network of ``routes`` is none.
    """
    guess = _Guess(ruleset.family)
    for table in ruleset.tables:
        for chain in table:
            for rule in chain.rules:
                guess.look(rule)
    for text in local:
        guess.outside_address(parse_address(text).address, None)
    return guess.host(routes), tuple(guess.assumed)


class _Guess:
    """What the rules looked at so far make likely."""

    def __init__(self, family: int) -> None:
        self.family = family
        self.width = 32 if family == 4 else 128
        self.names: dict[str, None] = {}
        self.networks: dict[str, Network] = {}
        self.behind: dict[int, str] = {}
        self.outside: dict[int, None] = {}
        self.forwards = False
        self.assumed: list[str] = []

    def look(self, rule: "Rule") -> None:
        """Take from one rule what it tells of the host."""
        facts = _Facts(rule)
        for name in (*facts.interfaces("in_interface"), *facts.interfaces("out_interface")):
            self.names.setdefault(name)
        action = getattr(rule.target, "name", "")
        if action in ("MASQUERADE", "SNAT"):
            self.masqueraded(facts)
        if action == "DNAT":
            self.published(facts)
        self.container(facts)

    def masqueraded(self, facts: "_Facts") -> None:
        """``-s NET ! -o BRIDGE -j MASQUERADE``: the bridge has the network."""
        network, bridges = (
            facts.network("source", self.width),
            facts.interfaces("out_interface", negated=True),
        )
        self.forwards = True
        if (
            network is None
            or network[1] >= self.width - 1
            or len(bridges) != 1
            or bridges[0] in self.networks
        ):
            return
        self.networks[bridges[0]] = network
        self.assume(
            f"{bridges[0]} has the network {self.text(network)}: what leaves it for elsewhere is masqueraded"
        )

    def published(self, facts: "_Facts") -> None:
        """``-d ADDRESS … -j DNAT``: somebody reaches this host by that address."""
        network = facts.network("destination", self.width)
        self.forwards = True
        if network is not None and network[1] == self.width and not _is_loopback(network[0], self.family):
            self.outside_address(network[0], "packets to it are rewritten (DNAT)")

    def container(self, facts: "_Facts") -> None:
        """``-d ADDRESS -o BRIDGE``: the address is behind the bridge."""
        network, bridges = facts.network("destination", self.width), facts.interfaces("out_interface")
        if network is not None and network[1] == self.width and len(bridges) == 1:
            self.behind.setdefault(network[0], bridges[0])

    def outside_address(self, address: int, why: str | None) -> None:
        if address in self.outside:
            return
        self.outside[address] = None
        if why:
            self.assume(f"{address_text(address, self.family)} is an address of this host: {why}")

    def assume(self, sentence: str) -> None:
        if sentence not in self.assumed:
            self.assumed.append(sentence)

    def text(self, network: Network) -> str:
        return f"{address_text(network[0], self.family)}/{network[1]}"

    def host(self, routes: tuple[tuple[str, str], ...]) -> Host:
        """The host that fits, and the last assumptions."""
        given = [parse_route(f"{network} dev {name}") for network, name in routes]
        links = self.links([hop.interface for route in given for hop in route.nexthops if hop.interface])
        forwards = "1" if self.forwards else "0"
        known = {"net.ipv4.ip_forward": forwards, "net.ipv6.conf.all.forwarding": forwards}
        self.assume(
            f"this host {'forwards packets' if self.forwards else 'does not forward'}: the rules look so"
        )
        made = (*kernel_routes(links), *given, *self.hidden_routes(), *self.default(links))
        return Host(
            interfaces=links, routes=made, rules=(*default_rules(4), *default_rules(6)), sysctls=Sysctls.of(known),
            assumed=tuple(self.assumed), unknown=("addresses, routes and settings: only the rules are known",),
        )  # fmt: skip

    def links(self, routed: Iterable[str]) -> tuple[Interface, ...]:
        outside = self.way_out()
        names = dict.fromkeys(["lo", outside, *self.names, *self.networks, *routed])
        return tuple(self.link(index, name, outside) for index, name in enumerate(names, 1))

    def link(self, index: int, name: str, outside: str) -> Interface:
        if name == "lo":
            own: tuple[Address, ...] = _LOOPBACK
        elif name in self.networks:
            own = (self.gateway(name),)
        else:
            own = tuple(self.outside_link_addresses()) if name == outside else ()
        flags = ("LOOPBACK", "UP", "LOWER_UP") if name == "lo" else ("UP", "LOWER_UP")
        kind = "loopback" if name == "lo" else "bridge" if name in self.networks else ""
        return Interface(index=index, name=name, kind=kind, flags=flags, state="UP", addresses=own)

    def gateway(self, bridge: str) -> Address:
        network, length = self.networks[bridge]
        address = network if network & 1 else network + 1
        self.assume(
            f"{bridge} has the address {address_text(address, self.family)}, the first of its network"
        )
        return Address(family=self.family, address=address, length=length)

    def outside_link_addresses(self) -> Iterator[Address]:
        for address in self.outside:
            if not any(within(address, *network, self.family) for network in self.networks.values()):
                yield Address(family=self.family, address=address, length=self.width)

    def way_out(self) -> str:
        """The interface to the outside: the first named that is neither ``lo`` nor a bridge of ours."""
        bridges = {*self.networks, *self.behind.values()}
        name = next((name for name in self.names if name != "lo" and name not in bridges), None)
        if name is None:
            self.assume("the way to the outside is called eth0: the rules name none")
        else:
            self.assume(f"{name} is the way to the outside: the rules name it, and no network behind it")
        return name or "eth0"

    def hidden_routes(self) -> Iterator[Route]:
        """A way to each address that rules send out by an interface whose network is not known."""
        for address, name in self.behind.items():
            if not any(within(address, *network, self.family) for network in self.networks.values()):
                self.assume(f"{address_text(address, self.family)} is behind {name}: a rule says so")
                hop = (Nexthop(interface=name),)
                yield Route(
                    family=self.family, destination=address, length=self.width, nexthops=hop, scope="link"
                )

    def default(self, links: tuple[Interface, ...]) -> Iterator[Route]:
        out = links[1].name
        self.assume(f"all else is reached by {out}")
        yield Route(
            family=self.family, destination=0, length=0, nexthops=(Nexthop(interface=out),), scope="link"
        )


_LOOPBACK = (
    Address(family=4, address=127 << 24 | 1, length=8, scope="host"),
    Address(family=6, address=1, length=128, scope="host"),
)


def _is_loopback(address: int, family: int) -> bool:
    return address >> 24 == 127 if family == 4 else address == 1


class _Facts:
    """What a rule asks of addresses and interfaces: the options every rule may have."""

    def __init__(self, rule: "Rule") -> None:
        first = rule.matches[0] if rule.matches else None
        self.header = first if isinstance(first, Header) else None

    def interfaces(self, field: str, *, negated: bool = False) -> tuple[str, ...]:
        """The interface named, if it is no wildcard."""
        value = getattr(self.header, field, None)
        if value is None or isinstance(value, Not) != negated:
            return ()
        name = value.value if isinstance(value, Not) else value
        return () if name.endswith("+") else (name,)

    def network(self, field: str, width: int) -> Network | None:
        """The network asked for, None where there is none, or none with a prefix."""
        value = getattr(self.header, field, None)
        if not isinstance(value, Prefix):
            return None
        length = value.mask.bit_count()
        return (value.address, length) if value.mask == ((1 << length) - 1) << (width - length) else None
