"""`ruleflow fmt`."""

import sys
from typing import Any

import click

from ruleflow.cli.inputs import read_dump, reading
from ruleflow.cli.outputs import FINE, FOUND, write


@click.command()
@click.argument("dump", required=False)
@reading
@click.option("--check", is_flag=True, help="Print nothing; exit 1 if the file is not canonical.")
@click.option("--no-counters", is_flag=True, help="Leave out packet and byte counters.")
@click.option("--sort-tables", is_flag=True, help="Tables in the order raw, mangle, filter, nat, security.")
def fmt(dump: str | None, check: bool, no_counters: bool, sort_tables: bool, **how: Any) -> None:
    """Print DUMP in the form that iptables-save itself prints."""
    from ruleflow.ruleset.ir import canonical_lines

    document = read_dump(dump, **how)
    lines = list(canonical_lines(document.rulesets, counters=not no_counters, sort_tables=sort_tables))
    text = "\n".join([*lines, ""])
    if check:
        sys.exit(FINE if text == document.text else FOUND)
    write(text)
