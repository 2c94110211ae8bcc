"""Throw-away network namespaces for tests: made, filled by iproute2, read, and removed again."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FILES = {
    "addr.json": "ip -j -d addr",
    "route.json": "ip -j route show table all",
    "route6.json": "ip -j -6 route show table all",
    "rule.json": "ip -j rule",
    "rule6.json": "ip -j -6 rule",
    "neigh.json": "ip -j neigh",
    "bridge.json": "bridge -j -d link",
    "sysctl.txt": "sysctl -a 2>/dev/null | grep -E '^net[.](ipv[46][.](ip_forward|conf)|bridge)'",
}


@contextmanager
def namespaces(*names: str) -> Iterator[list[str]]:
    """Namespaces called rf-PID-NAME, loopback up, removed at the end."""
    made = [f"rf-{os.getpid()}-{name}" for name in names]
    try:
        for name in made:
            subprocess.run(["ip", "netns", "add", name], check=True)
            shell(
                name,
                "ip link set lo up; sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0",
            )
        yield made
    finally:
        for name in made:
            subprocess.run(["ip", "netns", "del", name], check=False)


def shell(name: str, script: str, *, check: bool = True) -> str:
    """What a shell script in the namespace prints."""
    done = subprocess.run(
        ["ip", "netns", "exec", name, "sh", "-c", script], capture_output=True, text=True, check=False
    )
    assert not check or done.returncode == 0, done.stderr
    return done.stdout


def record(name: str, directory: Path) -> Path:
    """The namespace's files, as capture.sh writes them, in ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    for file, command in FILES.items():
        directory.joinpath(file).write_text(shell(name, command, check=False))
    return directory


def route_get(name: str, questions: list[str]) -> list[dict[str, object]]:
    """``ip -j route get`` for each question: its row, or what the kernel answers as ``{"error": …}``."""
    script = "\n".join(f"ip -j route get {question} 2>&1; echo; echo ====" for question in questions)
    return [_answer(text.strip()) for text in shell(name, script).split("====")[:-1]]


def _answer(text: str) -> dict[str, object]:
    if not text.startswith("["):
        return {"error": text}
    return next(row for row in json.loads(text) if row)
