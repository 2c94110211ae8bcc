"""The commands that put a declaration on a host: plan, apply, confirm, rollback, status, destroy."""

import contextlib
import gc
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ruleflow.cli.outputs import FINE, FOUND, TROUBLE, formats, write_lines
from ruleflow.errors import RuleflowError

if TYPE_CHECKING:
    from ruleflow.kernel.journal import Deadline
    from ruleflow.kernel.plan import Prepared
    from ruleflow.kernel.session import Session

UNDONE, STUCK = 4, 5
"""Exit codes of what failed half way: the old state is back; it is not. Else 0: nothing to do, or done; 1: changes or drift; 2: refused
before anything was touched."""


def placed(command: Any) -> Any:
    """The options of every command about a declaration on a host."""
    for add in (
        click.option("--name", help="The state's name (default: the file's)."),
        click.option(
            "--state",
            type=click.Path(path_type=Path),
            help="Where journals are kept (default: /var/lib/ruleflow).",
        ),
        click.option("--namespace", default="", metavar="NAME|PID", help="The network namespace to work in."),
        click.option(
            "--backend", type=click.Choice(["auto", "nft", "legacy"]), default="auto", help="Which iptables."
        ),
        formats("text", "json"),
    ):
        command = add(command)
    return command


@click.command()
@click.argument("declaration")
@click.option("--layout", help="Whose rules: native, docker-classic, docker-28, docker-29 or cni-portmap.")
@click.option("--destroy", "taking", is_flag=True, help="What taking it away would do.")
@placed
def plan(declaration: str, layout: str | None, taking: bool, **how: Any) -> None:
    """Show what applying DECLARATION would change on this host; nothing is changed. Exit 1: there is something to do."""
    session = _session(declaration, how)
    prepared = session.plan_destroy() if taking else _prepared(session, declaration, layout)
    _show_plan(prepared, how["form"])
    sys.exit(FINE if prepared.plan.empty else FOUND)


@click.command()
@click.argument("declaration")
@click.option("--layout", help="Whose rules: native, docker-classic, docker-28, docker-29 or cni-portmap.")
@click.option(
    "--confirm",
    "seconds",
    metavar="60s",
    help="Roll back by itself unless `ruleflow confirm` comes within this time.",
)
@click.option(
    "--probe/--no-probe",
    default=None,
    help="Send packets from throw-away namespaces and compare with the prediction (default: where nobody can be disturbed).",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", "--check", "dry", is_flag=True, help="Only show the plan.")
@placed
def apply(
    declaration: str,
    layout: str | None,
    seconds: str | None,
    yes: bool,
    dry: bool,
    probe: bool | None,
    **how: Any,
) -> None:
    """Put DECLARATION on this host: shown first, undone where a step fails, and again where nobody confirms in time."""
    session = _session(declaration, how)
    if dry:
        _finish_dry(_prepared(session, declaration, layout), how["form"])
    with session.store.locked():
        declared = _declared(session, declaration, layout)
        prepared = session.plan(declared, at_once=True)
        _ask(prepared, how["form"], yes=yes)
        deadline = _deadline(seconds, declared.apply.confirm)
        proof = _proof(prepared, declared, deadline, asked=probe)
        _carry_out(session, prepared, how["form"], deadline, proof)


@click.command()
@click.argument("declaration")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--confirm",
    "seconds",
    metavar="60s",
    help="Put it back unless `ruleflow confirm` comes within this time.",
)
@click.option("--dry-run", "--check", "dry", is_flag=True, help="Only show the plan.")
@click.option(
    "--scan", is_flag=True, help="Without a journal, or with a damaged one: take away what carries our mark."
)
@placed
def destroy(declaration: str, yes: bool, seconds: str | None, dry: bool, scan: bool, **how: Any) -> None:
    """Take DECLARATION (a file, or just its name) away: the host is as it was before it was applied."""
    session = _session(declaration, how)
    if dry:
        _finish_dry(session.plan_destroy(scan=scan), how["form"])
    with session.store.locked():
        if scan:
            session.store.set_damaged_aside()
        prepared = session.plan_destroy(scan=scan)
        _ask(prepared, how["form"], yes=yes)
        _carry_out(session, prepared, how["form"], _deadline(seconds, None), None)


@click.command()
@click.argument("declaration")
@placed
def confirm(declaration: str, **how: Any) -> None:
    """Keep the change that waits for its confirmation."""
    from ruleflow.kernel.apply import confirm as keep

    session = _session(declaration, how)
    with session.store.locked(wait=True):
        keep(session.store)
    _tell("confirmed", session, how["form"])


@click.command()
@click.argument("declaration", required=False)
@click.option(
    "--expired",
    is_flag=True,
    help="Everything whose time is over or that was cut off: for a unit at boot and a timer.",
)
@placed
def rollback(declaration: str | None, expired: bool, **how: Any) -> None:
    """Undo the change that waits for its confirmation, or that was cut off."""
    from ruleflow.kernel.apply import rollback as go_back
    from ruleflow.kernel.watchdog import roll_back_expired

    if expired:
        for name in roll_back_expired(_state(how)):
            click.echo(f"{name}: rolled back")
        return
    if declaration is None:
        raise click.UsageError("which? Give the declaration, or --expired")
    session = _session(declaration, how)
    with _codes(), session.store.locked(wait=True):
        go_back(session.store, session.backend())
    _tell("rolled back", session, how["form"])


@click.command()
@click.argument("declaration")
@placed
def status(declaration: str, **how: Any) -> None:
    """Say whether what stands is what was applied: missing, changed, out of order, decided before by others. Exit 1: drift."""
    from ruleflow.kernel.status import status as compare
    from ruleflow.views.plan_json import status_value
    from ruleflow.views.plan_text import status_lines

    session = _session(declaration, how)
    found = compare(session.journal(), session.backend())
    if how["form"] == "json":
        _write_json(status_value(found))
    else:
        write_lines(status_lines(found))
    sys.exit(FINE if found.fine else FOUND)


def _state(how: dict[str, Any]) -> Path:
    from ruleflow.kernel.journal import DEFAULT_STATE

    return how["state"].absolute() if how["state"] is not None else DEFAULT_STATE


def _session(declaration: str, how: dict[str, Any]) -> "Session":
    """The journal and backend that the options name; this process is in the namespace from now on."""
    from ruleflow.kernel.session import Session, enter

    gc.disable()  # a short run that makes many small values and no cycles: a tenth of its time
    name = how["name"] or Path(declaration.removeprefix("sample:")).name.rsplit(".", 1)[0]
    if declaration == "-" and not how["name"]:
        raise click.UsageError("a declaration from standard input needs --name")
    session = Session(name, state=_state(how), namespace=how["namespace"], backend=how["backend"])
    if how["namespace"]:
        enter(how["namespace"])
    return session


def _declared(session: "Session", declaration: str, layout: str | None) -> Any:
    from ruleflow.bridge.generate import known_layout
    from ruleflow.cli.inputs import read_bytes
    from ruleflow.ruleset.parse import decode

    source, data = read_bytes(declaration)
    return session.declaration(decode(data), source, layout=known_layout(layout))


def _prepared(session: "Session", declaration: str, layout: str | None) -> "Prepared":
    return session.plan(_declared(session, declaration, layout))


def _finish_dry(prepared: "Prepared", form: str) -> None:
    _show_plan(prepared, form)
    sys.exit(FINE if prepared.plan.empty else FOUND)


def _show_plan(prepared: "Prepared", form: str) -> None:
    """The plan, and what it opens and closes."""
    from ruleflow.cli.outputs import paper_for
    from ruleflow.kernel.behaviour import behaviour
    from ruleflow.views.plan_json import plan_value
    from ruleflow.views.plan_text import plan_lines
    from ruleflow.views.text import Paper

    told = None if prepared.plan.empty else behaviour(prepared)
    if form == "json":
        _write_json(plan_value(prepared.plan, told))
    else:
        write_lines(plan_lines(prepared.plan, told, Paper(*paper_for("auto"))))


def _ask(prepared: "Prepared", form: str, *, yes: bool) -> None:
    """Show the plan; go on where there is nothing to ask, or the answer is yes."""
    if form != "json":
        _show_plan(prepared, form)
    plan_ = prepared.plan
    if plan_.empty or yes:
        return
    if not sys.stdin.isatty():
        click.echo("refused: nobody is there to ask; give --yes", err=True)
        sys.exit(TROUBLE)
    if not click.confirm(f"{plan_.action} this?"):
        sys.exit(TROUBLE)


def _deadline(seconds: str | None, declared: int | None) -> "Deadline | None":
    from ruleflow.kernel.journal import deadline_in

    wanted = _seconds(seconds) if seconds is not None else declared
    return None if wanted is None else deadline_in(wanted)


def _seconds(text: str) -> float:
    """``60s``, ``2m`` or ``90`` in seconds."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in "sm" and text else (text, "s")
    if not number.isdigit() or int(number) == 0:
        raise click.UsageError(f"{text!r} is no time: write 60s or 2m")
    return float(number) * {"s": 1, "m": 60}[unit]


def _carry_out(
    session: "Session", prepared: "Prepared", form: str, deadline: "Deadline | None", proof: Any
) -> None:
    from ruleflow.kernel.apply import apply as carry_out
    from ruleflow.kernel.watchdog import arm
    from ruleflow.views.plan_json import plan_value

    backend = session.backend(prepared.plan.backend)

    def hook(step: str) -> None:
        if step == "armed" and deadline is not None:
            arm(session.store, backend)

    with _codes(), _steady():
        carry_out(session.store, prepared, backend, deadline=deadline, hook=hook, proof=proof)
    if form == "json":
        _write_json(plan_value(prepared.plan, outcome="done"))
    elif not prepared.plan.empty:
        click.echo(f"{prepared.plan.name}: {'applied' if prepared.plan.action == 'apply' else 'taken away'}")
    if deadline is not None and not prepared.plan.empty:
        click.echo(
            f"done; it is undone in {deadline.left:.0f} s unless you say: ruleflow confirm {prepared.plan.name}",
            err=True,
        )


@contextlib.contextmanager
def _steady() -> Iterator[None]:
    """Within the block a closed terminal does not cut off the work, and TERM has it undone as Ctrl-C has."""
    before = (
        signal.signal(signal.SIGHUP, signal.SIG_IGN),
        signal.signal(signal.SIGTERM, signal.default_int_handler),
    )
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before[0])
        signal.signal(signal.SIGTERM, before[1])


class _codes:  # noqa: N801 - reads as a word in `with`
    """Within the block the errors of applying leave with their own exit codes."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, at: object) -> None:
        from ruleflow.kernel.apply import ApplyFailedError, RollbackFailedError

        if isinstance(error, ApplyFailedError | RollbackFailedError):
            click.echo(str(error), err=True)
            sys.exit(UNDONE if isinstance(error, ApplyFailedError) else STUCK)


def _proof(prepared: "Prepared", declaration: Any, deadline: "Deadline | None", *, asked: bool | None) -> Any:
    """What sends the packets: where nobody asked, only where it is harmless, and what hinders it is no failure."""
    if asked is False or not any(one.netns for one in declaration.endpoints):
        return None
    from ruleflow.kernel.probes import ProbeFailedError, proof, why_unasked

    prove = proof(declaration)
    if asked:
        return prove
    why = why_unasked(prepared, declaration, deadline)
    if why is not None:
        click.echo(f"no packets are sent to prove it: {why}; --probe sends them", err=True)
        return None

    def try_to_prove() -> None:
        try:
            prove()
        except ProbeFailedError:
            raise
        except RuleflowError as error:
            click.echo(f"no packets could be sent to prove it: {error.message}", err=True)

    return try_to_prove


def _tell(outcome: str, session: "Session", form: str) -> None:
    from ruleflow.cli.outputs import write
    from ruleflow.views.plan_json import Result

    if form == "json":
        _write_json(Result(session.store.name, outcome))
    else:
        write(f"{session.store.name}: {outcome}\n")


def _write_json(value: Any) -> None:
    from ruleflow.cli.outputs import write
    from ruleflow.views.plan_json import as_json

    write(as_json(value))
