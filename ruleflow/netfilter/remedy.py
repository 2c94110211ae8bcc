"""What would make a connection that fails succeed: one change at one place, named as one would make it."""

from ruleflow.netfilter.host import Host
from ruleflow.netfilter.journey import Journey
from ruleflow.netfilter.numbers import PROTOCOL_NAMES, address_text
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.steps import Outcome, RouteStep, TrackStep
from ruleflow.netfilter.world import World


def for_route(host: Host, to: int, family: int) -> str:
    """The host has no way to the address."""
    return f"a route at {host.name} to {address_text(to, family)}"


def for_listener(host: str, protocol: str, port: int | None) -> str:
    """Nobody listens."""
    return f"a program at {host} that listens on {protocol} port {port}"


def for_answer_from_elsewhere(world: World, family: int) -> str:
    """The answer is not translated back, because it does not pass the rules that translated the question."""
    bridges = [host for host in world.hosts if host.ports]
    unseen = [host for host in bridges if not host.bridge_nf(family)]
    word = "iptables" if family == 4 else "ip6tables"
    if unseen:
        return (
            f"net.bridge.bridge-nf-call-{word} = 1 at {unseen[0].name}, so that bridged answers are translated back; "
            "or a MASQUERADE rule for what goes back into the bridge it came from"
        )
    return "a MASQUERADE rule for this connection, so that the answer passes the host that translated it"


def for_journey(journey: Journey) -> str | None:
    """A packet that was stopped, or got to nobody; None where no single change is known to help."""
    if journey.lost is not None:
        return "a host that has the address there" if journey.lost.startswith("nobody answers") else None
    outcome = journey.outcome
    told = {
        "rule": _rule, "policy": _policy, "routing": _routing, "martian": _martian, "bridge": _bridge, "ttl": _ttl,
    }.get(outcome.reason)  # fmt: skip
    return None if told is None else told(journey, outcome)


def _rule(journey: Journey, outcome: Outcome) -> str | None:
    if outcome.by is None:
        return None
    chain = outcome.hook or outcome.by.chain
    return f"at {journey.host}, before {outcome.by}: {_accepting(outcome, chain, journey)}"


def _policy(journey: Journey, outcome: Outcome) -> str | None:
    return None if outcome.hook is None else f"at {journey.host}: {_accepting(outcome, outcome.hook, journey)}"


def _accepting(outcome: Outcome, chain: str, journey: Journey) -> str:
    """A rule that lets just this packet through, as one would type it."""
    packet = outcome.packet
    tool = "iptables" if packet.family == 4 else "ip6tables"
    words = [tool, "-I", chain, *_ends(packet)]
    replies = any(
        isinstance(step, TrackStep) and step.state in ("ESTABLISHED", "RELATED") for step in journey.legs[-1].walk.steps
    )
    if replies:
        words = [tool, "-I", chain, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED"]
    return " ".join([*words, "-j", "ACCEPT"])


def _ends(packet: Packet) -> list[str]:
    words: list[str] = []
    for flag, address in (("-s", packet.source), ("-d", packet.destination)):
        words += [] if address is None else [flag, address_text(address, packet.family)]
    name = PROTOCOL_NAMES.get(packet.protocol or 0)
    words += [] if name is None else ["-p", name]
    return [*words, "--dport", str(packet.destination_port)] if packet.destination_port is not None else words


def _routing(journey: Journey, outcome: Outcome) -> str | None:
    kinds = [step.kind for step in journey.legs[-1].walk.steps if isinstance(step, RouteStep)]
    family, to = outcome.packet.family, outcome.packet.destination
    if "not-forwarding" in kinds:
        setting = "net.ipv4.ip_forward" if family == 4 else "net.ipv6.conf.all.forwarding"
        return f"{setting} = 1 at {journey.host}"
    if to is None or "no-route" not in kinds:
        return None
    return f"a route at {journey.host} to {address_text(to, family)}"


def _martian(journey: Journey, outcome: Outcome) -> str | None:
    """Own addresses and loopback do not arrive from outside: with another source they would."""
    sentence = outcome.sentence
    if "accept_local" in sentence:
        return "a MASQUERADE rule at the host between, so that the packet does not carry the receiver's own address"
    if "route_localnet" in sentence:
        return f"net.ipv4.conf.{outcome.packet.in_interface or 'INTERFACE'}.route_localnet = 1 at {journey.host}"
    return f"rp_filter = 0 at {journey.host}, or a route back by the same interface" if "rp_filter" in sentence else None


def _bridge(journey: Journey, outcome: Outcome) -> str | None:
    port = outcome.packet.physdev_in
    if "hairpin" in outcome.sentence:
        return f"hairpin mode at {journey.host}: bridge link set dev {port} hairpin on"
    if "isolated" in outcome.sentence:
        return f"no isolation at {journey.host}: bridge link set dev {port} isolated off"
    return None


def _ttl(journey: Journey, outcome: Outcome) -> str | None:
    del outcome
    return f"a greater ttl than the hops up to {journey.host}"
