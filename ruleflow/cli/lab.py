"""`ruleflow lab`."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from ruleflow.cli.outputs import FINE, FOUND, write_lines


@click.command()
@click.option(
    "--pairs",
    type=click.IntRange(1),
    default=2000,
    show_default=True,
    help="How many pairs of rule set and packet.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same pairs.")
@click.option("--backend", type=click.Choice(["nft", "legacy", "both"]), default="both", show_default=True)
@click.option("--family", type=click.Choice(["4", "6", "both"]), default="both", show_default=True)
@click.option("--out", "directory", default="out", show_default=True, help="Where disagreements are written.")
@click.option("--workers", type=click.IntRange(1), default=None, help="Processes (one for each processor).")
def lab(directory: str, **how: Any) -> None:
    """Try random rules and packets in the real kernel and in the model, and say where they differ.

    It needs root or user namespaces. A feature decided a pair where a rule with it matched, where its condition was the first to
    fail, or where it had translated the connection.
    """
    from ruleflow.kernel import differential

    backends = ("nft", "legacy") if how["backend"] == "both" else (how["backend"],)
    families = (4, 6) if how["family"] == "both" else (int(how["family"]),)
    result = differential.run(
        differential.tasks(how["pairs"], how["seed"], backends, families),
        how["workers"] or len(os.sched_getaffinity(0)),
    )
    for name, text in result.disagreements:
        Path(directory).mkdir(parents=True, exist_ok=True)
        Path(directory, name).write_text(text, "utf-8", "surrogateescape")
    write_lines(differential.report(result))
    sys.exit(FOUND if result.disagreements else FINE)
