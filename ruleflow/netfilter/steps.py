"""What a walk is made of, as values: what was asked, what was answered, what changed, where it ended."""

from typing import Any

import msgspec

from ruleflow.netfilter.conntrack import Connection
from ruleflow.netfilter.packet import Packet
from ruleflow.ruleset.ir import RuleRef


class Change(msgspec.Struct, frozen=True):
    """A fact that became another; addresses and marks as numbers. ``low``/``high`` where only a range is known."""

    field: str
    before: int | str | None
    after: int | str | None
    low: int | None = None
    high: int | None = None
    note: str = ""


class RuleStep(msgspec.Struct, frozen=True, tag_field="step", tag="rule"):
    """A rule that was asked.

    ``answer``: ``no`` (``condition`` is the first that fails, ``why`` says it, ``actual`` is what the packet
    has), ``match``, or ``unknown`` (this walk goes on as if it were ``taken``). ``then`` is what follows: a
    verdict, ``next``, ``jump``, ``goto`` (with ``chain``) or ``return``. ``depth`` counts the chains entered.
    """

    hook: str
    ref: RuleRef
    depth: int
    answer: str
    then: str = ""
    chain: str | None = None
    why: str = ""
    condition: Any = None
    actual: Any = None
    taken: bool | None = None
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()


class ChainStep(msgspec.Struct, frozen=True, tag_field="step", tag="chain"):
    """A chain's end: ``event`` is ``policy``, ``end`` (of a user's chain), ``empty`` (no rules) or ``missing``."""

    hook: str
    table: str
    chain: str
    depth: int
    event: str
    verdict: str | None = None


class RouteStep(msgspec.Struct, frozen=True, tag_field="step", tag="route"):
    """A routing decision: ``kind`` as in `ruleflow.netfilter.routing.Decision`; ``again`` after a change in OUTPUT."""

    kind: str
    sentence: str
    interface: str | None = None
    gateway: int | None = None
    again: bool = False


class TrackStep(msgspec.Struct, frozen=True, tag_field="step", tag="track"):
    """What conntrack said of the packet."""

    hook: str
    state: str
    sentence: str


class NatStep(msgspec.Struct, frozen=True, tag_field="step", tag="translate"):
    """The packet was translated as its connection demands, without a rule being asked."""

    hook: str
    sentence: str
    changes: tuple[Change, ...] = ()


class NoteStep(msgspec.Struct, frozen=True, tag_field="step", tag="note"):
    """What the kernel does there that no rule decides (ttl, delivery, bridging)."""

    place: str
    sentence: str


Step = RuleStep | ChainStep | RouteStep | TrackStep | NatStep | NoteStep


class Answer(msgspec.Struct, frozen=True):
    """What the sender is told: ``kind`` is ``tcp-reset`` or an ICMP kind's name; ``source`` who says it."""

    kind: str
    source: int | None = None


class Choice(msgspec.Struct, frozen=True):
    """A condition that packet and host do not decide, and how a walk took it.

    ``probability`` that it holds, where known; ``ref`` the rule that asked, where it was one.
    """

    text: str
    taken: bool
    ref: RuleRef | None = None
    probability: float | None = None
    assumed: bool = False
    """Whether the caller said so (``--assume``)."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One way a walk may end.

    ``verdict`` is ACCEPT, DROP, REJECT or QUEUE. ``reason`` names what decided: ``rule``, ``policy``,
    ``no-rules``, ``routing``, ``ttl``, ``martian``, ``bridge``, ``masquerade``, ``invalid``; ``by`` is the
    rule, ``sentence`` says it. ``packet`` is the packet at its end, ``to`` whom the frame is sent to.
    ``delivered``: what took it here (``the socket of nginx``), ``refused``: nobody did.
    """

    verdict: str
    reason: str
    sentence: str
    packet: Packet
    by: RuleRef | None = None
    hook: str | None = None
    rewritten_by: tuple[RuleRef, ...] = ()
    out_interface: str | None = None
    port: str | None = None
    to: int | None = None
    local: bool = False
    delivered: str | None = None
    refused: bool = False
    answer: Answer | None = None
    error: str | None = None
    connection: Connection | None = None
    direction: int = 0
    ranges: tuple[tuple[str, int, int], ...] = ()
    """Fields of ``packet`` that are None because only their bounds are known: the kernel takes one in between."""
    choices: tuple[Choice, ...] = ()
    probability: float | None = None

    def ends_as(self) -> tuple[object, ...]:
        """What two outcomes must share to be the same for the packet."""
        answer = self.answer.kind if self.answer else None
        return self.verdict, self.packet, self.out_interface, self.local, self.delivered, self.refused, answer


class Walk(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to a packet, and why.

    ``verdict`` is that of all ``outcomes``, or UNKNOWN where they differ; then ``forks`` are the conditions
    that decide. ``steps`` show the first outcome's way. ``assumptions`` are facts that nobody gave and that
    were asked for. ``same_for`` is the class of packets that go the same way: field, and words.
    """

    packet: Packet
    verdict: str
    outcomes: tuple[Outcome, ...]
    steps: tuple[Step, ...]
    assumptions: tuple[str, ...] = ()
    forks: tuple[Choice, ...] = ()
    same_for: tuple[tuple[str, str], ...] = ()
    beware: tuple[str, ...] = ()
    """Rules that look as if they stopped the packet, and were not asked."""
    complete: bool = True
    """Whether every way was followed; false where there were too many."""
    reply: "Walk | None" = None

    @property
    def end(self) -> Outcome:
        """The outcome whose way the steps show."""
        return self.outcomes[0]

    @property
    def by(self) -> RuleRef | None:
        """The rule that decided, None where a policy or the kernel itself did."""
        return self.end.by
