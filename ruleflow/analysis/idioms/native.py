"""Ruleflow's own rules: the sentence of each is that of the function in `ruleflow.bridge.layouts.native` that writes it."""

from collections.abc import Callable, Iterator

from ruleflow.analysis.explanation import Claim
from ruleflow.analysis.idioms.owner import Idiom, Owner, told
from ruleflow.analysis.idioms.shape import Shape, Shapes
from ruleflow.bridge.layouts.native import NativeLayout
from ruleflow.ruleset.addresses import Prefix

_CHAINS = r"RF-(GUARD|FORWARD|USER|PUBLISH|SOURCE)"
_LOOPBACK = Prefix(4, 127 << 24, 0xFF000000)


def _owner(shapes: Shapes) -> Owner:
    ways = {
        "RF-GUARD": "PREROUTING",
        "RF-FORWARD": "FORWARD",
        "RF-USER": "RF-FORWARD",
        "RF-SOURCE": "POSTROUTING",
    }
    signs = [
        one for rules in shapes.chains.values() for one in rules
        if (one.asks() and ways.get(one.calls or "") == one.ref.chain) or (one.calls == "RF-PUBLISH" and one.get("dst_type") == "LOCAL")
    ]  # fmt: skip
    return Owner("ruleflow", shapes, _CHAINS, signs)


def claims(shapes: Shapes) -> Iterator[Claim]:
    """Claims about its rules."""
    yield from told(_owner(shapes), _IDIOMS)


def owners(shapes: Shapes) -> Iterator[tuple[tuple[str, str], str]]:
    """Its chains."""
    yield from _owner(shapes).owned()


def made(shapes: Shapes) -> Iterator[str]:
    """Ruleflow, if its chains are there and called as it calls them."""
    yield from _owner(shapes).sentence()


def _claim(owner: Owner, one: Shape, function: Callable[..., None]) -> Claim:
    """What ``function`` says of the rules it writes."""
    words = " ".join((function.__doc__ or "").split())
    return owner.claim(function.__name__.replace("_", "-"), one, words)


def entry(owner: Owner, one: Shape) -> Claim | None:
    """A jump to one of our chains."""
    if one.calls is None or not owner.mine(one.calls):
        return None
    reasons: dict[str, Callable[..., None]] = {
        "RF-GUARD": NativeLayout.drop_loopback_from_elsewhere, "RF-FORWARD": NativeLayout.decide_what_passes,
        "RF-USER": NativeLayout.ask_the_operator_first, "RF-PUBLISH": NativeLayout.look_up_published_ports,
        "RF-SOURCE": NativeLayout.choose_source,
    }  # fmt: skip
    return _claim(owner, one, reasons[one.calls])


def guard(owner: Owner, one: Shape) -> Claim | None:
    """``RF-GUARD -d 127.0.0.0/8 ! -i lo -j DROP``."""
    if one.ref.chain != "RF-GUARD" or one.verdict != "DROP" or not one.asks("destination", "in"):
        return None
    if one.destination != _LOOPBACK or one.negated("in") != "lo":
        return None
    return _claim(owner, one, NativeLayout.drop_loopback_from_elsewhere)


def into_a_bridge(owner: Owner, one: Shape) -> Claim | None:
    """What ``RF-FORWARD`` says of packets that enter a bridge."""
    if one.ref.chain != "RF-FORWARD" or not isinstance(one.get("out"), str):
        return None
    if one.verdict == "ACCEPT" and one.asks("out", "state"):
        translated = "DNAT" in one.states
        return _claim(
            owner,
            one,
            NativeLayout.let_replies_and_published_in if translated else NativeLayout.let_replies_in,
        )
    if one.verdict == "ACCEPT" and (
        one.asks("out", "protocol") or one.asks("destination", "out", "protocol", "dport")
    ):
        return _claim(owner, one, NativeLayout.open_routed_ports)
    if one.verdict == "ACCEPT" and one.asks("out"):
        return _claim(owner, one, NativeLayout.let_everybody_in)
    if one.verdict == "ACCEPT" and one.asks("in", "out") and isinstance(one.get("in"), str):
        return _claim(owner, one, NativeLayout.trust_interface)
    if one.verdict == "DROP" and (one.asks("out") or one.asks("in", "out")):
        inner = _is_internal(owner, one)
        return _claim(owner, one, NativeLayout.keep_internal if inner else NativeLayout.drop_direct_access)
    return None


def out_of_a_bridge(owner: Owner, one: Shape) -> Claim | None:
    """What ``RF-FORWARD`` says of packets that leave a bridge."""
    if one.ref.chain != "RF-FORWARD" or not isinstance(one.get("in"), str):
        return None
    if one.verdict == "ACCEPT" and one.asks("in"):
        return _claim(owner, one, NativeLayout.let_out)
    if one.verdict == "DROP" and one.asks("in", "out") and one.negated("out") == one.get("in"):
        return _claim(owner, one, NativeLayout.keep_internal)
    return None


def _is_internal(owner: Owner, one: Shape) -> bool:
    """Whether nothing is ever let into the bridge."""
    rules = owner.shapes.chain("filter", "RF-FORWARD")
    return not any(other.verdict == "ACCEPT" and other.get("out") == one.get("out") for other in rules)


def translation(owner: Owner, one: Shape) -> Claim | None:
    """What ``RF-PUBLISH`` and ``RF-SOURCE`` translate."""
    change = one.rewrites
    if change is None or one.ref.chain not in ("RF-PUBLISH", "RF-SOURCE"):
        return None
    if change.what == "destination":
        return _claim(owner, one, NativeLayout.publish_port)
    if one.asks("source", "out", "state"):
        return _claim(owner, one, NativeLayout.masquerade_hairpin)
    if one.asks("source", "destination", "out", "protocol", "dport"):
        return _claim(owner, one, NativeLayout.masquerade_to_itself)
    if one.asks("source", "out"):
        local = one.source == _LOOPBACK
        return _claim(
            owner, one, NativeLayout.masquerade_localhost if local else NativeLayout.masquerade_outgoing
        )
    return None


_IDIOMS: tuple[Idiom, ...] = (entry, guard, into_a_bridge, out_of_a_bridge, translation)
