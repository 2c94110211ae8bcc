"""Plan and apply of many port maps against the bare iptables-restore of the same rules: `python benchmarks/bench_apply.py [N]`.

Everything happens in network namespaces of its own; one must be root. The budget: `ruleflow plan` and `ruleflow apply` together
(apply plans again) take at most three times the bare restore plus one second, both start-ups of Python and both readings of the
YAML included. Each figure is wall time and, behind it, processor time with all programs that were started.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

RUNS = 3
"""The best of so many runs counts: what is measured is the work, not who else is on the machine."""


def declaration(count: int) -> str:
    """``count`` port maps on endpoints with ten each, IPv4 and IPv6."""
    lines = [
        "networks:",
        "  app:",
        "    bridge: rf-bench",
        '    ipam: {config: [{subnet: 172.30.0.0/16}, {subnet: "fd00:30::/64"}]}',
        "endpoints:",
    ]
    for first in range(0, count, 10):
        ports = ", ".join(
            f'"{10000 + number}:{2000 + number}"' for number in range(first, min(first + 10, count))
        )
        lines.append(f"  web{first}: {{network: app, ports: [{ports}]}}")
    return "\n".join([*lines, ""])


@contextmanager
def namespace(name: str) -> Iterator[str]:
    """A namespace of that name, gone afterwards."""
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)


class Seconds(NamedTuple):
    """Of wall and of processor time."""

    wall: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.wall:.2f} ({self.cpu:.2f})"


def timed(command: list[str], *, text: str = "", codes: tuple[int, ...] = (0,)) -> tuple[Seconds, str]:
    """How long a command takes, and what it prints."""
    start, before = time.perf_counter(), os.times()
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode in codes, done.stderr
    wall, after = time.perf_counter() - start, os.times()
    cpu = sum(after[2:4]) - sum(before[2:4])
    return Seconds(wall, cpu), done.stdout


def one_run(
    backend: str, rules: dict[str, str], ruleflow: list[str], file: str, how: list[str]
) -> tuple[Seconds, ...]:
    """How long the bare restores take, plan, apply, apply again and destroy."""
    with namespace(f"rf-{os.getpid()}-a") as bare, namespace(f"rf-{os.getpid()}-b") as full:
        restores = [
            timed(["ip", "netns", "exec", bare, f"{program}-{backend}-restore", "-w"], text=text)[0]
            for program, text in rules.items()
        ]
        how = [*how, "--namespace", full]
        plan, _ = timed([*ruleflow, "plan", file, *how], codes=(1,))
        apply, _ = timed([*ruleflow, "apply", file, "--yes", *how])
        again, _ = timed([*ruleflow, "apply", file, "--yes", *how])
        destroy, _ = timed([*ruleflow, "destroy", file, "--yes", *how])
    return Seconds(*map(sum, zip(*restores, strict=True))), plan, apply, again, destroy


def bench(backend: str, count: int, place: Path) -> bool:
    """One backend; tells the figures and whether they are within the budget."""
    file = place / f"{backend}.yaml"
    file.write_text(declaration(count))
    ruleflow = [sys.executable, "-m", "ruleflow"]
    rules = {
        program: timed([*ruleflow, "generate", str(file), flag])[1]
        for program, flag in (("iptables", "-4"), ("ip6tables", "-6"))
    }
    how = ["--state", str(place / backend), "--backend", backend]
    runs = [one_run(backend, rules, ruleflow, str(file), how) for _ in range(RUNS)]
    restore, plan, apply, again, destroy = (min(column) for column in zip(*runs, strict=True))
    number = sum(line.startswith("-A") for text in rules.values() for line in text.splitlines())
    both, budget = Seconds(plan.wall + apply.wall, plan.cpu + apply.cpu), 3 * restore.wall + 1
    print(
        f"{backend}: {count} port maps, {number} rules; restore {restore} s, plan {plan} and apply {apply}: together {both} "
        f"of {budget:.2f} s allowed; again {again}, destroy {destroy}"
    )
    return bool(both.wall <= budget)


def main() -> None:
    """Both backends; exit 1 where one is over its budget."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as place:
        fine = [bench(backend, count, Path(place)) for backend in ("nft", "legacy")]
    sys.exit(0 if all(fine) else 1)


if __name__ == "__main__":
    main()
