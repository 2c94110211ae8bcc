"""`ruleflow fmt` of whole files against `iptables-nft-restore --test`: ratios of one run, and peak memory.

Budget (issue 2): at most 2 × the wall time and 250 MB; the aim is 1.2 ×. Run: python benchmarks/bench_fmt.py
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import made

SHARED = Path(__file__).parent.parent.parent / "shared"
RUNS = 5


def timed(argv: list[str]) -> tuple[float, float]:
    """Wall seconds and peak memory in MB of one process, its output thrown away."""
    began = time.perf_counter()
    with open(os.devnull, "w") as nothing:
        process = subprocess.Popen(argv, stdout=nothing, stderr=nothing)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def compare(name: str, path: str) -> None:
    ours = [sys.executable, "-m", "ruleflow", "fmt", "--lenient", path]
    theirs = ["unshare", "-n", "iptables-nft-restore", "--test", path]
    pairs = []
    for _ in range(RUNS):
        (a, memory), (b, _) = timed(ours), timed(theirs)
        pairs.append((a / b, a, b, memory))
    pairs.sort()
    ratio, a, b, memory = pairs[len(pairs) // 2]
    print(f"{name:34} ruleflow {a:6.2f} s  restore --test {b:6.2f} s  ratio {ratio:5.2f}  {memory:4.0f} MB")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        sets = {
            "kube-proxy, 50,000 rules": made.text(made.spoil(made.kubernetes(50_000))),
            "Docker, 50,000 rules": made.text(made.spoil(made.docker(50_000))),
        }
        if SHARED.is_dir():
            files = [p for p in sorted((SHARED / "dumps").glob("*/*")) if p.is_file()]
            sets["all of ../shared/dumps, many shapes"] = "\n".join(p.read_text("utf-8", "surrogateescape") for p in files)
        for name, text in sets.items():
            path = Path(folder) / "rules"
            path.write_text(text, "utf-8", "surrogateescape")
            compare(name, str(path))


if __name__ == "__main__":
    main()
