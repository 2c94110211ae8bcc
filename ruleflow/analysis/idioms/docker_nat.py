"""Docker's rules in nat, raw and mangle: ports are published, addresses hidden, direct ways closed."""

from ruleflow.analysis.explanation import Claim
from ruleflow.analysis.idioms.docker import Docker, Idiom
from ruleflow.analysis.idioms.shape import Shape, is_host, network, place, port_words, service
from ruleflow.ruleset.addresses import Prefix, address_number, address_text, full_mask, mask_of

# -- nat: into DOCKER -------------------------------------------------------------------------------------


def published_ports_for_this_host(docker: Docker, one: Shape) -> Claim | None:
    """``PREROUTING -m addrtype --dst-type LOCAL -j DOCKER``."""
    if one.calls != "DOCKER" or not one.asks("dst_type") or one.get("dst_type") != "LOCAL":
        return None
    if one.ref.chain == "PREROUTING":
        reason = (
            "Published ports are looked up in DOCKER, but only for packets to one of this host's own addresses. Without "
            "that condition, a packet that merely passes through, to the same port of some other machine, would be "
            "caught and sent to a container."
        )
        return docker.claim("local", one, reason, "published ports")
    reason = (
        "The same for connections that this host opens to its own addresses: they never pass PREROUTING, so the "
        "published ports are looked up here again. Loopback is not left out, as Docker does without its userland "
        "proxy: it lets 127.0.0.1 be routed to the bridge (route_localnet) and masquerades the source."
    )
    return docker.claim(
        "local-out", one, reason, "published ports, for clients on this host", _loopback_masquerade(docker)
    )


def _loopback_masquerade(docker: Docker) -> list[Shape]:
    return [one for one in docker.shapes.chain("nat", "POSTROUTING") if one.asks("out", "src_type")][:1]


def published_ports_but_loopback(docker: Docker, one: Shape) -> Claim | None:
    """``OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER``."""
    if one.calls != "DOCKER" or not one.asks("dst_type", "destination") or one.get("dst_type") != "LOCAL":
        return None
    if one.negated("destination") != _loopback(docker.family) or one.ref.chain != "OUTPUT":
        return None
    kept = "127.0.0.1" if docker.family == 4 else "::1"
    why = "unless route_localnet is set" if docker.family == 4 else "and IPv6 has no switch that would let it"
    reason = (
        "The same for connections that this host opens to its own addresses, which never pass PREROUTING. Loopback is "
        f"left out: there docker-proxy listens and relays, and a packet from {kept} sent on to a container could not "
        f"leave the loopback interface, {why}."
    )
    return docker.claim("local-out-proxy", one, reason, "published ports, for clients on this host")


def _loopback(family: int) -> Prefix:
    return Prefix(4, 127 << 24, mask_of(8, 4)) if family == 4 else Prefix(6, 1, full_mask(6))


# -- nat: DOCKER ------------------------------------------------------------------------------------------


def publish_port(docker: Docker, one: Shape) -> Claim | None:
    """``DOCKER ! -i br -p tcp --dport 8080 -j DNAT --to-destination C:80``, with or without host address and proxy."""
    change = one.rewrites
    if change is None or change.what != "destination" or change.low is None or change.low != change.high:
        return None
    if not docker.inside(change.low):
        return None
    asked = set(one.facts) - {"destination", "in", "source"}
    if asked != {"protocol", "dport"} or not is_host(one.get("destination") or one_host(docker.family)):
        return None
    if "source" in one.facts and one.negated("source") != _link_local():
        return None
    if "in" in one.facts and not isinstance(one.negated("in"), str):
        return None
    container = address_text(change.low, docker.family)
    port = service(change.port_low) if change.port_low is not None else "the same port"
    where = f" at {network(one.destination)}" if one.destination else ""
    reason = (
        f"Publishes {one.protocol} {port_words(one)}{where}: whoever connects to it reaches {container}, "
        f"{'port ' if change.port_low is not None else ''}{port}."
    )
    return docker.claim(
        "publish", one, reason + _who_is_left_out(docker, one), f"the published {port_words(one)}"
    )


def one_host(family: int) -> Prefix:
    """Some single address, where none is asked for."""
    return Prefix(family, 0, full_mask(family))


def _link_local() -> Prefix:
    return Prefix(6, address_number("fe80::", 6), mask_of(10, 6))


def _who_is_left_out(docker: Docker, one: Shape) -> str:
    text = ""
    bridge = one.negated("in")
    if bridge is not None:
        text += f" What comes from {bridge} itself is not translated: it is delivered to this host, where docker-proxy takes it."
    if "source" in one.facts:
        text += " Clients with a link-local address are left to docker-proxy, since their address means nothing behind this host."
    if one.destination is not None and one.destination.address >> 24 == 127 and docker.family == 4:
        text += _loopback_only(docker, one)
    return text


def _loopback_only(docker: Docker, one: Shape) -> str:
    stopped = [
        drop for drop in docker.shapes.chain("raw", "PREROUTING")
        if drop.verdict == "DROP" and drop.destination == one.destination and drop.get("dport") == one.get("dport")
    ]  # fmt: skip
    text = (
        " The port is published on loopback alone; PREROUTING asks this rule before the kernel refuses 127.0.0.1 from "
        "outside, so a neighbour on the same link who routes 127.0.0.1 to this host would get in"
    )
    return f"{text}; {place(stopped[0])} stops that." if stopped else f"{text}, and nothing here stops that."


def leave_to_the_proxy(docker: Docker, one: Shape) -> Claim | None:
    """``DOCKER -i br -j RETURN`` (until 28)."""
    if one.verdict != "RETURN" or not one.asks("in") or one.get("in") not in docker.bridges:
        return None
    bridge = one.get("in")
    reason = (
        f"What a container on {bridge} sends to a published port is not translated but delivered to this host, where "
        "docker-proxy listens and relays it. So containers reach published ports, their own included, without any "
        "translation that would have to be undone."
    )
    return docker.claim("skip-dnat", one, reason, f"containers on {bridge} use the proxy")


def windows_loopback(docker: Docker, one: Shape) -> Claim | None:
    """``DOCKER -d 127.0.0.0/8 -i loopback0 -j RETURN`` (WSL2 with mirrored networking)."""
    if one.verdict != "RETURN" or not one.asks("destination", "in") or one.get("in") != "loopback0":
        return None
    reason = (
        "Under WSL2 with mirrored networking, what Windows sends to its 127.0.0.1 arrives on loopback0. It is left to "
        "docker-proxy, as loopback on this host is."
    )
    return docker.claim("wsl", one, reason, "clients on the Windows host")


# -- nat: POSTROUTING -------------------------------------------------------------------------------------


def masquerade_outgoing(docker: Docker, one: Shape) -> Claim | None:
    """``POSTROUTING -s NET ! -o br -j MASQUERADE`` (or SNAT, with the network's option host_ipv4)."""
    change = one.rewrites
    if change is None or change.what != "source" or not one.asks("source", "out"):
        return None
    bridge = one.negated("out")
    if bridge not in docker.bridges or one.source is None or docker.networks.get(str(bridge)) != one.source:
        return None
    into = (
        f"the address {address_text(change.low, docker.family)}"
        if change.low is not None
        else "the address of that interface"
    )
    reason = (
        f"Nobody outside knows a way back to {network(one.source)}, so whatever its containers send out by another "
        f"interface than {bridge} leaves with {into}; the answers come back to this host, which translates them back. "
        "On the bridge itself containers keep their own addresses."
    )
    return docker.claim("masquerade", one, reason, f"the way out for containers on {bridge}")


def masquerade_this_host(docker: Docker, one: Shape) -> Claim | None:
    """``POSTROUTING -o br -m addrtype --src-type LOCAL -j MASQUERADE`` (userland proxy off)."""
    change = one.rewrites
    if (
        change is None
        or change.what != "source"
        or not one.asks("out", "src_type")
        or one.get("src_type") != "LOCAL"
    ):
        return None
    bridge = one.get("out")
    if bridge not in docker.bridges and bridge != "docker_gwbridge":
        return None
    loopback = "127.0.0.1" if docker.family == 4 else "::1"
    into = (
        f"the address {address_text(change.low, docker.family)}"
        if change.low is not None
        else "the bridge's address"
    )
    reason = (
        f"When this host opens its own published port at {loopback}, the packet reaches the container with {loopback} as "
        f"source, and the container would answer to itself. So what this host sends by {bridge} carries {into}, "
        "to which a container can answer; it sees that address even where the host used another. "
    )
    reason += (
        "The userland proxy does that for single containers; the bridge of the swarm has none."
        if docker.proxy else "Docker writes this where it runs without its userland proxy."
    )  # fmt: skip
    return docker.claim("masquerade-local", one, reason, "this host as a client of published ports")


def self_masquerade(docker: Docker, one: Shape) -> Claim | None:
    """``POSTROUTING -s C -d C -p tcp --dport P -j MASQUERADE``: a container that calls its own published port."""
    change = one.rewrites
    if (
        change is None
        or change.what != "source"
        or not one.asks("source", "destination", "protocol", "dport")
    ):
        return None
    if not is_host(one.get("source")) or one.get("source") != one.get("destination") or one.source is None:
        return None
    dnats = [
        dnat for dnat in docker.shapes.dnats_to(one.source.address, one.port) if _same_protocol(dnat, one)
    ]
    if not dnats:
        return _self_masquerade_alone(docker, one)
    host_ports = " and ".join(dict.fromkeys(port_words(dnat) for dnat in dnats[:3]))
    who = address_text(one.source.address, docker.family)
    reason = (
        f"When the container {who} opens its own published {host_ports} at this host's address, {place(dnats[0])} turns the packet "
        f"round to {who}, {port_words(one)}, with {who} still as its source. The container's kernel drops a packet that arrives "
        "with its own address as source (a martian); and if it took it, the answer would go to its own address, over its own "
        "loopback, and never pass this host, which alone can translate it back. So this host puts its own address on the "
        "bridge there as source: the answer comes back here, and both translations are undone. Where bridged frames visit "
        "iptables, the container's bridge port must be in hairpin mode too, for the frame leaves by the port it came in on."
    )
    owned = docker.inside(one.source.address)
    return docker.claim(
        "self-masquerade", one, reason + _spare(dnats), f"the published {host_ports}", dnats[:3], owned=owned
    )


def _same_protocol(dnat: Shape, one: Shape) -> bool:
    return dnat.get("protocol") in (None, one.get("protocol"))


def _spare(dnats: list[Shape]) -> str:
    """With the proxy nothing meets the rule."""
    bridges = {dnat.negated("in") for dnat in dnats}
    if None in bridges or len(bridges) != 1:
        return ""
    return (
        f" Here it is a spare: {place(dnats[0])} does not translate what comes from {bridges.pop()}, so docker-proxy serves "
        "the container and no packet meets this rule."
    )


def _self_masquerade_alone(docker: Docker, one: Shape) -> Claim | None:
    """The same rule where no DNAT to it is in sight: as one loose command, or left over."""
    assert one.source is not None
    who = address_text(one.source.address, docker.family)
    known = any(docker.shapes.chain("nat", chain) for chain in ("PREROUTING", "DOCKER"))
    head = (
        f"No rule here sends anything to {who}, {port_words(one)}, so it may be left over from a port that is no longer "
        "published. It would be needed" if known else "It is needed"
    )  # fmt: skip
    reason = (
        f"{head} where a DNAT publishes that port and {who} opens it itself: the DNAT turns the packet round to {who} with {who} "
        "still as its source. Its kernel drops a packet that arrives with its own address as source (a martian), and an answer "
        "to itself would stay on its own loopback, where nobody can translate it back. So this host puts its own "
        "address there as source: the answer comes back here, and both translations are undone."
    )
    purpose = f"{who} as a client of its own published port"
    return docker.claim("self-masquerade", one, reason, purpose, owned=docker.inside(one.source.address))


# -- raw, mangle ------------------------------------------------------------------------------------------


def drop_direct_access(docker: Docker, one: Shape) -> Claim | None:
    """``raw PREROUTING -d C ! -i br -j DROP`` (28.2 and later; 28.0 and 28.1 a port each)."""
    bridge = one.negated("in")
    if one.verdict != "DROP" or bridge not in docker.bridges or not is_host(one.get("destination")):
        return None
    if not (one.asks("destination", "in") or one.asks("destination", "in", "protocol", "dport")):
        return None
    who = network(one.destination)
    what = f"{one.protocol} {port_words(one)} of {who}" if "dport" in one.facts else who
    reason = (
        f"A neighbour that routes {who} to this host could reach {what} directly, past the published ports and the "
        f"address they are published on. So packets that carry the container's address already when they arrive, from "
        f"anywhere but {bridge}, are dropped here in raw: behind nat PREROUTING they look like those that came to a "
        "published port."
    )
    return docker.claim("direct-access", one, reason, "no way to the container but its published ports")


def drop_loopback_from_outside(docker: Docker, one: Shape) -> Claim | None:
    """``raw PREROUTING -d 127.0.0.1 ! -i lo -p tcp --dport 8080 -j DROP``."""
    if (
        one.verdict != "DROP"
        or one.negated("in") != "lo"
        or not one.asks("destination", "in", "protocol", "dport")
    ):
        return None
    if one.destination is None or one.destination.address >> 24 != 127:
        return None
    reason = (
        "The port is published on 127.0.0.1, for this host alone. But nat PREROUTING comes before the kernel refuses "
        "127.0.0.1 from outside, so a neighbour that routes 127.0.0.1 to this host would be translated and let in; it is "
        "dropped here before that."
    )
    return docker.claim("loopback", one, reason, f"{port_words(one)}, published on loopback")


def accept_direct_access(docker: Docker, one: Shape) -> Claim | None:
    """``raw PREROUTING -d C -i IF -j ACCEPT`` before the drop: trusted interfaces, or loopback0 under WSL2."""
    if one.verdict != "ACCEPT" or not isinstance(one.get("in"), str):
        return None
    drops = [
        other
        for other in docker.shapes.chain("raw", "PREROUTING")
        if other.verdict == "DROP" and other.ref > one.ref
    ]
    mine = [drop for drop in drops if drop.get("destination") == one.get("destination")]
    if not mine or not is_host(one.get("destination")):
        return None
    if one.get("in") == "loopback0" and one.asks("destination", "in", "protocol", "dport"):
        reason = (
            f"Under WSL2 with mirrored networking, what Windows sends to its 127.0.0.1 arrives on loopback0: that may pass, "
            f"though {place(mine[0])} drops it from any other interface but lo."
        )
        return docker.claim("wsl-raw", one, reason, "clients on the Windows host", mine[:1])
    if not one.asks("destination", "in"):
        return None
    reason = (
        f"{one.get('in')} is trusted with the container's own address (the network's option trusted_host_interfaces): what "
        f"arrives there may go to {network(one.destination)} directly, which {place(mine[0])} forbids to others."
    )
    return docker.claim("trusted", one, reason, f"direct access from {one.get('in')}", mine[:1])


def fill_checksum(docker: Docker, one: Shape) -> Claim | None:
    """``mangle POSTROUTING -p sctp --sport P -j CHECKSUM --checksum-fill`` (until 27)."""
    if one.target != "CHECKSUM" or not one.asks("protocol", "sport") or one.protocol != "sctp":
        return None
    reason = (
        "SCTP's checksum covers more than NAT can correct, and a virtual interface leaves it to hardware that is not there. "
        "So it is computed before the packet leaves."
    )
    return docker.claim("sctp", one, reason, "a published sctp port")


# -- swarm ------------------------------------------------------------------------------------------------


def to_ingress(docker: Docker, one: Shape) -> Claim | None:
    """``-m addrtype --dst-type LOCAL -j DOCKER-INGRESS`` in nat, ``-j DOCKER-INGRESS`` in filter."""
    if one.calls != "DOCKER-INGRESS" or not (one.asks("dst_type") or one.asks()):
        return None
    reason = (
        "Services of the swarm are reached on every node, whether or not one of their containers runs here. Their ports "
        "are looked up before those of single containers."
    )
    return docker.claim("ingress", one, reason, "published ports of swarm services")


def publish_service(docker: Docker, one: Shape) -> Claim | None:
    """``DOCKER-INGRESS -p tcp --dport 8080 -j DNAT --to-destination 172.18.0.2:8080``."""
    if one.verdict == "RETURN" and one.asks():
        return docker.claim(
            "ingress-end",
            one,
            "What is for no service goes on to the published ports of single containers.",
            "published ports",
        )
    change = one.rewrites
    if (
        change is None
        or change.what != "destination"
        or change.low is None
        or not one.asks("protocol", "dport")
    ):
        return None
    reason = (
        f"{address_text(change.low, docker.family)} is the ingress sandbox of the swarm on docker_gwbridge: it takes "
        f"{one.protocol} {port_words(one)} and spreads the connections over the service's containers on all nodes."
    )
    return docker.claim("ingress-publish", one, reason, f"the service at {port_words(one)}")


PLACES: tuple[tuple[str, str, tuple[Idiom, ...]], ...] = (
    ("nat", "PREROUTING", (published_ports_for_this_host, to_ingress)),
    ("nat", "OUTPUT", (published_ports_for_this_host, published_ports_but_loopback, to_ingress)),
    ("nat", "POSTROUTING", (masquerade_outgoing, masquerade_this_host, self_masquerade)),
    ("nat", "DOCKER", (publish_port, leave_to_the_proxy, windows_loopback)),
    ("nat", "DOCKER-INGRESS", (publish_service,)),
    ("raw", "PREROUTING", (drop_direct_access, drop_loopback_from_outside, accept_direct_access)),
    ("mangle", "POSTROUTING", (fill_checksum,)),
)
