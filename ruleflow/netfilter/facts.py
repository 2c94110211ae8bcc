"""Conditions on several facts, answered for a packet at one place of its path (`condition.Derived`).

One function per fact; what a host does not tell is Unknown, never guessed.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ruleflow.netfilter.numbers import PROTOCOL_NAMES, address_text
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
    state.assumed[
        f"{text} is {'an' if local else 'no'} address of this host: the packet {'is sent' if local else 'comes from'} {'by it' if local else 'elsewhere'}"
    ] = None
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


def _set(state: "State", asked: dict[str, Any]) -> Reply:
    return _in_set(state, asked["name"], asked["directions"], 0)


def _in_set(state: "State", name: str, directions: tuple[str, ...], depth: int) -> Reply:
    """ip_set_test: a value for each dimension of the set; a list of sets is asked one after the other."""
    found = state.machine.host.set(name)
    if found is None:
        return None, f"the members of the set {name} are not known"
    if found.kind == "list:set":
        answers = (
            [_in_set(state, member.parts[0], directions, depth + 1) for member in found.members]
            if depth < _NESTED
            else []
        )
        if any(holds for holds, _ in answers):
            return True, None
        return next((one for one in answers if one[0] is None), (False, None))
    if (
        found.family != state.family
        and found.kind.startswith("hash")
        and {"ip", "net"} & set(found.dimensions)
    ):
        return False, f"the set {name} is for IPv{found.family}"
    values = [_of_dimension(state, *pair) for pair in zip(found.dimensions, directions, strict=False)]
    if any(value is None for value in values):
        return None, f"not all is known that the set {name} is asked for"
    if len(values) < len(found.dimensions) or _ABSENT in values:
        return False, None
    return found.contains(tuple(values)), None  # type: ignore[arg-type]


_NESTED = 1
"""A list of sets has no lists among its members (ipset(8))."""
_ABSENT = ""
"""Stands for a value that the packet does not have."""


def _of_dimension(state: "State", dimension: str, direction: str) -> int | str | tuple[int, int] | None:
    """What the set is asked with: ip_set_get_ip4_port and its kin (net/netfilter/ipset/ip_set_getport.c)."""
    side = "source" if direction == "src" else "destination"
    if dimension in ("ip", "net"):
        state.looked[side] = None
        return getattr(state, side)  # type: ignore[no-any-return]
    if dimension == "port":
        return _port(state, side)
    if dimension == "iface":
        name = state.in_interface if direction == "src" else state.out_interface
        return name if name != "" else _ABSENT
    if dimension == "mac":
        return (state.mac if direction == "src" else _ABSENT) if state.frame else _ABSENT
    return state.mark if dimension == "mark" else None


def _port(state: "State", side: str) -> tuple[int, int] | str | None:
    if state.protocol in (1, 58):
        return state.protocol, (state.icmp_type or 0) << 8 | (state.icmp_code or 0)
    if state.protocol not in (6, 17, 132, 136):
        return _ABSENT
    port = getattr(state, f"{side}_port")
    return None if port is None else (state.protocol, port)


def _socket(state: "State", asked: dict[str, Any]) -> Reply:
    """nf_sk_lookup: which sockets listen is known of a host, which connections it has is not."""
    host, protocol = state.machine.host, PROTOCOL_NAMES.get(state.protocol or 0, "")
    if protocol not in ("tcp", "udp"):
        return False, None
    missing = None, "whether a socket of this host waits for the packet"
    if host.listeners is None or None in (state.destination, state.destination_port) or state.state != _NEW:
        return missing
    found = host.listener(protocol, state.destination or 0, state.destination_port or 0, state.family)
    if found is None or (found.address is None and not asked["any_address"]):
        return False, None
    return missing if asked["transparent"] or asked["restore_mark"] else (True, None)


_NEW = 2


def _eui64(state: "State", _asked: dict[str, Any]) -> Reply:
    """eui64_mt6: the lower half of the source is made of the mac address."""
    if not state.frame:
        return False, None
    if state.mac is None or state.source is None:
        return None, "mac is not known"
    high, low = state.mac >> 24, state.mac & 0xFFFFFF
    made = ((high << 40) | (0xFFFE << 24) | low) ^ (0x02 << 56)
    return state.source & ((1 << 64) - 1) == made, None


_FACTS: dict[str, Callable[["State", dict[str, Any]], Reply]] = {
    "address_type": _address_type,
    "reverse_path": _reverse_path,
    "policy": _policy,
    "sctp_chunks": _chunks,
    "set": _set,
    "socket": _socket,
    "eui64": _eui64,
}
