"""Conditions on several facts, answered for a packet at one place of its path (`condition.Derived`).

One function per fact; what a host does not tell is Unknown, never guessed.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ruleflow.netfilter.numbers import address_text
from ruleflow.netfilter.reverse_path import Arrival, Options, believes
from ruleflow.ruleset.condition import YES, Decision, Derived, No, Unknown

if TYPE_CHECKING:
    from ruleflow.netfilter.state import State

Reply = tuple[bool | None, object]
"""Whether the fact holds (None: not known), and what the packet has instead, or what is missing."""


def answer(condition: Derived, state: "State") -> Decision:
    """The answer to ``condition`` for the packet as it stands in ``state``."""
    told = _FACTS.get(condition.fact)
    if told is None:
        return Unknown((condition,), condition.text or condition.fact)
    holds, actual = told(state, dict(condition.arguments))
    if holds is None:
        return Unknown((condition,), str(actual) if actual else condition.text)
    return YES if holds != condition.negated else No(condition, actual)


def _address_type(state: "State", asked: dict[str, Any]) -> Reply:
    side = asked["address"]
    state.looked[side] = None
    address = getattr(state, side)
    if address is None:
        return None, f"{'from' if side == 'source' else 'to'} is not known"
    limit = {"in": state.in_interface, "out": state.out_interface}.get(asked.get("interface") or "")
    holds = state.machine.has_type(address, asked["types"], limit or None)
    if holds is None and side == "source" and not limit:
        return _source_type(state, address, asked["types"])
    return holds, address_text(address, state.family)


def _source_type(state: "State", address: int, types: tuple[str, ...]) -> Reply:
    """Where a host's addresses are not known: it sends from its own, and others send from theirs."""
    local = state.entry == "local"
    text = address_text(address, state.family)
    state.assumed[f"{text} is {'an' if local else 'no'} address of this host: the packet {'is sent' if local else 'comes from'} {'by it' if local else 'elsewhere'}"] = None
    return ("LOCAL" if local else "UNICAST") in types, text


def _reverse_path(state: "State", asked: dict[str, Any]) -> Reply:
    state.looked["source"] = state.looked["in_interface"] = None
    if state.source is None or state.machine.host.routes is None:
        return None, "the way back to the source is not known"
    arrival = Arrival(
        source=state.source, destination=state.destination or 0, iif=state.in_interface or "",
        mark=state.mark or 0, tos=state.tos or 0,
    )  # fmt: skip
    holds = believes(state.machine.host, arrival, state.family, Options(**asked))
    return holds, address_text(state.source, state.family)


def _policy(_state: "State", _asked: dict[str, Any]) -> Reply:
    """Without IPsec (no fact of a host tells of it) every packet is unprotected."""
    return None, "whether IPsec handles the packet"


def _chunks(state: "State", asked: dict[str, Any]) -> Reply:
    """match_packet of xt_sctp.c; flags of a chunk are not part of a packet here."""
    chunks = state.packet.sctp_chunks
    if chunks is None or any(mask for _, mask, _ in asked["chunks"]):
        return None, "the chunks of the packet"
    listed = {number for number, _, _ in asked["chunks"]}
    have = set(chunks)
    holds = {
        "any": bool(have & listed),
        "all": listed <= have,
        "only": have <= listed,
    }[asked["match"]]
    return holds, ",".join(map(str, chunks))


_FACTS: dict[str, Callable[["State", dict[str, Any]], Reply]] = {
    "address_type": _address_type,
    "reverse_path": _reverse_path,
    "policy": _policy,
    "sctp_chunks": _chunks,
}
