"""Random rule sets that the real restore takes, made so that the packets at hand really meet their rules.

Each condition is written about one of these packets: most hold for it, some do not, and a quarter is negated.
"""

import re
from collections.abc import Callable, Sequence
from random import Random

from ruleflow.kernel.random_conditions import CONDITIONS, Draft, Place
from ruleflow.kernel.random_targets import TARGETS, translation
from ruleflow.netfilter.packet import Packet

HOOKS = {
    "raw": ("PREROUTING", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "security": ("INPUT", "FORWARD", "OUTPUT"),
}
DROPPING = {"raw": 0.02, "mangle": 0.02, "nat": 0.0, "filter": 0.3, "security": 0.1}
"""How often a policy is DROP; nat's may not be."""
LEFT_OUT = {"raw": 0.3, "mangle": 0.2, "nat": 0.1, "filter": 0.05, "security": 0.4}
"""How often a rule set has no such table."""
TRACKING = r"-m (conntrack|connmark)|-j (CONNMARK|CT|NOTRACK|DNAT|SNAT|MASQUERADE|REDIRECT|NETMAP)"
"""What makes the kernel track connections; whether it still does after the last such rule is gone is a matter of time."""
TRACKED = """\
*security
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -m conntrack --ctstate INVALID
COMMIT
"""
RULES = {"raw": (1, 4), "mangle": (1, 5), "nat": (2, 6), "filter": (2, 7), "security": (1, 3)}


def random_rules(random: Random, family: int, packets: Sequence[Packet]) -> str:
    """A rule set of a family in the words of iptables-restore, about these packets."""
    tables = [name for name in HOOKS if random.random() >= LEFT_OUT[name]]
    text = "".join(_table(random, family, name, packets) for name in tables)
    return text if re.search(TRACKING, text) else re.sub(r"(?ms)^\*security.*", "", text) + TRACKED


def _table(random: Random, family: int, table: str, packets: Sequence[Packet]) -> str:
    chains, rules = [], []
    for hook in HOOKS[table]:
        policy = "DROP" if random.random() < DROPPING[table] else "ACCEPT"
        chains.append(f":{hook} {policy} [0:0]")
        own = [f"{hook[:2]}{hook[-3:]}{n}" for n in range(1, random.choice((2, 3, 3, 4)))]
        chains += [f":{name} - [0:0]" for name in own]
        seen = [p for p in packets if _may_meet(p, hook)] or list(packets)
        for at, chain in enumerate((hook, *own)):
            place = Place(family, table, hook, chain, tuple(own[at:]))
            rules += _chain(random, place, seen)
    random.shuffle(chains)
    return "\n".join(
        [f"*{table}", *sorted(chains, key=lambda line: line.split()[1] == "-"), *rules, "COMMIT", ""]
    )


def _may_meet(packet: Packet, hook: str) -> bool:
    sent = packet.in_interface is None
    return {"OUTPUT": sent, "PREROUTING": not sent, "FORWARD": not sent}.get(hook, True)


def _chain(random: Random, place: Place, packets: Sequence[Packet]) -> list[str]:
    low, high = RULES[place.table]
    return [_rule(random, place, random.choice(packets)) for _ in range(random.randint(low, high))]


def _rule(random: Random, place: Place, packet: Packet) -> str:
    draft = Draft(place, packet, random)
    number = random.choices((0, 1, 2, 3), (2, 9, 5, 1))[0]
    target = _target(random, place, draft)
    for condition in random.sample(CONDITIONS, number):
        condition(draft)
    return f"-A {place.chain} {draft.text()}{target}"


def _target(random: Random, place: Place, draft: Draft) -> str:
    if place.table == "nat" and random.random() < 0.6:
        return translation(draft)
    makers, weights = zip(*TARGETS[place.table], strict=True)
    maker: Callable[[Draft], str] = random.choices(makers, weights)[0]
    return maker(draft)
