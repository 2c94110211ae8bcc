"""What ruleflow itself holds: schema and samples."""

import click

from ruleflow.cli.outputs import write

SCHEMAS = (
    "walk", "connect", "explain", "diff", "reach", "lint", "lint-line", "baseline", "graph", "topology", "generate",
    "plan", "status", "result", "declaration",
)  # fmt: skip
"""What `ruleflow schema` prints (`views.schemas` has the types, which are heavy to import)."""


@click.command()
@click.argument("name", type=click.Choice(SCHEMAS))
def schema(name: str) -> None:
    """Print the JSON Schema of what a command prints with --format json, of a declaration or of lint's baseline.

    lint-line is a line of lint --format jsonl; result is what confirm and rollback print.
    """
    from ruleflow.views.json_text import json_text
    from ruleflow.views.schemas import schema_of

    write(json_text(schema_of(name)))


@click.command()
def samples() -> None:
    """List the dumps and hosts that come with ruleflow."""
    from ruleflow.data import samples as find

    for name, path in find().items():
        click.echo(f"sample:{name}{'/' if path.is_dir() else ''}")
