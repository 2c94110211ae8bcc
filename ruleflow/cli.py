"""The command line: one short function per command; the only room that prints and sets exit codes.

Heavy libraries and rooms are imported inside the command that needs them, so that ``--help`` is instant.
"""

import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ruleflow import __version__
from ruleflow.cli_apply import COMMANDS
from ruleflow.cli_check import COMMANDS as CHECKS
from ruleflow.cli_live import COMMANDS as LIVE
from ruleflow.errors import RuleflowError

if TYPE_CHECKING:
    from ruleflow.analysis.changes import Changes
    from ruleflow.analysis.explanation import Explanation
    from ruleflow.analysis.spans import Spans
    from ruleflow.analysis.subject import Subject
    from ruleflow.bridge.declaration import Declaration
    from ruleflow.netfilter.connect import Connection
    from ruleflow.netfilter.machine import Machine
    from ruleflow.netfilter.packet import Packet
    from ruleflow.netfilter.steps import Walk
    from ruleflow.netfilter.walk import Around
    from ruleflow.netfilter.world import World
    from ruleflow.ruleset.document import Document

FINE, FOUND, TROUBLE, UNDECIDED = 0, 1, 2, 3
"""Exit codes (docs: README, "Exit codes"); 4 and 5 belong to apply, 130 to Ctrl-C."""

SCHEMAS = (
    "walk", "connect", "explain", "diff", "reach", "lint", "lint-line", "baseline", "graph", "topology", "generate",
    "plan", "status", "result", "declaration",
)  # fmt: skip
"""What `ruleflow schema` prints (`views.schemas` has the types, which are heavy to import)."""


class Ordered(click.Group):
    """Commands in the order a reader meets them, errors as ours, no traceback without --debug."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The commands as they stand in this file."""
        return list(self.commands)


@click.group(cls=Ordered, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="ruleflow %(version)s")
@click.option("--debug", is_flag=True, hidden=True, help="Show a traceback where ruleflow itself fails.")
def cli(debug: bool) -> None:
    """What iptables rules do, why a packet does not arrive, and what a port mapping adds.

    DUMP is a file from iptables-save, - for standard input, or sample:NAME (see `ruleflow samples`).
    """


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
    """The document of a file, ``-`` or ``sample:NAME``; its warnings go to standard error, unless ``quiet``."""
    from ruleflow.ruleset.parse import parse

    source, data = read_bytes(name)
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


def read_bytes(name: str | None) -> tuple[str, bytes]:
    """What a file, ``-``, ``sample:NAME`` or a rule as one types it holds, and what to call it."""
    if name is None or name == "-":
        if sys.stdin.isatty():
            click.echo(click.get_current_context().get_help())
            sys.exit(TROUBLE)
        return "<stdin>", sys.stdin.buffer.read()
    if " -" in name and not Path(name).exists():  # a rule as one types it
        return "<rule>", name.encode("utf-8", "surrogateescape")
    path = Path(name)
    if name.startswith("sample:"):
        from ruleflow.data import sample

        path = sample(name.removeprefix("sample:"))
        if path.is_dir():
            path = path / "iptables.save"
    try:
        return name, path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        help_ = "give a file that iptables-save wrote, - for standard input, or sample:NAME"
        raise RuleflowError(f"cannot read {name!r}: {reason}", help=help_) from None


@cli.command()
@click.argument("dump", required=False)
@reading
@click.option(
    "--format", "form", type=click.Choice(["text", "md", "json"]), default="text", help="How to print it."
)
@click.option("--json", "form", flag_value="json", hidden=True)
@click.option("--table", help="Only this table.")
@click.option("--chain", help="Only this chain and what it calls.")
@click.option("--depth", type=click.IntRange(0), help="Called chains down to this many calls.")
@click.option("--spans", is_flag=True, help="Show the source below each rule, marked.")
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", help="Colours.")
def explain(dump: str | None, form: str, color: str, spans: bool, **how: Any) -> None:
    """Say what DUMP does, chain by chain, and why each rule is there.

    DUMP may also be one rule: ruleflow explain 'iptables -A INPUT -p tcp --dport 22 -j ACCEPT'
    """
    from ruleflow.analysis.explain import narrowed

    only = {key: how.pop(key) for key in ("table", "chain", "depth")}
    told, sources = _told(dump, spans=spans or form == "json", how=how)
    explanation = narrowed(told, **only)
    if form == "json":
        import msgspec

        _write_json([msgspec.to_builtins(explanation)])
        return
    from ruleflow.views import markdown, text

    lines = (
        markdown.explanation(explanation)
        if form == "md"
        else (text.explanation(explanation, text.Paper(*paper_for(color)), sources if spans else None))
    )
    write("".join(f"{line}\n" for line in lines))


def _told(dump: str | None, *, spans: bool, how: dict[str, Any]) -> "tuple[Explanation, dict[str, Spans]]":
    """The explanation of a dump, a rule or a host's directory, and the texts it is about."""
    from ruleflow.analysis.explain import explain as told
    from ruleflow.analysis.spans import Spans

    directory = directory_of(dump)
    if directory is not None:
        from ruleflow.analysis.explain_host import explain_host, sources
        from ruleflow.netfilter.world import read_world

        world = read_world(directory)
        return explain_host(world, str(dump), family=how["family"], spans=spans), sources(world, str(dump))
    document = read_dump(dump, **how)
    return told(document, spans=spans), {document.source: Spans(document.text)}


def directory_of(name: str | None) -> Path | None:
    """The directory of a host's files that a name stands for, None where it stands for a dump."""
    if name is None:
        return None
    path = Path(name)
    if name.startswith("sample:"):
        from ruleflow.data import sample

        path = sample(name.removeprefix("sample:"))
    return path if path.is_dir() else None


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


@cli.command()
@click.argument("dump")
@click.argument("words", nargs=-1, metavar="PACKET...")
@reading
@facts_of_host
@click.option(
    "--ct",
    metavar="STATE[,reply]",
    help="The connection's state: new, established, related, invalid, untracked.",
)
@click.option("--uid", type=int, help="The user whose process sends it.")
@click.option("--mark", callback=number, metavar="NUMBER", help="The mark it carries.")
@click.option("--from-log", metavar="LINE", help="The packet of a line that LOG or TRACE wrote (- reads it).")
@click.option("--pcap", metavar="FILE", help="Each distinct flow of a capture.")
@click.option("--both", is_flag=True, help="Walk the reply, too.")
@click.option(
    "--detail", type=click.Choice(["full", "matches", "minimal"]), default="full", help="How much to show."
)
@click.option("-q", "--quiet", is_flag=True, help="Print the verdict's word alone.")
@click.option("--expect", metavar="VERDICT", help="Exit 1 when the verdict is another.")
@click.option("--no-unknown", is_flag=True, help="Exit 3 when the verdict is unknown.")
@click.option(
    "--verify", is_flag=True, help="Send the packet through the real kernel in throw-away namespaces, too."
)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to print it."
)
@click.option("--json", "form", flag_value="json", hidden=True)
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", help="Colours.")
def walk(dump: str, words: tuple[str, ...], **how: Any) -> None:
    """Say what happens to PACKET in DUMP, rule by rule, and why.

    A packet is said like: tcp 203.0.113.9:40000 192.0.2.1:8080 in eth0. Without `in` this host sends it. DUMP may
    be a directory that `ruleflow snapshot` made.
    """
    from ruleflow.netfilter.machine import Machine
    from ruleflow.netfilter.walk_input import around, packets_of, subject_of

    reading_options = {key: how[key] for key in ("family", "strict", "lenient")}
    facts = {"uid": how["uid"], "mark": how["mark"]}
    packets = packets_of(words, how["from_log"], how["pcap"], how["ct"], routes=how["routes"], facts=facts)
    family = packets[0].family
    if dump == "live:":
        subject = Machine.of(_world(dump).main, family)
    else:
        subject = subject_of(dump, lambda: read_dump(dump, **reading_options), family, how)
    walks = [_one_walk(subject, packet, around(how["assume"]), how["both"]) for packet in packets]
    _print_walks(walks, subject, how)
    told = [_verified(subject, packet, around(how["assume"])) for packet in packets if how["verify"]]
    if not all(told):
        sys.exit(FOUND)
    verdicts = {each.verdict for each in walks}
    if how["expect"] and verdicts != {how["expect"].upper()}:
        sys.exit(FOUND)
    sys.exit(UNDECIDED if how["no_unknown"] and "UNKNOWN" in verdicts else FINE)


def _verified(subject: "Machine", packet: "Packet", about: "Around") -> bool:
    """Ask the real kernel, and say whether it agrees (on standard error: the walk itself stays as it is)."""
    from ruleflow.kernel.verify import verify

    found = verify(subject, packet, about)
    click.echo(str(found), err=True)
    return found.agrees


def _one_walk(subject: "Machine", packet: "Packet", about: "Around", both: bool) -> "Walk":
    from ruleflow.netfilter.walk import walk as follow
    from ruleflow.netfilter.walk import with_reply

    found = follow(subject, packet, about)
    return with_reply(subject, found, about) if both else found


def _print_walks(walks: "list[Walk]", subject: "Machine", how: dict[str, Any]) -> None:
    from ruleflow.views.walk_text import walk_lines

    if how["form"] == "json":
        from ruleflow.views.walk_json import walk_value

        _write_json([walk_value(each) for each in walks])
        return
    from ruleflow.views.text import Paper

    for at, each in enumerate(walks):
        if how["quiet"]:
            write(f"{each.verdict}\n")
            continue
        if at and how["detail"] != "minimal":
            write("\n")
        rules = subject.rulesets[0] if subject.rulesets else None
        lines = walk_lines(each, rules, Paper(*paper_for(how["color"])), detail=how["detail"])
        write("".join(f"{line}\n" for line in lines))


def _write_json(values: list[Any]) -> None:
    """One value, or one a line where there are several."""
    from ruleflow.views.json_text import json_text

    write("".join(json_text(value, indent=2 if len(values) == 1 else 0) for value in values))


@cli.command()
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
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to print it."
)
@click.option("--json", "form", flag_value="json", hidden=True)
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", help="Colours.")
def connect(directory: str, **how: Any) -> None:
    """Say whether one place of the host in DIRECTORY can talk to another, there and back, and whom it sees."""
    from ruleflow.netfilter.connect import connect as try_it
    from ruleflow.netfilter.connect import connect_all
    from ruleflow.netfilter.endpoints import everybody
    from ruleflow.netfilter.walk_input import end_of
    from ruleflow.views import connect_text, walk_json
    from ruleflow.views.text import Paper

    world = _world(directory)
    paper = Paper(*paper_for(how["color"]))
    if how["everyone"]:
        found = list(connect_all(world, everybody(world, protocols=(how["proto"],)), how["from_"]))
        if how["form"] == "json":
            _write_json([walk_json.matrix_value(found)])
        else:
            write("".join(f"{line}\n" for line in connect_text.matrix_lines(found, paper)))
        return
    if not how["from_"] or not how["to"]:
        raise click.UsageError("--from and --to say who connects to whom (or --all: everybody)")
    address, port = end_of(how["to"])
    one = try_it(world, how["from_"], address, port, how["proto"])
    if how["form"] == "json":
        _write_json([walk_json.connection_value(one)])
        return
    write("".join(f"{line}\n" for line in connect_text.connection_lines(one, paper, detail=how["detail"])))


@cli.command()
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
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "md", "json", "github"]),
    default="text",
    help="How to print it.",
)
@click.option("--json", "form", flag_value="json", hidden=True)
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", help="Colours.")
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
        directory_of,
        lambda name, earlier: read_declared(name, how["layout"], earlier=earlier),
    )
    one, two = sides(before, after, git, readers, how["family"])
    people = {"limit": 0, "most": SHOWN if form == "text" and not how["whole"] else None}
    only: dict[str, Any] = {"told": False} if form == "json" else people  # they read few wide boxes
    changes = compare(one, two, intend=how["intend"], ignored=how["ignored"], **only)
    if form == "json":
        import msgspec

        _write_json([msgspec.to_builtins(changes)])
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
    write("".join(f"{line}\n" for line in lines))


@cli.command()
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


@cli.command()
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
@click.option(
    "--format",
    "form",
    type=click.Choice(["svg", "dot", "mermaid", "html", "json"]),
    default="svg",
    help="What to write.",
)
@click.option("--json", "form", flag_value="json", hidden=True)
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

    subject = _subject(dump, how)
    level = how["level"] or ("rules" if how["chain"] else "chains")
    keys = ("table", "chain", "depth", "focus", "up", "down", "hide_empty")
    wanted = Wanted(level=level, fold=not how["no_fold"], **{key: how[key] for key in keys})
    after = _subject(how["other"], how).rules if how["other"] else None
    walked = subject.walked(how["packet"]) if how["packet"] else None
    drawn = outline(subject.rules, wanted, after=after, walk=walked, ends=subject.ends, source=subject.source)
    path = output or _out(subject.source, f"{level}.{ENDINGS[form]}")
    shown, notes = picture(drawn, form, link=_link(subject.file, path), by=by)
    for note in notes:
        click.echo(f"note: {note}", err=True)
    _put(path, shown)


def _subject(name: str | None, how: dict[str, Any]) -> "Subject":
    """What to draw: the rules of a dump, or those of a host's directory."""
    from ruleflow.analysis.subject import of_directory, of_rulesets

    directory = directory_of(name)
    if directory is not None:
        return of_directory(directory, how["family"], str(name))
    document = read_dump(name, **{key: how[key] for key in ("family", "strict", "lenient")})
    found = of_rulesets(document.rulesets, document.source, how["family"], document.text)
    if found.others:
        click.echo(f"note: {found.others} more rule sets are in {found.source}; -4 and -6 choose", err=True)
    return found


def _out(source: str, ending: str) -> str:
    """The file in ``out/`` for a result about ``source``."""
    name = Path(source.removeprefix("sample:").rstrip("/")).stem.strip("<>") or "rules"
    return str(Path("out") / f"{name}.{ending}")


def _link(file: str, output: str) -> str:
    """The dump's file as seen from where the picture lies; nothing where there is no file."""
    from urllib.parse import quote

    if output == "-" or not file:
        return ""
    return quote(os.path.relpath(file, Path(output).parent))


def _put(path: str, text: str) -> None:
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


@cli.command()
@click.argument("declaration")
@click.option("--layout", help="Whose rules: native, docker-classic, docker-28, docker-29 or cni-portmap.")
@click.option("-4", "family", flag_value=4, type=int, default=4, help="The IPv4 rules (default).")
@click.option("-6", "family", flag_value=6, type=int, help="The IPv6 rules.")
@click.option(
    "--userland-proxy/--no-userland-proxy", "proxy", default=None, help="As Docker's option of that name."
)
@click.option(
    "--needs", "beside", is_flag=True, help="What is needed beside rules: sysctls, port flags, proxies."
)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to print it."
)
@click.option("--json", "form", flag_value="json", hidden=True)
def generate(
    declaration: str, layout: str | None, family: int, proxy: bool | None, beside: bool, form: str
) -> None:
    """Print the rules of the bridges and port maps in DECLARATION (YAML or JSON), as iptables-restore reads them."""
    from ruleflow.bridge.generate import generate as rules_of
    from ruleflow.views import generated

    declared = read_declared(declaration, layout, proxy)
    if form == "json":
        write(generated.as_json(declared, family))
    elif beside:
        write(generated.needs_as_text(declared))
    else:
        write(str(rules_of(declared, family=family)))
        if family == 4 and 6 in declared.families():
            click.echo("note: there are IPv6 rules too: give -6", err=True)


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


@cli.command("import")
@click.argument("kind", type=click.Choice(["compose", "docker", "cni", "podman"]))
@click.argument("file", required=False)
def import_(kind: str, file: str | None) -> None:
    """Print a declaration made from a compose file, docker inspect, a CNI configuration or a Podman network.

    Try: docker network inspect app | ruleflow import docker
    """
    from ruleflow.bridge.importers import import_declaration
    from ruleflow.ruleset.parse import decode

    source, data = read_bytes(file)
    imported = import_declaration(kind, decode(data), source)
    write(imported.text)
    for note in imported.notes:
        click.echo(f"note: {note}", err=True)


@cli.command()
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
@click.option(
    "--format",
    "form",
    type=click.Choice(["svg", "dot", "mermaid", "html", "json"]),
    default="svg",
    help="What to write.",
)
@click.option("--json", "form", flag_value="json", hidden=True)
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

    world = _world(directory)
    made = _connected(world, connection, proto) if connection else None
    path = output or _out(directory.strip(":"), f"topology.{ENDINGS[form]}")
    file = (directory_of(directory) or Path()) / ("iptables.save" if family == 4 else "ip6tables.save")
    drawn = plan(world, family, directory, made)
    _put(path, draw(drawn, form, link=_link(str(file) if file.is_file() else "", path)))


def _world(name: str) -> "World":
    """The hosts of a directory, of a sample, or (``live:``) of this machine."""
    from ruleflow.netfilter.walk_input import world_of

    if name == "live:":
        from ruleflow.kernel.snapshot import live_world

        return live_world()
    return world_of(name)


def _connected(world: "World", words: str, protocol: str) -> "Connection":
    from ruleflow.netfilter.connect import connect as attempt
    from ruleflow.netfilter.walk_input import end_of

    from_, _, to = words.strip().partition(" ")
    address, port = end_of(to.strip())
    return attempt(world, from_, address, port, protocol)


@cli.command()
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
    write("".join(f"{line}\n" for line in differential.report(result)))
    sys.exit(FOUND if result.disagreements else FINE)


@cli.command()
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

    subject = _subject(dump, how)
    _put(output or _out(subject.source, "report.html"), page(gathered(subject, fold=not no_fold)))


@cli.command()
@click.argument("name", type=click.Choice(SCHEMAS))
def schema(name: str) -> None:
    """Print the JSON Schema of what a command prints with --format json, of a declaration or of lint's baseline.

    lint-line is a line of lint --format jsonl; result is what confirm and rollback print.
    """
    from ruleflow.views.json_text import json_text
    from ruleflow.views.schemas import schema_of

    write(json_text(schema_of(name)))


@cli.command()
def samples() -> None:
    """List the dumps and hosts that come with ruleflow."""
    from ruleflow.data import samples as find

    for name, path in find().items():
        click.echo(f"sample:{name}{'/' if path.is_dir() else ''}")


for _each in (*CHECKS, *COMMANDS, *LIVE):
    cli.add_command(_each)


def write(text: str) -> None:
    """Text to standard output, bytes that were no UTF-8 as they came."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()


def leave(code: str | int | None) -> NoReturn:
    """End the process at once: taking half a million small values apart would cost a tenth of the run."""
    sys.stdout.flush()
    sys.stderr.flush()
    if isinstance(code, str):
        sys.exit(code)
    os._exit(code or FINE)


def fail(error: RuleflowError) -> NoReturn:
    """Say what is wrong and leave with the code of trouble."""
    click.echo(str(error), err=True)
    sys.exit(TROUBLE)


def main() -> None:
    """The entry point: errors as errors, a closed pipe as silence, Ctrl-C as 130."""
    gc.set_threshold(200_000, 20, 100)  # many small values that stay, few cycles: looking often finds nothing
    try:
        cli(prog_name="ruleflow", standalone_mode=False)
        leave(FINE)
    except RuleflowError as error:
        fail(error)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(TROUBLE)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FINE)
    except SystemExit as stop:
        leave(stop.code)
    except RecursionError:
        fail(
            RuleflowError(
                "the chains are nested too deeply to follow", help="look for a chain that calls itself"
            )
        )


if __name__ == "__main__":
    main()
