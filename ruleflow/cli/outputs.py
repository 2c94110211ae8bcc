"""What commands write: standard output, files in ``out/``, and the exit codes."""

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from ruleflow.errors import RuleflowError

GENERATED = "rules of "
"""How rules are called that stand in no file: those of a declaration."""
FINE, FOUND, TROUBLE, UNDECIDED = 0, 1, 2, 3
"""Exit codes (docs: README, "Exit codes"); 4 and 5 belong to apply, 130 to Ctrl-C."""


def formats(*names: str, says: str = "How to print it.") -> Callable[[Any], Any]:
    """The option ``--format`` (the first of ``names`` is the default), and ``--json`` where that is one of them."""

    def add(command: Any) -> Any:
        if "json" in names:
            command = click.option("--json", "form", flag_value="json", hidden=True)(command)
        return click.option("--format", "form", type=click.Choice(names), default=names[0], help=says)(
            command
        )

    return add


def coloured(command: Any) -> Any:
    """The option ``--color``."""
    choice = click.Choice(["auto", "always", "never"])
    return click.option("--color", type=choice, default="auto", help="Colours.")(command)


def write(text: str) -> None:
    """Text to standard output, bytes that were no UTF-8 as they came."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()


def write_lines(lines: Iterable[str]) -> None:
    """Lines to standard output."""
    write("".join(f"{line}\n" for line in lines))


def write_json(values: list[Any]) -> None:
    """One value, or one a line where there are several."""
    from ruleflow.views.json_text import json_text

    write("".join(json_text(value, indent=2 if len(values) == 1 else 0) for value in values))


def paper_for(color: str) -> tuple[int | None, bool]:
    """The width to wrap at (None into a pipe) and whether to colour, by flag, environment and terminal."""
    import shutil

    terminal = sys.stdout.isatty()
    width = min(shutil.get_terminal_size((80, 24)).columns, 120) if terminal else None
    if color != "auto":
        return width, color == "always"
    if os.environ.get("NO_COLOR"):
        return width, False
    forced = any(os.environ.get(name) not in (None, "", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE"))
    return width, forced or (terminal and os.environ.get("TERM") != "dumb")


def out_file(source: str, ending: str) -> str:
    """The file in ``out/`` for a result about ``source``."""
    name = (
        Path(source.removeprefix(GENERATED).removeprefix("sample:").rstrip("/")).stem.strip("<>") or "rules"
    )
    return str(Path("out") / f"{name}.{ending}")


def link_to(file: str, output: str) -> str:
    """The dump's file as seen from where the picture lies; nothing where there is no file."""
    from urllib.parse import quote

    if output == "-" or not file:
        return ""
    return quote(os.path.relpath(file, Path(output).parent))


def put(path: str, text: str) -> None:
    """Writes a result to a file and says which, or prints it (``-``)."""
    if path == "-":
        write(text)
        return
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise RuleflowError(
            f"cannot write {path!r}: {error.strerror}", help="give another file with -o, or - to print"
        ) from None
    click.echo(path)
