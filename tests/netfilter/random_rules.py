"""Random rule sets with everything that makes sets hard: NAT, marks, jumps, goto, RETURN, unknown conditions."""

import random

from ruleflow.netfilter.packet import Packet

ADDRESSES = (
    "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "192.0.2.0/24", "192.0.2.10/32", "198.51.100.7/32", "172.17.0.2/32",
)  # fmt: skip
INTERFACES = ("eth0", "eth1", "eth+", "lo", "docker0")
HOOKS = {
    "raw": ("PREROUTING", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
}
_COPY = "--nfmask 0xffffffff --ctmask 0xffffffff"


class Rules:
    """Makes texts of rule sets from a seed. ``unknown``: with conditions that nobody can decide."""

    def __init__(self, seed: int, *, unknown: bool = False, types: bool = False) -> None:
        self.random, self.unknown, self.types = random.Random(seed), unknown, types

    def maybe(self, chance: float, *words: str) -> list[str]:
        return [self.random.choice(words)] if self.random.random() < chance else []

    def bang(self, chance: float) -> str:
        return "! " if self.random.random() < chance else ""

    def header(self, hook: str) -> list[str]:
        words = []
        if self.random.random() < 0.4:
            words.append(f"{self.bang(0.25)}-s {self.random.choice(ADDRESSES)}")
        if self.random.random() < 0.4:
            words.append(f"{self.bang(0.25)}-d {self.random.choice(ADDRESSES)}")
        if hook in ("PREROUTING", "INPUT", "FORWARD") and self.random.random() < 0.25:
            words.append(f"{self.bang(0.3)}-i {self.random.choice(INTERFACES)}")
        if hook in ("OUTPUT", "POSTROUTING", "FORWARD") and self.random.random() < 0.25:
            words.append(f"{self.bang(0.3)}-o {self.random.choice(INTERFACES)}")
        return words

    def asked(self, hook: str) -> tuple[list[str], str | None]:
        words, protocol = self.header(hook), None
        kind = self.random.random()
        if kind < 0.5:
            protocol = self.random.choice(("tcp", "udp"))
            words.append(f"-p {protocol}")
            ports = ("80", "22", "8080", "1000:2000", "53")
            words += [f"-m {protocol} {self.bang(0.2)}--dport {p}" for p in self.maybe(0.7, *ports)]
        elif kind < 0.6:
            protocol = "icmp"
            words.append("-p icmp")
        if protocol == "tcp":
            words += self.maybe(0.2, "-m tcp --tcp-flags FIN,SYN,RST,ACK SYN")
        states = ("NEW", "RELATED,ESTABLISHED", "INVALID", "UNTRACKED", "DNAT")
        words += [f"-m conntrack {self.bang(0.3)}--ctstate {s}" for s in self.maybe(0.2, *states)]
        marks = ("0x1", "0x1/0x1", "0x4000/0x4000", "0x0/0xff")
        words += [f"-m mark {self.bang(0.3)}--mark {m}" for m in self.maybe(0.15, *marks)]
        if protocol in ("tcp", "udp"):
            words += self.maybe(0.05, "-m conntrack --ctorigdstport 8080")
        if self.types:
            words += self.maybe(0.05, "-m addrtype --dst-type LOCAL", "-m addrtype ! --dst-type LOCAL")
        if self.unknown:
            words += self.maybe(0.08, "-m limit --limit 5/min", "-m string --string x --algo bm")
        return words, protocol

    def target(self, table: str, hook: str, protocol: str | None) -> str:
        targets = {
            "filter": ["ACCEPT", "DROP", "RETURN", "REJECT", "LOG --log-prefix x"],
            "mangle": [
                "MARK --set-xmark 0x1/0x1", "MARK --set-xmark 0x4000/0x4000", "MARK --set-xmark 0x5/0xffffffff",
                "ACCEPT", "RETURN", f"CONNMARK --save-mark {_COPY}", f"CONNMARK --restore-mark {_COPY}",
            ],
            "raw": ["CT --notrack", "ACCEPT", "DROP", "RETURN"],
            "nat": ["ACCEPT", "RETURN"],
        }[table]  # fmt: skip
        if table == "nat" and hook in ("PREROUTING", "OUTPUT"):
            targets += [
                "DNAT --to-destination 172.17.0.2",
                "DNAT --to-destination 10.1.2.3",
                "NETMAP --to 10.1.0.0/16",
            ]
            if protocol in ("tcp", "udp"):
                targets += [
                    f"DNAT --to-destination {to}" for to in ("172.17.0.2:80", ":8080", "172.17.0.2:1000-1010")
                ] * 2
        if table == "nat" and hook in ("POSTROUTING", "INPUT"):
            targets += ["SNAT --to-source 192.0.2.10"] * 2
        return self.random.choice(targets)

    def rule(self, table: str, chain: str, users: list[str]) -> str:
        words, protocol = self.asked(chain)
        target = f"-j {self.target(table, chain, protocol)}"
        if users and chain != "U2" and self.random.random() < 0.35:
            target = self.random.choice(("-j ", "-g ")) + (
                "U2" if chain == "U1" else self.random.choice(users)
            )
        if "NETMAP" in target:  # over a network, as people use it
            words = ["-d 10.0.0.0/8", *(word for word in words if "-d " not in word)]
        return f"-A {chain} {' '.join(words)} {target}"

    def text(self) -> str:
        lines: list[str] = []
        for table, hooks in HOOKS.items():
            if table != "filter" and self.random.random() < 0.4:
                continue
            users = ["U1", "U2"] if self.random.random() < 0.7 else []
            policy = ("ACCEPT",) if table == "nat" else ("ACCEPT", "ACCEPT", "DROP")
            lines.append(f"*{table}")
            lines += [f":{hook} {self.random.choice(policy)} [0:0]" for hook in hooks]
            lines += [f":{user} - [0:0]" for user in users]
            for chain in (*hooks, *users):
                lines += [self.rule(table, chain, users) for _ in range(self.random.randrange(5))]
            lines.append("COMMIT")
        return "\n".join(lines) + "\n"

    def edited(self, text: str) -> str:
        """The text with one to three edits: a rule gone, doubled, moved, changed, or another policy."""
        lines = text.split("\n")
        for _ in range(self.random.choice((1, 1, 1, 2, 3))):
            rules = [at for at, line in enumerate(lines) if line.startswith("-A")]
            if rules:
                self._edit(lines, self.random.choice(rules))
        return "\n".join(lines)

    def _edit(self, lines: list[str], at: int) -> None:
        kind = self.random.random()
        if kind < 0.3:
            del lines[at]
        elif kind < 0.5:
            line, table = lines[at], _table(lines, at)
            chain = line.split()[1]
            places = [
                n for n, x in enumerate(lines) if x.startswith(f"-A {chain} ") and _table(lines, n) == table
            ]
            del lines[at]
            lines.insert(min(self.random.choice(places), len(lines) - 2), line)
        elif kind < 0.65:
            policies = [
                n
                for n, x in enumerate(lines)
                if x.startswith(":") and " - " not in x and _table(lines, n) != "*nat"
            ]
            chosen = self.random.choice(policies)
            swap = {"ACCEPT": "DROP", "DROP": "ACCEPT"}
            name, policy, counters = lines[chosen].split()
            lines[chosen] = f"{name} {swap[policy]} {counters}"
        elif kind < 0.85:
            for old, new in (
                ("-j ACCEPT", "-j DROP"),
                ("-j DROP", "-j ACCEPT"),
                ("--dport 80", "--dport 22"),
                ("172.17.0.2", "10.1.2.3"),
            ):
                if old in lines[at] and _table(lines, at) != "*nat":
                    lines[at] = lines[at].replace(old, new, 1)
                    break
        else:
            lines.insert(at, lines[at])


def _table(lines: list[str], at: int) -> str:
    return next(line for line in reversed(lines[: at + 1]) if line.startswith("*"))


_NEAR = (
    "10.0.0.0", "10.1.2.3", "10.1.2.4", "10.255.255.255", "11.0.0.0", "192.0.2.10", "192.0.2.9", "192.0.3.0",
    "198.51.100.7", "172.17.0.2", "8.8.8.8",
)  # fmt: skip


def packet(chance: random.Random) -> Packet:
    """A packet near the borders of the sets above."""
    protocol = chance.choice(("tcp", "udp", "icmp", "gre"))
    source, destination = chance.choice(_NEAR), chance.choice(_NEAR)
    if protocol in ("tcp", "udp"):
        port = chance.choice((80, 22, 23, 8080, 1000, 999, 2000, 2001, 53))
        text = f"{protocol} {source}:{chance.choice((40000, 1000, 53))} {destination}:{port}"
    else:
        text = f"{protocol}{' echo-request' if protocol == 'icmp' else ''} {source} {destination}"
    if chance.random() < 0.65:
        text += f" in {chance.choice(('eth0', 'eth1', 'eth9', 'docker0', 'wlan0'))}"
    text += f" out {chance.choice(('eth0', 'eth1', 'docker0', 'wlan0'))}"
    if protocol == "tcp" and chance.random() < 0.3:
        text += f" flags {chance.choice(('syn', 'ack', 'syn,ack'))}"
    if chance.random() < 0.7:
        text += f" state {chance.choice(('new', 'established', 'related', 'invalid', 'untracked'))}"
    if chance.random() < 0.4:
        text += f" mark {chance.choice(('0x1', '0x4000', '0x5', '0x2'))}"
    return Packet.parse(text)
