"""`ruleflow test`."""

import os
import sys
from pathlib import Path

import click

from ruleflow.cli.outputs import FINE, FOUND, UNDECIDED, formats, write, write_lines
from ruleflow.errors import RuleflowError


@click.command("test")
@click.argument("file", type=click.Path())
@click.argument("against", required=False)
@formats("text", "tap", "junit")
@click.option(
    "--record",
    is_flag=True,
    help="Write FILE: what AGAINST does now, a packet for each rule of its filter table.",
)
@click.option("-6", "family", flag_value=6, type=int, default=4, help="With --record: IPv6.")
@click.option("-4", "family", flag_value=4, type=int, hidden=True)
@click.option(
    "--live",
    is_flag=True,
    help="Send packets, members of each space and whole connections through the real kernel, too.",
)
def expectations(file: str, against: str | None, form: str, family: int, *, record: bool, live: bool) -> None:
    """Try the expectations of FILE (YAML), by its `against` or by AGAINST: a dump, a declaration, a host's directory.

    Exit 1: some are not met; 3: all are, but with --live some could not be sent through the kernel.
    """
    from ruleflow.analysis import expectations as expecting
    from ruleflow.views import expectations_text as shown

    if record:
        _record(file, against, family)
        return
    suite = expecting.read_suite(_text_of(file), file)
    subject = expecting.Subject(against or _beside(file, suite.against), suite)
    results = list(expecting.run(suite, subject))
    if live:
        from ruleflow.kernel.expected import tried_live

        results += tried_live(suite, subject)
    if form == "junit":
        write(shown.junit(results, file))
    else:
        lines = shown.tap(results, file) if form == "tap" else shown.text(results, file)
        write_lines(lines)
    if not all(one.ok for one in results):
        sys.exit(FOUND)
    sys.exit(UNDECIDED if any(one.skipped for one in results) else FINE)


def _text_of(file: str) -> str:
    try:
        return Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RuleflowError(
            f"cannot read {file!r}: {error}",
            help="give a YAML file of expectations, or --record to write one",
        ) from None


def _beside(file: str, against: str) -> str:
    """What the file is about: a path is meant from where the file lies."""
    if not against:
        raise RuleflowError(
            f"{file} does not say what it is about",
            help="write `against: dump.rules` into it, or give it as the second argument",
        )
    return against if against.startswith("sample:") else str(Path(file).parent / against)


def _record(file: str, against: str | None, family: int) -> None:
    from ruleflow.analysis import expectations as expecting
    from ruleflow.views import expectations_text as shown

    if against is None:
        raise RuleflowError(
            "--record needs something to record", help="ruleflow test FILE.yaml DUMP --record"
        )
    suite = expecting.Suite(source=file, expectations=())
    entries = expecting.record(expecting.Subject(against, suite), family)
    name = against if against.startswith("sample:") else os.path.relpath(against, Path(file).parent)
    Path(file).write_text("".join(f"{line}\n" for line in shown.recorded(entries, name)), "utf-8")
