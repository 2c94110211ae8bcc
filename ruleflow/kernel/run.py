"""The one file that starts a process."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import msgspec

from ruleflow.errors import RuleflowError

Given = TypeVar("Given")
Made = TypeVar("Made")


class ProcessError(RuleflowError):
    """A program is missing, failed or did not finish; ``result`` is what it said, if it ran."""

    def __init__(self, message: str, result: "Result | None" = None, advice: str | None = None) -> None:
        super().__init__(message, help=advice)
        self.result = result


class Result(msgspec.Struct, frozen=True):
    """What a program that ran gave back: exit code, standard output, standard error."""

    command: tuple[str, ...]
    code: int
    output: str
    errors: str

    @property
    def ok(self) -> bool:
        """Whether it ended with exit code 0."""
        return self.code == 0


def run(
    command: tuple[str, ...],
    *,
    text: str = "",
    timeout: float = 60,
    environment: Mapping[str, str] | None = None,
) -> Result:
    """Run ``command`` (never through a shell) with ``text`` as its input; any exit code is a result.

    It runs in the network namespace of the calling thread. Messages are not translated (LC_ALL=C).

    :raises ProcessError: where the program is missing or is not done after ``timeout`` seconds.
    """
    try:
        done = subprocess.run(  # noqa: S603 - a tuple of words, no shell
            command, input=text, capture_output=True, text=True, check=False, timeout=timeout,
            encoding="utf-8", errors="surrogateescape", env=_environment(environment),
        )  # fmt: skip
    except FileNotFoundError:
        raise ProcessError(f"{command[0]} is not installed", advice=_where(command[0])) from None
    except PermissionError:
        raise ProcessError(f"{command[0]} may not be run", advice="run as root") from None
    except subprocess.TimeoutExpired:
        raise ProcessError(f"{' '.join(command)} did not finish in {timeout:g} s") from None
    return Result(command, done.returncode, done.stdout, done.stderr)


def run_checked(command: tuple[str, ...], *, text: str = "", timeout: float = 60) -> str:
    """What ``command`` prints.

    :raises ProcessError: where it is missing, fails (its own words are kept) or does not finish.
    """
    result = run(command, text=text, timeout=timeout)
    if not result.ok:
        said = (result.errors or result.output).strip() or f"exit code {result.code}"
        raise ProcessError(f"{' '.join(command)}: {said}", result)
    return result.output


def at_once(work: Callable[[Given], Made], over: Iterable[Given]) -> tuple[Made, ...]:
    """What ``work`` gives for each of ``over``, in order; programs that it starts run side by side.

    Its threads are in the network namespace of the calling thread. What one raises is raised here.
    """
    from concurrent.futures import ThreadPoolExecutor

    given = tuple(over)
    with ThreadPoolExecutor(len(given) or 1) as threads:
        return tuple(threads.map(work, given))


def installed(program: str) -> bool:
    """Whether ``program`` is on the path (the administrator's directories included)."""
    return shutil.which(program, path=_environment(None)["PATH"]) is not None


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    """Ours (DOCKER_HOST, HOME …), in the language whose messages we read, with the administrator's programs."""
    path = os.environ.get("PATH", "")
    return {
        **os.environ,
        "LC_ALL": "C",
        "PATH": f"{path}:{_ADMINISTRATORS}" if path else _ADMINISTRATORS,
        **(more or {}),
    }


_ADMINISTRATORS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_PACKAGES = {
    "iptables-save": "iptables", "iptables-restore": "iptables", "iptables-nft-save": "iptables",
    "nft": "nftables", "ipset": "ipset", "ip": "iproute2", "docker": "docker.io",
}  # fmt: skip


def _where(program: str) -> str:
    return f"on Debian: apt-get install {_PACKAGES.get(program, program)}"
