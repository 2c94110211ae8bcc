"""What commands read: dumps, declarations, directories of hosts, and the options that go with them."""

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ruleflow.cli.outputs import GENERATED, TROUBLE
from ruleflow.errors import RuleflowError

if TYPE_CHECKING:
    from ruleflow.analysis.lint.case import Case
    from ruleflow.analysis.subject import Subject
    from ruleflow.bridge.declaration import Declaration
    from ruleflow.netfilter.world import World
    from ruleflow.ruleset.document import Document


LIVE = "live:"
"""The name of this machine, wherever a dump or a host's directory can stand."""


def reading(command: Any) -> Any:
    """The options of every command that reads a dump."""
    for add in (
        click.option("-6", "family", flag_value=6, type=int, help="Read it as IPv6 rules."),
        click.option("-4", "family", flag_value=4, type=int, help="Read it as IPv4 rules."),
        click.option("--strict", is_flag=True, help="An unknown extension or option is an error."),
        click.option("--lenient", is_flag=True, help="Pass over lines that cannot be read."),
    ):
        command = add(command)
    return command


def read_dump(
    name: str | None,
    *,
    family: int | None = None,
    strict: bool = False,
    lenient: bool = False,
    quiet: bool = False,
) -> "Document":
    """The document of a file, ``-`` or ``sample:NAME``; its warnings go to standard error, unless ``quiet``.

    A declaration stands for the rules that its layout makes of it, those of ``family`` (IPv4, where none is given).
    """
    from ruleflow.ruleset.parse import parse

    data: str | bytes
    if is_declaration(name):
        source = f"{GENERATED}{name}"
        data, family = _generated(str(name), family)
    else:
        source, data = read_bytes(name, family)
    document = parse(data, source=source, family=family, strict=strict, lenient=lenient)
    if quiet:
        return document
    for notice in (*document.warnings, *document.errors):
        click.echo(str(notice), err=True)
    if document.noise and document.rulesets:
        first = document.noise[0]
        click.echo(
            f"note: passed over {len(document.noise)} lines outside of tables, the first at line {first[0]}",
            err=True,
        )
    return document


def is_declaration(name: str | None) -> bool:
    """Whether a name is that of a declaration, by its ending (JSON may as well be a listing of nft)."""
    return name is not None and path_of(name).suffix in (".yaml", ".yml")


def _generated(name: str, family: int | None) -> tuple[str, int]:
    """The rules of a declaration, and the family they are of."""
    from ruleflow.bridge.generate import generate

    declared = read_declared(name)
    families = declared.families()
    if family is None and len(families) > 1:
        click.echo("note: there are IPv6 rules too: give -6", err=True)
    family = family or families[0]
    return str(generate(declared, family=family)), family


def read_bytes(name: str | None, family: int | None = None) -> tuple[str, bytes]:
    """What a file, ``-``, ``sample:NAME`` or a rule as one types it holds, and what to call it.

    Of a host's directory, and of this machine (``live:``), the rules of ``family`` (IPv4, where none is given).
    """
    if name is None or name == "-":
        if sys.stdin.isatty():
            click.echo(click.get_current_context().get_help())
            sys.exit(TROUBLE)
        return "<stdin>", sys.stdin.buffer.read()
    if " -" in name and not Path(name).exists():  # a rule as one types it
        return "<rule>", name.encode("utf-8", "surrogateescape")
    directory = directory_of(name)
    path = path_of(name) if directory is None else _dump_in(directory, family or 4)
    try:
        return name, path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        help_ = "give a file that iptables-save wrote, - for standard input, or sample:NAME"
        raise RuleflowError(f"cannot read {name!r}: {reason}", help=help_) from None


def path_of(name: str) -> Path:
    """The file or directory that a name stands for, also ``sample:NAME``."""
    if name.startswith("sample:"):
        from ruleflow.data import sample

        return sample(name.removeprefix("sample:"))
    return Path(name)


def directory_of(name: str | None) -> Path | None:
    """The directory of a host's files that a name stands for (``live:``: this machine's), None where it stands for a dump."""
    if name is None:
        return None
    if name == LIVE:
        return _this_machine()
    path = path_of(name)
    return path if path.is_dir() else None


def _this_machine() -> Path:
    """A directory with the files of this machine, written once for a command and gone when it ends."""
    from tempfile import TemporaryDirectory

    from ruleflow.kernel.snapshot import snapshot

    context = click.get_current_context().find_root()
    if LIVE not in context.meta:
        place = Path(context.with_resource(TemporaryDirectory(prefix="ruleflow-")))
        for note in snapshot(place):
            click.echo(f"note: {note}", err=True)
        context.meta[LIVE] = place
    return context.meta[LIVE]  # type: ignore[no-any-return]


def _dump_in(directory: Path, family: int) -> Path:
    """The rules of a family in a host's directory, of whichever backend has some."""
    from ruleflow.netfilter.read_host import DUMPS

    places = [directory / name for name, (of, _) in DUMPS.items() if of == family]
    return next((place for place in places if place.is_file()), places[0])


def read_declared(
    name: str, layout: str | None = None, proxy: bool | None = None, earlier: "Declaration | None" = None
) -> "Declaration":
    """The declaration of a file, ``-`` or ``sample:NAME``, with the layout and proxy that a flag asks for.

    Addresses that an ``earlier`` one gave out are given again.
    """
    import msgspec

    from ruleflow.bridge.generate import known_layout
    from ruleflow.bridge.read_declaration import read_declaration
    from ruleflow.ruleset.parse import decode

    source, data = read_bytes(name)
    declared = read_declaration(decode(data), source, layout=known_layout(layout), before=earlier)
    return declared if proxy is None else msgspec.structs.replace(declared, userland_proxy=proxy)


def subject_of(name: str | None, how: dict[str, Any]) -> "Subject":
    """What to draw: the rules of a dump, or those of a host's directory."""
    import msgspec

    from ruleflow.analysis.subject import of_directory, of_rulesets

    directory = directory_of(name)
    if directory is not None:
        found = of_directory(directory, how["family"], str(name))
        return (
            msgspec.structs.replace(found, file="") if name == LIVE else found
        )  # no picture links to what will be gone
    document = read_dump(name, **{key: how[key] for key in ("family", "strict", "lenient")})
    found = of_rulesets(document.rulesets, document.source, how["family"], document.text)
    if found.others:
        click.echo(f"note: {found.others} more rule sets are in {found.source}; -4 and -6 choose", err=True)
    return found


def world_of(name: str) -> "World":
    """The hosts of a directory, of a sample, or (``live:``) of this machine."""
    from ruleflow.netfilter.walk_input import world_of

    return world_of(str(directory_of(name) or name))


def number(_context: click.Context, option: click.Parameter, value: str | None) -> int | None:
    """A number in any base that iptables takes for a mark (``0x1``)."""
    try:
        return None if value is None else int(value, 0)
    except ValueError:
        raise click.BadParameter(f"{value!r} is no number", param=option) from None


def facts_of_host(command: Any) -> Any:
    """The options that tell of the host what a dump alone does not."""
    for add in (
        click.option("--local", multiple=True, metavar="ADDRESS", help="An address of this host."),
        click.option(
            "--route",
            "routes",
            multiple=True,
            metavar="NET=IF",
            help="A network and its interface; - reads `ip route get`.",
        ),
        click.option(
            "--set", "sets", multiple=True, metavar="NAME=FILE", help="The members of an ipset (ipset save)."
        ),
        click.option("--host", "host_file", metavar="FILE", help="The host described in YAML."),
        click.option(
            "--assume",
            multiple=True,
            metavar="WORD=yes|no",
            help="Take undecided conditions with this word so.",
        ),
    ):
        command = add(command)
    return command


def cases_of(dump: str | None, family: int | None) -> "list[Case]":
    """The rule sets of a dump or of a host's directory, each with what is known of the host."""
    from ruleflow.analysis.lint import gather

    directory = directory_of(dump)
    if directory is not None:
        cases = list(gather.of_directory(directory, str(dump), family))
    else:
        cases = list(gather.of_document(read_dump(dump, family=family, lenient=True, quiet=True), family))
    gc.freeze()
    gc.set_threshold(
        20_000, 50, 1_000
    )  # diagrams are numbers in lists, hardly any circles; looking for them takes time
    if not cases:
        raise RuleflowError(
            f"there are no rules in {dump or 'the input'}", help="give a file that iptables-save wrote"
        )
    return cases
