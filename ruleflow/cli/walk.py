"""`ruleflow walk`."""

import sys
from typing import TYPE_CHECKING, Any

import click

from ruleflow.cli.inputs import directory_of, facts_of_host, is_declaration, number, read_dump, reading
from ruleflow.cli.outputs import (
    FINE,
    FOUND,
    UNDECIDED,
    coloured,
    formats,
    paper_for,
    write,
    write_json,
    write_lines,
)

if TYPE_CHECKING:
    from ruleflow.netfilter.machine import Machine
    from ruleflow.netfilter.packet import Packet
    from ruleflow.netfilter.steps import Walk
    from ruleflow.netfilter.walk import Around


@click.command()
@click.argument("dump")
@click.argument("words", nargs=-1, metavar="PACKET...")
@reading
@facts_of_host
@click.option(
    "--ct",
    metavar="STATE[,reply]",
    help="The connection's state: new, established, related, invalid, untracked.",
)
@click.option("--uid", type=int, help="The user whose process sends it.")
@click.option("--mark", callback=number, metavar="NUMBER", help="The mark it carries.")
@click.option("--from-log", metavar="LINE", help="The packet of a line that LOG or TRACE wrote (- reads it).")
@click.option("--pcap", metavar="FILE", help="Each distinct flow of a capture.")
@click.option("--both", is_flag=True, help="Walk the reply, too.")
@click.option(
    "--detail", type=click.Choice(["full", "matches", "minimal"]), default="full", help="How much to show."
)
@click.option("-q", "--quiet", is_flag=True, help="Print the verdict's word alone.")
@click.option("--expect", metavar="VERDICT", help="Exit 1 when the verdict is another.")
@click.option("--no-unknown", is_flag=True, help="Exit 3 when the verdict is unknown.")
@click.option(
    "--verify", is_flag=True, help="Send the packet through the real kernel in throw-away namespaces, too."
)
@formats("text", "json")
@coloured
def walk(dump: str, words: tuple[str, ...], **how: Any) -> None:
    """Say what happens to PACKET in DUMP, rule by rule, and why.

    A packet is said like: tcp 203.0.113.9:40000 192.0.2.1:8080 in eth0. Without `in` this host sends it. DUMP may
    be a directory that `ruleflow snapshot` made.
    """
    from ruleflow.netfilter.walk_input import around, packets_of, subject_of

    reading_options = {key: how[key] for key in ("family", "strict", "lenient")}
    facts = {"uid": how["uid"], "mark": how["mark"]}
    packets = packets_of(words, how["from_log"], how["pcap"], how["ct"], routes=how["routes"], facts=facts)
    family = packets[0].family
    if is_declaration(dump):
        reading_options["family"] = family
    place = str(directory_of(dump) or dump)
    subject = subject_of(place, lambda: read_dump(dump, **reading_options), family, how)
    walks = [_one_walk(subject, packet, around(how["assume"]), how["both"]) for packet in packets]
    _print_walks(walks, subject, how)
    told = [_verified(subject, packet, around(how["assume"])) for packet in packets if how["verify"]]
    if not all(told):
        sys.exit(FOUND)
    verdicts = {each.verdict for each in walks}
    if how["expect"] and verdicts != {how["expect"].upper()}:
        sys.exit(FOUND)
    sys.exit(UNDECIDED if how["no_unknown"] and "UNKNOWN" in verdicts else FINE)


def _verified(subject: "Machine", packet: "Packet", about: "Around") -> bool:
    """Ask the real kernel, and say whether it agrees (on standard error: the walk itself stays as it is)."""
    from ruleflow.kernel.verify import verify

    found = verify(subject, packet, about)
    click.echo(str(found), err=True)
    return found.agrees


def _one_walk(subject: "Machine", packet: "Packet", about: "Around", both: bool) -> "Walk":
    from ruleflow.netfilter.walk import walk as follow
    from ruleflow.netfilter.walk import with_reply

    found = follow(subject, packet, about)
    return with_reply(subject, found, about) if both else found


def _print_walks(walks: "list[Walk]", subject: "Machine", how: dict[str, Any]) -> None:
    from ruleflow.views.walk_text import walk_lines

    if how["form"] == "json":
        from ruleflow.views.walk_json import walk_value

        write_json([walk_value(each) for each in walks])
        return
    from ruleflow.views.text import Paper

    for at, each in enumerate(walks):
        if how["quiet"]:
            write(f"{each.verdict}\n")
            continue
        if at and how["detail"] != "minimal":
            write("\n")
        rules = subject.rulesets[0] if subject.rulesets else None
        lines = walk_lines(each, rules, Paper(*paper_for(how["color"])), detail=how["detail"])
        write_lines(lines)
