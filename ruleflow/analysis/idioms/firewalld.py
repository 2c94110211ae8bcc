"""firewalld's rules with its iptables backend (src/firewall/core/ipXtables.py of firewalld 0.6 to 2)."""

import re
from collections.abc import Iterator

from ruleflow.analysis.explanation import Claim
from ruleflow.analysis.idioms.owner import Idiom, Owner, told
from ruleflow.analysis.idioms.shape import Shape, Shapes, network

_ZONE = re.compile(r"(?:PRE|POST|IN|FWD|FWDI|FWDO|OUT)_(.+?)(?:_(pre|log|deny|allow|post))?")
_TOP = re.compile(
    r"(?:PREROUTING|POSTROUTING|INPUT|FORWARD|FORWARD_IN|FORWARD_OUT|OUTPUT)_(direct|ZONES|ZONES_SOURCE|POLICIES_pre|POLICIES_post|IN_ZONES|OUT_ZONES|IN_ZONES_SOURCE|OUT_ZONES_SOURCE)"
)
_PARTS = {
    "pre": "rules with a negative priority come first",
    "log": "first what is to be logged",
    "deny": "then what is refused, so that a denial wins over a service that is allowed",
    "allow": "then the services, ports and rich rules that are allowed",
    "post": "rules with a positive priority come last",
}


def _owner(shapes: Shapes) -> Owner:
    signs = [
        one for (_, chain), rules in shapes.chains.items() if not _ours(chain) for one in rules
        if one.asks() and one.calls is not None and _TOP.fullmatch(one.calls) and one.calls.startswith(f"{chain}_")
    ]  # fmt: skip
    return Owner("firewalld", shapes, f"{_TOP.pattern}|{_ZONE.pattern}", signs)


def _ours(chain: str) -> bool:
    return bool(_TOP.fullmatch(chain) or _ZONE.fullmatch(chain))


def claims(shapes: Shapes) -> Iterator[Claim]:
    """Claims about its rules."""
    owner = _owner(shapes)
    yield from told(owner, _IDIOMS)
    if owner.known:
        for hook in ("INPUT", "FORWARD"):
            for one in shapes.chain("filter", hook):
                claim = translated(owner, one)
                if claim is not None:
                    yield claim


def owners(shapes: Shapes) -> Iterator[tuple[tuple[str, str], str]]:
    """Its chains."""
    yield from _owner(shapes).owned()


def made(shapes: Shapes) -> Iterator[str]:
    """firewalld, if its chains are there."""
    yield from _owner(shapes).sentence()


def top(owner: Owner, one: Shape) -> Claim | None:
    """The jumps from the hooks: direct rules, zones, policies."""
    found = _TOP.fullmatch(one.calls or "")
    if found is None or not one.asks():
        return None
    if found[1] == "direct":
        return owner.claim(
            "direct",
            one,
            "Rules given with firewall-cmd --direct stand there and are asked before the zones.",
            "direct rules",
        )
    if "ZONES" in found[1]:
        return owner.claim(
            "zones",
            one,
            "Each packet belongs to the zone of its source address or its interface; the chain finds the zone, which then decides.",
            "the zones",
        )
    when = "before" if found[1].endswith("pre") else "after"
    return owner.claim(
        f"policies-{when}",
        one,
        f"Policies say what may go from zone to zone; those of a {'negative' if when == 'before' else 'positive'} priority are asked {when} the zone's own rules.",
        "policies between zones",
    )


def zone(owner: Owner, one: Shape) -> Claim | None:
    """``INPUT_ZONES -i eth0 -g IN_public``: which zone a packet belongs to."""
    if "_ZONES" not in one.ref.chain or one.calls is None or not (found := _ZONE.fullmatch(one.calls)):
        return None
    name = found[1]
    side = one.get("in") or one.get("out")
    if isinstance(side, str) and len(one.facts) == 1:
        reason = f"What {'arrives on' if 'in' in one.facts else 'leaves by'} {side} belongs to the zone {name}. It goes there with no way back, so exactly one zone decides."
    elif one.source is not None and one.asks("source"):
        reason = f"What comes from {network(one.source)} belongs to the zone {name}, whatever interface it arrives on: zones by address are asked before zones by interface."
    elif one.destination is not None and one.asks("destination"):
        reason = f"What goes to {network(one.destination)} belongs to the zone {name}, whatever interface it leaves by."
    elif one.asks():
        reason = f"Interfaces that are in no zone belong to the default zone, {name}."
    else:
        return None
    return owner.claim("zone", one, reason, f"the zone {name}")


def part(owner: Owner, one: Shape) -> Claim | None:
    """``IN_public -j IN_public_deny``: the order inside of a zone."""
    if one.calls is None or not one.asks() or not (found := _ZONE.fullmatch(one.calls)) or not found[2]:
        return None
    if not _ZONE.fullmatch(one.ref.chain):
        return None
    kind = _kind(owner, one.ref.table, one.ref.chain)
    return owner.claim(
        f"part-{found[2]}",
        one,
        f"A zone or policy is asked in a fixed order: {_PARTS[found[2]]}.",
        f"the order in the {kind} {found[1]}",
    )


def _kind(owner: Owner, table: str, chain: str) -> str:
    """Whether a chain is a zone's or a policy's, by who calls it."""
    callers = owner.shapes.called(table, chain)
    return "policy" if any("_POLICIES_" in one.ref.chain for one in callers) else "zone"


def policy(owner: Owner, one: Shape) -> Claim | None:
    """``FORWARD_POLICIES_pre -i eth1 -o eth0 -j FWD_inside-out``."""
    if "_POLICIES_" not in one.ref.chain or one.calls is None or not (found := _ZONE.fullmatch(one.calls)):
        return None
    return owner.claim(
        "policy",
        one,
        f"The policy {found[1]} is for packets from one zone to another; here its zones are given as interfaces and addresses.",
        f"the policy {found[1]}",
    )


def target(owner: Owner, one: Shape) -> Claim | None:
    """The last rules of a zone: its target, and ICMP where the target refuses."""
    found = _ZONE.fullmatch(one.ref.chain)
    if found is None or found[2] is not None or one.ref.table != "filter":
        return None
    kind = f"the {_kind(owner, one.ref.table, one.ref.chain)} {found[1]}"
    if one.verdict == "ACCEPT" and one.asks("protocol") and one.protocol in ("icmp", "ipv6-icmp"):
        return owner.claim(
            "icmp",
            one,
            "ICMP may pass unless a block of its type was set: networks do not work well without it.",
            kind,
        )
    if one.verdict in ("DROP", "REJECT", "ACCEPT") and one.asks():
        return owner.claim(
            "target",
            one,
            f"This is the target of {kind}: what becomes of packets that nothing in it allowed or denied.",
            kind,
        )
    return None


def allowed(owner: Owner, one: Shape) -> Claim | None:
    """``IN_public_allow -p tcp --dport 22 -m conntrack --ctstate NEW -j ACCEPT``."""
    found = _ZONE.fullmatch(one.ref.chain)
    if found is None or found[2] not in ("allow", "deny") or one.ref.table != "filter" or not one.verdict:
        return None
    if found[2] == "allow" and one.verdict == "ACCEPT" and "dport" in one.facts:
        return owner.claim(
            "allow",
            one,
            f"A service or port that the zone {found[1]} allows. Only new connections are asked; the rest passed above.",
            f"the zone {found[1]}",
        )
    if found[2] == "deny" and one.verdict in ("DROP", "REJECT"):
        return owner.claim(
            "deny",
            one,
            f"What a rich rule or a block in the zone {found[1]} refuses; it is asked before what is allowed.",
            f"the zone {found[1]}",
        )
    return None


def translated(owner: Owner, one: Shape) -> Claim | None:
    """``INPUT -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT``."""
    if (
        one.verdict != "ACCEPT"
        or not one.asks("state")
        or "DNAT" not in one.states
        or "ESTABLISHED" not in one.states
    ):
        return None
    reason = (
        "Known connections pass, as everywhere; and whatever had its destination translated counts as allowed already, since "
        "somebody forwarded that port on purpose. That includes ports that other programs forward, such as a container engine."
    )
    return owner.claim("translated", one, reason, "forwarded ports")


_IDIOMS: tuple[Idiom, ...] = (top, zone, part, policy, target, allowed)
