"""What a host's addresses and routes say of all addresses at once: where an answer changes, and what it is between.

Nothing changes between the ends of two routes' prefixes, so one address of each stretch is asked, by the same
functions that answer for one packet. Bridged frames are not part of it, and where there are policy rules the outgoing
interface stays open.
"""

from collections.abc import Iterator

from ruleflow.netfilter.address_type import is_of_type
from ruleflow.netfilter.fib import Flow as Question
from ruleflow.netfilter.fib import lookup
from ruleflow.netfilter.host import Host
from ruleflow.netfilter.intervals import Interval, joined
from ruleflow.netfilter.read_host import default_rules
from ruleflow.netfilter.reverse_path import Arrival, validate_source

_SPECIAL = {
    4: (0, 1, 127 << 24, 128 << 24, 224 << 24, 240 << 24, (1 << 32) - 1),
    6: (0, 1, 2, 0xFFFF << 32, 0x10000 << 32, 0xFE80 << 112, 0xFEC0 << 112, 0xFF << 120, (1 << 128) - 1),
}


class KnownHost:
    """One or two hosts (both sides of a comparison): what holds on all of them."""

    def __init__(self, hosts: tuple[Host, ...], family: int) -> None:
        self.hosts, self.family = hosts, family
        self.top = (1 << (32 if family == 4 else 128)) - 1
        self._types: dict[tuple[str, ...], tuple[tuple[Interval, ...], tuple[Interval, ...]]] = {}
        self._starts = self._cuts()

    def _cuts(self) -> list[int]:
        width = 32 if self.family == 4 else 128
        cuts = {0, *_SPECIAL[self.family]}
        for host in self.hosts:
            for route in host.routes or ():
                if route.family == self.family:
                    size = 1 << (width - route.length)
                    cuts |= {route.destination, route.destination + size}
            cuts |= {
                each for _, own in host.addresses(self.family) for each in (own.address, own.address + 1)
            }
        return sorted(cut for cut in cuts if cut <= self.top)

    def _stretches(self) -> Iterator[Interval]:
        for at, start in enumerate(self._starts):
            end = self._starts[at + 1] - 1 if at + 1 < len(self._starts) else self.top
            yield start, end

    def of_type(self, types: tuple[str, ...]) -> tuple[tuple[Interval, ...], tuple[Interval, ...]]:
        """The addresses that are of one of the types, and those of which it is not known."""
        found = self._types.get(types)
        if found is None:
            yes: list[Interval] = []
            unknown: list[Interval] = []
            for start, end in self._stretches():
                answers = {is_of_type(host, start, self.family, types) for host in self.hosts}
                answer = answers.pop() if len(answers) == 1 else None
                if answer is not False:
                    (unknown if answer is None else yes).append((start, end))
            found = self._types[types] = joined(yes), joined(unknown)
        return found

    def ways(self, host: Host) -> tuple[tuple[str, tuple[Interval, ...]], ...] | None:
        """By which interface packets to which addresses leave a host (lo: to itself); None where it is not known."""
        if host.routes is None or not self._plain_policy(host):
            return None
        found: dict[str, list[Interval]] = {}
        for start, end in self._stretches():
            route = lookup(host, Question(family=self.family, destination=start))
            if route.error or route.route is None:
                continue
            local = route.route.kind in ("local", "anycast")
            names = (
                ["lo"]
                if local
                else [hop.interface for hop in route.hops or route.route.nexthops if hop.interface]
            )
            for name in names[:1]:
                found.setdefault(name, []).append((start, end))
        return tuple((name, joined(parts)) for name, parts in found.items())

    def _plain_policy(self, host: Host) -> bool:
        """Whether the policy (ip rule) is what every namespace begins with."""
        rules = tuple(rule for rule in host.rules or () if rule.family == self.family)
        return host.rules is None or rules == default_rules(self.family)

    def forwards(self, host: Host) -> bool:
        """Whether a host passes packets on, as far as known."""
        return host.forwards(self.family) is not False

    def disbelieved(self, host: Host, *, again: bool) -> Iterator[tuple[str, tuple[Interval, ...]]]:
        """For each interface the IPv4 sources that are not believed there; ``again``: of what leaves by it again."""
        for name in self.wires() if self.family == 4 else ():
            out = name if again else None
            bad = [
                part for part in self._stretches()
                if validate_source(host, Arrival(source=part[0], destination=0, iif=name, out=out)).fault
            ]  # fmt: skip
            yield name, joined(bad)

    def wired_loopback(self, host: Host) -> Iterator[str]:
        """The interfaces on which addresses of 127/8 do not arrive (route_localnet is off)."""
        yield from (name for name in self.wires() if not host.route_localnet(name))

    def wires(self) -> tuple[str, ...]:
        """The interfaces on which IP packets arrive at any of the hosts: all but lo and the ports of bridges."""
        links = [link for host in self.hosts for link in host.interfaces]
        return tuple(
            dict.fromkeys(
                link.name
                for link in links
                if link.name != "lo" and link.master_kind != "bridge" and not self._is_port(link.name)
            )
        )

    def _is_port(self, name: str) -> bool:
        return any(host.port(name) is not None for host in self.hosts)

    def names(self) -> Iterator[str]:
        """The names of all interfaces."""
        for host in self.hosts:
            yield from (link.name for link in host.interfaces)
