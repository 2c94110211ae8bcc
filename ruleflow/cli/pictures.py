"""The commands that draw: graph, topology, report."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ruleflow.cli.inputs import LIVE, directory_of, reading, subject_of, world_of
from ruleflow.cli.outputs import formats, link_to, out_file, put

if TYPE_CHECKING:
    from ruleflow.netfilter.connect import Connection
    from ruleflow.netfilter.world import World


@click.command()
@click.argument("dump", required=False)
@reading
@click.option(
    "--level",
    type=click.Choice(["hooks", "chains", "rules"]),
    help="How much to draw (chains; with --chain: rules).",
)
@click.option("--table", help="Only this table.")
@click.option("--chain", help="Only this chain and what it calls.")
@click.option("--depth", type=click.IntRange(0), help="With --chain: called chains down to this many calls.")
@click.option("--focus", metavar="CHAIN", help="This chain and what is around it.")
@click.option("--up", type=click.IntRange(0), default=1, help="With --focus: this many callers up.")
@click.option("--down", type=click.IntRange(0), default=2, help="With --focus: this many calls down.")
@click.option("--hide-empty", is_flag=True, help="Leave out chains without rules.")
@click.option("--no-fold", is_flag=True, help="Draw chains that look alike one by one.")
@click.option("--walk", "packet", metavar="PACKET", help="Draw this packet's way bold and fade the rest.")
@click.option("--diff", "other", metavar="AFTER", help="Colour what AFTER adds to DUMP and removes from it.")
@formats("svg", "dot", "mermaid", "html", "json", says="What to write.")
@click.option(
    "--layout",
    "by",
    type=click.Choice(["own", "dot"]),
    default="own",
    help="Who places things: ruleflow or Graphviz.",
)
@click.option("-o", "--output", metavar="FILE", help="Where to write it (- prints it); else a file in out/.")
def graph(dump: str | None, form: str, by: str, output: str | None, **how: Any) -> None:
    """Draw DUMP: where packets enter and leave, which chains they meet, what these decide.

    DUMP may be a directory that `ruleflow snapshot` made: then the picture names its interfaces and containers.
    """
    from ruleflow.analysis.outlining import outline
    from ruleflow.analysis.selection import Wanted
    from ruleflow.views.picture import ENDINGS, picture

    subject = subject_of(dump, how)
    level = how["level"] or ("rules" if how["chain"] else "chains")
    keys = ("table", "chain", "depth", "focus", "up", "down", "hide_empty")
    wanted = Wanted(level=level, fold=not how["no_fold"], **{key: how[key] for key in keys})
    after = subject_of(how["other"], how).rules if how["other"] else None
    walked = subject.walked(how["packet"]) if how["packet"] else None
    drawn = outline(subject.rules, wanted, after=after, walk=walked, ends=subject.ends, source=subject.source)
    path = output or out_file(subject.source, f"{level}.{ENDINGS[form]}")
    shown, notes = picture(drawn, form, link=link_to(subject.file, path), by=by)
    for note in notes:
        click.echo(f"note: {note}", err=True)
    put(path, shown)


@click.command()
@click.argument("directory")
@click.option("-6", "family", flag_value=6, type=int, default=4, help="IPv6 addresses, routes and rules.")
@click.option("-4", "family", flag_value=4, type=int, hidden=True)
@click.option(
    "--connect", "connection", metavar="'FROM TO:PORT'", help="Draw one connection's way there and back."
)
@click.option(
    "--proto",
    type=click.Choice(["tcp", "udp", "icmp"]),
    default="tcp",
    help="With --connect: by which protocol.",
)
@formats("svg", "dot", "mermaid", "html", "json", says="What to write.")
@click.option("-o", "--output", metavar="FILE", help="Where to write it (- prints it); else a file in out/.")
def topology(
    directory: str, connection: str | None, proto: str, form: str, output: str | None, family: int
) -> None:
    """Draw the host in DIRECTORY: bridges, veth pairs, containers, addresses, published ports.

    DIRECTORY is what `ruleflow snapshot` wrote, sample:NAME, or live: for this machine.
    """
    from ruleflow.analysis.plan import plan
    from ruleflow.views.picture import ENDINGS
    from ruleflow.views.topology import topology as draw

    world = world_of(directory)
    made = _connected(world, connection, proto) if connection else None
    path = output or out_file(directory.strip(":"), f"topology.{ENDINGS[form]}")
    file = (directory_of(directory) or Path()) / ("iptables.save" if family == 4 else "ip6tables.save")
    drawn = plan(world, family, directory, made)
    put(
        path, draw(drawn, form, link=link_to(str(file) if file.is_file() and directory != LIVE else "", path))
    )


def _connected(world: "World", words: str, protocol: str) -> "Connection":
    from ruleflow.netfilter.connect import connect as attempt
    from ruleflow.netfilter.walk_input import end_of

    from_, _, to = words.strip().partition(" ")
    address, port = end_of(to.strip())
    return attempt(world, from_, address, port, protocol)


@click.command()
@click.argument("dump", required=False)
@reading
@click.option("--no-fold", is_flag=True, help="Draw chains that look alike one by one.")
@click.option(
    "-o", "--output", metavar="FILE", help="Where to write it (- prints it); else out/NAME.report.html."
)
def report(dump: str | None, output: str | None, no_fold: bool, **how: Any) -> None:
    """Write one HTML page about DUMP: picture, every rule explained, who reaches whom, a form that walks packets.

    It needs no network. DUMP may be a directory that `ruleflow snapshot` made: then the page shows the host, too.
    """
    from ruleflow.analysis.reporting import gathered
    from ruleflow.views.report import report as page

    subject = subject_of(dump, how)
    put(output or out_file(subject.source, "report.html"), page(gathered(subject, fold=not no_fold)))
