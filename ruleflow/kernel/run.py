"""The one file that starts a process."""

import os
import subprocess
from collections.abc import Sequence

import msgspec

from ruleflow.errors import RuleflowError

TIMEOUT = 60.0


class Result(msgspec.Struct, frozen=True):
    """How a process ended: its exit code and what it said."""

    returncode: int
    stdout: str
    stderr: str


class RunError(RuleflowError):
    """A process could not be started, or did not end in time."""


def run(
    argv: Sequence[str],
    *,
    input: str | None = None,  # noqa: A002 - subprocess has the word
    timeout: float = TIMEOUT,
    netns: str | None = None,
) -> Result:
    """Run a program to its end (``timeout`` in seconds), in the named network namespace if one is given.

    Bytes that are not UTF-8 come and go as surrogates. Raises `RunError` where the program is missing or takes too long.
    """
    command = ["ip", "netns", "exec", netns, *argv] if netns else list(argv)
    try:
        done = subprocess.run(  # noqa: S603 - a list of words, no shell
            command, input=input, stdin=None if input is not None else subprocess.DEVNULL, capture_output=True,
            text=True, encoding="utf-8", errors="surrogateescape", timeout=timeout, check=False,
            env=os.environ | {"LC_ALL": "C"},
        )  # fmt: skip
    except FileNotFoundError as error:
        raise RunError(f"{command[0]} is not installed", help="install the package that has it") from error
    except subprocess.TimeoutExpired as error:
        raise RunError(f"{command[0]} did not end within {timeout:g} seconds") from error
    return Result(done.returncode, done.stdout, done.stderr)
