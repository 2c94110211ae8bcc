"""What would make a connection that fails succeed: one change at one place, named as one would make it."""

import re

import msgspec

from ruleflow.netfilter.host import Host, RulesText
from ruleflow.netfilter.journey import Journey
from ruleflow.netfilter.numbers import PROTOCOL_NAMES, address_text
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.steps import Outcome, RouteStep, TrackStep
from ruleflow.netfilter.world import World


class Fix(msgspec.Struct, frozen=True):
    """One change, in words; where it is a rule, also as one that can be tried: table, chain and the rule's text."""

    text: str
    host: str = ""
    family: int = 4
    table: str = ""
    chain: str = ""
    rule: str | None = None


def for_route(host: Host, to: int, family: int) -> Fix:
    """The host has no way to the address."""
    return Fix(f"a route at {host.name} to {address_text(to, family)}")


def for_listener(host: str, protocol: str, port: int | None) -> Fix:
    """Nobody listens."""
    return Fix(f"a program at {host} that listens on {protocol} port {port}")


def for_answer_from_elsewhere(world: World, family: int) -> Fix:
    """The answer is not translated back, because it does not pass the rules that translated the question."""
    bridges = [host for host in world.hosts if host.ports]
    unseen = [host for host in bridges if not host.bridge_nf(family)]
    word = "iptables" if family == 4 else "ip6tables"
    if unseen:
        return Fix(
            f"net.bridge.bridge-nf-call-{word} = 1 at {unseen[0].name}, so that bridged answers are translated back; "
            "or a MASQUERADE rule for what goes back into the bridge it came from"
        )
    return Fix("a MASQUERADE rule for this connection, so that the answer passes the host that translated it")


def for_journey(journey: Journey) -> Fix | None:
    """A packet that was stopped, or got to nobody; None where no single change is known to help."""
    if journey.lost is not None and journey.lost.endswith("isolated from each other"):
        return Fix("no isolation of one of the two ports: bridge link set dev PORT isolated off")
    if journey.lost is not None and journey.lost.endswith("do not hear each other"):
        return Fix(
            "a macvlan of mode bridge on the same parent at its host, with an address and a route to the other by it"
        )
    if journey.lost is not None:
        return Fix("a host that has the address there") if journey.lost.startswith("nobody answers") else None
    outcome = journey.outcome
    if outcome.reason in ("rule", "policy"):
        return (_rule if outcome.reason == "rule" else _policy)(journey, outcome)
    told = {"routing": _routing, "martian": _martian, "bridge": _bridge, "ttl": _ttl}.get(outcome.reason)
    text = None if told is None else told(journey, outcome)
    return None if text is None else Fix(text)


def _rule(journey: Journey, outcome: Outcome) -> Fix | None:
    if outcome.by is None:
        return None
    return _accepting(
        journey, outcome, outcome.by.table, outcome.hook or outcome.by.chain, f", before {outcome.by}"
    )


def _policy(journey: Journey, outcome: Outcome) -> Fix | None:
    return None if outcome.hook is None else _accepting(journey, outcome, "filter", outcome.hook, "")


def _accepting(journey: Journey, outcome: Outcome, table: str, chain: str, before: str) -> Fix:
    """A rule that lets just this packet through, as one would type it: in front of the chain that the hook calls."""
    packet = outcome.packet
    of_known = any(
        isinstance(step, TrackStep) and step.state in ("ESTABLISHED", "RELATED")
        for step in journey.legs[-1].walk.steps
    )
    asks = "-m conntrack --ctstate RELATED,ESTABLISHED" if of_known else _ends(packet)
    tool = "iptables" if packet.family == 4 else "ip6tables"
    place = "" if table == "filter" else f" -t {table}"
    text = f"{tool}{place} -I {chain} {asks} -j ACCEPT"
    rule = f"-A {chain} {asks} -j ACCEPT"
    return Fix(f"at {journey.host}{before}: {text}", journey.host, packet.family, table, chain, rule)


def applied(world: World, fix: Fix) -> World | None:
    """The world with the rule in place; None where there is no rule, or no table to put it in."""
    if fix.rule is None:
        return None
    hosts = tuple(_with_rule(host, fix) if host.name == fix.host else host for host in world.hosts)
    return None if hosts == world.hosts else msgspec.structs.replace(world, hosts=hosts)


def _with_rule(host: Host, fix: Fix) -> Host:
    dumps = list(host.dumps)
    for at, dump in enumerate(dumps):
        head, star, body = dump.text.partition(f"*{fix.table}\n")
        if dump.family != fix.family or not star:
            continue
        own = re.search(rf"^(?:\[\d+:\d+\] )?-A {re.escape(fix.chain)} ", body, re.MULTILINE)
        own = own or re.search(r"^COMMIT", body, re.MULTILINE)
        if own is not None:
            text = f"{head}{star}{body[: own.start()]}{fix.rule}\n{body[own.start() :]}"
            dumps[at] = RulesText(dump.family, dump.backend, text)
            return msgspec.structs.replace(host, dumps=tuple(dumps))
    return host


def _ends(packet: Packet) -> str:
    """What a rule would ask of just this packet."""
    name = PROTOCOL_NAMES.get(packet.protocol or 0)
    asks = [
        f"-s {address_text(packet.source, packet.family)}" if packet.source is not None else "",
        f"-d {address_text(packet.destination, packet.family)}" if packet.destination is not None else "",
        f"-p {name}" if name is not None else "",
        f"--dport {packet.destination_port}" if packet.destination_port is not None else "",
    ]
    return " ".join(filter(None, asks))


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
        return (
            f"net.ipv4.conf.{outcome.packet.in_interface or 'INTERFACE'}.route_localnet = 1 at {journey.host}"
        )
    return (
        f"rp_filter = 0 at {journey.host}, or a route back by the same interface"
        if "rp_filter" in sentence
        else None
    )


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
