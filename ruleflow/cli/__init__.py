"""The command line: one short function per command; the only room that prints and sets exit codes.

A command's module is imported when the command is asked for, and heavy libraries and rooms inside the command that
needs them, so that each is instant.
"""

import gc
import importlib
import os
import sys
from typing import NoReturn

import click

from ruleflow import __version__
from ruleflow.cli.outputs import FINE, TROUBLE
from ruleflow.errors import RuleflowError

COMMANDS = {
    "explain": ("explain", "what a dump does, chain by chain, and why"),
    "walk": ("walk", "what happens to one packet, rule by rule"),
    "connect": ("connect", "whether one place can talk to another, there and back"),
    "reach": ("reach", "who may reach what"),
    "diff": ("diff", "which packets fare differently after an edit"),
    "lint": ("lint", "rules that never match, expose too much or clash"),
    "rule": ("lint", "what a finding of lint means"),
    "test": ("expectations", "whether expectations in a file are met"),
    "fmt": ("fmt", "a dump as iptables-save itself would print it"),
    "graph": ("pictures", "a picture of a dump"),
    "topology": ("pictures", "a picture of a host: bridges, cables, containers"),
    "report": ("pictures", "one HTML page about a dump or a host"),
    "generate": ("bridges", "the rules of declared bridges and port maps"),
    "import": ("bridges", "a declaration from compose, docker, cni or podman"),
    "plan": ("apply", "what applying a declaration would change here"),
    "apply": ("apply", "put a declaration on this host, so that it can be undone"),
    "confirm": ("apply", "keep the change that waits for its confirmation"),
    "rollback": ("apply", "undo it"),
    "status": ("apply", "whether what was applied still stands"),
    "destroy": ("apply", "take a declaration away again"),
    "snapshot": ("live", "write this host into a directory"),
    "trace": ("live", "what the kernel does with traced packets"),
    "lab": ("lab", "random rules and packets: the model against the kernel"),
    "schema": ("shipped", "the JSON Schema of what a command prints"),
    "samples": ("shipped", "the dumps and hosts that come with ruleflow"),
    "completion": ("live", "what makes a shell complete these commands"),
}
"""Each command, the module of this room that holds it, and what it is for, in the order a reader meets them."""


class Commands(click.Group):
    """Each command is found in its module, which is imported for it alone."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The commands in the order a reader meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command called so, None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"ruleflow.cli.{COMMANDS[cmd_name][0]}")
        return next(
            each
            for each in vars(module).values()
            if isinstance(each, click.Command) and each.name == cmd_name
        )

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """What each is for, without importing it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, what) for name, (_, what) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="ruleflow %(version)s")
@click.option("--debug", is_flag=True, hidden=True, help="Show a traceback where ruleflow itself fails.")
def cli(debug: bool) -> None:
    """What iptables rules do, why a packet does not arrive, and what a port mapping adds.

    DUMP is a file from iptables-save, - for standard input, a directory that `ruleflow snapshot` made, live: for this
    machine, or sample:NAME (see `ruleflow samples`).
    """


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
