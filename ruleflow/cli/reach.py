"""`ruleflow reach`."""

from typing import TYPE_CHECKING, Any

import click

from ruleflow.cli.inputs import cases_of
from ruleflow.cli.outputs import formats, paper_for, write, write_lines
from ruleflow.errors import RuleflowError

if TYPE_CHECKING:
    from ruleflow.analysis.lint.case import Case
    from ruleflow.analysis.matrix import Matrix


@click.command()
@click.argument("dump", required=False)
@click.option("--from", "source", default="", metavar="NET", help="Packets from this address or network.")
@click.option("--to", "destination", default="", metavar="NET", help="To this one.")
@click.option("--port", default="", metavar="PORTS", help="To these ports: 22, 80,443 or 1000:2000.")
@click.option("--sport", "source_port", default="", metavar="PORTS", help="From these ports.")
@click.option("--proto", "protocol", default="", metavar="NAME", help="tcp, udp, icmp or a number.")
@click.option("--in", "in_interface", default="", metavar="NAME", help="Arriving on this interface.")
@click.option("--out", "out_interface", default="", metavar="NAME", help="Leaving by it.")
@click.option("--state", default="new", show_default=True, help="The connection's state, or any.")
@click.option("--chain", "way", type=click.Choice(["INPUT", "FORWARD", "OUTPUT"]), help="Only this way.")
@click.option(
    "--service-matrix",
    "ports",
    metavar="PORT[,PORT]",
    help="Who may talk to whom at these ports (all: at every port).",
)
@click.option(
    "--unknown",
    type=click.Choice(["may", "must"]),
    default="may",
    show_default=True,
    help="With --service-matrix: what is not known may match, or must.",
)
@click.option("--partition", is_flag=True, help="All classes of packets that the rules treat unlike.")
@click.option("--spoofing", is_flag=True, help="Whether foreign sources may come in by an interface.")
@click.option(
    "--net", "nets", multiple=True, metavar="IF=NET", help="With --spoofing: an interface's own network."
)
@click.option("--witness", is_flag=True, help="Walk a packet of each answer.")
@click.option("-6", "family", flag_value=6, type=int, help="The IPv6 rules.")
@click.option("-4", "family", flag_value=4, type=int, help="The IPv4 rules.")
@formats("text", "json")
def reach(dump: str | None, form: str, **how: Any) -> None:
    """Say who may reach what in DUMP: without options, new connections into this host, through it and out of it.

    DUMP may be a directory that `ruleflow snapshot` made.
    """
    from ruleflow.views import reach_text

    case = cases_of(dump, how["family"])[0]
    told = _reached(case, how)
    if form == "json":
        from ruleflow.views.json_text import json_text
        from ruleflow.views.reach_json import reached

        write(json_text(reached(case.source, case.rules.family, **told)))
        return
    lines = [line for one in told.get("answers", ()) for line in (*reach_text.answer_lines(one), "")]
    lines += [line for one in told.get("matrices", ()) for line in (*reach_text.matrix_lines(one), "")]
    lines += reach_text.spoofing_lines(told.get("entries", ()))
    write_lines(lines)
    if how["witness"]:
        _walk_witnesses(case, [fate.packet for one in told.get("answers", ()) for fate in one.fates])


def _reached(case: "Case", how: dict[str, Any]) -> dict[str, Any]:
    """The answers, matrices or entries that were asked for."""
    from ruleflow.analysis.reach import WAYS, Question, Reach

    _refuse_contradictions(how)
    if how["ports"]:
        return {"matrices": _matrices(case, how)}
    asking = Reach(case.rules, case.host)
    if how["spoofing"]:
        return {"entries": asking.spoofing(_networks(case, how["nets"]))}
    ways = [{"INPUT": "in", "FORWARD": "through", "OUTPUT": "out"}[how["way"]]] if how["way"] else list(WAYS)
    if not how["way"]:  # only ways on which packets have the interfaces that are named
        unlike = ["out"] * bool(how["in_interface"]) + ["in"] * bool(how["out_interface"])
        ways = [way for way in ways if way not in unlike]
    if how["partition"]:
        return {"answers": [asking.partition(way) for way in ways], "wording": asking.wording}
    keys = (
        "source",
        "destination",
        "port",
        "source_port",
        "protocol",
        "in_interface",
        "out_interface",
        "state",
    )
    asked = {key: how[key] for key in keys}
    answers = [asking.ask(Question(way=way, **asked)) for way in ways]
    return {"answers": answers, "wording": asking.wording}


_QUESTION = {
    "source": "--from", "destination": "--to", "port": "--port", "source_port": "--sport", "in_interface": "--in",
    "out_interface": "--out",
}  # fmt: skip


def _refuse_contradictions(how: dict[str, Any]) -> None:
    """Options that would not be looked at are not taken silently: the answer would be to another question."""
    kinds = {"ports": "--service-matrix", "partition": "--partition", "spoofing": "--spoofing"}
    chosen = [option for key, option in kinds.items() if how[key]]
    unused = [option for key, option in _QUESTION.items() if how[key]] if chosen else []
    if how["nets"] and not how["spoofing"]:
        unused.append("--net")
    if how["unknown"] != "may" and not how["ports"]:
        unused.append("--unknown")
    if how["spoofing"] and how["way"]:
        unused.append("--chain")
    if len(chosen) > 1 or unused:
        told = " and ".join([*chosen, *unused][:2]) if chosen else f"{unused[0]} alone"
        raise RuleflowError(
            f"{told} cannot be asked together" if chosen else f"{told} says nothing",
            help="see ruleflow reach --help",
        )


def _matrices(case: "Case", how: dict[str, Any]) -> "list[Matrix]":
    from ruleflow.analysis.matrix import Matrices, passing

    protocol = how["protocol"] or "tcp"
    if protocol not in ("tcp", "udp"):
        raise RuleflowError(f"{protocol!r} has no ports", help="write --proto tcp or udp")
    side = passing(case.rules, case.most)
    found = Matrices(side, how["way"] or "FORWARD", unknown=how["unknown"], protocol=protocol)
    if how["ports"] == "all":
        return list(found.all_ports())
    ports = how["ports"].split(",")
    if not all(port.isdecimal() and int(port) < 65536 for port in ports):
        raise RuleflowError(f"{how['ports']!r} are no ports", help="write --service-matrix 22,80 or all")
    return list(found.ports([int(port) for port in ports]))


def _networks(case: "Case", given: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """The interfaces and their own networks: as said, else by the host's addresses; lo always."""
    nets: dict[str, tuple[str, ...]] = {"lo": ("127.0.0.0/8" if case.rules.family == 4 else "::1/128",)}
    for text in given:
        name, equals, net = text.partition("=")
        if not equals:
            raise RuleflowError(f"{text!r} names no network", help="write --net eth1=10.0.0.0/8")
        nets[name] = (*nets.get(name, ()), net)
    if case.host is not None and not given:
        for link in case.host.interfaces:
            own = tuple(str(address) for address in link.addresses if address.family == case.rules.family)
            if own and link.name != "lo":
                nets[link.name] = own
    return nets


def _walk_witnesses(case: "Case", packets: list[str]) -> None:
    from ruleflow.netfilter.packet import Packet
    from ruleflow.netfilter.walk import walk
    from ruleflow.views.text import Paper
    from ruleflow.views.walk_text import walk_lines

    for words in packets:
        found = walk(case.rules if case.host is None else case.host, Packet.parse(words))
        write(
            "\n"
            + "".join(
                f"{line}\n"
                for line in walk_lines(found, case.rules, Paper(*paper_for("auto")), detail="matches")
            )
        )
