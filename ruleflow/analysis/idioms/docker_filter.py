"""Docker's rules in filter: who may reach containers, and which networks stay apart."""

from ruleflow.analysis.explanation import Claim
from ruleflow.analysis.idioms.docker import Docker, Idiom
from ruleflow.analysis.idioms.shape import Shape, is_host, network, place, port_words

_REPLIES = frozenset({"RELATED", "ESTABLISHED"})


def ask_the_administrator(docker: Docker, one: Shape) -> Claim | None:
    """``FORWARD -j DOCKER-USER``."""
    if one.calls != "DOCKER-USER" or not one.asks():
        return None
    reason = (
        "DOCKER-USER is the administrator's: Docker asks it before its own rules and changes nothing in it. Destinations "
        "are translated by then, so a rule there sees the container's address and port; the published port is what "
        "conntrack calls the original one."
    )
    return docker.claim("user", one, reason, "your own rules")


def nothing_of_your_own(docker: Docker, one: Shape) -> Claim | None:
    """``DOCKER-USER -j RETURN`` (until 28.2.1)."""
    if one.verdict != "RETURN" or not one.asks():
        return None
    if one.ref.index == 1:
        reason = "Nobody has added a rule yet, so every packet goes on to Docker's own. Docker wrote this line when it made the chain."
    else:
        reason = "What your own rules above did not decide goes on to Docker's. Docker wrote this line when it made the chain."
    return docker.claim("user-return", one, reason, "your own rules")


def to_isolation(docker: Docker, one: Shape) -> Claim | None:
    """``-j DOCKER-ISOLATION-STAGE-1`` (or DOCKER-ISOLATION, 17.06 to 18.05)."""
    if one.calls not in ("DOCKER-ISOLATION-STAGE-1", "DOCKER-ISOLATION") or not one.asks():
        return None
    reason = (
        "Docker's networks are kept apart: what a container sends to a container on another bridge is dropped there, before "
        "any rule below can let it through. The chain comes early for that reason."
    )
    return docker.claim("isolation", one, reason, "to keep its networks apart")


def isolation_first(docker: Docker, one: Shape) -> Claim | None:
    """``STAGE-1 -i br ! -o br -j DOCKER-ISOLATION-STAGE-2``."""
    if (
        one.calls != "DOCKER-ISOLATION-STAGE-2"
        or not one.asks("in", "out")
        or one.get("in") != one.negated("out")
    ):
        return None
    bridge = one.get("in")
    reason = (
        f"A rule can name one bridge on each side, so two chains do what would take a rule for each pair of networks: here "
        f"what comes from {bridge} and leaves it, in the second stage whether it goes to another of Docker's bridges. "
        f"Only what does both is dropped; traffic from {bridge} to the outside comes back."
    )
    return docker.claim(
        "isolation-1",
        one,
        reason,
        f"to keep {bridge} apart",
        docker.shapes.chain("filter", "DOCKER-ISOLATION-STAGE-2")[:1],
    )


def isolation_second(docker: Docker, one: Shape) -> Claim | None:
    """``STAGE-2 -o br -j DROP``."""
    if one.verdict != "DROP" or not one.asks("out") or one.get("out") not in docker.bridges:
        return None
    reason = (
        f"Only packets from another of Docker's bridges get here, so this drops what containers of other networks send to "
        f"those on {one.get('out')}. To let two networks talk, attach a container to both."
    )
    return docker.claim("isolation-2", one, reason, f"to keep {one.get('out')} apart")


def isolation_pair(docker: Docker, one: Shape) -> Claim | None:
    """``DOCKER-ISOLATION -i br1 -o br2 -j DROP`` (17.06 to 18.05: a rule for each pair)."""
    pair = one.get("in"), one.get("out")
    if one.verdict != "DROP" or not one.asks("in", "out") or not all(isinstance(side, str) for side in pair):
        return None
    if pair[0] == pair[1]:
        return None
    reason = f"{pair[0]} and {pair[1]} are two of Docker's networks, which are kept apart: one rule for each direction of each pair."
    return docker.claim("isolation-pair", one, reason, "to keep its networks apart")


def isolation_end(docker: Docker, one: Shape) -> Claim | None:
    """``STAGE-n -j RETURN``."""
    if one.verdict != "RETURN" or not one.asks():
        return None
    return docker.claim(
        "isolation-end",
        one,
        "What is not between two of Docker's networks goes on to the rules below.",
        "to keep its networks apart",
    )


def routed_network(docker: Docker, one: Shape) -> Claim | None:
    """28, gateway mode routed: ``STAGE-1 -i br -m conntrack RELATED,ESTABLISHED -j ACCEPT``, ``-o br -j RETURN``."""
    if (
        one.verdict == "ACCEPT"
        and one.asks("in", "state")
        and one.states == _REPLIES
        and one.get("in") in docker.bridges
    ):
        reason = (
            f"{one.get('in')} is routed, not translated (gateway mode routed), and may be reached from other networks: so its "
            "answers to them must pass before the isolation drops them."
        )
        return docker.claim("routed-replies", one, reason, f"answers from {one.get('in')}")
    if one.verdict == "RETURN" and one.asks("out") and one.get("out") in docker.bridges:
        reason = (
            f"{one.get('out')} is routed, not translated (gateway mode routed): packets to it are exempt from the isolation, "
            "and the rules for its ports decide."
        )
        return docker.claim("routed-exempt", one, reason, f"{one.get('out')} open to other networks")
    return None


def replies(docker: Docker, one: Shape) -> Claim | None:
    """``-o br -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`` in FORWARD or DOCKER-CT; 28.0.0 with an ipset."""
    if one.verdict != "ACCEPT" or one.states != _REPLIES:
        return None
    if not (one.asks("out", "state") and one.get("out") in docker.bridges) and not one.asks(
        "set.lookup", "state"
    ):
        return None
    where = str(one.get("out")) if "out" in one.facts else "any of Docker's bridges"
    reason = (
        f"Answers to what the containers on {where} opened, and the rest of connections that were let in before, pass "
        "here. Only the first packet of a connection has to be judged by the rules below."
    )
    return docker.claim("replies", one, reason, f"known connections to {where}")


def to_docker(docker: Docker, one: Shape) -> Claim | None:
    """``-o br -j DOCKER`` in FORWARD or DOCKER-BRIDGE; 28.0.0 with an ipset."""
    if one.calls != "DOCKER" or not (one.asks("out") or one.asks("set.lookup")):
        return None
    where = (
        f"a container on {one.get('out')}" if "out" in one.facts else "a container on any of Docker's bridges"
    )
    reason = (
        f"New connections to {where} are looked up in DOCKER, which holds a rule for each published port. What it does not "
        "let through comes back here."
    )
    if any(other.verdict == "DROP" for other in docker.shapes.chain("filter", "DOCKER")):
        reason = (
            f"New connections to {where} are looked up in DOCKER, which lets published ports through and drops the rest "
            "of what comes from outside the bridge."
        )
    return docker.claim("to-docker", one, reason, "published ports")


def way_out(docker: Docker, one: Shape) -> Claim | None:
    """``-i br ! -o br -j ACCEPT``: containers may go anywhere else."""
    if one.verdict != "ACCEPT" or not one.asks("in", "out") or one.get("in") != one.negated("out"):
        return None
    if one.get("in") not in docker.bridges:
        return None
    reason = (
        f"Containers on {one.get('in')} may open connections to anywhere else. Other networks of Docker are meant to be out of "
        "reach by now: the isolation comes first."
    )
    return docker.claim("out", one, reason, f"the way out for containers on {one.get('in')}")


def neighbours(docker: Docker, one: Shape) -> Claim | None:
    """``-i br -o br -j ACCEPT`` or DROP: inter-container communication."""
    if not one.asks("in", "out") or one.get("in") != one.get("out") or one.get("in") not in docker.bridges:
        return None
    bridge = one.get("in")
    seen = "Such frames are bridged, not routed, and meet this rule only while bridged frames visit iptables (bridge-nf-call-iptables=1)"
    if one.verdict == "ACCEPT":
        reason = f"Containers on the same bridge {bridge} may talk to each other (Docker's icc). {seen}."
        return docker.claim("icc", one, reason, f"talk between neighbours on {bridge}")
    if one.verdict == "DROP":
        reason = (
            f"Containers on {bridge} may not talk to each other (Docker's icc=false), but for what a rule above let through. "
            f"{seen}; without that it stops nothing."
        )
        return docker.claim("no-icc", one, reason, f"talk between neighbours on {bridge}")
    return None


def all_from_bridge(docker: Docker, one: Shape) -> Claim | None:
    """``DOCKER-FORWARD -i br -j ACCEPT`` (28 and later)."""
    if one.verdict != "ACCEPT" or not one.asks("in") or one.get("in") not in docker.bridges:
        return None
    reason = (
        f"Whatever else comes from containers on {one.get('in')} may pass: to the outside, and to neighbours on the same "
        "bridge. Connections to containers of another network have been dropped above, unless their port is published."
    )
    return docker.claim("from-bridge", one, reason, f"the way out for containers on {one.get('in')}")


def accept_mark(docker: Docker, one: Shape) -> Claim | None:
    """``DOCKER-FORWARD -m mark --mark M -j ACCEPT`` (--bridge-accept-fwmark)."""
    if one.verdict != "ACCEPT" or not one.asks("mark"):
        return None
    reason = (
        "Packets with this mark may go to any container: the daemon's option for an accepted mark. Some other program, or a "
        "rule in mangle, sets it for what it has already allowed."
    )
    return docker.claim("mark", one, reason, "packets marked as allowed")


_PARTS = {
    "DOCKER-FORWARD": ("all of Docker's own", "From here on Docker's own rules decide. They have a chain to themselves, so that FORWARD holds two lines of Docker's however many networks there are."),
    "DOCKER-CT": ("known connections", "Packets of known connections are let through first, so the chains below are asked about new connections only."),
    "DOCKER-INTERNAL": ("internal networks", "Internal networks have no way in or out: what would cross their edge is dropped here, before anything can let it through."),
    "DOCKER-BRIDGE": ("published ports", "New connections to containers are sorted by bridge and looked up in DOCKER, where the published ports are."),
}  # fmt: skip


def to_part(docker: Docker, one: Shape) -> Claim | None:
    """The jumps to DOCKER-FORWARD and from there to DOCKER-CT, DOCKER-INTERNAL and DOCKER-BRIDGE (28 and later)."""
    part = _PARTS.get(one.calls or "")
    if part is None or not one.asks():
        return None
    return docker.claim(f"to-{one.calls}".lower(), one, part[1], part[0])


def published_port(docker: Docker, one: Shape) -> Claim | None:
    """``DOCKER -d C ! -i br -o br -p tcp --dport 80 -j ACCEPT``."""
    bridge = one.get("out")
    if one.verdict != "ACCEPT" or not one.asks("destination", "in", "out", "protocol", "dport"):
        return None
    if bridge not in docker.bridges or one.negated("in") != bridge or not is_host(one.get("destination")):
        return None
    assert one.destination is not None
    dnats = [
        d
        for d in docker.shapes.dnats_to(one.destination.address, one.port)
        if d.protocol in ("", one.protocol)
    ]
    published = " and ".join(dict.fromkeys(port_words(dnat) for dnat in dnats[:3]))
    if not dnats:
        reason = (
            f"Opens {one.protocol} {port_words(one)} of the container to the outside. No rule in nat sends anything there, so it is "
            "reached by its own address (a routed network), or only by docker-proxy."
        )
        return docker.claim("accept", one, reason, f"{port_words(one)} of {network(one.destination)}")
    reason = (
        f"The other half of the published {published}: {place(dnats[0])} only changes the address, and somebody must let the packet "
        f"through. It carries the container's own address and port by now, so those are asked here; what comes from {bridge} "
        "itself is left to the rule for neighbours."
    )
    return docker.claim(
        "accept", one, reason + _careful(docker, one, dnats), f"the published {published}", dnats[:3]
    )


def _careful(docker: Docker, one: Shape, dnats: list[Shape]) -> str:
    """The published address is lost here: whoever routes the container's address to this host gets in as well."""
    hosts = [dnat.destination for dnat in dnats if dnat.destination is not None]
    stopped = any(
        drop.verdict == "DROP" and drop.get("destination") == one.get("destination")
        for drop in docker.shapes.chain("raw", "PREROUTING")
    )
    if len(hosts) < len(dnats) or stopped:
        return ""
    return (
        f" Careful: the port is published on {network(hosts[0])} alone, which this rule does not ask, so a neighbour that routes "
        "the container's address to this host gets in as well."
    )


def unpublished(docker: Docker, one: Shape) -> Claim | None:
    """``DOCKER ! -i br -o br -j DROP`` (28 and later); ACCEPT with gateway mode nat-unprotected."""
    bridge = one.get("out")
    if not one.asks("in", "out") or one.negated("in") != bridge or bridge not in docker.bridges:
        return None
    if one.verdict == "DROP":
        reason = (
            f"What nobody published is closed: a new connection from elsewhere to a container on {bridge} that no rule above let "
            "through ends here, whatever the policy of FORWARD is. Rules for published ports are inserted above this one."
        )
        return docker.claim("unpublished", one, reason, f"ports on {bridge} that are not published")
    if one.verdict == "ACCEPT":
        reason = (
            f"Every port of every container on {bridge} is open to whoever can route to it (gateway mode nat-unprotected); "
            "publishing a port only adds the translation."
        )
        return docker.claim("unprotected", one, reason, f"direct access to containers on {bridge}")
    return None


def routed_ping(docker: Docker, one: Shape) -> Claim | None:
    """``DOCKER -o br -p icmp -j ACCEPT`` (gateway mode routed)."""
    if one.verdict != "ACCEPT" or not one.asks("out", "protocol") or one.get("out") not in docker.bridges:
        return None
    if one.protocol not in ("icmp", "ipv6-icmp"):
        return None
    reason = (
        f"The network on {one.get('out')} is routed, not translated (gateway mode routed), so its containers are reached by their "
        "own addresses. They may be pinged, and errors about their packets reach them; ports still need to be published."
    )
    return docker.claim("routed-ping", one, reason, f"ping to containers on {one.get('out')}")


def link(docker: Docker, one: Shape) -> Claim | None:
    """``DOCKER -s P -d C -i br -o br -p tcp --dport N -j ACCEPT`` and its reverse (--link)."""
    port = {"dport", "sport"} & set(one.facts)
    if one.verdict != "ACCEPT" or len(port) != 1 or one.get("in") != one.get("out"):
        return None
    if set(one.facts) != {"source", "destination", "in", "out", "protocol", *port}:
        return None
    if (
        not is_host(one.get("source"))
        or not is_host(one.get("destination"))
        or one.get("in") not in docker.bridges
    ):
        return None
    reason = (
        f"{network(one.source)} and {network(one.destination)} are linked (the old option --link): one may open the exposed port of "
        "the other even where neighbours are kept apart, and a second rule lets the answers back."
    )
    return docker.claim("link", one, reason, "two linked containers")


def internal_edge(docker: Docker, one: Shape) -> Claim | None:
    """``! -s NET -o br -j DROP`` and ``! -d NET -i br -j DROP``: an internal network (IPv6 names both interfaces)."""
    inside, outside = one.negated("source"), one.negated("destination")
    if one.verdict != "DROP":
        return None
    if (
        inside is not None
        and one.get("out") in docker.bridges
        and (
            one.asks("source", "out")
            or (one.asks("source", "in", "out") and one.negated("in") == one.get("out"))
        )
    ):
        reason = (
            f"The network on {one.get('out')} is internal: only its own containers may send to it, so whatever comes from another "
            "address is dropped. There is no masquerading and no published port for it either."
        )
        return docker.claim("internal-in", one, reason, f"the internal network on {one.get('out')}")
    if (
        outside is not None
        and one.get("in") in docker.bridges
        and (
            one.asks("destination", "in")
            or (one.asks("destination", "in", "out") and one.negated("out") == one.get("in"))
        )
    ):
        reason = (
            f"The network on {one.get('in')} is internal: its containers may send to each other and to nobody else, so what is for "
            "another address is dropped."
        )
        return docker.claim("internal-out", one, reason, f"the internal network on {one.get('in')}")
    return None


def to_ingress(docker: Docker, one: Shape) -> Claim | None:
    """Swarm: the chain comes first."""
    from ruleflow.analysis.idioms.docker_nat import to_ingress as ingress

    return ingress(docker, one)


def ingress_port(docker: Docker, one: Shape) -> Claim | None:
    """``DOCKER-INGRESS -p tcp --dport 8080 -j ACCEPT`` and its answers by ``--sport``."""
    port = {"dport", "sport"} & set(one.facts)
    if one.verdict != "ACCEPT" or len(port) != 1 or not set(one.facts) <= {"protocol", "state", *port}:
        return None
    which = "Answers from" if "sport" in port else "Connections to"
    return docker.claim(
        "ingress-accept",
        one,
        f"{which} the port of a swarm service pass on their way to the ingress sandbox.",
        "published ports of swarm services",
    )


_FORWARD: tuple[Idiom, ...] = (
    ask_the_administrator, to_part, to_isolation, replies, to_docker, way_out, neighbours, to_ingress, all_from_bridge,
)  # fmt: skip
_ISOLATION: tuple[Idiom, ...] = (isolation_first, routed_network, internal_edge, isolation_end)

PLACES: tuple[tuple[str, str, tuple[Idiom, ...]], ...] = (
    ("filter", "FORWARD", _FORWARD),
    ("filter", "DOCKER-USER", (nothing_of_your_own,)),
    ("filter", "DOCKER-FORWARD", (*_FORWARD, accept_mark)),
    ("filter", "DOCKER-CT", (replies,)),
    ("filter", "DOCKER-BRIDGE", (to_docker,)),
    ("filter", "DOCKER-INTERNAL", (internal_edge,)),
    ("filter", "DOCKER", (published_port, unpublished, routed_ping, link)),
    ("filter", "DOCKER-ISOLATION-STAGE-1", _ISOLATION),
    ("filter", "DOCKER-ISOLATION-STAGE-2", (isolation_second, isolation_end)),
    ("filter", "DOCKER-ISOLATION", (isolation_pair, isolation_end)),
    ("filter", "DOCKER-INGRESS", (ingress_port, isolation_end)),
)
