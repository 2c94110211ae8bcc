"""The far ends of a lab router's interfaces: frames put on the wire there, frames that come out, and the barrier."""

import socket
from collections.abc import Mapping

from ruleflow.kernel.namespaces import Namespace
from ruleflow.kernel.router import BARRIER, Neighbour, Spec, adopt, interface_macs
from ruleflow.kernel.wire import WireError
from ruleflow.netfilter.numbers import address_text, mac_text, read_address, read_mac
from ruleflow.netfilter.packet import Packet

ETH_ALL, ETH_IP, ETH_ARP, ETH_IP6 = 3, 0x0800, 0x0806, 0x86DD
ETH_BARRIER = 0x88B5  # for local experiments (IEEE 802)
SOL_PACKET, PACKET_IGNORE_OUTGOING = 263, 23
ROUNDS = 6
"""A packet's longest way through the queue of a CPU: out, over lo, in, a refusal, over lo, and in."""
STRANGER = 0x020000000001
NEIGHBOUR_SOLICITATION = 135

Frame = tuple[str, bytes]
"""A frame that left: by which interface of the router, and its bytes."""


class FarEnds:
    """Packet sockets at the far ends of all cables, and on the router's loopback.

    Behind a bridge somebody may be asked for whom nobody described (ARP, neighbour solicitation): he is plugged in where he
    was first asked for, so a packet to him leaves.
    """

    def __init__(self, spec: Spec, router: Namespace, outside: Namespace, peers: Mapping[str, str]) -> None:
        """For a router made by `router.build`, which gave ``peers``."""
        self._router, self._peers = router, peers
        self._of_peer = {peer: name for name, peer in peers.items()}
        self._masters = {each.name: each.master for each in spec.interfaces if each.master}
        self._macs = interface_macs(router)
        self._stations = {(each.interface, read_address(each.address)): each for each in spec.neighbours}
        with outside.inside():
            self._wire = _packet_socket()
        with router.inside():
            self._loop = _packet_socket()

    def close(self) -> None:
        """Close the sockets."""
        self._wire.close()
        self._loop.close()

    def put(self, packet: Packet, data: bytes, port: str, to_mac: int | None) -> None:
        """Put a packet's bytes on the wire at the far end of ``port`` (of a bridge: where its sender is plugged in).

        Raises `WireError` where the router has no such interface, or the packet is too long for it.
        """
        port = self._port(packet, port)
        to = self._next_station(packet, port) if to_mac is None else to_mac
        source = STRANGER if packet.mac is None else packet.mac
        kind = ETH_IP if packet.family == 4 else ETH_IP6
        frame = to.to_bytes(6, "big") + source.to_bytes(6, "big") + kind.to_bytes(2, "big") + data
        wire, name = (self._loop, port) if port == "lo" else (self._wire, self._peers[port])
        try:
            wire.sendto(frame, (name, 0))
        except OSError as error:
            raise WireError(
                f"a packet of {len(data)} bytes cannot be put on the wire at {port}: {error.strerror}",
                help="the interface must be up, and the packet no longer than its mtu",
            ) from error

    def _port(self, packet: Packet, port: str) -> str:
        if port in self._peers or port == "lo":
            return port
        sender = self._stations.get((port, (packet.source or 0, packet.family)))
        if sender and sender.port:
            return sender.port
        for name, master in self._masters.items():
            if master == port:
                return name
        raise WireError(
            f"no packet can come in by {port}: it is no interface of the lab's router",
            help="describe the interface, or say the bridge port the frame comes from",
        )

    def _next_station(self, packet: Packet, port: str) -> int:
        """Whom the sender of a frame would address: a group, who is on the same bridge, else the router."""
        bridge = self._masters.get(port)
        found = self._stations.get((bridge or "", (packet.destination or 0, packet.family)))
        group = _group_mac(packet)
        if group is not None:
            return group
        return read_mac(found.mac) if found else self._macs.get(bridge or port, 0)

    def frames(self) -> list[Frame]:
        """Wait until the kernel is done with what was sent; the frames that came out since the last call.

        Raises `WireError` where the kernel does not get on for two seconds.
        """
        frames: list[Frame] = []
        rounds = ROUNDS
        while rounds:
            rounds -= 1
            came = self._until_barrier()
            frames += came
            if self._masters and self._plug_in(came):
                rounds = ROUNDS
        return frames

    def _until_barrier(self) -> list[Frame]:
        frames: list[Frame] = []
        self._wire.sendto(bytes(12) + ETH_BARRIER.to_bytes(2, "big") + bytes(46), (BARRIER[0], 0))
        while True:
            try:
                data, address = self._wire.recvfrom(1 << 16)
            except TimeoutError as error:
                raise WireError(
                    "the lab's wire does not answer", help="try again; report it if it stays"
                ) from error
            if address[0] == BARRIER[1]:
                return frames
            frames.append((self._of_peer.get(address[0], address[0]), data))

    def _plug_in(self, frames: list[Frame]) -> bool:
        changed = False
        for port, data in frames:
            asked = _asked_for(data)
            bridge = self._masters.get(port)
            if asked and bridge and (bridge, asked) not in self._stations:
                mac = mac_text(0x020000000000 | (asked[0] ^ 0x52460000) & 0xFFFFFFFF)
                station = Neighbour(address_text(*asked), mac, bridge, port)
                self._stations[bridge, asked] = station
                adopt(self._router, station)
                changed = True
        return changed


def _packet_socket() -> socket.socket:
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.htons(ETH_ALL))
    made.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    made.settimeout(2)
    return made


def _asked_for(frame: bytes) -> tuple[int, int] | None:
    """The address (and family) somebody asks for by ARP (RFC 826) or neighbour solicitation (RFC 4861 §4.3)."""
    kind = int.from_bytes(frame[12:14], "big")
    if kind == ETH_ARP and frame[20:22] == b"\0\1":
        return int.from_bytes(frame[38:42], "big"), 4
    if kind == ETH_IP6 and frame[20] == socket.IPPROTO_ICMPV6 and frame[54] == NEIGHBOUR_SOLICITATION:
        return int.from_bytes(frame[62:78], "big"), 6
    return None


def _group_mac(packet: Packet) -> int | None:
    """The frame address of an IP multicast group (RFC 1112 §6.4, RFC 2464 §7) or of the limited broadcast."""
    to = packet.destination or 0
    if packet.family == 6:
        return 0x333300000000 | to & 0xFFFFFFFF if to >> 120 == 0xFF else None
    if to == 0xFFFFFFFF:
        return 0xFFFFFFFFFFFF
    return 0x01005E000000 | to & 0x7FFFFF if to >> 28 == 0xE else None
