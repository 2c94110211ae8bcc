"""A real Docker in throw-away namespaces: what a snapshot of it holds foretells every connection that is then tried."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from ruleflow.netfilter.connect import Connection, connect
from ruleflow.netfilter.world import World, read_world

pytestmark = [pytest.mark.root, pytest.mark.docker, pytest.mark.slow]

HERE = Path(__file__).parent / "docker"
PYTHON = sys.executable
SNAPSHOT = "import pathlib, sys; from ruleflow.kernel.snapshot import snapshot; print(snapshot(pathlib.Path(sys.argv[1])))"
MODES = {"proxy": ("--userland-proxy=true",), "no-proxy": ("--userland-proxy=false",)}
Target = tuple[str, str, int]
"""Protocol, address and port."""
PORTS = (80, 8080, 8443, 9001)


class Machine(NamedTuple):
    """Where the daemon runs: how to get in there, and the containers' processes as seen from inside."""

    enter: tuple[str, ...]
    processes: dict[str, str]

    def run(self, place: str, *command: str, text: str = "") -> str:
        """What ``command`` prints when ``place`` runs it."""
        to = {"host": (), "outside": ("ip", "netns", "exec", "outside")}.get(place)
        if to is None:
            to = ("nsenter", "-n", "-t", self.processes[place])
        done = subprocess.run(
            [*self.enter, *to, *command], input=text, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module", params=MODES)
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    if shutil.which("busybox") is None:
        pytest.skip("needs a static busybox: apt-get install busybox-static")
    place = tmp_path_factory.mktemp("docker")
    unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
    command = [*unshare, "sh", str(HERE / "daemon.sh"), str(place), PYTHON, *MODES[request.param]]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        said = daemon.stdout.readline()
        try:
            if said != "ready\n":
                pytest.skip(f"dockerd does not start here: {said}{daemon.stdout.read()}")
            yield _entered(daemon.pid, place)
        finally:
            daemon.communicate(timeout=60)


def _entered(unshare: int, place: Path) -> Machine:
    first = Path(f"/proc/{unshare}/task/{unshare}/children").read_text().split()[0]
    enter = ("nsenter", "-t", first, "-n", "-m", "-p", "env", f"DOCKER_HOST=unix://{place}/socket")
    inside = Machine(enter, {})
    names = inside.run("host", "docker", "ps", "--format", "{{.Names}}").split()
    pids = inside.run("host", "docker", "inspect", "-f", "{{.State.Pid}}", *names).split()
    return Machine(enter, dict(zip(names, pids, strict=True)))


def test_what_a_snapshot_foretells_happens(machine: Machine, tmp_path: Path) -> None:
    machine.run("host", PYTHON, "-c", SNAPSHOT, str(tmp_path / "snapshot"))
    world = read_world(tmp_path / "snapshot")
    assert {host.name for host in world.hosts} == {"host", "outside", *machine.processes}
    targets = list(_targets(world))
    assert len(targets) > 40
    with ThreadPoolExecutor() as pool:
        wrong = [*pool.map(lambda host: _wrong(machine, world, host.name, targets), world.hosts)]
    assert [line for lines in wrong for line in lines] == []


def _wrong(machine: Machine, world: World, place: str, targets: list[Target]) -> list[str]:
    """What did not happen as foretold, in words."""
    foretold = {target: connect(world, place, target[1], target[2], target[0]) for target in targets}
    left = _differing(machine, place, foretold, targets)
    left = _differing(machine, place, foretold, list(left)) if left else {}  # a busy machine may be late once
    return [
        f"{place} {target} {really}, foretold {_as_measured(foretold[target])}: {foretold[target].because}"
        for target, really in left.items()
    ]


def _differing(
    machine: Machine, place: str, foretold: dict[Target, Connection], targets: list[Target]
) -> dict[Target, str]:
    """What really happened to the targets for which it is not what was foretold."""
    happened = machine.run(place, PYTHON, str(HERE / "probe.py"), "ask", text=json.dumps(targets))
    pairs = zip(targets, json.loads(happened), strict=True)
    return {target: really for target, really in pairs if really != _as_measured(foretold[target])}


def _targets(world: World) -> Iterator[Target]:
    """Every container at its port; the host at those published; pings."""
    containers = [address for one in world.containers for _, address in one.networks]
    assert len(containers) == 4
    places = [(address, 80) for address in containers]
    places += [(address, port) for address in ("192.0.2.10", "127.0.0.1", "2001:db8::10") for port in PORTS]
    places += [("172.17.0.1", 8080), ("192.0.2.1", 80), ("2001:db8::1", 80), ("203.0.113.9", 80)]
    for protocol in ("tcp", "udp"):
        yield from ((protocol, address, port) for address, port in places)
    yield from (("icmp", address, 0) for address in (*containers, "192.0.2.10", "192.0.2.1", "2001:db8::10"))


def _as_measured(found: Connection) -> str:
    if found.result == "reached" and found.protocol != "icmp":
        return f"reached {found.by} peer={found.sees}"
    return {"no-answer": "timeout"}.get(found.result, found.result)
