"""Idioms of nat, mangle and raw that nobody owns: hiding a network, forwarding a port, clamping a segment size."""

from ruleflow.analysis.explanation import Claim
from ruleflow.analysis.idioms.shape import Shape, Shapes, is_host, network, place, port_words
from ruleflow.ruleset.addresses import Prefix, address_text
from ruleflow.ruleset.effect import Untrack
from ruleflow.ruleset.ir import Goto, Jump, Opaque
from ruleflow.ruleset.values import Not


def _claim(code: str, one: Shape, reason: str, purpose: str = "", also: tuple[Shape, ...] = ()) -> Claim:
    evidence = "by the shape of this rule" + "".join(f" and of {place(other)}" for other in also)
    return Claim(code, (one.ref,), reason, evidence, "", purpose, tuple(other.ref for other in also))


def masquerade(shapes: Shapes, one: Shape) -> Claim | None:
    """``-o eth0 -j MASQUERADE``, ``-s LAN -o eth0 -j SNAT``, ``-s LAN ! -d LAN -j MASQUERADE``."""
    change = one.rewrites
    if change is None or change.what != "source" or one.ref.chain != "POSTROUTING":
        return None
    if not set(one.facts) <= {"source", "out", "destination", "protocol"} or not {"source", "out"} & set(
        one.facts
    ):
        return None
    if "destination" in one.facts and (one.source is None or one.negated("destination") != one.source):
        return None
    out = one.get("out")
    if isinstance(out, Not) and one.source is None:
        return None
    if is_host(one.get("source")) and out is None:
        return None
    who = network(one.source) if one.source else "the networks behind this host"
    where = (
        f"by {out}"
        if isinstance(out, str)
        else f"by another interface than {out.value}"
        if isinstance(out, Not)
        else "to others"
    )
    if change.low is None:
        into = "the address of the interface they leave by; that is looked up for each connection, so it may change"
    else:
        into = f"{address_text(change.low, shapes.rules.family)}, an address that others can answer to"
    reason = (
        f"Others need not know a way back to {who}: packets that leave {where} carry {into}. Answers come back to this host, "
        "which puts the old address back."
    )
    return _claim("masquerade", one, reason, "to hide addresses behind this host's")


def hairpin(shapes: Shapes, one: Shape) -> Claim | None:
    """``-s LAN -d LAN -j MASQUERADE`` where a DNAT sends into LAN: neighbours that use the outside address."""
    change = one.rewrites
    if change is None or change.what != "source" or one.ref.chain != "POSTROUTING":
        return None
    if (
        one.source is None
        or one.destination is None
        or not _inside(one.destination, one.source)
        or is_host(one.source)
    ):
        return None
    into = [
        dnat for mine in shapes.dnats.values() for dnat in mine
        if dnat.rewrites is not None and dnat.rewrites.low is not None and dnat.rewrites.low & one.destination.mask == one.destination.address
    ]  # fmt: skip
    if not into:
        return None
    reason = (
        f"When a machine in {network(one.source)} uses the outside address that {place(into[0])} forwards into the same network, "
        "the server would answer its neighbour directly, past this host, and the neighbour would not know the answer. With "
        "this host's address as source the answer comes back here and is translated."
    )
    return _claim("hairpin", one, reason, "for neighbours that use the outside address", (into[0],))


def _inside(inner: Prefix, outer: Prefix) -> bool:
    return (
        inner.family == outer.family
        and inner.mask & outer.mask == outer.mask
        and inner.address & outer.mask == outer.address
    )


def forward_port(shapes: Shapes, one: Shape) -> Claim | None:
    """``PREROUTING -i eth0 -p tcp --dport 80 -j DNAT --to-destination 10.0.0.2``."""
    change = one.rewrites
    if change is None or change.what != "destination" or change.low is None or change.address_of_interface:
        return None
    if "dport" not in one.facts or isinstance(one.get("dport"), Not) or one.ref.chain == "OUTPUT":
        return None
    family = shapes.rules.family
    if change.low >> (24 if family == 4 else 0) == (127 if family == 4 else 1):
        return None
    to = address_text(change.low, family)
    if change.high != change.low and change.high is not None:
        to = f"one of {to} to {address_text(change.high, family)}"
    at = (
        f" of {network(one.destination)}"
        if one.destination
        else " of this host"
        if one.get("dst_type") == "LOCAL"
        else ", whatever address they are for,"
    )
    reason = (
        f"Connections to {port_words(one)}{at} go to {to}. This only changes the address: filter FORWARD must let the packets "
        "through as well, and sees the new address by then."
    )
    return _claim("forward-port", one, reason, f"to forward {port_words(one)}")


def redirect(shapes: Shapes, one: Shape) -> Claim | None:  # noqa: ARG001 - every idiom is asked alike
    """``-p tcp --dport 80 -j REDIRECT --to-ports 3128``."""
    change = one.rewrites
    if one.target != "REDIRECT" or change is None or change.port_low is None or "dport" not in one.facts:
        return None
    reason = (
        f"Whoever opens {port_words(one)}, even on another machine, gets this host's own port {change.port_low} without knowing: "
        "a program here answers or relays."
    )
    if one.destination is not None or one.get("dst_type") == "LOCAL":
        reason = f"Whoever opens {port_words(one)} gets this host's port {change.port_low} instead: a program that may not open the first one listens there."
    return _claim("redirect", one, reason, "for a program on this host")


def no_translation(shapes: Shapes, one: Shape) -> Claim | None:
    """``-s LAN -d OTHER -j ACCEPT`` (or RETURN) before a masquerade of LAN."""
    if (
        one.verdict not in ("ACCEPT", "RETURN")
        or one.ref.chain != "POSTROUTING"
        or not one.asks("source", "destination")
    ):
        return None
    later = [
        other for other in shapes.chain("nat", "POSTROUTING")[one.ref.index :]
        if other.rewrites is not None and other.rewrites.what == "source" and (other.source is None or (one.source is not None and _inside(one.source, other.source)))
    ]  # fmt: skip
    if not later or one.source is None or one.destination is None:
        return None
    reason = (
        f"{network(one.destination)} knows a way back to {network(one.source)}, so addresses are kept between them: this "
        f"rule takes such connections out before {place(later[0])} would change the source."
    )
    return _claim("no-nat", one, reason, "to keep addresses", (later[0],))


def ipsec(shapes: Shapes, one: Shape) -> Claim | None:  # noqa: ARG001
    """``-m policy --dir out --pol ipsec -j ACCEPT`` in nat POSTROUTING."""
    if one.verdict not in ("ACCEPT", "RETURN") or one.ref.chain != "POSTROUTING":
        return None
    if one.get("policy.policy") != "ipsec" or one.get("policy.direction") != "out":
        return None
    reason = "What goes into an IPsec tunnel must keep its addresses: with another source it would no longer fit the tunnel's policy and leave in the clear."
    return _claim("ipsec", one, reason, "to keep tunnelled packets as they are")


def clamp(shapes: Shapes, one: Shape) -> Claim | None:  # noqa: ARG001
    """``-p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu``."""
    if one.target != "TCPMSS" or one.protocol != "tcp":
        return None
    reason = (
        "On a link with smaller packets (PPPoE, a tunnel) the ends must learn to send less, by an ICMP error that many "
        "firewalls drop; then connections hang as soon as they carry much data. Lowering the segment size in the first "
        "packets makes both ends send what fits."
    )
    return _claim("clamp", one, reason, "against hanging connections")


def fill_checksum(shapes: Shapes, one: Shape) -> Claim | None:  # noqa: ARG001
    """``-p udp --dport 68 -j CHECKSUM --checksum-fill``."""
    if one.target != "CHECKSUM" or one.protocol != "udp" or one.port != 68:
        return None
    reason = (
        "A packet that never leaves the machine has no checksum yet, since hardware would compute it. Some DHCP clients in "
        "virtual machines read packets raw and refuse such ones, so it is computed here."
    )
    return _claim("dhcp-checksum", one, reason, "for DHCP clients in virtual machines")


def save_mark(shapes: Shapes, one: Shape) -> Claim | None:  # noqa: ARG001
    """``-j CONNMARK --save-mark``."""
    if one.target != "CONNMARK" or not getattr(one.rule.target, "save", None):
        return None
    reason = "A mark belongs to one packet. Kept with the connection, it can be given to all packets that follow, answers included."
    return _claim("save-mark", one, reason, "to mark whole connections")


def restore_mark(shapes: Shapes, one: Shape) -> Claim | None:  # noqa: ARG001
    """``-j CONNMARK --restore-mark``."""
    if one.target != "CONNMARK" or not getattr(one.rule.target, "restore", None):
        return None
    reason = "Packets of a connection that was marked before get its mark again, so that the rules (and routes) that ask for the mark treat them alike."
    return _claim("restore-mark", one, reason, "to mark whole connections")


def untracked(shapes: Shapes, one: Shape) -> Claim | None:  # noqa: ARG001
    """NOTRACK, ``CT --notrack``."""
    target = one.rule.target
    if target is None or isinstance(target, Jump | Goto | Opaque):
        return None
    if not any(isinstance(change, Untrack) for change in target.effects().changes):
        return None
    reason = (
        "Conntrack passes these packets over: that saves memory and time where there are many. They have no state but "
        "untracked afterwards, are never translated, and rules for known connections do not let them pass."
    )
    return _claim("untracked", one, reason)


def helper(shapes: Shapes, one: Shape) -> Claim | None:  # noqa: ARG001
    """``CT --helper ftp``."""
    name = getattr(one.rule.target, "helper", None) if one.target == "CT" else None
    if name is None:
        return None
    reason = (
        f"The helper {name} reads these connections to learn which second connection their ends agree on, so that it counts as "
        "related and can be translated. Since Linux 4.7 a helper works only where a rule says so."
    )
    return _claim("helper", one, reason, f"for {name}")
