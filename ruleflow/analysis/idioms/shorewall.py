"""Shorewall's rules (Shorewall 4.4 to 5.2, as its compiler writes them): a chain for each pair of zones."""

import re
from collections.abc import Iterator

from ruleflow.analysis.explanation import Claim
from ruleflow.analysis.idioms.owner import Idiom, Owner, told
from ruleflow.analysis.idioms.shape import Shape, Shapes

_PAIR = re.compile(r"@?([A-Za-z][A-Za-z0-9]*?)(?:-|2)([A-Za-z][A-Za-z0-9]*)")
_OWN = (
    "dynamic",
    "smurfs",
    "smurflog",
    "tcpflags",
    "logflags",
    "logdrop",
    "logreject",
    "reject",
    "shorewall",
    "sfilter",
    "blacklst",
    "Drop",
    "Reject",
)
_COMMON = {
    "dynamic": ("addresses blocked by hand", "Addresses that somebody blocked while the firewall runs (shorewall drop, reject) stand there; only packets that begin a connection are asked."),
    "smurfs": ("forged broadcasts", "A packet whose source is a broadcast address is forged: all who answer it would flood a victim (a smurf attack)."),
    "tcpflags": ("scans", "Flags that no honest tcp sends together, and connections from port 0, are thrown out there."),
    "sfilter": ("forged sources", "What would leave by the interface it came in on, though that interface is not to route back, is forged."),
    "logflags": ("scans", "Such packets are logged, then dropped."),
    "smurflog": ("forged broadcasts", "Such packets are logged, then dropped."),
    "reject": ("refusals", "Each protocol is refused in the way its clients understand: a reset for tcp, an unreachable port for udp. Broadcasts and multicasts are never answered."),
    "blacklst": ("blocked addresses", "Addresses of the blacklist are turned away there."),
}  # fmt: skip


def _owner(shapes: Shapes) -> Owner:
    """Shorewall is known by several of its common chains, each called in its own way."""
    signs = [
        one for chain in ("dynamic", "smurfs", "tcpflags") for one in shapes.called("filter", chain)
        if one.target == "jump" and (one.asks("state") or one.asks("protocol") or one.asks())
    ]  # fmt: skip
    named = {one.calls for one in signs} | {
        chain for table, chain in shapes.chains if chain in ("shorewall", "logflags", "smurflog")
    }
    known = signs if len(named) >= 3 else []
    pairs = (
        "|".join(
            re.escape(chain) for table, chain in shapes.chains if table == "filter" and _zones(shapes, chain)
        )
        or "x"
    )
    return Owner(
        "Shorewall",
        shapes,
        f"{pairs}|{'|'.join(_OWN)}|[A-Za-z0-9_]+_(frwd|fwd|in|out|dnat|masq)|~log\\d+",
        known,
    )


def _zones(shapes: Shapes, chain: str) -> bool:
    """Whether a chain is named for two zones and called from a hook or an interface's chain by interface."""
    return _PAIR.fullmatch(chain) is not None and any(
        {"in", "out"} & set(one.facts)
        and (
            one.ref.chain in ("INPUT", "FORWARD", "OUTPUT")
            or one.ref.chain.endswith(("_frwd", "_fwd", "_in", "_out"))
        )
        for one in shapes.called("filter", chain)
    )


def claims(shapes: Shapes) -> Iterator[Claim]:
    """Claims about its rules."""
    yield from told(_owner(shapes), _IDIOMS)


def owners(shapes: Shapes) -> Iterator[tuple[tuple[str, str], str]]:
    """Its chains."""
    yield from _owner(shapes).owned()


def made(shapes: Shapes) -> Iterator[str]:
    """Shorewall, if its chains are there."""
    yield from _owner(shapes).sentence()


def common(owner: Owner, one: Shape) -> Claim | None:
    """Jumps to the chains that every pair of zones shares."""
    words = _COMMON.get(one.calls or "")
    if words is None:
        return None
    return owner.claim(f"to-{one.calls}", one, words[1], words[0])


def zones(owner: Owner, one: Shape) -> Claim | None:
    """``INPUT -i eth0 -j net-fw``: by interfaces to the chain of two zones."""
    called = one.calls or ""
    side = one.get("in") or one.get("out")
    if not isinstance(side, str) or len(one.facts) != 1:
        return None
    found = _PAIR.fullmatch(called)
    if found is not None and _zones(owner.shapes, called):
        reason = f"Which zones a packet is between is known by its interfaces; {called} holds the rules and the policy for what goes from zone {found[1]} to zone {found[2]}."
        return owner.claim("zones", one, reason, f"traffic from {found[1]} to {found[2]}")
    if re.fullmatch(r"[A-Za-z0-9_]+_(frwd|fwd|in|out)", called):
        return owner.claim(
            "interface",
            one,
            f"What {'arrives on' if 'in' in one.facts else 'leaves by'} {side} is looked at there: first what no zone should send, then by the zone at the other end.",
            f"interface {side}",
        )
    return None


def noise(owner: Owner, one: Shape) -> Claim | None:
    """Broadcasts and multicasts before a policy: dropped without a log line."""
    kind = one.get("dst_type")
    if one.verdict != "DROP" or not one.asks("dst_type") or kind not in ("BROADCAST", "ANYCAST", "MULTICAST"):
        return None
    return owner.claim(
        "noise",
        one,
        "Packets for everybody on the link are not worth a log line, and an answer to them would be wrong: they are dropped before the policy logs and refuses.",
        "noise",
    )


def _logged(owner: Owner, one: Shape) -> Claim | None:
    if re.fullmatch(r"~log\d+", one.calls or ""):
        return owner.claim(
            "log-and-accept",
            one,
            "A rule can only do one thing, so what is to be logged and then let through goes to a chain that does both.",
            "a rule that logs",
        )
    return None


_IDIOMS: tuple[Idiom, ...] = (common, zones, noise, _logged)
