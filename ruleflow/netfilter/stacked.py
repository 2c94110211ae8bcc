"""Interfaces that stand on another one (macvlan, ipvlan): which on which, and who of them hears whose frames.

They share their parent's wire. What comes in by the wire is handed up by link-layer address (macvlan) or by IP
destination (ipvlan); what one of them sends goes to a sibling of the same mode at once, or out by the wire, but
never up to the parent, and what the parent sends goes out by the wire alone. That is why a host does not reach
its own macvlan children (tried with macvlan; drivers/net/macvlan.c: macvlan_queue_xmit, macvlan_handle_frame;
drivers/net/ipvlan/ipvlan_core.c: ipvlan_xmit_mode_l2, ipvlan_xmit_mode_l3, ipvlan_handle_mode_l3).
"""

from collections.abc import Iterable, Iterator

import msgspec

from ruleflow.netfilter.host import Host, Interface

End = tuple[str, str]
"""A host's name and an interface's name."""

KINDS = frozenset({"macvlan", "macvtap", "ipvlan", "ipvtap"})


class Stacked(msgspec.Struct, frozen=True):
    """``above`` stands on ``below``. ``mode`` is iproute2's: bridge, private, vepa, passthru, source; l2, l3, l3s,
    with ``private`` or ``vepa`` after it.
    """

    above: End
    below: End
    kind: str
    mode: str

    @property
    def is_routed(self) -> bool:
        """Whether the parent's host routes what it sends, and it has no link-layer address of its own (ipvlan l3)."""
        return self.kind in ("ipvlan", "ipvtap") and self.mode.startswith("l3")

    @property
    def takes_all(self) -> bool:
        """Whether everything that comes in by the wire is its own, nothing its parent's."""
        return self.mode == "passthru"

    def hears(self, sibling: "Stacked") -> bool:
        """Whether a frame of ``sibling`` gets here without leaving by the wire."""
        if self.below != sibling.below or self == sibling:
            return False
        if self.kind.startswith("macv"):
            return self.mode == sibling.mode == "bridge"
        return self.mode == sibling.mode and not self.mode.endswith((" private", " vepa"))


def stack(
    hosts: tuple[Host, ...], known: dict[tuple[str, int], str]
) -> tuple[tuple[Stacked, ...], tuple[str, ...]]:
    """What stands on what, and a sentence for each whose parent is not known or had to be chosen.

    ``known`` says which namespace a number (link-netnsid) of a namespace stands for.
    """
    made, notes = [], []
    for host in hosts:
        for link in host.interfaces:
            if link.kind not in KINDS:
                continue
            below, note = _parent(hosts, host, link, known)
            notes += [note] if note else []
            if below is not None:
                made.append(Stacked((host.name, link.name), below, link.kind, link.mode))
    return tuple(made), tuple(notes)


def _parent(
    hosts: tuple[Host, ...], host: Host, link: Interface, known: dict[tuple[str, int], str]
) -> tuple[End | None, str]:
    if link.peer_namespace is None:  # in the same namespace iproute2 names it
        named = host.interface(link.peer)
        return (None if named is None else (host.name, named.name)), ""
    fits = list(_fitting(hosts, host, link, known))
    if not fits:
        return (
            None,
            f"what {link.name} in {host.name} stands on (index {link.peer_index}) is in no namespace given",
        )
    chosen, sure = _chosen(fits, hosts[0], link)
    note = f"{link.name} in {host.name} is taken to stand on {chosen[1].name} of {chosen[0].name}"
    return (chosen[0].name, chosen[1].name), "" if sure else note


HostEnd = tuple[Host, Interface]


def _fitting(
    hosts: Iterable[Host], host: Host, link: Interface, known: dict[tuple[str, int], str]
) -> Iterator[HostEnd]:
    """Interfaces of the right number elsewhere. Whatever is a bridge's port or stands on another itself is no parent."""
    named = known.get((host.name, link.peer_namespace or 0))
    for other in hosts:
        for end in other.interfaces:
            if other is host or named not in (None, other.name) or end.index != link.peer_index:
                continue
            if not (end.is_loopback or end.kind in KINDS or other.port(end.name)):
                yield other, end


def _chosen(fits: list[HostEnd], main: Host, link: Interface) -> tuple[HostEnd, bool]:
    """The only one; or of several that of the same network, of the machine's own host; and whether that is sure.

    An ipvlan has its parent's own link-layer address.
    """
    alike = [end for end in fits if link.kind.startswith("ipv") and end[1].mac == link.mac] or fits
    if len(alike) == 1:
        return alike[0], True
    near = [end for end in alike if _share_network(end[1], link)] or alike
    own = [end for end in near if end[0] is main] or near
    return own[0], len(near) == 1


def _share_network(one: Interface, other: Interface) -> bool:
    return any(
        a.family == b.family and a.scope == b.scope == "global" and a.on_link(b.address)
        for a in one.addresses
        for b in other.addresses
    )
