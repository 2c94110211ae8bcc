"""What became of one packet in the lab, judged from the frames, logged packets and trace events seen meanwhile."""

import contextlib
import socket
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from ruleflow.errors import ReadError
from ruleflow.kernel.ends import Frame
from ruleflow.kernel.netlink import Logged, Traced
from ruleflow.kernel.trace import Listing, TraceEvent, completed, parse_log_prefix
from ruleflow.kernel.wire import TCP, Header, decode
from ruleflow.netfilter.packet import FLAGS, Packet

Event = Traced | Logged
Steps = tuple[TraceEvent, ...]


class Seen(msgspec.Struct, frozen=True):
    """A packet as it was seen: at which interface of the router, its header there, its mark (None where nobody told).

    ``through`` is the interface POSTROUTING saw it leave by: the bridge, where ``interface`` is a bridge's port.
    """

    interface: str
    header: Header
    mark: int | None = None
    to_mac: int | None = None
    through: str | None = None


class Observation(msgspec.Struct, frozen=True):
    """What became of one packet.

    ``verdict`` is ``forwarded`` (it left; also what the router sends), ``delivered``, ``rejected`` (an answer came: reset or ICMP
    error), ``unroutable`` (the router's own send failed, ``error`` names why) or ``dropped``. ``left`` is the packet as it
    left (several where it was fragmented or flooded), ``copies`` those TEE made, ``answers`` the refusals that reached their end or were delivered here, ``made`` all refusals the router
    made, before any rule could drop them. ``steps`` is the rule path of the packet, ``answer_steps`` that of its refusals.
    """

    sent: Header
    verdict: str
    left: tuple[Seen, ...] = ()
    delivered: Seen | None = None
    answers: tuple[Seen, ...] = ()
    made: tuple[Header, ...] = ()
    error: str | None = None
    copies: tuple[Seen, ...] = ()
    steps: tuple[TraceEvent, ...] = ()
    answer_steps: tuple[TraceEvent, ...] = ()

    @property
    def interface(self) -> str | None:
        """The interface it left by, as POSTROUTING sees it (the bridge, not its port)."""
        return (self.left[0].through or self.left[0].interface) if self.left else None

    @property
    def after(self) -> Header | None:
        """Its header at the end of its way: as it left, or as it was delivered."""
        seen = self.left[0] if self.left else self.delivered
        return seen.header if seen else None


def judge(
    sent: Header,
    frames: Sequence[Frame],
    events: Sequence[Event],
    names: Mapping[int, str],
    *,
    local: bool,
    error: str | None,
) -> Observation:
    """What became of the packet ``sent`` (``local``: by the router), without its steps; ``names`` are interfaces by index."""
    logs = [
        (e, h)
        for e in events
        if isinstance(e, Logged) and e.prefix.startswith("rf:") and (h := decode(e.payload))
    ]
    mine = [e for e, h in logs if is_same(sent, h)]
    left, answers = _frames(sent, frames, [e for e in mine if e.prefix == "rf:left"], names)
    made_again = [names.get(e.out_index) for e in mine if e.prefix == "rf:made"][1 if local else 0 :]
    copies = _take(left, made_again)
    here = [Seen(names.get(e.in_index, ""), h, e.mark) for e, h in logs if e.prefix == "rf:delivered"]
    delivered = next((seen for seen in here if is_same(sent, seen.header)), None)
    answers += [seen for seen in here if not is_same(sent, seen.header) and is_answer(sent, seen.header)]
    made = tuple(h for e, h in logs if e.prefix == "rf:made" and not is_same(sent, h) and is_answer(sent, h))
    verdict = _verdict(left, delivered, answers or made, error)
    return Observation(sent, verdict, tuple(left), delivered, tuple(answers), made, error, copies)


def _frames(
    sent: Header, frames: Sequence[Frame], passed: Sequence[Logged], names: Mapping[int, str]
) -> tuple[list[Seen], list[Seen]]:
    by_name = {names.get(log.out_index, ""): log for log in passed}
    left, answers = [], []
    for interface, data in frames:
        header = decode(data[14:]) if data[12:14] in (b"\x08\x00", b"\x86\xdd") else None
        to = int.from_bytes(data[:6], "big")
        if header and is_same(sent, header):
            log = by_name.get(interface, passed[-1] if passed else None)  # none has a bridge port's name
            mark, through = (log.mark, names.get(log.out_index)) if log else (None, None)
            left.append(Seen(interface, header, mark, to, through))
        elif header and is_answer(sent, header):
            answers.append(Seen(interface, header, None, to))
    return left, answers


def _take(left: list[Seen], made_again: Iterable[str | None]) -> tuple[Seen, ...]:
    """Take the copies out of what left: TEE sends them by OUTPUT, before the packet goes on (nf_dup_ipv4)."""
    copies = []
    for interface in made_again:
        copy = next((seen for seen in left if interface in (seen.interface, seen.through)), None)
        if copy:
            left.remove(copy)
            copies.append(copy)
    return tuple(copies)


def paths(
    sent: Header, events: Iterable[Event], names: Mapping[int, str], listing: Listing, *, local: bool
) -> tuple[Steps, Steps]:
    """The rule path of the packet ``sent`` (``local``: by the router), and that of the refusals it caused.

    The path of a TEE's copy is left out (the legacy backend's trace does not tell the two apart).
    """
    own_outputs = 1 if local else 0
    mine: list[TraceEvent] = []
    other: list[TraceEvent] = []
    whose: dict[str, list[TraceEvent] | None] = {}
    entered: dict[str, Packet | None] = {}
    for event, header in (_told(each, names) for each in events):
        if event is None:
            continue
        if (
            header is not None
            and event.trace not in whose
            and event.chain == "OUTPUT"
            and is_same(sent, header)
        ):
            own_outputs -= 1
            whose[event.trace] = mine if own_outputs >= 0 else None
        elif header is not None and (event.trace not in whose or whose[event.trace] is not None):
            whose[event.trace] = mine if is_same(sent, header) else other if is_answer(sent, header) else None
            entered[event.trace] = event.packet
        path = whose.get(event.trace)
        if path is not None and event.kind != "packet":
            packet = event.packet or entered.get(event.trace)
            entered.pop(event.trace, None)
            path.append(event if event.packet is packet else msgspec.structs.replace(event, packet=packet))
    return tuple(completed(mine, listing)), tuple(completed(other, listing))


def _told(event: Event, names: Mapping[int, str]) -> tuple[TraceEvent | None, Header | None]:
    """The trace event in a message of the kernel, and the packet's header where the message has it."""
    if isinstance(event, Traced):
        return (None, None) if event.table == "rf" else trace_event(event, names)
    header = decode(event.payload) if event.prefix.startswith("TRACE: ") else None
    if header is None:
        return None, None
    return parse_log_prefix(
        event.prefix, str(header.ident), header.family, _packet(header, event, names)
    ), header


def trace_event(event: Traced, names: Mapping[int, str]) -> tuple[TraceEvent | None, Header | None]:
    """The event in a netlink trace message, and the packet's header where the message has it.

    Newer kernels tell the end of a chain as a rule without a handle; that is no event, or the packet's entrance.
    """
    header = decode(event.header + event.transport) if event.header else None
    is_end = event.kind == "rule" and event.handle is None
    if is_end and header is None:
        return None, None
    made = TraceEvent(
        f"{event.trace:08x}",
        6 if event.family == socket.AF_INET6 else 4,
        event.table,
        event.chain,
        "packet" if is_end else event.kind,
        handle=event.handle,
        verdict="" if is_end else event.verdict,
        target=event.target,
        packet=_packet(header, event, names) if header else None,
    )
    return made, header


def _packet(header: Header, event: Event, names: Mapping[int, str]) -> Packet | None:
    ways = {"in_interface": names.get(event.in_index), "out_interface": names.get(event.out_index)}
    with contextlib.suppress(ReadError):  # a stranger's packet may be none that `Packet` allows
        return header.packet(**ways, mark=event.mark)
    return None


def is_same(sent: Header, seen: Header) -> bool:
    """Is it the packet that was sent, perhaps rewritten? NAT leaves identification and flow label alone."""
    return sent.family == seen.family and sent.ident == seen.ident and not _quotes(sent, seen)


def _quotes(sent: Header, seen: Header) -> bool:
    return seen.quoted is not None and not sent.is_error and seen.quoted.ident == sent.ident


def is_answer(sent: Header, seen: Header) -> bool:
    """Is it a refusal of the packet that was sent: an ICMP error that quotes it, or a reset of its connection?"""
    if sent.family != seen.family:
        return False
    if seen.protocol == TCP:
        return sent.protocol == TCP and bool((seen.tcp_flags or 0) & FLAGS["rst"])
    return seen.is_error and (seen.quoted is None or seen.quoted.ident == sent.ident)


def _verdict(
    left: Sequence[Seen], delivered: Seen | None, answers: Sequence[object], error: str | None
) -> str:
    if left:
        return "forwarded"
    if delivered:
        return "delivered"
    if answers:
        return "rejected"
    return "unroutable" if error not in (None, "EPERM") else "dropped"
