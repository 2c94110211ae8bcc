"""`ruleflow diff`."""

import sys
from typing import TYPE_CHECKING, Any

import click

from ruleflow.cli.inputs import directory_of, path_of, read_declared, read_dump, reading
from ruleflow.cli.outputs import FINE, FOUND, coloured, formats, paper_for, write_json, write_lines

if TYPE_CHECKING:
    from ruleflow.analysis.changes import Changes


@click.command()
@click.argument("before")
@click.argument("after")
@click.argument("git", nargs=-1, metavar="")
@reading
@click.option("--text", is_flag=True, help="Show the edits of the rules, too.")
@click.option("--all", "whole", is_flag=True, help="Leave nothing out.")
@click.option(
    "--intend", metavar="PACKETS", help="Exit 0 only if exactly this changed: 'tcp to 8443 from 10.0.0.0/8'."
)
@click.option(
    "--ignore-owner", "ignored", metavar="NAMES", help="Leave out what these programs manage: docker,kube."
)
@click.option(
    "--layout", help="Whose rules a declaration becomes, where it is to be another layout than its own."
)
@click.option(
    "--exit-on",
    type=click.Choice(["any", "opens", "closes", "text"]),
    default="any",
    help="What exit code 1 means.",
)
@formats("text", "md", "json", "github")
@coloured
def diff(before: str, after: str, git: tuple[str, ...], form: str, **how: Any) -> None:
    """Say which packets fare differently with AFTER than with BEFORE, and what was edited.

    BEFORE and AFTER are dumps, declarations (.yaml, .json), or directories that `ruleflow snapshot` made. Exit code 0:
    same behaviour, 1: different.
    """
    from ruleflow.analysis.diff import diff as compare
    from ruleflow.analysis.diff_input import Readers, sides
    from ruleflow.views.diff_text import SHOWN

    options = {key: how[key] for key in ("family", "strict", "lenient")}
    readers = Readers(
        lambda name: read_dump(name, **options),
        path_of,
        directory_of,
        lambda name, earlier: read_declared(name, how["layout"], earlier=earlier),
    )
    one, two = sides(before, after, git, readers, how["family"])
    people = {"limit": 0, "most": SHOWN if form == "text" and not how["whole"] else None}
    only: dict[str, Any] = {"told": False} if form == "json" else people  # they read few wide boxes
    changes = compare(one, two, intend=how["intend"], ignored=how["ignored"], **only)
    if form == "json":
        import msgspec

        write_json([msgspec.to_builtins(changes)])
    else:
        _print_changes(changes, form, how)
    sys.exit(
        FOUND if changes.found(how["exit_on"]) and not git else FINE
    )  # git takes 1 for a diff program that died


def _print_changes(changes: "Changes", form: str, how: dict[str, Any]) -> None:
    from ruleflow.views import diff_markdown, diff_text
    from ruleflow.views.text import Paper

    lines = {
        "text": lambda: diff_text.DiffText(
            changes, Paper(*paper_for(how["color"])), whole=how["whole"], text=how["text"]
        ).lines(),
        "md": lambda: diff_markdown.markdown(changes),
        "github": lambda: diff_markdown.github(changes),
    }[form]()
    write_lines(lines)
