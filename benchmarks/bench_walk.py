"""How fast packets are walked: one with its reasons, whole process, and many without, over a filter of 5,000 rules.

Run: python benchmarks/bench_walk.py. The budget (issue 3): a single walk within three times what
``iptables-nft-restore --test`` takes to read the dump plus 150 ms; 20,000 packets a second on one core.
"""

import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ruleflow
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.walk import walk_many

CHAINS, RULES, PACKETS = 100, 48, 40_000


def rules(dice: random.Random) -> str:
    """A filter with a chain for each of 100 networks, 48 rules in each."""
    lines = ["*filter", ":INPUT DROP [0:0]", ":FORWARD DROP [0:0]", ":OUTPUT ACCEPT [0:0]"]
    lines += [f":net{at} - [0:0]" for at in range(CHAINS)]
    lines += ["-A INPUT -i lo -j ACCEPT", "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"]
    lines += [f"-A INPUT -s 10.{at}.0.0/16 -p tcp -j net{at}" for at in range(CHAINS)]
    for at in range(CHAINS):
        for _ in range(RULES):
            verdict = dice.choice(("ACCEPT", "DROP"))
            lines.append(
                f"-A net{at} -s 10.{at}.{dice.randrange(256)}.0/24 -p tcp -m tcp --dport {dice.randrange(1, 200)} -j {verdict}"
            )
    return "\n".join([*lines, "COMMIT", ""])


def packets(dice: random.Random) -> list[Packet]:
    return [
        Packet(
            family=4, protocol=6, source=(10 << 24) | dice.randrange(CHAINS << 16), destination=0xC0000201,
            source_port=dice.randrange(1024, 65536), destination_port=dice.randrange(1, 200), tcp_flags=2, in_interface="eth0",
        )
        for _ in range(PACKETS)
    ]  # fmt: skip


def many(text: str) -> float:
    """Packets a second of processor time."""
    machine = Machine.inferred_from(ruleflow.parse(text), local=("192.0.2.1",))
    flows = packets(random.Random(2))
    for _ in walk_many(machine, flows[:100]):
        pass
    before = time.process_time()
    for _ in walk_many(machine, flows):
        pass
    return PACKETS / (time.process_time() - before)


def single(file: Path) -> tuple[float, float]:
    """Seconds of a whole walk, and of the real tool reading the same file; the best of five each."""
    command = [
        sys.executable,
        "-m",
        "ruleflow",
        "walk",
        str(file),
        "tcp",
        "10.5.3.4:40000",
        "192.0.2.1:22",
        "in",
        "eth0",
        "--local",
        "192.0.2.1",
    ]
    tool = ["unshare", "-rn", "iptables-nft-restore", "--test", str(file)]
    return best(command), best(tool) if shutil.which("iptables-nft-restore") else 0.0


def best(command: list[str]) -> float:
    found = []
    for _ in range(5):
        before = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        found.append(time.perf_counter() - before)
    return min(found)


def main() -> None:
    text = rules(random.Random(1))
    with tempfile.NamedTemporaryFile("w", suffix=".rules") as file:
        file.write(text)
        file.flush()
        ours, theirs = single(Path(file.name))
    budget = 3 * theirs + 0.15
    speed = many(text)
    print(f"rules                     {text.count(chr(10) + '-A')}")
    print(f"one walk, whole process   {ours * 1000:7.0f} ms   budget {budget * 1000:.0f} ms")
    print(f"walk_many                 {speed:7.0f} packets a second   budget 20000")
    sys.exit(0 if ours <= budget and speed >= 20_000 else 1)


if __name__ == "__main__":
    main()
