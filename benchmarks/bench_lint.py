"""`ruleflow lint` of whole files: wall time, CPU time and peak memory of the process, and how they grow.

Budget (issue 6): the exact findings of each real firewall and of 12,000 geo-blocking rules within 2.5 s and 120 MB.
Run: python benchmarks/bench_lint.py
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import made

SHARED = Path(__file__).parent.parent.parent / "shared" / "dumps" / "found"


def used(argv: list[str]) -> tuple[float, float, float]:
    """Wall and CPU seconds, and peak memory in MB, of one process, its output thrown away."""
    began = time.perf_counter()
    with open(os.devnull, "w") as nothing:
        process = subprocess.Popen(argv, stdout=nothing, stderr=nothing)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def geo(rules: int, seed: int = 1) -> Iterator[str]:
    """INPUT with a long list of networks to drop, some within others, then a few services."""
    rng = random.Random(seed)
    yield from (
        "*filter",
        ":INPUT DROP [0:0]",
        ":FORWARD DROP [0:0]",
        ":OUTPUT ACCEPT [0:0]",
        "-A INPUT -i lo -j ACCEPT",
    )
    yield "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    for _ in range(rules):
        length = rng.choice((16, 18, 20, 21, 22, 23, 24, 24))
        address = rng.randrange(1 << 24, 224 << 24) & ~((1 << (32 - length)) - 1)
        yield f"-A INPUT -s {'.'.join(str(address >> shift & 255) for shift in (24, 16, 8, 0))}/{length} -j DROP"
    for port in (22, 80, 443):
        yield f"-A INPUT -p tcp -m tcp --dport {port} -j ACCEPT"
    yield "COMMIT"


def measure(name: str, text: str | bytes, *command: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("rules.v6" if "v6" in name else "rules")
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        six = ["-6"] if "v6" in name else []
        wall, cpu, memory = used(
            [sys.executable, "-m", "ruleflow", *command[:1], str(path), *command[1:], *six]
        )
    print(f"{name:38} {wall:6.2f} s  CPU {cpu:6.2f} s  {memory:4.0f} MB")


def main() -> None:
    lint = ("lint", "--format", "concise", "--select", "RF2")
    for name in ("university-firewall-2015", "university-firewall-2016.v6"):
        if (SHARED / name).is_file():
            measure(name, (SHARED / name).read_bytes(), *lint)
    for rules in (1_000, 3_000, 12_000, 60_000):
        measure(f"geo-blocking, {rules:,} rules", "\n".join((*geo(rules), "")), *lint)
    measure("kube-proxy, 10,000 rules", made.text(made.kubernetes(10_000)), *lint)


if __name__ == "__main__":
    main()
