"""Faults to plant in the model, one at a time: each is a small lie about what the kernel does."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from ruleflow.netfilter import apply, chains, machine, places, tracking, translate, walker
from ruleflow.netfilter.conntrack import NEW
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.path import HOOKS, LEGACY_HOOKS
from ruleflow.netfilter.state import State
from ruleflow.ruleset.condition import AllOf, AnyBit, AnyOf, Condition, In, Intervals, Masked, Names
from ruleflow.ruleset.effect import CONTINUE, Adjust, Back, CopyBits, Effects, Rewrite, SetBits, Stop, Untrack
from ruleflow.ruleset.fields import BY_NAME, MARK, TOS

Patch = pytest.MonkeyPatch
Fault = Callable[[Patch], None]
FULL = 0xFFFFFFFF
replace = msgspec.structs.replace


def rules(patch: Patch, change: Callable[[chains.Entry], None]) -> None:
    """``change`` every rule as it is made ready."""
    made = chains.Entry.__init__

    def begin(self: chains.Entry, rule: Any, index: int) -> None:
        made(self, rule, index)
        change(self)

    patch.setattr(chains.Entry, "__init__", begin)


def conditions(change: Callable[[Condition], Condition | None], match: str | None = None) -> Fault:
    """Each condition (of the match of that name) becomes another one, or is lost."""

    def changed(one: Condition) -> Condition | None:
        if isinstance(one, AnyOf | AllOf):
            parts = [part for each in one.conditions if (part := changed(each)) is not None]
            one = replace(one, conditions=tuple(parts))
        return change(one)

    def of(entry: chains.Entry) -> None:
        kept: list[Condition] = []
        for each in entry.rule.matches:
            own = each.conditions()
            if match is None or getattr(each, "name", None) == match:
                own = tuple(new for one in own if (new := changed(one)) is not None)
            kept += own
        entry.conditions = tuple(kept)

    return lambda patch: rules(patch, of)


def effects(change: Callable[[Any], Any], kind: type) -> Fault:
    """Each effect of a kind becomes another one."""

    def of(entry: chains.Entry) -> None:
        done = entry.effects
        changes = tuple(change(one) if isinstance(one, kind) else one for one in done.changes)
        entry.effects = Effects(changes, done.then)

    return lambda patch: rules(patch, of)


def field(name: str, change: Callable[[In], Condition | None]) -> Fault:
    """Conditions on one field become others."""
    return conditions(lambda one: change(one) if isinstance(one, In) and one.field.name == name else one)


def goto_is_jump(patch: Patch) -> None:
    rules(patch, lambda entry: setattr(entry, "goto", False))


def return_is_ignored_in_built_in_chains(patch: Patch) -> None:
    def of(entry: chains.Entry) -> None:
        if entry.chain in HOOKS and isinstance(entry.effects.then, Back):
            entry.effects = Effects(entry.effects.changes, CONTINUE)

    rules(patch, of)


def drop_policies_accept(patch: Patch) -> None:
    made = chains.ChainProgram.__init__

    def begin(self: chains.ChainProgram, chain: Any, family: int) -> None:
        made(self, chain, family)
        self.policy = self.policy and "ACCEPT"

    patch.setattr(chains.ChainProgram, "__init__", begin)


def first_rule_of_user_chains_comes_last(patch: Patch) -> None:
    made = chains.ChainProgram.__init__

    def begin(self: chains.ChainProgram, chain: Any, family: int) -> None:
        if chain.policy is None:
            chain = replace(chain, rules=(*chain.rules[1:], *chain.rules[:1]))
        made(self, chain, family)

    patch.setattr(chains.ChainProgram, "__init__", begin)


def filter_sees_the_new_interface(patch: Patch) -> None:
    real = places.reroute

    def reroute(one: walker.Walker) -> bool:
        found = real(one)
        if one.way is not None:
            one.state.see("", one.way.interface)
        return found

    patch.setattr(walker, "reroute", reroute)


def nothing_is_rerouted(patch: Patch) -> None:
    patch.setattr(walker, "reroute", lambda _: True)


def nat_is_asked_for_each_packet(patch: Patch) -> None:
    patch.setattr(tracking, "BOTH_SIDES", frozenset())
    patch.setattr(State, "is_first", lambda self: self.connection is not None)


def replies_stay_translated(patch: Patch) -> None:
    real = translate.untranslate
    patch.setattr(walker, "untranslate", lambda state, hook: () if state.direction else real(state, hook))


def local_is_what_is_on_the_link(patch: Patch) -> None:
    real = Machine.has_type

    def has_type(
        self: Machine, address: int, types: tuple[str, ...], interface: str | None = None
    ) -> bool | None:
        if types == ("LOCAL",):
            return any(one.on_link(address) for _, one in self.host.addresses(self.family))
        return real(self, address, types, interface)

    patch.setattr(Machine, "has_type", has_type)


def ttl_stays(patch: Patch) -> None:
    real = walker._BETWEEN["hop"]

    def hop(one: walker.Walker) -> str:
        before = one.state.ttl
        word = real(one)
        one.state.change("ttl", before)
        return word

    patch.setitem(walker._BETWEEN, "hop", hop)


def refusals_are_silent(patch: Patch) -> None:
    patch.setattr(walker, "refusal", lambda *_: None)


def notrack_does_nothing(patch: Patch) -> None:
    patch.setitem(apply._EFFECTS, Untrack, lambda *_: ((), None))


def masquerade_takes_the_incoming_interface(patch: Patch) -> None:
    real = translate.rewrite
    patch.setattr(
        walker,
        "rewrite",
        lambda state, hook, what, hop, out: real(state, hook, what, hop, state.arrived or out),
    )


def redirect_in_output_keeps_the_address(patch: Patch) -> None:
    patch.setattr(translate, "_loopback", lambda family: 0xC0000201 if family == 4 else 0x20010DB8 << 96 | 1)


def without(table: str, hook: str) -> Fault:
    """A hook does not ask a table."""

    def plant(patch: Patch) -> None:
        for name, hooks in (("HOOKS", HOOKS), ("LEGACY_HOOKS", LEGACY_HOOKS)):
            kept = tuple(stage for stage in hooks[hook] if stage.name != table)
            patch.setattr(machine, name, hooks | {hook: kept})

    return plant


def errors_are_invalid(patch: Patch) -> None:
    real = tracking._error
    patch.setattr(tracking, "_error", lambda state, _: real(state, None))


def replies_are_new(patch: Patch) -> None:
    patch.setattr(tracking, "ESTABLISHED", NEW)


def accept_leaves_only_the_chain(patch: Patch) -> None:
    def of(entry: chains.Entry) -> None:
        if entry.chain not in HOOKS and entry.effects.then == Stop("ACCEPT"):
            entry.effects = Effects(entry.effects.changes, Back())

    rules(patch, of)


def unmasked(one: In) -> In:
    return replace(one, values=Masked(one.values.value, FULL)) if isinstance(one.values, Masked) else one


def less_at_the_end(one: Condition) -> Condition:
    if not isinstance(one, In) or not isinstance(one.values, Intervals):
        return one
    pairs = tuple((low, max(low, high - 1)) for low, high in one.values.pairs)
    return replace(one, values=Intervals(pairs))


def plain_names(one: Condition) -> Condition:
    if not isinstance(one, In) or not isinstance(one.values, Names):
        return one
    return replace(one, values=Names(tuple(name.rstrip("+") for name in one.values.patterns)))


FAULTS: dict[str, Fault] = {
    "goto is taken for jump": goto_is_jump,
    "multiport loses its negation": conditions(lambda one: replace(one, negated=False), "multiport"),
    "RETURN in a built-in chain is ignored": return_is_ignored_in_built_in_chains,
    "filter OUTPUT sees the new interface": filter_sees_the_new_interface,
    "marks and DNAT in OUTPUT do not reroute": nothing_is_rerouted,
    "nat is asked for each packet": nat_is_asked_for_each_packet,
    "replies stay translated": replies_stay_translated,
    "the mask of mark is ignored": field("mark", unmasked),
    "the mask of connmark is ignored": field("connmark", unmasked),
    "iprange ends before its end": conditions(less_at_the_end, "iprange"),
    "length ends before its end": conditions(less_at_the_end, "length"),
    "addrtype LOCAL is what is on the link": local_is_what_is_on_the_link,
    "the ttl stays": ttl_stays,
    "REJECT is DROP": refusals_are_silent,
    "NOTRACK does nothing": notrack_does_nothing,
    "ctorigdst is the destination after NAT": field("ct_orig_destination", lambda one: replace(one, field=BY_NAME["destination"])),
    "ctorigdstport is the port after NAT": field("ct_orig_destination_port", lambda one: replace(one, field=BY_NAME["destination_port"])),
    "ctdir is the other one": field("ct_direction", lambda one: replace(one, negated=not one.negated)),
    "ctstatus is never seen": field("ct_status", lambda one: replace(one, values=AnyBit(0))),
    "the masks of CONNMARK --restore-mark are ignored": effects(
        lambda one: replace(one, to_mask=FULL, from_mask=FULL) if one.to == MARK else one, CopyBits
    ),
    "CONNMARK --save-mark does nothing": effects(lambda one: one if one.to == MARK else replace(one, to_mask=0, from_mask=0), CopyBits),
    "NETMAP loses the host's bits": effects(lambda one: one if one.netmask is None else replace(one, netmask=(1 << 128) - 1), Rewrite),
    "DNAT does not shift ports": effects(lambda one: replace(one, port_base=None), Rewrite),
    "DSCP is not shifted": effects(lambda one: replace(one, xor=one.xor >> 2) if one.field == TOS and one.clear == 0xFC else one, SetBits),
    "TTL counts twice": effects(lambda one: replace(one, by=2 * one.by), Adjust),
    "MASQUERADE takes the incoming interface": masquerade_takes_the_incoming_interface,
    "REDIRECT in OUTPUT is not to loopback": redirect_in_output_keeps_the_address,
    "DROP policies accept": drop_policies_accept,
    "the first rule of a user's chain comes last": first_rule_of_user_chains_comes_last,
    "ACCEPT leaves only the user's chain": accept_leaves_only_the_chain,
    "raw PREROUTING is skipped": without("raw", "PREROUTING"),
    "security INPUT is skipped": without("security", "INPUT"),
    "mangle POSTROUTING is skipped": without("mangle", "POSTROUTING"),
    "errors about a connection are INVALID": errors_are_invalid,
    "replies are NEW": replies_are_new,
    "tcp flags ignore their mask": conditions(
        lambda one: replace(one, values=Masked(one.values.value, 0xFF)) if isinstance(one, In) and isinstance(one.values, Masked) else one, "tcp"
    ),
    "the code of icmp is ignored": conditions(lambda one: None if isinstance(one, In) and one.field.name == "icmp_code" else one),
    "the + of an interface is ignored": conditions(plain_names),
}  # fmt: skip
"""What is planted, in words."""
