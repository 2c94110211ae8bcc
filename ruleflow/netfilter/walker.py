"""The interpreter over the path: one packet, one way, from where it enters to where it ends."""

from collections.abc import Callable
from typing import Any

import msgspec

from ruleflow.netfilter import conntrack, tcp_states
from ruleflow.netfilter.apply import apply
from ruleflow.netfilter.ask import Asker
from ruleflow.netfilter.choices import Chooser
from ruleflow.netfilter.conntrack import NEW, Connection, clashing
from ruleflow.netfilter.frames import FRAMES, Bridged
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.numbers import address_text
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.path import ENTRIES, PATH, Stage, hook_of
from ruleflow.netfilter.places import PLACES, reroute
from ruleflow.netfilter.recorder import Recorder
from ruleflow.netfilter.refusal import refusal
from ruleflow.netfilter.routing import Decision
from ruleflow.netfilter.state import STATE_WORDS, State
from ruleflow.netfilter.steps import Change, NatStep, NoteStep, Outcome, TrackStep
from ruleflow.netfilter.tracking import first_state_of, look_up
from ruleflow.netfilter.translate import (
    SIDE,
    NoAddressError,
    asked_by_answer,
    make_unique,
    rewrite,
    untranslate,
)
from ruleflow.ruleset.effect import Change as Effect
from ruleflow.ruleset.effect import Rewrite, Stop
from ruleflow.ruleset.ir import RuleRef

STOP = "stop"
_BETWEEN = PLACES | FRAMES


class Walker:
    """Walks one packet one way.

    ``connections`` are those the host knows; ``quoted`` is the packet that an ICMP error is about.
    """

    way: Decision | None = None
    looped = forwarded = False
    bridged_out: str | None = None
    bridged_to: int | None = None
    destination_before: int | None = None

    def __init__(
        self, machine: Machine, packet: Packet, entry: str, chooser: Chooser, *,
        recorder: Recorder | None = None, connections: tuple[Connection, ...] = (), quoted: Packet | None = None,
        attached: tuple[Connection | None, int, int] | None = None, bridged: Bridged | None = None,
        chosen: tuple[tuple[str, int], ...] = (),
    ) -> None:  # fmt: skip
        self.machine, self.packet, self.chooser, self.recorder = machine, packet, chooser, recorder
        self.state = State(machine, packet, connections, entry)
        self.entry, self.quoted = entry, quoted
        self.state.chosen = dict(chosen)
        self.attached = attached is not None
        connection = attached[0] if attached is not None else None
        if attached is not None:
            self.state.seen_before = attached[1] == conntrack.UNTRACKED
        if attached is not None and connection is not None:
            self.state.set_connection(connection, attached[1], attached[2])
            # of a first packet that is refused only the destination has been asked for
            confirmed = connection.status & conntrack.CONFIRMED or self.state.is_error()
            self.state.done = {"source", "destination"} if confirmed else {"destination"}
        self.bridged = bridged
        self.assumed: dict[str, None] = {}
        self.by: dict[str, RuleRef] = {}
        self.rewritten_by: dict[RuleRef, None] = {}
        self.rewritten: set[str] = set()
        self.result: dict[str, Any] = {}

    def run(self) -> Outcome:
        """Follow the path to its end."""
        self.travel()
        return self._outcome()

    def travel(self) -> None:
        """Follow the path; where it ends is kept in ``result``."""
        place: str | None = ENTRIES[self.entry]
        while place is not None:
            hook = _HOOK_OF[place]
            word = self._hook(hook, place) if hook else _BETWEEN[place](self)
            place = PATH[place].get(word)

    def ask_alone(self, table: str, hook: str) -> tuple[str, RuleRef | None]:
        """What a table would say of the packet as it came, were that hook called: the verdict and the rule."""
        self.state.see(self.state.arrived, "")
        look_up(self)
        for program in self.machine.tables.get(table, ()):
            asker = Asker(program, hook, self.state, self.chooser, self._apply, None)
            verdict = asker.run()
            if verdict.verdict != "ACCEPT":
                return verdict.verdict, asker.by
        return "ACCEPT", None

    def shortly(self) -> tuple[str, RuleRef | None, Packet, str | None]:
        """The end without its reasons: verdict, deciding rule, packet, interface."""
        result = self.result
        out = None
        if result["verdict"] == "ACCEPT" and not result.get("local"):
            out = result.get("out_interface", self.way.interface if self.way is not None else None)
        return result["verdict"], result["by"] if "by" in result else self._decider(), self.state.end(), out

    # -- the ends of a walk ----------------------------------------------------------------------------------

    def stop(self, verdict: str, reason: str, sentence: str, **facts: Any) -> str:
        """End the walk; the word says so to the path."""
        self.result = {"verdict": verdict, "reason": reason, "sentence": sentence, **facts}
        return STOP

    def _outcome(self) -> Outcome:
        state = self.state
        result = {"by": self._decider(), "rewritten_by": tuple(self.rewritten_by), **self.result}
        out = self.way.interface if self.way is not None and not self.result.get("local") else None
        if result["verdict"] != "ACCEPT":
            result.setdefault("out_interface", None)
        result.setdefault("out_interface", out)
        packet = state.end()
        return Outcome(
            packet=packet, connection=state.connection, direction=state.direction,
            choices=tuple(self.chooser.made),
            ranges=tuple((name, low, high) for name, (low, high) in state.ranges.items()), **result,
        )  # fmt: skip

    def _decider(self) -> RuleRef | None:
        """Of a packet that passed: the rule of the filter table, or else of whichever table decided last."""
        by = self.by
        if not by or "filter" in by:
            return by.get("filter")
        tables = [name for name in by if name != "nat"]
        return by[tables[-1]] if tables else None

    def passed(self, **facts: Any) -> str:
        """End as a packet that nothing stopped."""
        by = self._decider()
        sentence = ""
        if self.recorder is not None:
            sentence = f"{by} lets it through" if by else "no rule stops it"
        return self.stop("ACCEPT", "rule" if by else "policy", sentence, by=by, **facts)

    def note(self, place: str, sentence: str) -> None:
        """Keep a sentence about what no rule decides."""
        if self.recorder is not None:
            self.recorder.add(NoteStep(place, sentence))

    # -- hooks -----------------------------------------------------------------------------------------------

    def _hook(self, hook: str, place: str) -> str:
        self.state.see(*self._seen(hook, place))
        if self.by:  # what a table said at an earlier hook is not what it says here
            for stage in self.machine.hooks[hook]:
                self.by.pop(stage.name, None)
        stages = (
            self.machine.hooks[hook]
            if self.recorder is not None or self.state.connections
            else self.machine.stages(hook)
        )
        for stage in stages:
            if not _STAGES[stage.kind](self, hook, stage):
                return STOP
        return "accept"

    def _seen(self, hook: str, place: str) -> tuple[str | None, str | None]:
        """The interfaces a hook sees. POSTROUTING knows where a forwarded packet came in (Linux 5.7)."""
        out = self.way.interface if self.way is not None else self.bridged_out
        if hook in ("PREROUTING", "INPUT"):
            return self.state.arrived, ""
        if hook == "FORWARD":
            return self.state.arrived, out
        if hook == "OUTPUT":
            return "", out
        bridged = place.startswith("frame")
        return ("" if bridged or not self.forwarded else self.state.arrived), out

    def _defrag_stage(self, hook: str, stage: Stage) -> bool:  # noqa: ARG002
        """Conntrack has fragments put together first; the walk follows the whole packet."""
        if self.state.fragment and self.machine.tracks:
            self.assumed["the other fragments arrive too, and the whole packet goes on"] = None
            self.state.change("fragment", 0)
        return True

    def _confirm_stage(self, hook: str, stage: Stage) -> bool:  # noqa: ARG002
        """__nf_conntrack_confirm: a new connection whose answers another one already expects is dropped."""
        connection = self.state.connection
        if connection is None or connection.status & conntrack.CONFIRMED or self.state.direction:
            return True
        clashes = clashing(self.state.connections, connection, self.state.ranges)
        if clashes is None:
            clashes = self.chooser.ask(
                "the kernel finds no address or port that no other connection has", key=("clash",)
            )
        if clashes:
            self.stop(
                "DROP", "clash", "its answers could not be told from those of another connection", hook=hook
            )
            return False
        confirmed = msgspec.structs.replace(connection, status=connection.status | conntrack.CONFIRMED)
        self.state.set_connection(confirmed, self.state.state or NEW, self.state.direction)
        return True

    def _table_stage(self, hook: str, stage: Stage) -> bool:
        before = self._routed_by() if stage.reroute else None
        for program in self.machine.tables.get(stage.name, ()):
            asker = Asker(program, hook, self.state, self.chooser, self._apply, self.recorder)
            if not self._usable(program.loop(hook), stage.name):
                continue
            verdict = asker.run()
            if asker.by is not None:
                self.by[stage.name] = asker.by
            if verdict.verdict != "ACCEPT":
                return self._refuse(verdict, hook, stage.name, asker.by)
        return not (stage.reroute and before != self._routed_by()) or reroute(self)

    def _usable(self, loop: tuple[str, ...] | None, table: str) -> bool:
        if loop is None:
            return True
        way = " > ".join(loop)
        self.assumed[
            f"table {table} is not there: its chains call each other in a circle ({way}), which the kernel refuses to load"
        ] = None
        return False

    def _refuse(self, verdict: Stop, hook: str, table: str, by: RuleRef | None) -> bool:
        if by is None:
            self.stop("DROP", "policy", f"the policy of {table} {hook} drops it", hook=hook, by=None)
        elif verdict.verdict == "REJECT":
            answer = refusal(verdict.reply or "", self.state, hook)
            connection = self.state.connection
            if answer is not None and answer.kind == "tcp-reset" and connection is not None:
                self.state.connection = msgspec.structs.replace(connection, tcp=tcp_states.RESET)
            told = f"{answer.kind} is sent back" if answer else "nobody is told: such a packet gets no answer"
            self.stop("REJECT", "rule", f"{by} refuses it; {told}", hook=hook, by=by, answer=answer)
        else:
            words = {"DROP": "drops it", "QUEUE": "hands it to a program in userspace"}
            self.stop(
                verdict.verdict,
                "rule",
                f"{by} {words.get(verdict.verdict, verdict.verdict)}",
                hook=hook,
                by=by,
            )
        return False

    def _apply(
        self, effect: Effect, state: State, ref: RuleRef
    ) -> tuple[tuple[Change, ...], str | None, Stop | None]:
        if not isinstance(effect, Rewrite):
            return (*apply(effect, state), None)
        if state.connection is None:
            return (), "the packet has no connection: it is not translated", None
        hook = self._nat_hook
        out = self.way.interface if self.way is not None else self.bridged_out
        if state.direction:
            state.connection = asked_by_answer(
                state, hook, effect, self.way.nexthop if self.way else None, out
            )
            return (), "a packet of the other direction is not translated by this rule", None
        try:
            changes = rewrite(state, hook, effect, self.way.nexthop if self.way else None, out)
        except NoAddressError:
            return (), "the interface has no address to give: the packet is dropped", Stop("DROP")
        self.rewritten.add(SIDE[hook])
        if changes:
            self.rewritten_by[ref] = None
        return changes, None, None

    _nat_hook = "PREROUTING"

    # -- conntrack and NAT -----------------------------------------------------------------------------------

    def _track_stage(self, hook: str, stage: Stage) -> bool:  # noqa: ARG002
        state = self.state
        if state.untracked or (state.tracked and (self.looped or state.connection is not None)):
            return True
        if (
            self.recorder is None
            and self.machine.asks_state_only
            and not state.connections
            and self.packet.state is None
        ):
            state.state, state.tracked = first_state_of(state), True
            state.version += 1
            return True
        look_up(self)
        if self.recorder is not None:
            word = STATE_WORDS.get(state.state or 0, "?")
            self.recorder.add(TrackStep(hook, word, f"the connection is {word}"))
        return True

    def _nat_stage(self, hook: str, stage: Stage) -> bool:
        state = self.state
        if state.connection is None or not self.machine.tracks:
            return True
        old = state.destination
        side = SIDE[hook]
        if state.is_first() and side not in state.done:
            state.done.add(side)
            self._nat_hook = hook
            if not self._table_stage(hook, Stage("table", stage.priority, "nat")):
                return False
            if state.direction:
                untranslate(state, hook)
            elif side == "source" and side not in self.rewritten:
                make_unique(state)
            state.set_connection(state.connection, state.state or NEW, state.direction)
        elif self._left_its_way(hook):
            return False
        else:
            changes = untranslate(state, hook)
            if changes and self.recorder is not None:
                self.recorder.changed.update(change.field for change in changes)
                self.recorder.add(NatStep(hook, _translated(changes, state.family), changes))
        return not (stage.reroute and self._destination_differs(old)) or reroute(self)

    def _left_its_way(self, hook: str) -> bool:
        """nf_nat_inet_fn: a masqueraded connection that would leave by another interface is forgotten, its packet dropped."""
        connection, out = (
            self.state.connection,
            self.way.interface if self.way is not None else self.bridged_out,
        )
        if hook != "POSTROUTING" or connection is None or self.state.direction or self.state.is_error():
            return False
        if connection.masqueraded in (None, out):
            return False
        self.state.connection = msgspec.structs.replace(connection, gone=True)
        what = f"it was masqueraded for {connection.masqueraded} and would leave by {out}"
        self.stop("DROP", "masquerade", what, hook=hook)
        return True

    def _destination_differs(self, old: int | None) -> bool:
        """nf_nat_ipv4_local_fn looks for a route again where the connection's destination was rewritten."""
        return self.state.destination != old

    def _routed_by(self) -> tuple[object, ...]:
        state = self.state
        last = state.ttl if state.family == 6 else None
        return state.source, state.destination, state.mark, state.tos, last


def _translated(changes: tuple[Change, ...], family: int) -> str:
    words = [
        f"{_end_words(change, change.before, family)} becomes {_end_words(change, change.after, family)}"
        for change in changes
    ]
    return "as its connection demands, " + ", ".join(words)


def _end_words(change: Change, value: int | str | None, family: int) -> str:
    if not isinstance(value, int):
        return "what is not known"
    return str(value) if change.field.endswith("port") else address_text(value, family)


_HOOK_OF = {place: hook_of(place) for place in PATH}
_STAGES: dict[str, Callable[[Walker, str, Stage], bool]] = {
    "defrag": Walker._defrag_stage, "table": Walker._table_stage, "track": Walker._track_stage,  # noqa: SLF001
    "nat": Walker._nat_stage, "confirm": Walker._confirm_stage,  # noqa: SLF001
}  # fmt: skip
