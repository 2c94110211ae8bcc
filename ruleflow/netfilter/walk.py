r"""What happens to a packet, and why: every way it may go through a rule set or a host, with reasons.

>>> import ruleflow
>>> from ruleflow.netfilter.packet import Packet
>>> rules = ruleflow.parse("*filter\n:INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n")
>>> walk(rules, Packet.parse("tcp 203.0.113.9:40000 192.0.2.1:22 in eth0")).verdict
'DROP'
"""

from collections.abc import Iterable, Iterator

import msgspec

from ruleflow.netfilter.choices import Assumed, Chooser, explore, likelihood, merged
from ruleflow.netfilter.conntrack import Connection
from ruleflow.netfilter.frames import Bridged
from ruleflow.netfilter.host import Host
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.numbers import address_text
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.recorder import Recorder
from ruleflow.netfilter.state import DEFAULTS, State
from ruleflow.netfilter.steps import Choice, Outcome, Walk
from ruleflow.netfilter.walker import Walker
from ruleflow.ruleset.ir import RuleRef, Ruleset


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """What one knows beyond rules and packet.

    ``connections`` are those the host tracks already; ``quoted`` the packet that an ICMP error is about;
    ``assumed`` are words of conditions with the answer to take; ``bridged`` says of a frame where it goes;
    ``chosen`` are fields and the values the kernel was seen to choose where a rule leaves it a range of them;
    ``attached`` is a connection the packet belongs to from the start (a reset that the host itself sends), with the state
    and direction; no connection: it is about an INVALID packet, or an UNTRACKED one: then NOTRACK does nothing.
    """

    connections: tuple[Connection, ...] = ()
    quoted: Packet | None = None
    assumed: Assumed = ()
    bridged: Bridged | None = None
    chosen: tuple[tuple[str, int], ...] = ()
    attached: tuple[Connection | None, int, int] | None = None


NOTHING = Around()


def machine(of: Ruleset | Host | Machine, family: int) -> Machine:
    """What is walked through: a rule set alone (its host is inferred from it), or a host with its own rules."""
    if isinstance(of, Machine):
        return of
    if isinstance(of, Host):
        return Machine.of(of, family)
    return Machine.inferred_from(of)


def entry_of(packet: Packet) -> str:
    """Where the packet enters the path: by a bridge's port, from the wire, or as this host's own."""
    if packet.physdev_in is not None:
        return "bridge"
    return "local" if packet.in_interface is None else "ip"


def walk(of: Ruleset | Host | Machine, packet: Packet, around: Around = NOTHING) -> Walk:
    """Walk ``packet`` through ``of``: the verdict, the steps, what was assumed, where it may go otherwise."""
    at = machine(of, packet.family)
    first: list[tuple[Walker, Recorder]] = []

    def once(chooser: Chooser) -> Outcome:
        recorder = Recorder()
        walker = _walker(at, packet, around, chooser, recorder)
        outcome = walker.run()
        first.append((walker, recorder))
        return outcome

    found, complete = explore(once, around.assumed)
    outcomes = _outcomes([outcome for outcome, _ in found], complete)
    walker, recorder = first[0]
    verdicts = {outcome.verdict for outcome in outcomes}
    return Walk(
        packet=packet,
        verdict=verdicts.pop() if len(verdicts) == 1 and complete else "UNKNOWN",
        outcomes=outcomes,
        steps=tuple(recorder.steps),
        assumptions=_assumptions([one for one, _ in first], [chooser for _, chooser in found]),
        forks=_forks(outcomes),
        same_for=recorder.same_for(walker.state),
        beware=tuple(_beware(at, packet, around, outcomes[0])),
        complete=complete,
    )


def with_reply(of: Ruleset | Host | Machine, forth: Walk, around: Around = NOTHING) -> Walk:
    """The same walk with that of the first answer to the packet, where there is one.

    The answer comes in where the packet went out, or is sent by this host where it was delivered here.
    """
    end = forth.end
    if end.verdict != "ACCEPT" or (end.connection is None and forth.packet.state is None):
        return forth
    known = (end.connection, *around.connections) if end.connection is not None else around.connections
    answer = answer_to(end.packet, end)
    elsewhere = forth.packet.source
    assumed = around.assumed
    if elsewhere is not None and forth.packet.in_interface is not None:
        assumed = (
            *assumed,
            (f"{address_text(elsewhere, forth.packet.family)} is an address of this host", False),
        )
    back = walk(
        of,
        answer,
        msgspec.structs.replace(around, connections=known, quoted=end.packet, attached=None, assumed=assumed),
    )
    return msgspec.structs.replace(forth, reply=back)


def answer_to(packet: Packet, end: Outcome) -> Packet:
    """The first answer to a packet that ended so: a SYN gets a SYN and ACK, a ping its echo."""
    flags = (
        0x12
        if packet.protocol == 6 and packet.tcp_flags in (None, 2)
        else 0x10
        if packet.protocol == 6
        else None
    )
    kind = {8: 0, 128: 129}.get(packet.icmp_type or (8 if packet.protocol == 1 else 128))
    echo = packet.protocol in (1, 58)
    return Packet(
        family=packet.family, protocol=packet.protocol, source=packet.destination, destination=packet.source,
        source_port=packet.destination_port, destination_port=packet.source_port, tcp_flags=flags,
        icmp_type=kind if echo else None, icmp_code=0 if echo else None,
        in_interface=None if end.local and packet.in_interface != "lo" else end.out_interface,
    )  # fmt: skip


def _walker(
    at: Machine, packet: Packet, around: Around, chooser: Chooser, recorder: Recorder | None
) -> Walker:
    return Walker(
        at, packet, entry_of(packet), chooser, recorder=recorder, connections=around.connections,
        quoted=around.quoted, attached=around.attached, bridged=around.bridged, chosen=around.chosen,
    )  # fmt: skip


def _outcomes(found: list[Outcome], complete: bool) -> tuple[Outcome, ...]:
    """The ways the walk may end, that whose steps are shown first; choices that change nothing are left out."""
    if not complete:
        return tuple({outcome.ends_as(): outcome for outcome in reversed(found)}.values())[::-1]
    if len(found) == 1:
        return (msgspec.structs.replace(found[0], choices=()),)
    by_end = {outcome.ends_as(): outcome for outcome in reversed(found)}
    ways = merged([(outcome.choices, outcome.ends_as()) for outcome in found])
    told = [
        msgspec.structs.replace(by_end[end], choices=way, probability=likelihood(way))  # type: ignore[index]
        for way, end in ways
    ]
    shown = found[0].ends_as()
    return tuple(sorted(told, key=lambda outcome: outcome.ends_as() != shown))


def _beware(at: Machine, packet: Packet, around: Around, end: Outcome) -> Iterator[str]:
    """Who rewrites a destination in PREROUTING does not meet INPUT any more: its rules for the port do not count."""
    forwarded = end.verdict == "ACCEPT" and not end.local and packet.in_interface is not None
    if not forwarded or end.packet.destination == packet.destination:
        return
    chooser = Chooser((), around.assumed)
    verdict, by = _walker(at, packet, around, chooser, None).ask_alone("filter", "INPUT")
    if by is not None and not chooser.made:
        words = {"DROP": "drops", "REJECT": "refuses"}.get(verdict, "stops")
        yield f"{by} {words} this packet as it came, but is not asked: its destination is rewritten before"


def _forks(outcomes: tuple[Outcome, ...]) -> tuple[Choice, ...]:
    """The conditions on which the ways part, each once."""
    found: dict[tuple[str, RuleRef | None], Choice] = {}
    for outcome in outcomes:
        for choice in outcome.choices:
            found.setdefault((choice.text, choice.ref), choice)
    return tuple(found.values())


def _assumptions(walkers: list[Walker], choosers: list[Chooser]) -> tuple[str, ...]:
    told: dict[str, None] = {}
    for walker in walkers:
        told.update(dict.fromkeys(_defaults_taken(walker.state)))
        told.update(walker.assumed)
        told.update(walker.state.assumed)
        told.update(dict.fromkeys(walker.machine.assumed))
    for chooser in choosers:
        told.update(dict.fromkeys(chooser.missing))
        told.update(
            {
                f"{'it holds' if says else 'it does not hold'}: {text}": None
                for text, says in chooser.told.items()
            }
        )
    return tuple(told)


def _defaults_taken(state: State) -> Iterator[str]:
    if state.packet.state is None and state.tracked:
        yield _new_connection(state)
    for name, (_, words) in DEFAULTS.items():
        if (
            name in state.looked
            and name not in state.given
            and not (name == "tcp_flags" and state.protocol != 6)
        ):
            yield words
    if state.protocol in (1, 58) and "icmp_type" in state.looked and "icmp_type" not in state.given:
        yield "an echo request (ping)"


def _new_connection(state: State) -> str:
    if state.connections:
        return "no connections but those given"
    return "new connection: the host knows none of this packet's (no --ct)"


class Verdict(msgspec.Struct, frozen=True):
    """What `walk_many` says of a packet: the verdict, the rule that decided (None: a policy), and its end.

    The verdict is UNKNOWN where something decides that packet and rules do not tell; ``outcomes`` then are all.
    """

    verdict: str
    by: RuleRef | None
    packet: Packet
    out_interface: str | None = None
    outcomes: tuple[Outcome, ...] = ()


def walk_many(
    of: Ruleset | Host | Machine, packets: Iterable[Packet], around: Around = NOTHING
) -> Iterator[Verdict]:
    """The verdict of each packet, without the reasons: by the same conditions and effects as `walk`, but quicker."""
    machines: dict[int, Machine] = {}
    for packet in packets:
        at = machines.get(packet.family)
        if at is None:
            at = machines[packet.family] = machine(of, packet.family)
        yield _quick(at, packet, around)


def _quick(at: Machine, packet: Packet, around: Around) -> Verdict:
    chooser = Chooser((), around.assumed)
    walker = _walker(at, packet, around, chooser, None)
    walker.travel()
    if not chooser.made:
        return Verdict(*walker.shortly())
    found, complete = explore(lambda each: _walker(at, packet, around, each, None).run(), around.assumed)
    outcomes = _outcomes([one for one, _ in found], complete)
    verdicts = {one.verdict for one in outcomes}
    outcome = outcomes[0]
    if len(outcomes) == 1 and complete:
        return Verdict(outcome.verdict, outcome.by, outcome.packet, outcome.out_interface)
    verdict = verdicts.pop() if len(verdicts) == 1 and complete else "UNKNOWN"
    return Verdict(verdict, outcome.by, outcome.packet, outcome.out_interface, outcomes)
