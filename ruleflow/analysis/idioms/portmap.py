"""Published ports as CNI's portmap plugin and Podman's netavark write them: marks, and a chain for each container.

Both use the same idea: a DNAT for each port, and a mark for what must be masqueraded (clients in the same
network, and this host's loopback), so they need neither br_netfilter nor hairpin mode. Sources: plugins/meta/
portmap, bridge, firewall of containernetworking; netavark's iptables driver (until 1.17).
"""

from collections.abc import Iterator

from ruleflow.analysis.explanation import Claim
from ruleflow.analysis.idioms.owner import Idiom, Owner, told
from ruleflow.analysis.idioms.shape import Shape, Shapes, network, port_words
from ruleflow.ruleset.addresses import address_text
from ruleflow.ruleset.values import Not


def _owners(shapes: Shapes) -> tuple[Owner, ...]:
    return (
        Owner("CNI", shapes, r"CNI-[A-Za-z0-9-]+", _signs(shapes, "CNI")),
        Owner("netavark (Podman)", shapes, r"NETAVARK[-_][A-Za-z0-9_-]+", _signs(shapes, "NETAVARK")),
    )


def _signs(shapes: Shapes, prefix: str) -> list[Shape]:
    found = [one for one in shapes.called("nat", f"{prefix}-HOSTPORT-DNAT") if one.get("dst_type") == "LOCAL"]
    found += [
        one for one in shapes.called("nat", f"{prefix}-HOSTPORT-MASQ") if one.ref.chain == "POSTROUTING"
    ]
    for name in (
        f"{prefix}-FORWARD",
        f"{prefix}_FORWARD",
        f"{prefix}_INPUT",
        f"{prefix}_ISOLATION_1",
        f"{prefix}-ADMIN",
    ):
        found += shapes.called("filter", name)
    found += [
        one for one in shapes.chain("nat", "POSTROUTING")
        if (one.calls or "").startswith((f"{prefix}-", f"{prefix}_")) and one.source is not None
    ]  # fmt: skip
    return found


def claims(shapes: Shapes) -> Iterator[Claim]:
    """Claims about the rules of both."""
    for owner in _owners(shapes):
        yield from told(owner, _IDIOMS)


def owners(shapes: Shapes) -> Iterator[tuple[tuple[str, str], str]]:
    """Their chains."""
    for owner in _owners(shapes):
        yield from owner.owned()


def made(shapes: Shapes) -> Iterator[str]:
    """Which of both."""
    for owner in _owners(shapes):
        yield from owner.sentence()


def to_ports(owner: Owner, one: Shape) -> Claim | None:
    """``PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT``."""
    if (
        not (one.calls or "").endswith("-HOSTPORT-DNAT")
        or not one.asks("dst_type")
        or one.get("dst_type") != "LOCAL"
    ):
        return None
    where = (
        ""
        if one.ref.chain == "PREROUTING"
        else " Connections that this host opens itself never pass PREROUTING, so the same is asked here."
    )
    reason = (
        "Published ports are looked up there, but only for packets to one of this host's own addresses: what merely passes "
        f"through to the same port of another machine is left alone.{where}"
    )
    return owner.claim("local", one, reason, "published ports")


def to_masquerade(owner: Owner, one: Shape) -> Claim | None:
    """``POSTROUTING -j CNI-HOSTPORT-MASQ``."""
    if not (one.calls or "").endswith("-HOSTPORT-MASQ") or not one.asks():
        return None
    reason = (
        "Whether a connection to a published port needs this host's address as source is known where its destination is "
        "rewritten; a mark remembers it until here. The rule must come before all others that could decide."
    )
    return owner.claim("to-masquerade", one, reason, "published ports")


def to_container(owner: Owner, one: Shape) -> Claim | None:
    """``CNI-HOSTPORT-DNAT -p tcp -m multiport --dports 8080,8443 -j CNI-DN-…``."""
    if (
        not one.ref.chain.endswith("-HOSTPORT-DNAT")
        or not owner.mine(one.calls)
        or "protocol" not in one.facts
    ):
        return None
    reason = f"Each container has a chain of its own for its published ports ({one.protocol} {port_words(one)} here), so that all of them go at once when it stops."
    return owner.claim("to-container", one, reason, "one container's ports")


def ask_for_masquerade(owner: Owner, one: Shape) -> Claim | None:
    """``CNI-DN-… -s NET -p tcp --dport 8080 -j CNI-HOSTPORT-SETMARK``."""
    if not (one.calls or "").endswith("-HOSTPORT-SETMARK") or one.source is None:
        return None
    if one.source.address >> 24 == 127 and owner.shapes.rules.family == 4:
        reason = (
            "A program on this host that opens the port at 127.0.0.1 would reach the container with 127.0.0.1 as source, and "
            "the container would answer to itself. So the connection is marked, and gets this host's address on the bridge "
            "(the bridge needs route_localnet for it)."
        )
        return owner.claim("mark-loopback", one, reason, f"this host as client of {port_words(one)}")
    reason = (
        f"A container in {network(one.source)} that opens {port_words(one)}, the container itself included, is sent to its own "
        "network: the answer would go straight back on the bridge, past this host, and the client would not know it. So the "
        "connection is marked, and gets this host's address as source; the answer comes back here and is translated."
    )
    return owner.claim("mark-hairpin", one, reason, f"neighbours as clients of {port_words(one)}")


def publish(owner: Owner, one: Shape) -> Claim | None:
    """``CNI-DN-… -p tcp --dport 8080 -j DNAT --to-destination C:80``."""
    change = one.rewrites
    if change is None or change.what != "destination" or change.low is None or not owner.mine(one.ref.chain):
        return None
    to = address_text(change.low, owner.shapes.rules.family)
    port = (
        f" port {change.port_low}"
        if change.port_low is not None and change.port_low == change.port_high
        else ""
    )
    reason = f"Publishes {one.protocol} {port_words(one)} of this host{f' at {network(one.destination)}' if one.destination else ''}: whoever connects to it reaches {to}{port}."
    return owner.claim("publish", one, reason, f"the published {port_words(one)}")


def set_mark(owner: Owner, one: Shape) -> Claim | None:
    """``CNI-HOSTPORT-SETMARK -j MARK``, ``CNI-HOSTPORT-MASQ -m mark -j MASQUERADE``."""
    if one.ref.chain.endswith("-SETMARK") and one.target == "MARK" and one.asks():
        return owner.claim(
            "mark",
            one,
            "The mark remembers until POSTROUTING that this connection needs this host's address as source.",
            "connections to masquerade",
        )
    if one.ref.chain.endswith("-MASQ") and one.target == "MASQUERADE" and one.asks("mark"):
        reason = "What was marked gets the address of this host on the bridge as source, so that the answer comes back here, where both translations are undone."
        return owner.claim("masquerade-marked", one, reason, "connections that were marked")
    return None


def way_out(owner: Owner, one: Shape) -> Claim | None:
    """``POSTROUTING -s C -j CNI-…``, there ``-d NET -j ACCEPT`` and ``! -d 224.0.0.0/4 -j MASQUERADE``."""
    if (
        one.ref.chain == "POSTROUTING"
        and owner.mine(one.calls)
        and one.asks("source")
        and one.source is not None
    ):
        return owner.claim(
            "to-out",
            one,
            f"What {network(one.source)} sends is looked at there: it keeps its address toward its own network, and is masqueraded toward all others.",
            "the way out",
        )
    if not owner.mine(one.ref.chain) or one.ref.table != "nat":
        return None
    if one.verdict == "ACCEPT" and one.asks("destination") and one.destination is not None:
        return owner.claim(
            "keep",
            one,
            f"Inside of {network(one.destination)} everybody knows a way to everybody, so addresses are kept.",
            "talk inside of the network",
        )
    if (
        one.rewrites is not None
        and one.rewrites.what == "source"
        and isinstance(one.get("destination"), Not)
        and one.asks("destination")
    ):
        reason = "Nobody outside knows a way back to the containers, so their packets leave with this host's address. Multicast is left out: it goes to no single machine that could answer through here."
        return owner.claim("masquerade", one, reason, "the way out")
    return None


def forward(owner: Owner, one: Shape) -> Claim | None:
    """CNI-FORWARD, NETAVARK_FORWARD, NETAVARK_INPUT and CNI-ADMIN."""
    called, chain = one.calls or "", one.ref.chain
    if called.endswith(("-ADMIN",)) and one.asks():
        return owner.claim(
            "admin",
            one,
            "This chain is the administrator's: it is asked before the plugin's own rules, and the plugin leaves it alone.",
            "your own rules",
        )
    if called.endswith(("-FORWARD", "_FORWARD", "_INPUT")) and one.asks():
        return owner.claim(
            "to-filter",
            one,
            "The program's own rules stand in a chain of their own, so that it finds and removes them without touching others.",
            "its containers",
        )
    if chain.endswith(("-FORWARD", "_FORWARD")) and one.verdict == "ACCEPT":
        if one.asks("destination", "state") and one.destination is not None and "ESTABLISHED" in one.states:
            return owner.claim(
                "replies",
                one,
                f"Answers to connections that {network(one.destination)} opened may come in. New connections are not let in by this rule.",
                "the way back in",
            )
        if one.asks("source") and one.source is not None:
            return owner.claim(
                "out", one, f"{network(one.source)} may open connections to anywhere.", "the way out"
            )
    if chain == "NETAVARK_FORWARD" and one.verdict == "DROP" and one.states == {"INVALID"}:
        return owner.claim(
            "invalid",
            one,
            "Packets that fit no connection would leave untranslated. The rule names no network, so it also drops such packets of others that this host forwards.",
            "containers",
        )
    if chain == "NETAVARK_INPUT" and one.verdict == "ACCEPT" and one.port == 53:
        return owner.claim(
            "dns", one, f"Containers in {network(one.source)} ask this host for names.", "names of containers"
        )
    return None


def isolation(owner: Owner, one: Shape) -> Claim | None:
    """NETAVARK_ISOLATION_n, CNI-ISOLATION-STAGE-n."""
    called, chain = one.calls or "", one.ref.chain
    if "ISOLATION" in called and one.asks():
        return owner.claim(
            "isolation",
            one,
            "Networks that are to be kept apart are handled there, before a rule lets their traffic through.",
            "to keep networks apart",
        )
    if "ISOLATION" in called and one.asks("in", "out") and one.get("in") == one.negated("out"):
        return owner.claim(
            "isolation-1",
            one,
            f"What comes from {one.get('in')} and leaves it is looked at again: whether it goes to another isolated network.",
            "to keep networks apart",
        )
    if "ISOLATION" in chain and one.verdict == "DROP" and one.asks("out"):
        return owner.claim(
            "isolation-2",
            one,
            f"What came here from an isolated network may not leave by {one.get('out')}.",
            "to keep networks apart",
        )
    return None


_IDIOMS: tuple[Idiom, ...] = (
    to_ports, to_masquerade, to_container, ask_for_masquerade, publish, set_mark, way_out, forward, isolation,
)  # fmt: skip
