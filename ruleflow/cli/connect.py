"""`ruleflow connect`."""

from typing import Any

import click

from ruleflow.cli.inputs import world_of
from ruleflow.cli.outputs import coloured, formats, paper_for, write_json, write_lines


@click.command()
@click.argument("directory")
@click.option(
    "--from", "from_", metavar="PLACE", help="Who connects: a container, host, outside, or an address."
)
@click.option("--to", metavar="ADDRESS[:PORT]", help="To whom: an address or a place, with a port.")
@click.option(
    "--proto", type=click.Choice(["tcp", "udp", "icmp", "ping"]), default="tcp", help="By which protocol."
)
@click.option("--all", "everyone", is_flag=True, help="Everybody to everybody: the matrix.")
@click.option(
    "--detail", type=click.Choice(["full", "matches", "minimal"]), default="matches", help="How much to show."
)
@formats("text", "json")
@coloured
def connect(directory: str, **how: Any) -> None:
    """Say whether one place of the host in DIRECTORY can talk to another, there and back, and whom it sees."""
    from ruleflow.netfilter.connect import connect as try_it
    from ruleflow.netfilter.connect import connect_all
    from ruleflow.netfilter.endpoints import everybody
    from ruleflow.netfilter.walk_input import end_of
    from ruleflow.views import connect_text, walk_json
    from ruleflow.views.text import Paper

    world = world_of(directory)
    paper = Paper(*paper_for(how["color"]))
    if how["everyone"]:
        found = list(connect_all(world, everybody(world, protocols=(how["proto"],)), how["from_"]))
        if how["form"] == "json":
            write_json([walk_json.matrix_value(found)])
        else:
            write_lines(connect_text.matrix_lines(found, paper))
        return
    if not how["from_"] or not how["to"]:
        raise click.UsageError("--from and --to say who connects to whom (or --all: everybody)")
    address, port = end_of(how["to"])
    one = try_it(world, how["from_"], address, port, how["proto"])
    if how["form"] == "json":
        write_json([walk_json.connection_value(one)])
        return
    write_lines(connect_text.connection_lines(one, paper, detail=how["detail"]))
