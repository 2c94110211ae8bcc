"""libvirt's rules for the networks of virtual machines (src/network/network_iptables.c of libvirt 5.1 and later)."""

from collections.abc import Iterator

from ruleflow.analysis.explanation import Claim
from ruleflow.analysis.idioms.owner import Idiom, Owner, told
from ruleflow.analysis.idioms.shape import Shape, Shapes, network
from ruleflow.ruleset.values import Not

_CHAINS = {
    ("filter", "LIBVIRT_INP"): ("the host's services", "Virtual machines ask this host for addresses and names; those ports are opened there."),
    ("filter", "LIBVIRT_OUT"): ("the host's services", "The answers of this host's DHCP and name server to virtual machines may leave, even where OUTPUT drops."),
    ("filter", "LIBVIRT_FWX"): ("machines of one network", "Machines on the same network may talk to each other; this is asked before the rules that close the network."),
    ("filter", "LIBVIRT_FWI"): ("the way in", "What wants to go to virtual machines is judged there: each network has a rule for what may come in, and one that refuses the rest."),
    ("filter", "LIBVIRT_FWO"): ("the way out", "What virtual machines send elsewhere is judged there: each network has a rule for what may go out, and one that refuses the rest."),
    ("nat", "LIBVIRT_PRT"): ("the way out", "Networks with address translation hide their machines behind this host's address there."),
    ("mangle", "LIBVIRT_PRT"): ("DHCP clients in machines", "Packets that need repair before they reach a virtual machine get it there."),
}  # fmt: skip


def _owner(shapes: Shapes) -> Owner:
    signs = [one for table, chain in _CHAINS for one in shapes.called(table, chain) if one.asks()]
    return Owner("libvirt", shapes, r"LIBVIRT_(INP|OUT|FWX|FWI|FWO|PRT)", signs)


def claims(shapes: Shapes) -> Iterator[Claim]:
    """Claims about its rules."""
    yield from told(_owner(shapes), _IDIOMS)


def owners(shapes: Shapes) -> Iterator[tuple[tuple[str, str], str]]:
    """Its chains."""
    yield from _owner(shapes).owned()


def made(shapes: Shapes) -> Iterator[str]:
    """Libvirt, if its chains are there."""
    yield from _owner(shapes).sentence()


def entry(owner: Owner, one: Shape) -> Claim | None:
    """The jumps from the hooks."""
    words = _CHAINS.get((one.ref.table, one.calls or ""))
    if words is None or not one.asks():
        return None
    return owner.claim(f"to-{one.ref.table}-{one.calls}".lower(), one, words[1], words[0])


def services(owner: Owner, one: Shape) -> Claim | None:
    """DNS and DHCP for the machines."""
    if (
        one.ref.chain not in ("LIBVIRT_INP", "LIBVIRT_OUT")
        or one.verdict != "ACCEPT"
        or one.port not in (53, 67, 68, 546, 547)
    ):
        return None
    if not (one.asks("in", "protocol", "dport") or one.asks("out", "protocol", "dport")):
        return None
    bridge = one.get("in") or one.get("out")
    what, code = ("names", "dns") if one.port == 53 else ("addresses (DHCP)", "dhcp")
    if one.ref.chain == "LIBVIRT_OUT":
        return owner.claim(
            f"{code}-answers",
            one,
            f"dnsmasq on this host gives {what} to the machines on {bridge}; its packets to them may leave.",
            f"machines on {bridge}",
        )
    return owner.claim(
        f"{code}-service",
        one,
        f"dnsmasq on this host gives {what} to the machines on {bridge}.",
        f"machines on {bridge}",
    )


def across(owner: Owner, one: Shape) -> Claim | None:
    """``LIBVIRT_FWX -i br -o br -j ACCEPT``."""
    if (
        one.ref.chain != "LIBVIRT_FWX"
        or one.verdict != "ACCEPT"
        or not one.asks("in", "out")
        or one.get("in") != one.get("out")
    ):
        return None
    reason = (
        f"Machines on {one.get('in')} may talk to each other. Their frames are bridged, and meet this rule only while bridged frames "
        "visit iptables (bridge-nf-call-iptables=1)."
    )
    return owner.claim("across", one, reason, f"neighbours on {one.get('in')}")


def inward(owner: Owner, one: Shape) -> Claim | None:
    """LIBVIRT_FWI: a routed network lets all in, one with NAT only answers."""
    if one.ref.chain != "LIBVIRT_FWI":
        return None
    bridge = one.get("out")
    if one.verdict == "REJECT" and one.asks("out"):
        return owner.claim(
            "close-in",
            one,
            f"No one else may open a connection to the machines on {bridge}. The refusal answers at once.",
            f"to close {bridge} to the outside",
        )
    if one.verdict != "ACCEPT" or one.destination is None:
        return None
    if "ESTABLISHED" in one.states:
        reason = f"The network on {bridge} is translated (mode nat): answers to what its machines opened come in, and nothing else does."
        return owner.claim("answers-in", one, reason, f"answers to machines on {bridge}")
    if set(one.facts) <= {"destination", "in", "out"}:
        reason = f"The network on {bridge} is routed (mode route): others know a way to {network(one.destination)}, so they may open connections to its machines."
        return owner.claim("routed-in", one, reason, f"the routed network on {bridge}")
    return None


def outward(owner: Owner, one: Shape) -> Claim | None:
    """LIBVIRT_FWO: only what carries an address of the network may go out."""
    if one.ref.chain != "LIBVIRT_FWO":
        return None
    bridge = one.get("in")
    if one.verdict == "REJECT" and one.asks("in"):
        return owner.claim(
            "close-out",
            one,
            "What the rules above did not let out stays in: an isolated network has no such rule, and others only for their own addresses.",
            f"to close {bridge} to the outside",
        )
    if one.verdict == "ACCEPT" and one.source is not None and set(one.facts) <= {"source", "in", "out"}:
        return owner.claim(
            "out",
            one,
            f"Machines on {bridge} may open connections to elsewhere, if they use an address of their own network {network(one.source)}.",
            f"the way out for machines on {bridge}",
        )
    return None


def translate(owner: Owner, one: Shape) -> Claim | None:
    """LIBVIRT_PRT in nat."""
    if one.ref.table != "nat" or one.ref.chain != "LIBVIRT_PRT" or one.source is None:
        return None
    if one.verdict == "RETURN" and one.destination is not None and one.asks("source", "destination"):
        what = (
            "multicast on the link"
            if one.destination.address >> 28 == 14 or one.destination.family == 6
            else "broadcast"
        )
        return owner.claim(
            "no-nat",
            one,
            f"{network(one.destination)} is {what}: it does not leave the network, and must keep the sender's address.",
            f"{what} of {network(one.source)}",
        )
    if (
        one.target != "MASQUERADE"
        or not isinstance(one.get("destination"), Not)
        or one.negated("destination") != one.source
    ):
        return None
    reason = f"Nobody outside knows a way back to {network(one.source)}, so what its machines send elsewhere carries this host's address; among themselves they keep their own."
    if one.protocol in ("tcp", "udp"):
        reason += " Ports below 1024 are not used for it, since some servers trust them."
    return owner.claim("masquerade", one, reason, f"the way out for {network(one.source)}")


_IDIOMS: tuple[Idiom, ...] = (entry, services, across, inward, outward, translate)
