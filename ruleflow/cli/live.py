"""The commands that look at this machine: snapshot and trace; and what shells ask for."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ruleflow.cli.outputs import coloured

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ruleflow.kernel.trace import Listing, TraceEvent
    from ruleflow.ruleset.ir import Ruleset


@click.command()
@click.argument("directory", type=click.Path(file_okay=False))
@click.option(
    "--namespace",
    "namespaces",
    multiple=True,
    metavar="NAME",
    help="Only this namespace or container (several: again).",
)
@click.option(
    "--redact", is_flag=True, help="Replace public addresses and names, each always by the same other."
)
def snapshot(directory: str, namespaces: tuple[str, ...], redact: bool) -> None:
    """Write this host into DIRECTORY: rules, addresses, routes, bridges, settings, sets, listeners.

    All named namespaces and running containers are taken, too. The other commands take DIRECTORY for a dump.
    """
    from ruleflow.kernel.snapshot import snapshot as take

    notes = take(Path(directory), namespaces or None, redact=redact)
    for note in notes:
        click.echo(f"note: {note}", err=True)
    click.echo(
        f"{directory}: {sum(1 for path in Path(directory).rglob('*') if path.is_file())} files", err=True
    )


@click.command()
@click.argument("recorded", required=False)
@click.option("--rules", metavar="DUMP", help="The rules that were traced (default: those loaded now).")
@click.option("--seconds", type=float, help="Stop after so long.")
@coloured
def trace(recorded: str | None, rules: str | None, seconds: float | None, color: str) -> None:
    """Show what the kernel does with the packets that a TRACE rule marks, in the layout of walk.

    RECORDED is what xtables-monitor --trace, nft monitor trace or the kernel's log printed (- for standard
    input); without it the kernel is listened to. Mark packets with, say,
    iptables -t raw -I PREROUTING -p tcp --dport 80 -j TRACE.
    """
    from ruleflow.cli.outputs import paper_for
    from ruleflow.views.text import Paper
    from ruleflow.views.trace_text import trace_lines

    listings = {family: _listing(family, rules, recorded is None) for family in (4, 6)}
    known = {family: pair[0] for family, pair in listings.items() if pair is not None}
    events = _events(
        recorded, {family: pair[1] for family, pair in listings.items() if pair is not None}, seconds
    )
    for line in trace_lines(events, known, Paper(*paper_for(color))):
        click.echo(line)
        sys.stdout.flush()


def _listing(family: int, rules: str | None, live: bool) -> "tuple[Ruleset, Listing] | None":
    """The rules of a family and where they stand; None where there are none."""
    from ruleflow.cli.inputs import read_dump
    from ruleflow.kernel.live import live_listing
    from ruleflow.kernel.run import installed, run
    from ruleflow.kernel.trace import Listing
    from ruleflow.ruleset.parse import parse

    if rules is not None:
        document = read_dump(rules)
    else:
        tool = ("iptables-nft-save", "ip6tables-nft-save")[family == 6]
        if not installed(tool):
            return None
        document = parse(run((tool,)).output, source=tool, family=family)
    found = next((ruleset for ruleset in document.rulesets if ruleset.family == family), None)
    if found is None:
        return None
    return found, live_listing(family, found) if live else Listing.of(found)


def _events(
    recorded: str | None, listings: "dict[int, Listing]", seconds: float | None
) -> "Iterator[TraceEvent]":
    from ruleflow.cli.inputs import read_bytes
    from ruleflow.kernel.live import live_trace
    from ruleflow.kernel.trace import completed, parse_trace

    if recorded is None:
        return live_trace(listings, seconds=seconds)
    text = read_bytes(recorded)[1].decode("utf-8", "replace")
    return completed(parse_trace(text), listings)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes SHELL complete ruleflow's commands: put it where the shell reads such files."""
    from click.shell_completion import get_completion_class

    from ruleflow.cli import cli

    cls = get_completion_class(shell)
    assert cls is not None
    click.echo(cls(cli, {}, "ruleflow", "_RULEFLOW_COMPLETE").source())
