"""Whether a walk says what the kernel did: verdict, interface, answer, rewriting by membership, and the rule path."""

from collections.abc import Iterator

import msgspec

from ruleflow.kernel.observe import Observation, Seen
from ruleflow.kernel.trace import TraceEvent
from ruleflow.kernel.wire import ICMP, ICMPV6, TCP, Header
from ruleflow.netfilter.packet import FLAGS
from ruleflow.netfilter.steps import ChainStep, Outcome, RuleStep, Walk

KINDS: dict[str, tuple[int, int, int]] = {
    "icmp-net-unreachable": (ICMP, 3, 0), "icmp-host-unreachable": (ICMP, 3, 1), "icmp-proto-unreachable": (ICMP, 3, 2),
    "icmp-port-unreachable": (ICMP, 3, 3), "icmp-net-prohibited": (ICMP, 3, 9), "icmp-host-prohibited": (ICMP, 3, 10),
    "icmp-admin-prohibited": (ICMP, 3, 13), "icmp-ttl-exceeded": (ICMP, 11, 0),
    "icmp6-no-route": (ICMPV6, 1, 0), "icmp6-adm-prohibited": (ICMPV6, 1, 1), "icmp6-addr-unreachable": (ICMPV6, 1, 3),
    "icmp6-port-unreachable": (ICMPV6, 1, 4), "icmp6-policy-fail": (ICMPV6, 1, 5), "icmp6-reject-route": (ICMPV6, 1, 6),
    "icmp6-hop-limit-exceeded": (ICMPV6, 3, 0),
}  # fmt: skip
"""ICMP errors by the names a walk gives them: protocol, type and code (RFC 792, 1812, 4443)."""

REWRITTEN = ("source", "destination", "source_port", "destination_port", "ttl", "tos")
Place = tuple[str, str, int | str]
"""One step of a rule path: table, chain, and the rule's number or ``policy``.

The ends of users' chains are left out: the kernel says nothing of them.
"""


class Verdict(msgspec.Struct, frozen=True):
    """The comparison of one packet: the outcome the kernel's agrees with, or in words what differs."""

    outcome: Outcome | None
    differs: tuple[str, ...] = ()


def compare(walk: Walk, seen: Observation, *, path: bool) -> Verdict:
    """Whether one of the walk's outcomes is what the kernel did; ``path``: its rule path is compared, too.

    The path is left out where a rule's answer hangs on what the kernel chooses from a range: the walk's steps show one way.
    """
    first: tuple[str, ...] = ()
    for outcome in walk.outcomes:
        differs = tuple(_differs(walk, outcome, seen))
        if not differs:
            wrong = path_differs(walk, seen.steps) if path and is_certain(walk) else ()
            return Verdict(None if wrong else outcome, wrong)
        first = first or differs
    return Verdict(None, first)


def _differs(walk: Walk, outcome: Outcome, seen: Observation) -> Iterator[str]:
    wanted = expected(outcome, local=walk.packet.is_local)
    if wanted != seen.verdict:
        yield f"verdict: the kernel {seen.verdict} ({seen.error}), the walk {wanted} ({outcome.sentence})"
        return
    if seen.verdict == "forwarded" and seen.interface != outcome.out_interface:
        yield f"interface: the kernel {seen.interface}, the walk {outcome.out_interface}"
    if seen.verdict == "rejected":
        yield from _answer_differs(outcome, seen)
    place = seen.left[0] if seen.left else seen.delivered
    if place is not None:
        yield from _rewriting_differs(outcome, place)


def expected(outcome: Outcome, *, local: bool) -> str:
    """The outcome in the words of `Observation.verdict`."""
    if outcome.verdict == "ACCEPT":
        return "delivered" if outcome.local else "forwarded"
    if outcome.answer is not None:
        return "rejected"
    return "unroutable" if local and outcome.error not in (None, "EPERM") else "dropped"


def _answer_differs(outcome: Outcome, seen: Observation) -> Iterator[str]:
    header = seen.made[0] if seen.made else seen.answers[0].header
    said = outcome.answer.kind if outcome.answer else None
    if said != kind_of(header):
        yield f"answer: the kernel {kind_of(header)}, the walk {said}"


def kind_of(header: Header) -> str:
    """The name of a refusal."""
    if header.protocol == TCP and (header.tcp_flags or 0) & FLAGS["rst"]:
        return "tcp-reset"
    found = (header.protocol, header.icmp_type, header.icmp_code)
    return next((name for name, kind in KINDS.items() if kind == found), str(found))


def _rewriting_differs(outcome: Outcome, place: Seen) -> Iterator[str]:
    for name in REWRITTEN:
        said, told = getattr(outcome.packet, name), getattr(place.header, name)
        if said is None and name in ("source", "destination", "source_port", "destination_port"):
            bounds = _bounds(outcome, name) or (0, -1)
            if told is not None and not bounds[0] <= told <= bounds[1]:
                yield f"{name}: the kernel {told}, the walk {bounds}"
        elif said is not None and told is not None and said != told:
            yield f"{name}: the kernel {told}, the walk {said}"
    if place.mark is None:
        return
    low, high = _bounds(outcome, "mark") or (outcome.packet.mark or 0,) * 2
    if not low <= place.mark <= high:
        yield f"mark: the kernel {place.mark:#x}, the walk {low:#x}" + (
            f" to {high:#x}" if high > low else ""
        )


def _bounds(outcome: Outcome, name: str) -> tuple[int, int] | None:
    """Between what values the kernel chose, where the walk does not know which."""
    return next(((low, high) for field, low, high in outcome.ranges if field == name), None)


def refusal_differs(told: Walk, seen: Observation, *, path: bool) -> tuple[str, ...]:
    """Whether the router's refusal, walked in ``told``, arrived, and by the rules the kernel says; in words where not.

    A refusal that is refused itself is left out (the kernel's steps of both stand together), and one that the router tells itself.
    """
    end = told.end
    if end.answer is not None or end.local or len(told.outcomes) > 1:
        return ()
    came, wanted = ("came" if one else "was lost" for one in (seen.answers, end.verdict == "ACCEPT"))
    if came != wanted:
        return (f"refusal: by the kernel it {came}, by the walk it {wanted} ({end.sentence})",)
    differs = path_differs(told, seen.answer_steps) if path and is_certain(told) else ()
    return tuple(f"refusal's {words}" for words in differs)


def is_certain(walk: Walk) -> bool:
    """Whether packet and host decided every rule that was asked."""
    return len(walk.outcomes) == 1 and not any(
        isinstance(step, RuleStep) and step.answer == "unknown" for step in walk.steps
    )


def path_differs(walk: Walk, steps: tuple[TraceEvent, ...]) -> tuple[str, ...]:
    """Where the walk's rule path parts from the kernel's, in words; nothing where it does not."""
    said, told = list(walked(walk)), list(traced(steps))
    if said == told:
        return ()
    at = next(
        (n for n, pair in enumerate(zip(said, told, strict=False)) if pair[0] != pair[1]),
        min(len(said), len(told)),
    )
    return (f"path at step {at + 1}: the kernel {told[at : at + 3]}, the walk {said[at : at + 3]}",)


def walked(walk: Walk) -> Iterator[Place]:
    """The rules that match and the policies that decide, as the walk has them."""
    for step in walk.steps:
        if isinstance(step, RuleStep) and (step.answer == "match" or step.taken):
            yield step.ref.table, step.ref.chain, step.ref.index
        elif isinstance(step, ChainStep) and step.verdict is not None and step.event != "missing":
            yield step.table, step.chain, "policy"


def traced(events: tuple[TraceEvent, ...]) -> Iterator[Place]:
    """The same, as the kernel's trace has them."""
    for event in events:
        if event.kind == "rule":
            yield event.table, event.chain, event.number or 0
        elif event.kind == "policy":
            yield event.table, event.chain, "policy"
