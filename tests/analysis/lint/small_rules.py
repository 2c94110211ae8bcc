"""Small random rule sets, and every packet that they can tell apart: what a chain does, asked rule after rule."""

import itertools
import random
from collections.abc import Iterator

from ruleflow.ruleset.ir import Ruleset
from ruleflow.ruleset.parse import parse

SOURCES = ("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4")
MATCHES = (
    "-s 10.0.0.1/32", "-s 10.0.0.2/31", "! -s 10.0.0.1/32", "-p tcp", "-p udp", "-i eth0", "! -i eth0", "-i eth1",
    "-p tcp -m tcp --dport 1", "-p tcp -m tcp --dport 1:2", "-p tcp -m tcp ! --dport 1", "-p udp -m udp --dport 1",
    "-m conntrack --ctstate NEW", "-m conntrack --ctstate ESTABLISHED", "-s 10.0.0.4/32 -i eth1",
)  # fmt: skip
Packet = tuple[str, str, str, int, str]
"""Source, protocol, interface, port, state."""


def text(chance: random.Random) -> str:
    """A filter table with up to eleven rules in INPUT and up to three chains of its own."""
    chains = ["INPUT", *("ABC"[: chance.randrange(4)])]
    policy = chance.choice(("ACCEPT", "DROP"))
    lines = ["*filter", f":INPUT {policy} [0:0]", ":FORWARD ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]"]
    lines += [f":{name} - [0:0]" for name in chains[1:]]
    for at, name in enumerate(chains):
        for _ in range(chance.randrange(1, 6)):
            below = chains[at + 1 :]
            targets = [
                "-j ACCEPT",
                "-j DROP",
                "-j ACCEPT",
                "-j DROP",
                "-j RETURN",
                *(f"-{k} {c}" for c in below for k in "jjg"),
            ]
            match = chance.choice(("", *MATCHES, *MATCHES))
            lines.append(" ".join(filter(None, (f"-A {name}", match, chance.choice(targets)))))
    return "\n".join([*lines, "COMMIT", ""])


def packets(dump: str) -> Iterator[Packet]:
    """One packet of every kind; port -1 is a later fragment, which has none, and which conntrack leaves none of."""
    ports = (1, 2, 3) if "conntrack" in dump else (1, 2, 3, -1)
    for source, protocol, interface, port, state in itertools.product(
        (*SOURCES, "10.9.9.9"),
        ("tcp", "udp", "gre"),
        ("eth0", "eth1", "eth2"),
        ports,
        ("NEW", "ESTABLISHED", "INVALID"),
    ):
        if protocol != "gre" or port == 1:
            yield source, protocol, interface, port, state


NETWORKS = {"10.0.0.1/32": SOURCES[:1], "10.0.0.2/31": SOURCES[1:3], "10.0.0.4/32": SOURCES[3:]}


def _holds(word: str, value: str, packet: Packet) -> bool:
    source, protocol, interface, port, state = packet
    match word:
        case "-s":
            return source in NETWORKS[value]
        case "-p":
            return protocol == value
        case "-i":
            return interface == value
        case "--dport":
            low, _, high = value.partition(":")
            return int(low) <= port <= int(high or low)
        case "--ctstate":
            return state == value
    raise ValueError(word)


def meets(match: str, packet: Packet) -> bool:
    """Whether a packet meets the words of a rule: a reading of its own."""
    port = packet[3]
    words, negated, answer = match.split(), False, True
    at = 0
    while at < len(words):
        word = words[at]
        if word == "!":
            negated = True
            at += 1
            continue
        value = words[at + 1]
        at += 2
        if word == "-m":
            continue
        if word == "--dport" and port < 0:
            return False
        holds = _holds(word, value, packet)
        answer = answer and holds != negated
        negated = False
    return answer


Rule = tuple[str, str]
"""Match and target as words."""


def read(dump: str) -> tuple[str, dict[str, list[Rule]]]:
    """The policy of INPUT and the rules of each chain, read by cutting words."""
    policy = ""
    chains: dict[str, list[Rule]] = {"INPUT": [], "A": [], "B": [], "C": []}
    for line in dump.split("\n"):
        if line.startswith(":INPUT"):
            policy = line.split()[1]
        if line.startswith("-A"):
            words = line.split()
            chains[words[1]].append((" ".join(words[2:-2]), " ".join(words[-2:])))
    return policy, chains


def run(
    chains: dict[str, list[Rule]],
    policy: str,
    packet: Packet,
    without: frozenset[tuple[str, int]],
    met: set[tuple[str, int]],
) -> str:
    """The verdict; rules met on the way are put into ``met``."""

    def chain(name: str) -> str:
        for index, (match, target) in enumerate(chains[name]):
            if (name, index) in without or not meets(match, packet):
                continue
            met.add((name, index))
            kind, where = target.split()
            if where in ("ACCEPT", "DROP"):
                return where
            if where == "RETURN":
                return ""
            verdict = chain(where)
            if verdict or kind == "-g":
                return verdict
        return ""

    return chain("INPUT") or policy


def ruleset(dump: str) -> Ruleset:
    """The rules as ruleflow reads them."""
    return parse(dump).rulesets[0]
