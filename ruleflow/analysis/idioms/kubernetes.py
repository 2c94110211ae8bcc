"""kube-proxy's and the kubelet's rules: services, endpoints, the mark that asks for masquerading.

Sources: pkg/proxy/iptables/proxier.go and pkg/kubelet/kubelet_network_linux.go of Kubernetes 1.8 to 1.31.
"""

from collections.abc import Iterator

from ruleflow.analysis.explanation import Claim
from ruleflow.analysis.idioms.owner import Idiom, Owner, told
from ruleflow.analysis.idioms.shape import Shape, Shapes, is_host, network, place, port_words
from ruleflow.ruleset.addresses import address_text
from ruleflow.ruleset.values import Not

_TOPS = (
    "KUBE-SERVICES",
    "KUBE-POSTROUTING",
    "KUBE-FORWARD",
    "KUBE-NODEPORTS",
    "KUBE-FIREWALL",
    "KUBE-EXTERNAL-SERVICES",
    "KUBE-PROXY-FIREWALL",
)


def _owner(shapes: Shapes) -> Owner:
    signs = [one for top in _TOPS for table in ("nat", "filter") for one in shapes.called(table, top)]
    signs += [
        one for (table, chain), rules in shapes.chains.items() for one in rules[:8]
        if table == "nat" and chain.startswith(("KUBE-SVC-", "KUBE-SEP-")) and (one.calls or "").startswith("KUBE-")
    ]  # fmt: skip
    return Owner("kube-proxy", shapes, r"KUBE-[A-Z0-9-]+", signs)


def claims(shapes: Shapes) -> Iterator[Claim]:
    """Claims about the rules of kube-proxy and the kubelet."""
    yield from told(_owner(shapes), _IDIOMS)


def owners(shapes: Shapes) -> Iterator[tuple[tuple[str, str], str]]:
    """Their chains."""
    yield from _owner(shapes).owned()


def made(shapes: Shapes) -> Iterator[str]:
    """Kubernetes, and how many services it has."""
    services = len(
        {chain for table, chain in shapes.chains if table == "nat" and chain.startswith("KUBE-SVC-")}
    )
    more = (
        f" of a Kubernetes node, {services} service {'port' if services == 1 else 'ports'} in nat"
        if services
        else " of a Kubernetes node"
    )
    yield from _owner(shapes).sentence(more)


# -- the way in -------------------------------------------------------------------------------------------

_ENTRY = {
    ("nat", "KUBE-SERVICES"): ("services", "Addresses of services exist on no machine: each connection to one is looked up here and sent to one of the service's pods."),
    ("nat", "KUBE-POSTROUTING"): ("marked connections", "Connections that a rule above marked for it leave with this node's address, so that the answers come back through this node and are translated."),
    ("filter", "KUBE-SERVICES"): ("services without pods", "A service that has no pod ready is refused at once, instead of sending packets to an address that nobody has."),
    ("filter", "KUBE-EXTERNAL-SERVICES"): ("services without pods", "The same for the addresses of services that are meant for clients outside of the cluster."),
    ("filter", "KUBE-FORWARD"): ("traffic to services", "What goes to pods by way of a service may pass this node, whatever the policy of FORWARD is."),
    ("filter", "KUBE-NODEPORTS"): ("health checks", "A load balancer outside asks here whether this node has pods of a service; those ports must be open."),
    ("filter", "KUBE-FIREWALL"): ("packets that must not pass", "Packets that were marked to be dropped, and forged loopback connections, end there."),
    ("filter", "KUBE-PROXY-FIREWALL"): ("load balancers with allowed sources", "Services may name who can use their load balancer's address; who is not named is dropped there."),
    ("nat", "KUBE-NODEPORTS"): ("node ports", "What is for this node's own addresses and no service's may still be for a node port. It is asked last, since it looks at every packet for this node."),
}  # fmt: skip


def entry(owner: Owner, one: Shape) -> Claim | None:
    """The jumps from the hooks, and from KUBE-SERVICES to KUBE-NODEPORTS."""
    words = _ENTRY.get((one.ref.table, one.calls or ""))
    if words is None or not set(one.facts) <= {"state", "dst_type"}:
        return None
    reason = words[1]
    if "state" in one.facts and one.states == {"NEW"}:
        reason += " Only the first packet of a connection has to be asked."
    return owner.claim(f"to-{one.ref.table}-{one.calls}".lower(), one, reason, words[0])


def service(owner: Owner, one: Shape) -> Claim | None:
    """``KUBE-SERVICES -d CLUSTER-IP -p tcp --dport 80 -j KUBE-SVC-…`` (KUBE-EXT, KUBE-FW, KUBE-XLB)."""
    called = one.calls or ""
    if one.ref.chain != "KUBE-SERVICES" or not called.startswith(
        ("KUBE-SVC-", "KUBE-EXT-", "KUBE-FW-", "KUBE-XLB-", "KUBE-SVL-")
    ):
        return None
    if not one.asks("destination", "protocol", "dport") or not is_host(one.get("destination")):
        return None
    count = len(_endpoints(owner.shapes, called))
    kind = (
        "its cluster address"
        if called.startswith("KUBE-SVC-")
        else "an address for clients outside of the cluster"
    )
    ends = f", which has {count} {'endpoint' if count == 1 else 'endpoints'}" if count else ""
    reason = (
        f"{network(one.destination)} {port_words(one)} is a service, at {kind}{ends}. No machine has that address; {called} chooses the "
        "pod that answers."
    )
    return owner.claim("service", one, reason, _name(one) or "a service")


def _name(one: Shape) -> str:
    """The service's name, which its comment begins with: somebody's word, so only said and never trusted."""
    first = one.comment.split(" ", 1)[0]
    return f'the service "{first}"' if "/" in first else ""


def node_port(owner: Owner, one: Shape) -> Claim | None:
    """``KUBE-NODEPORTS -p tcp --dport 30080 -j KUBE-EXT-…``; in filter the health check ports."""
    if one.ref.chain != "KUBE-NODEPORTS" or "dport" not in one.facts:
        return None
    if one.ref.table == "filter":
        return (
            owner.claim(
                "health",
                one,
                "The health check of a service answers on this port; load balancers outside ask it which nodes have pods.",
                "health checks",
            )
            if one.verdict == "ACCEPT"
            else None
        )
    if one.calls == "KUBE-MARK-MASQ":
        return owner.claim("node-port-mark", one, f"{_CLIENT} {_MARKED}", "node ports")
    if not (one.calls or "").startswith("KUBE-"):
        return None
    reason = f"{port_words(one).capitalize()} of every node stands for a service, for clients outside of the cluster: who connects to it is sent to one of its pods, on whatever node."
    return owner.claim("node-port", one, reason, _name(one) or "a node port")


_CLIENT = "The pod may run on another node, and would answer the client directly, which waits for an answer from this node."
_MARKED = "So the connection is marked, and leaves with this node's address."


def mark_outside(owner: Owner, one: Shape) -> Claim | None:
    """``KUBE-SVC ! -s PODS -d IP … -j KUBE-MARK-MASQ``; ``KUBE-EXT -j KUBE-MARK-MASQ``; ``KUBE-SEP -s POD -j KUBE-MARK-MASQ``."""
    if one.calls != "KUBE-MARK-MASQ":
        return None
    chain = one.ref.chain
    if chain.startswith("KUBE-SEP-") and one.asks("source") and is_host(one.get("source")):
        return _hairpin(owner, one)
    pods = one.negated("source")
    if pods is not None and chain.startswith(("KUBE-SVC-", "KUBE-SERVICES")):
        reason = (
            f"A client outside of the pods' network {pods} would be answered by the pod's own node, past this one, which alone can "
            f"translate the answer. {_MARKED} Pods keep their address: their own node translates for them."
        )
        return owner.claim("mark-outside", one, reason, "clients that are no pods")
    if one.get("src_type") == "LOCAL":
        return owner.claim(
            "mark-local",
            one,
            f"This node itself is the client here. {_CLIENT} {_MARKED}",
            "clients on this node",
        )
    if chain.startswith(("KUBE-EXT-", "KUBE-FW-", "KUBE-XLB-")) and one.asks():
        return owner.claim("mark-external", one, f"{_CLIENT} {_MARKED}", "clients outside of the cluster")
    return None


def _hairpin(owner: Owner, one: Shape) -> Claim | None:
    sent = [
        other
        for other in owner.shapes.chain("nat", one.ref.chain)
        if other.rewrites is not None and other.rewrites.low == (one.source.address if one.source else None)
    ]
    if not sent:
        return None
    reason = (
        f"When the pod {network(one.source)} opens its own service and is chosen itself, {place(sent[0])} sends the packet back to it "
        "with its own address as source. It would drop that (a martian), or answer over its own loopback, where nobody "
        "translates the answer back. So the connection is marked, and gets this node's address as source."
    )
    return owner.claim("hairpin", one, reason, "a pod that opens its own service", (sent[0],))


def _endpoints(shapes: Shapes, chain: str, depth: int = 0) -> list[Shape]:
    """The jumps to endpoints that a service's chain makes, those by affinity left out."""
    found: list[Shape] = []
    for one in shapes.chain("nat", chain):
        called = one.calls or ""
        if called.startswith("KUBE-SEP-") and not any(name.startswith("recent.") for name in one.facts):
            found.append(one)
        elif called.startswith(("KUBE-SVC-", "KUBE-EXT-", "KUBE-SVL-")) and depth < 3 and not found:
            found = _endpoints(shapes, called, depth + 1)
    return found


def shares(jumps: list[Shape]) -> list[float]:
    """The share of all connections that each jump takes: each is asked only about what those before left."""
    left, found = 1.0, []
    for one in jumps:
        chance = one.get("statistic.probability")
        mine = left * float(chance) if isinstance(chance, str) else left
        found.append(mine)
        left -= mine
    return found


def choose(owner: Owner, one: Shape) -> Claim | None:
    """``KUBE-SVC-… -m statistic --mode random --probability P -j KUBE-SEP-…``."""
    called = one.calls or ""
    if not called.startswith("KUBE-SEP-") or not one.ref.chain.startswith(
        ("KUBE-SVC-", "KUBE-SVL-", "KUBE-XLB-")
    ):
        return None
    if any(name.startswith("recent.") for name in one.facts):
        reason = (
            "Session affinity: a client that was sent to this endpoint before, and not too long ago, is sent there again. These "
            "rules come before the choice by chance."
        )
        return owner.claim("affinity", one, reason, "clients that come back")
    if not set(one.facts) <= {"statistic.mode", "statistic.probability"}:
        return None
    jumps = _endpoints(owner.shapes, one.ref.chain)
    if not all(_by_chance(jump) for jump in jumps):
        return None
    mine = next(
        (share for jump, share in zip(jumps, shares(jumps), strict=True) if jump.ref == one.ref), None
    )
    if mine is None:
        return None
    number = next(index for index, jump in enumerate(jumps, 1) if jump.ref == one.ref)
    if len(jumps) == 1:
        return owner.claim(
            "only", one, "The service has one endpoint, so every connection goes there.", "the only endpoint"
        )
    asked = one.get("statistic.probability")
    of_left = (
        f"takes {_percent(float(asked))} of what the {number - 1} before left"
        if isinstance(asked, str) and number > 1
        else ("takes what is left" if not isinstance(asked, str) else "is asked first")
    )
    reason = (
        f"Endpoint {number} of {len(jumps)} {of_left}, which makes {_percent(mine)} of all new connections. Each rule is only asked "
        "about what those before it left, so that equal shares need rising probabilities."
    )
    return owner.claim("choose", one, reason, f"{_percent(mine)} of the connections")


def _by_chance(jump: Shape) -> bool:
    """Whether a jump asks for chance alone, or for nothing."""
    return set(jump.facts) <= {"statistic.mode", "statistic.probability"} and not any(
        isinstance(v, Not) for v in jump.facts.values()
    )


def _percent(share: float) -> str:
    return f"{share * 100:.4g} %"


def endpoint(owner: Owner, one: Shape) -> Claim | None:
    """``KUBE-SEP-… -p tcp -j DNAT --to-destination POD:8080``."""
    change = one.rewrites
    if not one.ref.chain.startswith("KUBE-SEP-") or change is None or change.low is None:
        return None
    to = address_text(change.low, owner.shapes.rules.family)
    reason = f"The connection goes to the pod {to} from here on. Conntrack translates the packets that follow and the answers by itself, so nobody is asked again."
    if any(name.startswith("recent.") for name in one.facts):
        reason += " The client is noted, so that it comes to the same pod again."
    return owner.claim("endpoint", one, reason, f"the pod {to}")


def external(owner: Owner, one: Shape) -> Claim | None:
    """KUBE-EXT, KUBE-FW and KUBE-XLB: what is done for clients outside."""
    chain, called = one.ref.chain, one.calls or ""
    if not chain.startswith(("KUBE-EXT-", "KUBE-FW-", "KUBE-XLB-")):
        return None
    if chain.startswith("KUBE-FW-") and one.source is not None and called:
        return owner.claim(
            "allowed",
            one,
            f"The service names who may use its load balancer's address, and {network(one.source)} may. Who is in no such rule is dropped in filter.",
            "clients that are allowed",
        )
    if chain.startswith("KUBE-FW-") and one.target == "" and one.asks():
        return owner.claim(
            "not-named",
            one,
            "A remark for readers: whoever no rule above names is not translated, and filter drops the packet.",
            "clients that are not allowed",
        )
    if called.startswith("KUBE-SVL-") and one.asks():
        return owner.claim(
            "local-only",
            one,
            "Only pods on this node are chosen, so the client's address can be kept (externalTrafficPolicy Local).",
            "pods on this node",
        )
    if called.startswith("KUBE-SVC-") and one.source is not None:
        return owner.claim(
            "pods-short",
            one,
            "Pods that use the outside address are treated as if they had used the cluster address: any pod of the service may answer.",
            "clients that are pods",
        )
    if called.startswith("KUBE-SVC-") and one.get("src_type") == "LOCAL":
        return owner.claim(
            "local-short",
            one,
            "For this node as client any pod of the service may answer, on whatever node.",
            "clients on this node",
        )
    if called.startswith("KUBE-SVC-") and one.asks():
        return owner.claim(
            "to-service",
            one,
            "From here on the outside address is treated as the cluster address: one of the service's pods is chosen.",
            "the choice of a pod",
        )
    return None


def set_mark(owner: Owner, one: Shape) -> Claim | None:
    """KUBE-MARK-MASQ and KUBE-MARK-DROP."""
    if one.target != "MARK" or not one.asks():
        return None
    if one.ref.chain == "KUBE-MARK-MASQ":
        return owner.claim(
            "mark",
            one,
            "Masquerading happens in POSTROUTING, but whether it is needed is known only here, so a mark on the packet remembers it until then.",
            "connections to masquerade",
        )
    if one.ref.chain == "KUBE-MARK-DROP":
        return owner.claim(
            "mark-drop",
            one,
            "The nat table is no place to drop packets, so a mark remembers it until filter.",
            "connections to drop",
        )
    if one.ref.chain == "KUBE-POSTROUTING":
        return owner.claim(
            "unmark",
            one,
            "The mark has done its work and is taken off, so that a packet that visits these rules again (in a tunnel, say) is not masqueraded twice.",
            "marked connections",
        )
    return None


def postrouting(owner: Owner, one: Shape) -> Claim | None:
    """KUBE-POSTROUTING: what is not marked goes back, the rest is masqueraded."""
    if one.ref.chain != "KUBE-POSTROUTING":
        return None
    if one.verdict == "RETURN" and isinstance(one.get("mark"), Not) and one.asks("mark"):
        return owner.claim(
            "unmarked",
            one,
            "Only what a service's rule marked is masqueraded; everything else keeps its address.",
            "what is not marked",
        )
    if one.target == "MASQUERADE" and set(one.facts) <= {"mark"}:
        return owner.claim(
            "masquerade",
            one,
            "The connection gets this node's address as source, so the answers come back through this node, which alone can translate them back.",
            "marked connections",
        )
    return None


def filtering(owner: Owner, one: Shape) -> Claim | None:
    """KUBE-FORWARD, KUBE-FIREWALL, KUBE-SERVICES in filter."""
    chain = one.ref.chain
    if chain == "KUBE-FORWARD" and one.verdict == "ACCEPT" and one.asks("mark"):
        return owner.claim(
            "forward-mark",
            one,
            "What was marked for masquerading is on its way to a pod of a service, and may pass.",
            "traffic to services",
        )
    if chain == "KUBE-FORWARD" and one.verdict == "DROP" and one.states == {"INVALID"}:
        return owner.claim(
            "forward-invalid",
            one,
            "Packets that fit no connection are not translated back. If such a one of a long transfer reached the client, the client would break off the connection.",
            "broken translations",
        )
    if chain == "KUBE-FORWARD" and one.verdict == "ACCEPT" and one.states >= {"ESTABLISHED"}:
        return owner.claim(
            "forward-known",
            one,
            "The rest of a connection to a service, and its answers, carry no mark and pass here.",
            "traffic to services",
        )
    if chain == "KUBE-FIREWALL" and one.verdict == "DROP" and one.asks("mark"):
        return owner.claim(
            "firewall",
            one,
            "A rule in nat marked these packets to be dropped, which nat itself should not do.",
            "packets marked to be dropped",
        )
    if (
        chain == "KUBE-FIREWALL"
        and one.verdict == "DROP"
        and one.destination is not None
        and one.destination.address >> 24 == 127
    ):
        reason = "Node ports on 127.0.0.1 need route_localnet, which would also let a neighbour reach programs that listen on loopback alone. This drops what comes from outside to loopback and was not translated."
        return owner.claim("localnet", one, reason, "programs that listen on loopback")
    named = one.destination is not None or one.get("dst_type") == "LOCAL"
    if chain in ("KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES") and one.verdict in ("REJECT", "DROP") and named:
        return owner.claim(
            "no-endpoints",
            one,
            "The service has no pod that could answer, so the client is told at once (or, for traffic kept to this node, left to the load balancer).",
            _name(one) or "a service without pods",
        )
    if chain == "KUBE-PROXY-FIREWALL" and one.verdict == "DROP":
        return owner.claim(
            "not-allowed",
            one,
            "The service names who may use its load balancer's address, and this client is none of them.",
            _name(one) or "a load balancer",
        )
    return None


_IDIOMS: tuple[Idiom, ...] = (
    entry, service, node_port, mark_outside, choose, endpoint, external, set_mark, postrouting, filtering,
)  # fmt: skip
