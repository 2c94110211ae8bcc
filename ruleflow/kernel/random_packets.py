"""Random packets for the lab: into the router, out of it, through it; and later packets of what went before."""

import random

from ruleflow.kernel.random_rules import DSCPS, INTERFACES, PORTS, TTLS, UNIVERSES, Universe
from ruleflow.netfilter.numbers import read_address
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.steps import Outcome


def make_packet(dice: random.Random, family: int, before: list[tuple[Packet, Outcome]]) -> Packet:
    """A packet; now and then the answer to one of ``before`` (sent, and how it ended), or the same flow again."""
    if before and dice.random() < 0.3:
        sent, end = dice.choice(before[-6:])
        follow = _answer(sent, end) if dice.random() < 0.7 else _again(sent)
        if follow is not None:
            return follow
    return _fresh(dice, UNIVERSES[family])


def _fresh(dice: random.Random, universe: Universe) -> Packet:
    family = universe.family
    incoming = dice.choice((*INTERFACES, None))
    if incoming is None:
        source = dice.choice(universe.own)
    else:
        source = dice.choice(universe.hosts[INTERFACES.index(incoming)])
        if incoming == "eth0" and dice.random() < 0.2:
            source = dice.choice(universe.elsewhere)
    targets = universe.own if dice.random() < 0.35 else universe.everyone
    destination = dice.choice([one for one in targets if one != source])
    facts: dict[str, object] = {
        "family": family, "source": read_address(source)[0], "destination": read_address(destination)[0],
        "in_interface": incoming, "ttl": dice.choice(TTLS), "tos": dice.choice(DSCPS) << 2,
    }  # fmt: skip
    if incoming is None and dice.random() < 0.3:
        facts["mark"] = dice.choice((1, 2))
    return Packet(**facts, **_transport(dice, family))  # type: ignore[arg-type]


def _transport(dice: random.Random, family: int) -> dict[str, object]:
    protocol = dice.choice((6, 6, 17, 17, 1 if family == 4 else 58))
    if protocol == 6:
        flags = dice.choice((2, 2, 2, 2, 16, 18, 4, 17))
        return {"protocol": 6, "source_port": dice.choice(PORTS), "destination_port": dice.choice(PORTS), "tcp_flags": flags}
    if protocol == 17:
        return {"protocol": 17, "source_port": dice.choice(PORTS), "destination_port": dice.choice(PORTS)}
    kinds = ((8, 0), (8, 0), (0, 0), (13, 0)) if family == 4 else ((128, 0), (128, 0), (129, 0))
    kind, code = dice.choice(kinds)
    return {"protocol": protocol, "icmp_type": kind, "icmp_code": code}


def _again(sent: Packet) -> Packet:
    return sent if sent.tcp_flags is None else sent.with_(tcp_flags=16 if sent.tcp_flags == 2 else sent.tcp_flags)


def _answer(sent: Packet, end: Outcome) -> Packet | None:
    """The answer to a packet that left by an interface: it comes in there."""
    at = end.packet
    if end.verdict != "ACCEPT" or end.local or end.out_interface not in INTERFACES:
        return None
    if None in (at.source, at.destination) or end.ranges:
        return None
    answers = {8: 0, 13: 14, 128: 129}
    if sent.protocol in (1, 58) and sent.icmp_type not in answers:
        return None
    return Packet(
        family=sent.family, protocol=sent.protocol, source=at.destination, destination=at.source,
        source_port=at.destination_port, destination_port=at.source_port, in_interface=end.out_interface, ttl=64, tos=0,
        tcp_flags=18 if sent.tcp_flags == 2 else 16 if sent.protocol == 6 else None,
        icmp_type=answers.get(sent.icmp_type or -1), icmp_code=None if sent.icmp_type is None else 0,
    )  # fmt: skip
