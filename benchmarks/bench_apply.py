"""Plan and apply of many port maps against the bare iptables-restore of the same rules: `python benchmarks/bench_apply.py [N]`.

Everything happens in network namespaces of its own; one must be root. The budget: `ruleflow apply`, which plans and applies, takes
at most three times the bare restore plus one second, start-up of Python and reading the YAML included.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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


def timed(command: list[str], *, text: str = "", codes: tuple[int, ...] = (0,)) -> tuple[float, str]:
    """Seconds that a command takes, and what it prints."""
    start = time.perf_counter()
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode in codes, done.stderr
    return time.perf_counter() - start, done.stdout


def one_run(
    backend: str, rules: dict[str, str], ruleflow: list[str], file: str, how: list[str]
) -> tuple[float, ...]:
    """Seconds of the bare restores, of plan, apply, apply again and destroy."""
    with namespace(f"rf-{os.getpid()}-a") as bare, namespace(f"rf-{os.getpid()}-b") as full:
        restore = sum(
            timed(["ip", "netns", "exec", bare, f"{program}-{backend}-restore", "-w"], text=text)[0]
            for program, text in rules.items()
        )
        how = [*how, "--namespace", full]
        plan, _ = timed([*ruleflow, "plan", file, *how], codes=(1,))
        apply, _ = timed([*ruleflow, "apply", file, "--yes", *how])
        again, _ = timed([*ruleflow, "apply", file, "--yes", *how])
        destroy, _ = timed([*ruleflow, "destroy", file, "--yes", *how])
    return restore, plan, apply, again, destroy


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
    budget = 3 * restore + 1
    print(
        f"{backend}: {count} port maps, {number} rules; restore {restore:.2f} s, plan {plan:.2f}, apply {apply:.2f}, "
        f"of {budget:.2f} s allowed; again {again:.2f}, destroy {destroy:.2f}"
    )
    return bool(apply <= budget)


def main() -> None:
    """Both backends; exit 1 where one is over its budget."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as place:
        fine = [bench(backend, count, Path(place)) for backend in ("nft", "legacy")]
    sys.exit(0 if all(fine) else 1)


if __name__ == "__main__":
    main()
