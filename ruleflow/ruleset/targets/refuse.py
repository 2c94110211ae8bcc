"""REJECT: a packet is dropped and its sender told (net/ipv4/netfilter/ipt_REJECT.c, net/ipv6/netfilter/ip6t_REJECT.c)."""

from collections.abc import Sequence
from typing import Annotated

from ruleflow.ruleset.effect import Effects, Stop
from ruleflow.ruleset.extension import Match, Maybe, Target, option
from ruleflow.ruleset.values import Unreadable, ValueType

_TCP = 6
_HOOKS = ("INPUT", "FORWARD", "OUTPUT")
_V4 = {
    "icmp-net-unreachable": "net-unreach",
    "icmp-host-unreachable": "host-unreach",
    "icmp-proto-unreachable": "proto-unreach",
    "icmp-port-unreachable": "port-unreach",
    "icmp-net-prohibited": "net-prohib",
    "icmp-host-prohibited": "host-prohib",
    "tcp-reset": "tcp-rst",
    "icmp-admin-prohibited": "admin-prohib",
}
_V6 = {
    "icmp6-no-route": "no-route",
    "icmp6-adm-prohibited": "adm-prohibited",
    "icmp6-addr-unreachable": "addr-unreach",
    "icmp6-port-unreachable": "port-unreach",
    "tcp-reset": "tcp-reset",
    "icmp6-policy-fail": "policy-fail",
    "icmp6-reject-route": "reject-route",
}


class Reply(ValueType[str]):
    """What is sent back; names and aliases, in any case, may be cut short, and the first that fits is taken."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def read_word(self, word: str, family: int) -> str:  # noqa: ARG002
        start = word.lower()
        for name, alias in self.names.items():
            if name.startswith(start) or alias.startswith(start):
                return name
        raise Unreadable(f"{word!r} is no reply", f"write one of {', '.join(self.names)}")

    def say(self, value: str) -> str:
        if value == "tcp-reset":
            return "a tcp reset"
        protocol, _, reason = value.partition("-")
        words = reason.replace("-", " ").replace("proto ", "protocol ").replace("addr ", "address ")
        words = words.replace("adm ", "administratively ").replace("admin ", "administratively ")
        return f"{protocol.replace('icmp6', 'icmpv6')} {words.replace('policy fail', 'policy failed')}"


def _misfit(reply: str | None, protocol: Maybe[int]) -> str | None:
    if reply == "tcp-reset" and protocol != _TCP:
        return "only a tcp packet can be refused with a reset: -p tcp is missing"
    return None


class Reject(Target, frozen=True, gc=False):
    """The packet is dropped and its sender told why, by icmp or a tcp reset.

    No reply to a later fragment, to a broadcast, to an icmp error or to a reset (nf_reject_ipv4.c).
    """

    name = "REJECT"
    families = (4,)
    tables = ("filter",)
    hooks = _HOOKS
    picky = True

    reply: Annotated[
        str, option("--reject-with", type=Reply(_V4), negatable=False, says="refuse with {}")
    ] = "icmp-port-unreachable"

    def misfit(self, protocol: Maybe[int], matches: Sequence[Match]) -> str | None:  # noqa: ARG002
        return _misfit(self.reply, protocol)

    def effects(self) -> Effects:
        """The table is done with the packet."""
        return Effects((), Stop("REJECT", self.reply))


class Reject6(Target, frozen=True, gc=False):
    """The packet is dropped and its sender told why, by icmpv6 or a tcp reset."""

    name = "REJECT"
    families = (6,)
    tables = ("filter",)
    hooks = _HOOKS
    picky = True

    reply: Annotated[
        str, option("--reject-with", type=Reply(_V6), negatable=False, says="refuse with {}")
    ] = "icmp6-port-unreachable"

    def misfit(self, protocol: Maybe[int], matches: Sequence[Match]) -> str | None:  # noqa: ARG002
        return _misfit(self.reply, protocol)

    def effects(self) -> Effects:
        """The table is done with the packet."""
        return Effects((), Stop("REJECT", self.reply))
