"""The running containers of a host, and its userland proxies: from the engine if it answers, else from /proc."""

import re
from pathlib import Path

import msgspec

from ruleflow.kernel.run import ProcessError, installed, run

_ENGINES = ("docker", "podman")
_FORMAT = (
    "{{.Name}}|{{.State.Pid}}|"
    "{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{$v.IPAddress}} {{end}}"
)  # fmt: skip
_ID = re.compile(
    r"(?:docker|libpod|crio|cri-containerd|containerd)[-/:]([0-9a-f]{64})|/docker/([0-9a-f]{64})"
)


class Running(msgspec.Struct, frozen=True):
    """A container: its name, a process of it, its networks with addresses, its published ports."""

    name: str
    pid: int
    networks: str = ""
    ports: str = ""

    def line(self) -> str:
        """Its line in containers.txt."""
        return f"{self.name} {self.networks}\n"


def running() -> tuple[Running, ...]:
    """The containers that run now; names are the engine's, or the first 12 digits of the id."""
    for engine in _ENGINES:
        found = _asked(engine)
        if found:
            return found
    return _by_cgroup()


def _asked(engine: str) -> tuple[Running, ...]:
    """What the engine says; nothing where it is absent or does not answer."""
    if not installed(engine):
        return ()
    listed = _said(engine, "ps", "--no-trunc", "--format", "{{.Names}} {{.Ports}}")
    ports = {name: rest for name, _, rest in (line.partition(" ") for line in listed.splitlines())}
    if not ports:
        return ()
    text = _said(engine, "inspect", "-f", _FORMAT, *ports)
    return tuple(_running(line.split("|"), ports) for line in text.splitlines() if line.count("|") == 2)


def _said(*command: str) -> str:
    try:
        result = run(command, timeout=20)
    except ProcessError:
        return ""
    return result.output if result.ok else ""


def _running(parts: list[str], ports: dict[str, str]) -> Running:
    name = parts[0].lstrip("/")
    return Running(name, int(parts[1]), parts[2], ports.get(name, ""))


def _by_cgroup() -> tuple[Running, ...]:
    """The first process of each container, found by the container id in its control group's name."""
    found: dict[str, int] = {}
    for path in sorted(Path("/proc").glob("[0-9]*/cgroup"), key=lambda path: int(path.parent.name)):
        match = _ID.search(_text(path))
        if match:
            found.setdefault((match[1] or match[2])[:12], int(path.parent.name))
    return tuple(Running(name, pid) for name, pid in found.items())


def proxies() -> str:
    """The command lines of the docker-proxy processes of this network namespace, sorted, one a line.

    Those of a daemon in a namespace of its own relay nothing that reaches this host.
    """
    here = _namespace(Path("/proc/thread-self"))
    lines = [
        _text(path.parent / "cmdline").replace("\0", " ").strip()
        for path in Path("/proc").glob("[0-9]*/comm")
        if _text(path).strip() == "docker-proxy" and _namespace(path.parent) == here
    ]
    return "".join(f"{line}\n" for line in sorted(lines))


def _namespace(process: Path) -> int | None:
    try:
        return process.joinpath("ns/net").stat().st_ino
    except OSError:  # the process ended meanwhile
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:  # the process ended meanwhile
        return ""
