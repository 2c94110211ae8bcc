"""Tailscale's rules (util/linuxfw/iptables_runner.go): its own addresses only by its own interface, and marks for routing."""

from collections.abc import Iterator

from ruleflow.analysis.explanation import Claim
from ruleflow.analysis.idioms.owner import Idiom, Owner, told
from ruleflow.analysis.idioms.shape import Shape, Shapes, is_host, network


def _owner(shapes: Shapes) -> Owner:
    signs = [
        one for table, hook, chain in (("filter", "INPUT", "ts-input"), ("filter", "FORWARD", "ts-forward"), ("nat", "POSTROUTING", "ts-postrouting"))
        for one in shapes.called(table, chain) if one.ref.chain == hook and one.asks()
    ]  # fmt: skip
    return Owner("Tailscale", shapes, r"ts-(input|forward|postrouting)", signs)


def claims(shapes: Shapes) -> Iterator[Claim]:
    """Claims about its rules."""
    yield from told(_owner(shapes), _IDIOMS)


def owners(shapes: Shapes) -> Iterator[tuple[tuple[str, str], str]]:
    """Its chains."""
    yield from _owner(shapes).owned()


def made(shapes: Shapes) -> Iterator[str]:
    """Tailscale, if its chains are there."""
    yield from _owner(shapes).sentence()


def entry(owner: Owner, one: Shape) -> Claim | None:
    """The jumps from the hooks."""
    if not owner.mine(one.calls) or not one.asks():
        return None
    return owner.claim(
        "first",
        one,
        "Tailscale puts its jump at the top, so that traffic of the tailnet passes whatever the other rules say.",
        "the tailnet",
    )


def own_address(owner: Owner, one: Shape) -> Claim | None:
    """``ts-input -s OWN -i lo -j ACCEPT``; tailnet addresses from elsewhere."""
    inside = one.get("in")
    if (
        one.ref.chain == "ts-input"
        and one.verdict == "ACCEPT"
        and inside == "lo"
        and is_host(one.get("source"))
    ):
        return owner.claim(
            "own",
            one,
            f"{network(one.source)} is this host's own address in the tailnet: by lo it talks to itself.",
            "this host itself",
        )
    if (
        one.ref.chain == "ts-input"
        and one.asks("source", "in")
        and one.negated("in") is not None
        and one.source is not None
    ):
        if one.verdict == "RETURN":
            return owner.claim(
                "exempt",
                one,
                f"Some machines use {network(one.source)} for other things (virtual machines of ChromeOS), so these are left to the other rules.",
                "addresses that are shared",
            )
        if one.verdict == "DROP":
            return owner.claim(
                "forged",
                one,
                f"Addresses of {network(one.source)} belong to the tailnet and arrive by {one.negated('in')} alone; from elsewhere they are forged.",
                "to keep forged addresses out",
            )
    return None


def traffic(owner: Owner, one: Shape) -> Claim | None:
    """What comes from the tailnet, and how it is known again."""
    chain, inside = one.ref.chain, one.get("in")
    if chain == "ts-input" and one.verdict == "ACCEPT" and one.asks("in") and isinstance(inside, str):
        return owner.claim(
            "in",
            one,
            f"What arrives on {inside} has passed Tailscale's own access rules already.",
            "the tailnet",
        )
    if (
        chain == "ts-input"
        and one.verdict == "ACCEPT"
        and one.protocol == "udp"
        and one.asks("protocol", "dport")
    ):
        return owner.claim(
            "wireguard",
            one,
            "Other machines of the tailnet reach this one directly at this port, by WireGuard.",
            "direct connections",
        )
    if chain == "ts-forward" and one.target == "MARK" and one.asks("in"):
        return owner.claim(
            "mark",
            one,
            f"This host routes for the tailnet: what came by {inside} is marked, to be known again where it leaves.",
            "a subnet router",
        )
    if chain == "ts-forward" and one.verdict == "ACCEPT" and one.asks("mark"):
        return owner.claim("forward", one, "What came from the tailnet may be passed on.", "a subnet router")
    if (
        chain == "ts-forward"
        and one.verdict == "DROP"
        and one.source is not None
        and one.asks("source", "out")
    ):
        return owner.claim(
            "back",
            one,
            f"Addresses of the tailnet do not come from elsewhere, so they are not sent into it by {one.get('out')} either.",
            "to keep forged addresses out",
        )
    if chain == "ts-forward" and one.verdict == "ACCEPT" and one.asks("out"):
        return owner.claim(
            "out",
            one,
            f"What goes into the tailnet by {one.get('out')} may pass; Tailscale's access rules decide at the other end.",
            "the tailnet",
        )
    if chain == "ts-postrouting" and one.target == "MASQUERADE" and one.asks("mark"):
        return owner.claim(
            "masquerade",
            one,
            "Machines behind this host know no way back into the tailnet, so they see this host's address instead.",
            "a subnet router",
        )
    return None


_IDIOMS: tuple[Idiom, ...] = (entry, own_address, traffic)
