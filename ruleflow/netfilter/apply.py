"""What a target's effects do to a packet on its way."""

from collections.abc import Callable

import msgspec

from ruleflow.netfilter.conntrack import UNTRACKED
from ruleflow.netfilter.state import State
from ruleflow.netfilter.steps import Change
from ruleflow.ruleset.effect import Adjust, Copy, CopyBits, Log, Note, SetBits, SetUnknown, Untrack
from ruleflow.ruleset.effect import Change as Effect
from ruleflow.ruleset.fields import Field

Done = tuple[tuple[Change, ...], str | None]
"""What changed, and a note of what cannot be seen in the packet."""


def apply(effect: Effect, state: State) -> Done:
    """Do one effect that is no address translation."""
    return _EFFECTS[type(effect)](effect, state)


def _put(
    state: State, field: Field, value: int | None, low: int | None = None, high: int | None = None
) -> Done:
    old = getattr(state, field.name, None)
    if old == value and value is not None:
        return (), None
    state.change(field.name, value)
    if field.name == "connmark" and state.connection is not None and value is not None:
        state.connection = msgspec.structs.replace(state.connection, mark=value)
    if value is None and low is not None and high is not None:
        state.ranges[field.name] = (low, high)
    return (Change(field.name, old, value, low, high),), None


def _set_bits(effect: SetBits, state: State) -> Done:
    """A mark's bits; without a connection there is no connection mark to set (connmark_tg)."""
    if state.absent(effect.field):
        return (), f"there is no {effect.field.words} to set"
    old = getattr(state, effect.field.name, None)
    full = (1 << (effect.field.bits or 32)) - 1
    if old is None:
        kept = effect.clear & full
        return _put(state, effect.field, effect.xor & full if kept == full else None)
    return _put(state, effect.field, ((old & ~effect.clear) ^ effect.xor) & full)


def _copy_bits(effect: CopyBits, state: State) -> Done:
    if state.absent(effect.to) or state.absent(effect.from_):
        return (), "the packet has no connection"
    to, from_ = getattr(state, effect.to.name, None), getattr(state, effect.from_.name, None)
    if from_ is None or to is None:
        return _put(state, effect.to, None)
    return _put(state, effect.to, (to & ~effect.to_mask) ^ (from_ & effect.from_mask))


def _adjust(effect: Adjust, state: State) -> Done:
    old = getattr(state, effect.field.name, None)
    return _put(state, effect.field, None if old is None else min(255, max(0, old + effect.by)))


def _set_unknown(effect: SetUnknown, state: State) -> Done:
    changes, _ = _put(state, effect.field, None, effect.low, effect.high)
    return changes, effect.why


def _untrack(_: Untrack, state: State) -> Done:
    """Not where the packet has its connection already (over lo: xt_ct_target, "Previously seen")."""
    if state.connection is not None or state.seen_before:
        return (), "conntrack has seen it already"
    state.untracked = True
    state.set_connection(None, UNTRACKED)
    return (), "conntrack will pass it over"


def _log(effect: Log, _: State) -> Done:
    return (), f"{effect.by} {effect.prefix!r}" if effect.prefix else effect.by


def _copy(effect: Copy, _: State) -> Done:
    return (), f"a copy goes to {effect.gateway}"


def _note(effect: Note, _: State) -> Done:
    return (), effect.text


_EFFECTS: dict[type, Callable[..., Done]] = {
    SetBits: _set_bits, CopyBits: _copy_bits, Adjust: _adjust, SetUnknown: _set_unknown, Untrack: _untrack,
    Log: _log, Copy: _copy, Note: _note,
}  # fmt: skip
