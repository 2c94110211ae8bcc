"""A walk compared with the real kernel: namespaces made from its host, its rules loaded, its packet sent once."""

import msgspec

from ruleflow.errors import RuleflowError
from ruleflow.kernel.agreement import compare
from ruleflow.kernel.describe import describe
from ruleflow.kernel.lab import Lab
from ruleflow.kernel.pairing import as_sent
from ruleflow.kernel.router import Interface, Spec
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.steps import RuleStep, Walk
from ruleflow.netfilter.walk import NOTHING, Around, walk
from ruleflow.ruleset.fields import STATES


class Verified(msgspec.Struct, frozen=True):
    """``steps`` are the rules that matched, as the walk says; ``differs`` says where the kernel did otherwise."""

    steps: int
    differs: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether the kernel did what the walk says."""
        return not self.differs

    def __str__(self) -> str:
        if self.agrees:
            return f"kernel agrees ({self.steps} of {self.steps} steps)"
        return "kernel differs: " + "; ".join(self.differs)


def verify(machine: Machine, packet: Packet, around: Around = NOTHING) -> Verified:
    """Send ``packet`` through the real rules, in namespaces like the machine's host, and compare.

    Raises `LabUnavailableError` where no namespaces can be made, `LoadRefusedError` where the real restore does not
    take the rules, `RuleflowError` for a packet of a connection that the new namespaces cannot know.
    """
    if packet.state not in (None, STATES["NEW"]) or around.connections:
        raise RuleflowError(
            "only a packet that begins a connection can be verified", help="leave out --ct and `state`"
        )
    asked = packet.with_(state=None)
    spec = with_interfaces(describe(machine.host), asked)
    with Lab(spec, "legacy" if machine.legacy else "nft", trace=not machine.legacy) as lab:
        for ruleset in machine.rulesets:
            lab.load(ruleset, machine.family)
        (seen,) = lab.send([asked])
    found = walk(machine, as_sent(asked, seen), around)
    said = compare(found, seen, path=not machine.legacy)
    return Verified(_matched(found), said.differs)


def with_interfaces(spec: Spec, packet: Packet) -> Spec:
    """The interfaces that the packet names are there, even where nobody described them."""
    known = {each.name for each in spec.interfaces}
    named = [name for name in (packet.in_interface, packet.out_interface) if name and name not in known]
    return msgspec.structs.replace(
        spec, interfaces=(*spec.interfaces, *(Interface(name) for name in dict.fromkeys(named)))
    )


def _matched(found: Walk) -> int:
    return sum(isinstance(step, RuleStep) and step.answer == "match" for step in found.steps)
