"""`ruleflow fmt` of whole files against `iptables-nft-restore --test`: ratios of one run, and peak memory.

Budget (issue 2): at most 2 × the wall time and 250 MB; the aim is 1.2 ×. Run: python benchmarks/bench_fmt.py
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
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


def loadable(folder: Path) -> Iterator[str]:
    """Every IPv4 dump that the real tool loads: it stops at the first it does not, and measures nothing."""
    for path in sorted(folder.glob("*/*")):
        if path.is_file() and ".v6" not in path.suffixes:
            ran = subprocess.run(
                ["unshare", "-n", "iptables-nft-restore", "--test", str(path)],
                capture_output=True,
                check=False,
            )
            if ran.returncode == 0:
                yield path.read_text("utf-8", "surrogateescape").rstrip("\n") + "\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        sets = {
            "kube-proxy, 50,000 rules": made.text(made.spoil(made.kubernetes(50_000))),
            "Docker, 50,000 rules": made.text(made.spoil(made.docker(50_000))),
        }
        if SHARED.is_dir():
            sets["../shared/dumps, many shapes"] = "".join(loadable(SHARED / "dumps"))
        for name, text in sets.items():
            path = Path(folder) / "rules"
            path.write_text(text, "utf-8", "surrogateescape")
            compare(name, str(path))


if __name__ == "__main__":
    main()
