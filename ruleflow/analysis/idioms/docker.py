"""Docker: whether a rule set is its work, and the facts its rules share; the idioms are in `docker_nat` and `docker_filter`.

Sources: libnetwork's bridge driver (setup_ip_tables.go, later internal/iptabler) and its scenario documents;
why each rule exists was tried in a lab, one rule left out at a time (docs/how-containers-talk.md).
"""

import functools
import re
from collections.abc import Callable, Iterator

from ruleflow.analysis.explanation import Claim
from ruleflow.analysis.idioms.shape import Shape, Shapes, places
from ruleflow.ruleset.addresses import Prefix
from ruleflow.ruleset.ir import RuleRef

CHAINS = frozenset(
    {
        "DOCKER", "DOCKER-USER", "DOCKER-ISOLATION", "DOCKER-ISOLATION-STAGE-1", "DOCKER-ISOLATION-STAGE-2",
        "DOCKER-FORWARD", "DOCKER-CT", "DOCKER-BRIDGE", "DOCKER-INTERNAL", "DOCKER-INGRESS",
    }
)  # fmt: skip


_POOLS = frozenset({0xAC1, 0xC0A})
"""The upper 12 bits of Docker's default address pools: 172.16.0.0/12, and 192.168.0.0/16 in 192.160.0.0/12."""
_BRIDGE = re.compile(r"docker0|docker_gwbridge|br-[0-9a-f]{12}")
"""How Docker names bridges itself; a user may give any name."""


class Docker:
    """What of a rule set looks like Docker's, and the facts its rules share."""

    def __init__(self, shapes: Shapes) -> None:
        self.shapes = shapes
        self.family = shapes.rules.family

    @functools.cached_property
    def signs(self) -> list[Shape]:
        """Jumps that only Docker writes: a chain of its name, called from its place with its condition."""
        found = [
            one for one in self.shapes.called("nat", "DOCKER")
            if one.ref.chain in ("PREROUTING", "OUTPUT") and one.get("dst_type") == "LOCAL"
        ]  # fmt: skip
        found += [
            one for one in self.shapes.called("filter", "DOCKER")
            if one.ref.chain in ("FORWARD", "DOCKER-FORWARD", "DOCKER-BRIDGE") and (one.asks("out") or one.asks("set.lookup"))
        ]  # fmt: skip
        for chain in ("DOCKER-USER", "DOCKER-ISOLATION", "DOCKER-ISOLATION-STAGE-1", "DOCKER-FORWARD"):
            found += [
                one for one in self.shapes.called("filter", chain)
                if one.ref.chain in ("FORWARD", "DOCKER-FORWARD") and one.asks()
            ]  # fmt: skip
        found += [
            one for one in self.shapes.called("filter", "DOCKER-ISOLATION-STAGE-2")
            if one.ref.chain == "DOCKER-ISOLATION-STAGE-1" and one.asks("in", "out") and one.get("in") == one.negated("out")
        ]  # fmt: skip
        return found

    @functools.cached_property
    def known(self) -> bool:
        """Whether Docker may be named: two such jumps, for one may be a person's."""
        return len({(one.ref.table, one.ref.chain, one.calls) for one in self.signs}) >= 2

    @functools.cached_property
    def bridges(self) -> frozenset[str]:
        """The bridges that Docker's chains name."""
        found: set[str] = set()
        for one in self.signs:
            if isinstance(one.get("out"), str):
                found.add(str(one.get("out")))
        for chain in (
            "DOCKER-ISOLATION-STAGE-1",
            "DOCKER-INTERNAL",
            "DOCKER-FORWARD",
            "DOCKER-CT",
            "DOCKER-BRIDGE",
        ):
            for one in self.shapes.chain("filter", chain):
                for side in ("in", "out"):
                    value = one.get(side)
                    if isinstance(value, str):
                        found.add(value)
        for one in self.shapes.chain("nat", "DOCKER"):
            value = one.negated("in") or one.get("in")
            if isinstance(value, str) and value != "loopback0":
                found.add(value)
        outs = (one.negated("out") for one in self.shapes.chain("nat", "POSTROUTING"))
        found.update(str(name) for name in outs if isinstance(name, str) and _BRIDGE.fullmatch(name))
        return frozenset(found)

    @functools.cached_property
    def networks(self) -> dict[str, Prefix]:
        """The network of each bridge, by the rule that hides it; a bridge has one, so the one that fits is taken."""
        found: dict[str, list[Prefix]] = {}
        for one in self.shapes.chain("nat", "POSTROUTING"):
            bridge = one.negated("out")
            if (
                one.asks("source", "out")
                and one.source
                and bridge in self.bridges
                and one.rewrites is not None
            ):
                found.setdefault(str(bridge), []).append(one.source)
        return {
            bridge: net for bridge, nets in found.items() if (net := self._fitting(bridge, nets)) is not None
        }

    def _fitting(self, bridge: str, nets: list[Prefix]) -> Prefix | None:
        """The network that holds the containers on the bridge; without any, the only one, or one of Docker's own pools."""
        containers = {
            one.destination.address for one in (*self.shapes.chain("filter", "DOCKER"), *self.shapes.chain("raw", "PREROUTING"))
            if one.destination is not None and bridge in (one.get("out"), one.negated("in"))
        }  # fmt: skip
        if containers:
            nets = [net for net in nets if any(address & net.mask == net.address for address in containers)]
        elif len(nets) > 1:
            nets = [net for net in nets if net.family == 6 or net.address >> 20 in _POOLS]
        return nets[0] if nets else None

    def inside(self, address: int) -> bool:
        """Whether an address may be a container's: it is in a network, or there are networks we do not know."""
        if self.bridges - self.networks.keys():
            return True
        return any(address & net.mask == net.address for net in self.networks.values())

    @functools.cached_property
    def proxy(self) -> bool | None:
        """Whether the userland proxy serves loopback, by the jump in nat OUTPUT; None without it."""
        jumps = [one for one in self.shapes.called("nat", "DOCKER") if one.ref.chain == "OUTPUT"]
        return None if not jumps else any("destination" in one.facts for one in jumps)

    def layout(self) -> str:
        """The versions that write chains like these."""
        chains = {name for table, name in self.shapes.chains if table == "filter"}
        if "DOCKER-INTERNAL" in chains:
            return "29 or later"
        if any("set.lookup" in one.facts for one in self.shapes.called("filter", "DOCKER")):
            return "28.0.0"
        if "DOCKER-FORWARD" in chains:
            return "28 (28.0.1 or later)"
        if "DOCKER-ISOLATION-STAGE-1" in chains:
            return "18.06 to 27"
        return "1.10 to 18.05"

    def claim(
        self,
        code: str,
        one: Shape,
        reason: str,
        purpose: str = "",
        also: list[Shape] | None = None,
        *,
        owned: bool = True,
    ) -> Claim:
        """A claim about one rule, with the evidence: its shape, and what was looked at beside it.

        ``owned`` is false where the rule has the shape but not the addresses of one of Docker's.
        """
        seen = also or []
        known = self.known and owned
        by = "by names and shape" if known else "by shape alone"
        if seen:
            by += f", with {places(seen)}"
        owner = "Docker" if known else ""
        words = purpose if purpose.startswith("to ") or not purpose else f"for {purpose}"
        return Claim(
            f"docker-{code}", (one.ref,), reason, by, owner, words, tuple(other.ref for other in seen)
        )


Idiom = Callable[[Docker, Shape], Claim | None]


def claims(shapes: Shapes) -> Iterator[Claim]:
    """Claims about Docker's rules; without its chains only about what the shape alone tells."""
    from ruleflow.analysis.idioms import docker_filter, docker_nat

    docker = Docker(shapes)
    places_of: list[tuple[str, str, tuple[Idiom, ...]]] = [
        ("nat", "POSTROUTING", (docker_nat.self_masquerade,))
    ]
    if docker.known:
        places_of = [*docker_nat.PLACES, *docker_filter.PLACES]
    for table, chain, idioms in places_of:
        for one in shapes.chain(table, chain):
            found = next((claim for idiom in idioms if (claim := idiom(docker, one)) is not None), None)
            if found is not None:
                yield found
    yield from _policy(docker)


def _policy(docker: Docker) -> Iterator[Claim]:
    """FORWARD drops by default: Docker sets that where it had to switch forwarding on."""
    rules = docker.shapes.rules
    chain = rules["filter"]["FORWARD"] if "filter" in rules and "FORWARD" in rules["filter"] else None
    if not docker.known or chain is None or chain.policy != "DROP":
        return
    reason = (
        "When Docker finds that this host does not forward yet, it switches forwarding on and lets nothing but its own "
        "networks use it, so that the host does not become a router for everybody. Others that forward here (virtual "
        "machines, VPNs) need rules of their own, in DOCKER-USER for instance."
    )
    yield Claim(
        "docker-policy", (RuleRef("filter", "FORWARD", 0, chain.line),), reason, "by the company it is in: anybody may set a policy",
        "perhaps Docker", "to keep this host from routing for others",
    )  # fmt: skip


def owners(shapes: Shapes) -> Iterator[tuple[tuple[str, str], str]]:
    """Docker's chains, if there are enough signs of it."""
    if Docker(shapes).known:
        for table, chain in shapes.chains:
            if chain in CHAINS and table in ("nat", "filter"):
                yield (table, chain), "made by Docker, by its name and its place"


def made(shapes: Shapes) -> Iterator[str]:
    """Which Docker, and with or without its proxy."""
    docker = Docker(shapes)
    if not docker.known:
        return
    proxy = ""
    if docker.proxy is not None:
        proxy = ", with its userland proxy" if docker.proxy else ", without its userland proxy"
    yield (
        f"Docker {docker.layout()}{proxy}: a guess, by the names of its chains and the jumps to them "
        f"({places(docker.signs)})."
    )
