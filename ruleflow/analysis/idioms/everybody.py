"""Idioms that nobody owns: what careful people and all programs write, in filter and raw."""

from collections.abc import Callable, Iterator

from ruleflow.analysis.chains import unconditional
from ruleflow.analysis.explanation import Claim
from ruleflow.analysis.idioms import icmp, translation
from ruleflow.analysis.idioms.shape import Shape, Shapes, is_host, network, place, port_words
from ruleflow.ruleset.addresses import Prefix, mask_of
from ruleflow.ruleset.effect import Log
from ruleflow.ruleset.ir import Goto, Jump, Opaque
from ruleflow.ruleset.values import Not, Range

Idiom = Callable[[Shapes, Shape], Claim | None]
BY_SHAPE = "by the shape of this rule"


def claim(code: str, one: Shape, reason: str, purpose: str = "", also: tuple[Shape, ...] = ()) -> Claim:
    """A claim that needs no owner."""
    evidence = f"{BY_SHAPE} and of {', '.join(place(other) for other in also)}" if also else BY_SHAPE
    return Claim(code, (one.ref,), reason, evidence, "", purpose, tuple(other.ref for other in also))


def claims(shapes: Shapes) -> Iterator[Claim]:
    """Claims about rules of no particular owner."""
    for (table, _), mine in shapes.chains.items():
        idioms = _BY_TABLE.get(table, ())
        for one in mine:
            found = next((said for idiom in idioms if (said := idiom(shapes, one)) is not None), None)
            if found is not None:
                yield found


def owners(shapes: Shapes) -> Iterator[tuple[tuple[str, str], str]]:  # noqa: ARG001 - nobody's
    """None."""
    yield from ()


def made(shapes: Shapes) -> Iterator[str]:  # noqa: ARG001 - nobody's
    """Nothing."""
    yield from ()


# -- connections ------------------------------------------------------------------------------------------


def known_connections(shapes: Shapes, one: Shape) -> Claim | None:  # noqa: ARG001 - every idiom is asked alike
    """``-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT``."""
    known = one.states and one.states <= {"RELATED", "ESTABLISHED"} and "ESTABLISHED" in one.states
    if one.verdict != "ACCEPT" or not known or not set(one.facts) <= {"state", "in", "out"}:
        return None
    reason = (
        "Only the first packet of a connection is judged by the other rules: once it was let through, its answers and all "
        "that follows pass here. Most packets are of this kind, so the rule stands early."
    )
    return claim("known", one, reason)


def invalid(shapes: Shapes, one: Shape) -> Claim | None:  # noqa: ARG001
    """``-m conntrack --ctstate INVALID -j DROP``."""
    if (
        one.verdict not in ("DROP", "REJECT")
        or one.states != {"INVALID"}
        or not set(one.facts) <= {"state", "in", "out"}
    ):
        return None
    reason = (
        "Such packets fit no connection that this host knows: scans, leftovers of connections long over, answers that took "
        "another way. NAT does not translate them, so they could also leave with an inside address."
    )
    return claim("invalid", one, reason)


def new_without_syn(shapes: Shapes, one: Shape) -> Claim | None:  # noqa: ARG001
    """``-p tcp ! --syn -m conntrack --ctstate NEW -j DROP``."""
    if one.verdict not in ("DROP", "REJECT") or one.states != {"NEW"} or one.protocol != "tcp":
        return None
    if not isinstance(one.get("flags"), Not) or not set(one.facts) <= {"protocol", "state", "flags", "in"}:
        return None
    reason = (
        "A tcp connection begins with SYN. A packet that begins one for conntrack without it belongs to a scan, or to a "
        "connection this host forgot."
    )
    return claim("not-syn", one, reason)


def odd_flags(shapes: Shapes, one: Shape) -> Claim | None:  # noqa: ARG001
    """Flags that no honest tcp sends together: none, all, SYN with FIN or RST."""
    value = one.get("flags")
    looked, wanted = getattr(value, "mask", None), getattr(value, "value", None)
    if one.verdict not in ("DROP", "REJECT") or not isinstance(looked, int) or not isinstance(wanted, int):
        return None
    fin, syn, rst, ack = 1, 2, 4, 16
    odd = (
        (wanted == 0 and looked & 0x3F == 0x3F) or (wanted & (syn | fin) == syn | fin) or (wanted & (syn | rst) == syn | rst)
        or (wanted & (fin | rst) == fin | rst) or (wanted & fin and looked & ack and not wanted & ack)
    )  # fmt: skip
    if not odd or not set(one.facts) <= {"protocol", "flags", "in"}:
        return None
    return claim(
        "odd-flags",
        one,
        "No honest tcp sends these flags together; port scanners do, to see who answers.",
        "against scans",
    )


# -- loopback and forged addresses ------------------------------------------------------------------------


def loopback(shapes: Shapes, one: Shape) -> Claim | None:  # noqa: ARG001
    """``-i lo -j ACCEPT``, ``-o lo -j ACCEPT``."""
    if one.verdict != "ACCEPT" or "lo" not in (one.get("in"), one.get("out")):
        return None
    if not (one.asks("in") or one.asks("out") or one.asks("in", "out")):
        return None
    reason = "Programs on this host talk to each other over lo, where nothing from outside can arrive: so all of it may pass."
    return claim("loopback", one, reason)


_LOOPBACK = (Prefix(4, 127 << 24, mask_of(8, 4)), Prefix(6, 1, mask_of(128, 6)))


def forged_loopback(shapes: Shapes, one: Shape) -> Claim | None:
    """Loopback addresses anywhere but on lo."""
    if one.verdict not in ("DROP", "REJECT") or not set(one.facts) <= {"source", "destination", "in"}:
        return None
    addresses = [value for value in (one.source, one.destination) if value in _LOOPBACK]
    if not addresses or one.get("in") == "lo" or ("in" not in one.facts and not _after_loopback(shapes, one)):
        return None
    return claim(
        "forged-loopback",
        one,
        f"{network(addresses[0])} is loopback: outside of lo such an address is forged.",
        "against forged addresses",
    )


def _after_loopback(shapes: Shapes, one: Shape) -> bool:
    """Whether lo was let through before, so that what is left came from elsewhere."""
    before = shapes.chain(one.ref.table, one.ref.chain)[: one.ref.index - 1]
    return any(other.verdict == "ACCEPT" and other.asks("in") and other.get("in") == "lo" for other in before)


_PRIVATE = (
    Prefix(4, 10 << 24, mask_of(8, 4)), Prefix(4, 0xAC100000, mask_of(12, 4)), Prefix(4, 0xC0A80000, mask_of(16, 4)),
)  # fmt: skip


def forged_inside(shapes: Shapes, one: Shape) -> Claim | None:
    """``-s LAN -i WAN -j DROP``: WAN is where this host masquerades."""
    if one.verdict not in ("DROP", "REJECT") or not one.asks("source", "in") or not is_private(one.source):
        return None
    way_out = [
        other
        for other in shapes.chain("nat", "POSTROUTING")
        if other.target in ("MASQUERADE", "SNAT") and other.get("out") == one.get("in")
    ]
    if not way_out:
        return None
    reason = (
        f"{network(one.source)} is a private network. {one.get('in')} is the way out, where {place(way_out[0])} hides such addresses, "
        "so a packet that comes in from there with one as source is forged."
    )
    return claim("forged-inside", one, reason, "against forged addresses", (way_out[0],))


def is_private(value: Prefix | None) -> bool:
    """Whether a network is one of RFC 1918."""
    return (
        value is not None
        and value.family == 4
        and any(
            value.address & outer.mask == outer.address and value.mask & outer.mask == outer.mask
            for outer in _PRIVATE
        )
    )


def reverse_path(shapes: Shapes, one: Shape) -> Claim | None:  # noqa: ARG001
    """``-m rpfilter --invert -j DROP``."""
    if one.verdict != "DROP" or not any(name.startswith("rpfilter.invert") for name in one.facts):
        return None
    reason = "An answer to this source would not leave by the interface the packet came in on, so the source is likely forged."
    return claim("rpfilter", one, reason, "against forged addresses")


def bound_address(shapes: Shapes, one: Shape) -> Claim | None:
    """``-s X -m mac --mac-source Y -j RETURN`` (or ACCEPT), then ``-s X -j DROP``: an address belongs to a card."""
    if (
        one.verdict not in ("RETURN", "ACCEPT")
        or not one.asks("source", "mac")
        or isinstance(one.get("mac"), Not)
    ):
        return None
    after = next(
        (
            other
            for other in shapes.chain(one.ref.table, one.ref.chain)[one.ref.index :]
            if other.source == one.source
        ),
        None,
    )
    if (
        one.source is None
        or after is None
        or after.verdict not in ("DROP", "REJECT")
        or not after.asks("source")
    ):
        return None
    reason = f"{network(one.source)} belongs to one network card. Whoever uses it with another card is stopped by {place(after)}."
    return claim("bound", one, reason, "against borrowed addresses", (after,))


# -- floods and guessing ----------------------------------------------------------------------------------


def logs(one: Shape) -> bool:
    """Whether the rule only reports the packet."""
    target = one.rule.target
    if target is None or isinstance(target, Jump | Goto | Opaque):
        return False
    return any(isinstance(change, Log) for change in target.effects().changes)


def following(shapes: Shapes, one: Shape) -> Shape | None:
    """The next rule of the chain."""
    chain = shapes.chain(one.ref.table, one.ref.chain)
    return chain[one.ref.index] if one.ref.index < len(chain) else None


def log_then_decide(shapes: Shapes, one: Shape) -> Claim | None:
    """LOG, then a rule that drops or refuses the same packets (or all)."""
    after = following(shapes, one)
    if not logs(one) or after is None or after.verdict not in ("DROP", "REJECT"):
        return None
    same = {k: v for k, v in one.facts.items() if not k.startswith(("limit.", "hashlimit."))}
    if not (unconditional(after.rule) or same == after.facts):
        return None
    doing = "drops" if after.verdict == "DROP" else "refuses"
    reason = f"A log line does not decide anything, so {place(after)} {doing} the packets behind it."
    if len(same) < len(one.facts):
        reason += " The limit keeps a flood of packets from filling the log: what exceeds it is not logged, but treated the same."
    return claim("log-first", one, reason, f"to have a trace of what {place(after)} {doing}", (after,))


def limited_log(shapes: Shapes, one: Shape) -> Claim | None:  # noqa: ARG001
    """LOG with a limit."""
    if not logs(one) or not {"limit.rate", "hashlimit.upto"} & set(one.facts):
        return None
    return claim(
        "log-limit",
        one,
        "The limit keeps a flood of packets from filling the log; logging decides nothing, the rules behind it go on.",
    )


def guessing(shapes: Shapes, one: Shape) -> Claim | None:
    """``-m recent --set`` and ``-m recent --update --seconds S --hitcount N -j DROP`` on the same list."""
    name = one.get("recent.list_name")
    if not isinstance(name, str) or not one.facts.keys() & {"recent.set", "recent.update", "recent.rcheck"}:
        return None
    partners = [
        other for other in shapes.all(one.ref.table)
        if other.get("recent.list_name") == name and other.ref != one.ref and other.get("dport") == one.get("dport")
    ]  # fmt: skip
    checks = [
        other
        for other in (one, *partners)
        if "recent.hitcount" in other.facts and "recent.seconds" in other.facts
    ]
    notes = [other for other in (one, *partners) if "recent.set" in other.facts]
    if not checks or not notes or (not checks[0].verdict and not checks[0].calls):
        return None
    check = checks[0]
    reason = (
        f"{place(notes[0]).capitalize()} notes who opens a connection to {port_words(notes[0])}, and whoever comes "
        f"{check.get('recent.hitcount')} times within {check.get('recent.seconds')} seconds is turned away by {place(check)}. "
        "People do not reconnect that often; programs that guess passwords do."
    )
    return claim(
        "guessing",
        one,
        reason,
        "against guessing passwords",
        tuple(o for o in (notes[0], check) if o is not one)[:1],
    )


def flood(shapes: Shapes, one: Shape) -> Claim | None:
    """``-m limit -j RETURN`` (or ACCEPT) with a drop of the rest at the end of the chain."""
    if "limit.rate" not in one.facts or one.verdict not in ("RETURN", "ACCEPT"):
        return None
    rest = [
        other
        for other in shapes.chain(one.ref.table, one.ref.chain)[one.ref.index :]
        if other.verdict in ("DROP", "REJECT")
    ]
    mine = {k: v for k, v in one.facts.items() if not k.startswith("limit.")}
    after = following(shapes, one)
    caught = next(
        (other for other in rest if other.facts == mine or (other is after and unconditional(other.rule))),
        None,
    )
    if caught is None:
        return None
    reason = f"What comes within the limit passes here, what exceeds it is left for {place(caught)}. So a flood costs little, and honest packets still get a share."
    return claim("flood", one, reason, "against floods", (caught,))


# -- what must work ---------------------------------------------------------------------------------------


def dhcp(shapes: Shapes, one: Shape) -> Claim | None:  # noqa: ARG001
    """``-p udp --sport 67 --dport 68``: answers of a DHCP server."""
    sport, dport = one.get("sport"), one.get("dport")
    if (
        one.verdict != "ACCEPT"
        or one.protocol != "udp"
        or not isinstance(sport, Range)
        or not isinstance(dport, Range)
    ):
        return None
    if (sport, dport) not in ((Range(67, 67), Range(68, 68)), (Range(547, 547), Range(546, 546))):
        return None
    reason = "Answers of a DHCP server come while this host has no address yet and was asked by broadcast, so conntrack does not know them as replies."
    return claim("dhcp", one, reason, "to get an address by DHCP")


def dhcp_server(shapes: Shapes, one: Shape) -> Claim | None:  # noqa: ARG001
    """``-i lxcbr0 -p udp --dport 67 -j ACCEPT``: clients on an inside interface."""
    inside = one.get("in")
    if (
        one.verdict != "ACCEPT"
        or one.protocol != "udp"
        or one.port not in (67, 547)
        or not isinstance(inside, str)
    ):
        return None
    if not one.asks("in", "protocol", "dport"):
        return None
    reason = f"Machines on {inside} ask this host for an address, before they have one: the request comes from no address, by broadcast."
    return claim("dhcp-server", one, reason, "to give addresses by DHCP")


def forwarded(shapes: Shapes, one: Shape) -> Claim | None:
    """``FORWARD -d 10.0.0.80 -p tcp --dport 8080 -j ACCEPT`` with a DNAT to it: the other half of a forwarded port."""
    if (
        one.verdict != "ACCEPT"
        or not is_host(one.get("destination"))
        or one.port is None
        or one.ref.chain in ("INPUT", "OUTPUT")
    ):
        return None
    if (
        not set(one.facts) <= {"destination", "protocol", "dport", "in", "out", "state"}
        or one.destination is None
    ):
        return None
    dnats = [
        dnat
        for dnat in shapes.dnats_to(one.destination.address, one.port)
        if dnat.get("protocol") in (None, one.get("protocol"))
    ]
    if not dnats:
        return None
    reason = (
        f"The other half of the forwarded {port_words(dnats[0])}: {place(dnats[0])} only changes the address, and somebody must let the "
        "packet through. It carries the new address and port by now, so those are asked here."
    )
    return claim("forwarded", one, reason, f"for the forwarded {port_words(dnats[0])}", (dnats[0],))


def tunnelled(shapes: Shapes, one: Shape) -> Claim | None:  # noqa: ARG001
    """``-m policy --dir in --pol ipsec -j ACCEPT``."""
    if (
        one.verdict != "ACCEPT"
        or one.get("policy.policy") != "ipsec"
        or one.get("policy.direction") not in ("in", "out")
    ):
        return None
    if one.get("policy.direction") == "in":
        reason = "The packet came out of an IPsec tunnel, whose other end has shown who it is; the same addresses without a tunnel do not pass here."
    else:
        reason = "The packet will be put into an IPsec tunnel, so nobody on the way can read or change it."
    return claim(f"ipsec-{one.get('policy.direction')}", one, reason, "for a tunnel")


def own_tunnel_address(shapes: Shapes, one: Shape) -> Claim | None:  # noqa: ARG001
    """``-d OWN ! -i wg0 -m addrtype ! --src-type LOCAL -j DROP`` (wg-quick)."""
    inside = one.negated("in")
    if (
        one.verdict != "DROP"
        or not one.asks("destination", "in", "src_type")
        or one.negated("src_type") != "LOCAL"
    ):
        return None
    if not isinstance(inside, str) or not is_host(one.get("destination")):
        return None
    reason = (
        f"{network(one.destination)} is this host's address in the tunnel {inside}. Linux would answer for it on any interface, so a "
        "neighbour on the local network could reach it outside of the tunnel; only what comes by the tunnel, or from this host, may."
    )
    return claim("tunnel-address", one, reason, f"to keep the address in {inside}")


def ident(shapes: Shapes, one: Shape) -> Claim | None:  # noqa: ARG001
    """``-p tcp --dport 113 -j REJECT``."""
    if one.verdict != "REJECT" or one.port != 113 or one.protocol != "tcp":
        return None
    reason = "Some mail and chat servers ask back on port 113 who is connecting. A refusal answers at once; a drop would make every such connection wait."
    return claim("ident", one, reason)


_FILTER: tuple[Idiom, ...] = (
    known_connections, invalid, new_without_syn, odd_flags, loopback, forged_loopback, forged_inside, reverse_path, bound_address,
    guessing, log_then_decide, limited_log, flood, icmp.message, icmp.routing_header, dhcp, dhcp_server, ident,
    forwarded, tunnelled, own_tunnel_address, translation.clamp,
)  # fmt: skip
_BY_TABLE: dict[str, tuple[Idiom, ...]] = {
    "filter": _FILTER,
    "raw": (own_tunnel_address, reverse_path, invalid, odd_flags, forged_loopback, forged_inside, log_then_decide, translation.untracked, translation.helper),
    "mangle": (
        reverse_path, invalid, odd_flags, translation.clamp, translation.fill_checksum, translation.save_mark,
        translation.restore_mark,
    ),
    "nat": (
        translation.no_translation, translation.ipsec, translation.hairpin, translation.masquerade, translation.forward_port, translation.redirect,
    ),
}  # fmt: skip
