"""How long `ruleflow diff` takes, whole process: real firewalls with one rule changed, and how it grows: `python benchmarks/bench_diff.py`.

The budget (issue 4): one rule changed in the middle of the university firewall, IPv4 and IPv6, in at most 1.2 s and 120 MB
each; two Docker dumps in at most 250 ms above Python's start. What stands in ../shared is left out where that is absent.
"""

import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "dumps" / "found"
SIZES = (500, 1000, 2000, 5000, 10000, 20000, 50000)


def made(count: int) -> str:
    """A firewall of ``count`` rules: a chain for each of some networks, and rules for hosts and ports in it."""
    chance = random.Random(count)
    chains = [f"net{n}" for n in range(max(1, count // 200))]
    lines = ["*filter", ":INPUT DROP [0:0]", ":FORWARD DROP [0:0]", ":OUTPUT ACCEPT [0:0]"]
    lines += [f":{chain} - [0:0]" for chain in chains]
    lines.append("-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
    lines += [f"-A FORWARD -d 10.{n // 256}.{n % 256}.0/24 -j {chain}" for n, chain in enumerate(chains)]
    for number in range(count - len(chains) - 1):
        net = number % len(chains)
        source = f"-s 192.168.{chance.randrange(256)}.0/24 " if chance.random() < 0.5 else ""
        target = chance.choice(("ACCEPT", "ACCEPT", "DROP"))
        host = f"10.{net // 256}.{net % 256}.{chance.randrange(256)}/32"
        lines.append(
            f"-A net{net} {source}-d {host} -p tcp -m tcp --dport {chance.randrange(1, 1024)} -j {target}"
        )
    return "\n".join([*lines, "COMMIT", ""])


def turned(text: str) -> str:
    """The text with the first plain ACCEPT behind its middle turned into a DROP."""
    at = text.index("-j ACCEPT\n", len(text) // 2)
    return f"{text[:at]}-j DROP\n{text[at + len('-j ACCEPT') + 1 :]}"


def run(arguments: list[str]) -> tuple[float, int, int]:
    """Seconds of processor time (a diff never waits), megabytes and exit code of a command, the best of three."""
    best = (1e9, 0, 0)
    for _ in range(3):
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        best = min(best, (usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1024, process.returncode))
    return best


def diff(before: str, after: str, *flags: str) -> tuple[float, int, int]:
    """The figures of one diff of two texts."""
    with tempfile.TemporaryDirectory() as place:
        files = [Path(place, name) for name in ("before", "after")]
        for file, text in zip(files, (before, after), strict=True):
            file.write_text(text)
        return run([sys.executable, "-m", "ruleflow", "diff", *map(str, files), *flags])


def main() -> int:
    """Print the figures; 1 where a budget is not kept."""
    kept = True
    bare = run([sys.executable, "-c", "pass"])[0]
    cases = [
        (SHARED / name, 1.2, 120) for name in ("university-firewall-2015", "university-firewall-2016.v6")
    ]
    for path, seconds, size in cases:
        if path.is_file():
            text = path.read_text()
            took = diff(text, turned(text))
            kept &= took[0] <= seconds and took[1] <= size and took[2] in (0, 1)
            print(f"{path.name:30} {took[0]:6.2f} s {took[1]:5} MB   budget {seconds} s {size} MB")
    names = ("no-port", "port-80", "second-bridge")
    docker = [(ROOT / "samples" / f"docker-{name}.rules").read_text() for name in names]
    for words, after in (("one published port", docker[1]), ("a bridge, five port maps", docker[2])):
        took = diff(docker[0], after)
        kept &= took[0] - bare <= 0.25
        print(
            f"{f'docker, {words}':30} {took[0] - bare:6.2f} s {took[1]:5} MB   budget 0.25 s above python's {bare:.2f} s"
        )
    for count in SIZES:
        text = made(count)
        took, same = diff(text, turned(text)), diff(text, text)
        print(
            f"{count:6} rules, one changed        {took[0]:6.2f} s {took[1]:5} MB   nothing changed {same[0]:5.2f} s"
        )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
