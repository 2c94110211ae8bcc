"""Beside a real Docker: not a byte of its rules changes, and both sides' published ports are reached."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from applied_host import AppliedHost, applied_host, declared

from ruleflow.kernel.links import within
from ruleflow.kernel.plan import PlanRefusedError
from ruleflow.kernel.probes import probe

pytestmark = [pytest.mark.root, pytest.mark.docker, pytest.mark.slow]


@contextmanager
def docker(host: AppliedHost, place: Path) -> Iterator[dict[str, str]]:
    """A daemon in the host's namespace, and the environment in which `docker` speaks with it."""
    place.mkdir(mode=0o755)
    address = f"unix://{place}/sock"
    start = (
        f"mount -t tmpfs tmpfs /run && exec dockerd --data-root {place}/data --exec-root {place}/exec -H {address} --pidfile {place}/pid"
        f" --storage-driver vfs >{place}/log 2>&1"
    )
    command = ["nsenter", f"--net=/run/netns/{host.name}", "unshare", "--mount", "sh", "-c", start]
    daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    environment = {**os.environ, "DOCKER_HOST": address}
    try:
        for _ in range(120):
            if (
                subprocess.run(
                    ["docker", "info"], env=environment, capture_output=True, check=False
                ).returncode
                == 0
            ):
                break
            assert daemon.poll() is None, (place / "log").read_text()[-2000:]
            time.sleep(0.25)
        yield environment
        subprocess.run(
            "docker ps -aq | xargs -r docker rm -f",
            shell=True,
            env=environment,
            check=True,
            capture_output=True,
        )
    finally:
        daemon.terminate()
        daemon.wait(60)


def publish(environment: dict[str, str], place: Path) -> None:
    """A container that answers `docker` on port 8088 of the host."""
    binaries = place / "image" / "bin"
    binaries.mkdir(parents=True)
    shutil.copy(shutil.which("busybox") or "/bin/busybox", binaries / "busybox")
    (binaries / "sh").symlink_to("busybox")
    tar = subprocess.run(
        ["tar", "-C", str(place / "image"), "-c", "."], check=True, capture_output=True
    ).stdout
    subprocess.run(
        ["docker", "import", "-", "rf-probe"], input=tar, env=environment, check=True, capture_output=True
    )
    serve = "while true; do busybox nc -l -p 80 -e busybox echo docker; done"
    run = ["docker", "run", "-d", "--name", "web", "-p", "8088:80", "rf-probe", "sh", "-c", serve]
    subprocess.run(run, env=environment, check=True, capture_output=True)


def asked(host: AppliedHost, address: str, port: int) -> str:
    """What a client on the host gets to hear."""

    def ask() -> str:
        with socket.create_connection((address, port), timeout=3) as talk:
            return talk.recv(100).decode().strip()

    for _ in range(20):
        try:
            return within(host.name, ask)
        except OSError:
            time.sleep(0.2)
    return "nothing"


def of_docker(state: str) -> list[str]:
    """The rules, chains and policies that are not ours; an empty table of ours shows its built-in chains."""
    lines = (
        line
        for line in state.splitlines()
        if line.startswith("-A") or (line.startswith(":") and " ACCEPT" not in line)
    )
    return [line for line in lines if "RF-" not in line and "ruleflow" not in line]


def test_beside_docker(tmp_path: Path) -> None:
    with (
        applied_host("nft", tmp_path / "state", foreign=False) as host,
        docker(host, tmp_path / "d") as environment,
    ):
        host.shell(
            "ip link set lo up; ip link add eth0 type veth peer name out0; ip addr add 192.0.2.10/24 dev eth0; ip link set eth0 up; ip link set out0 up"
        )
        publish(environment, tmp_path)
        assert asked(host, "192.0.2.10", 8088) == "docker"
        before, text = host.state(), declared(host.inner, ports='"9090:90"')
        host.apply(text)
        assert of_docker(host.state()) == of_docker(before)
        tried = within(host.name, lambda: probe(host.session().declaration(text, "app.yaml")))
        assert [one for one in tried if not one.agrees] == []
        assert any(one.happened.startswith("reached") and one.probe.from_ == "outside" for one in tried)
        assert asked(host, "192.0.2.10", 8088) == "docker"
        with pytest.raises(PlanRefusedError, match="Docker, which is at work here"):
            within(
                host.name,
                lambda: host.session().plan(host.session().declaration(text, "x", layout="docker-29")),
            )
        subprocess.run(["docker", "rm", "-f", "web"], env=environment, check=True, capture_output=True)
        publish_again(environment)
        assert asked(host, "192.0.2.10", 8089) == "docker"
        now = of_docker(host.state())
        steps: list[str] = []
        host.apply(text, steps.append)
        assert steps == []
        host.destroy()
        assert of_docker(host.state()) == now
        assert "rf-app" not in host.state()
        assert asked(host, "192.0.2.10", 8089) == "docker"


def publish_again(environment: dict[str, str]) -> None:
    serve = "while true; do busybox nc -l -p 80 -e busybox echo docker; done"
    run = ["docker", "run", "-d", "--name", "web", "-p", "8089:80", "rf-probe", "sh", "-c", serve]
    subprocess.run(run, env=environment, check=True, capture_output=True)
