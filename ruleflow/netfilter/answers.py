"""Packets that answer packets: made, and known again."""

from ruleflow.netfilter.packet import Packet


def turned(packet: Packet, flags: int | None) -> Packet:
    """A packet the other way, with these tcp flags."""
    return Packet(
        family=packet.family, protocol=packet.protocol, source=packet.destination, destination=packet.source,
        source_port=packet.destination_port, destination_port=packet.source_port, tcp_flags=flags, ttl=64,
    )  # fmt: skip


def answers(first: Packet, back: Packet) -> bool:
    """Whether a packet is what the socket that sent ``first`` waits for."""
    return (back.source, back.destination, back.source_port, back.destination_port) == (
        first.destination, first.source, first.destination_port, first.source_port,
    )  # fmt: skip


def same_ends(one: Packet, other: Packet) -> bool:
    """Whether two packets have the same addresses and ports."""
    return (one.source, one.destination, one.source_port, one.destination_port) == (
        other.source, other.destination, other.source_port, other.destination_port,
    )  # fmt: skip
