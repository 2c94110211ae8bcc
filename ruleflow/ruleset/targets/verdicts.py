"""The verdicts a rule can end with (iptables(8), TARGETS)."""

from ruleflow.ruleset.effect import ACCEPT, DROP, Back, Effects, Stop
from ruleflow.ruleset.extension import Target


class Accept(Target, frozen=True, gc=False):
    """The packet is let through: no later rule of this table at this hook is asked."""

    name = "ACCEPT"

    def effects(self) -> Effects:
        return Effects((), ACCEPT)


class Drop(Target, frozen=True, gc=False):
    """The packet vanishes; nobody is told."""

    name = "DROP"

    def effects(self) -> Effects:
        return Effects((), DROP)


class Queue(Target, frozen=True, gc=False):
    """A program in userspace decides (queue 0); without one the packet is dropped."""

    name = "QUEUE"

    def effects(self) -> Effects:
        return Effects((), Stop("QUEUE"))


class Return(Target, frozen=True, gc=False):
    """Back to the calling chain; in a built-in chain the policy decides."""

    name = "RETURN"

    def effects(self) -> Effects:
        return Effects((), Back())
