"""Random rule sets and random packets, walked and sent through the kernel: where the two disagree, the walk is wrong."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import msgspec

from ruleflow.kernel.features import ALL, is_translated
from ruleflow.kernel.lab import Lab
from ruleflow.kernel.pairing import Pair, Pairing, smaller
from ruleflow.kernel.random_packets import SPEC, Conversation, another, conversations
from ruleflow.kernel.random_rules import random_rules
from ruleflow.kernel.reproducer import reproducer
from ruleflow.kernel.snapshot import snapshot
from ruleflow.netfilter.host import Host
from ruleflow.netfilter.read_host import read_host
from ruleflow.netfilter.steps import Walk

PACKETS = 48
"""Packets sent through one rule set."""
CONVERSATIONS = 14


class Task(msgspec.Struct, frozen=True):
    """One rule set to try: everything random in it follows from ``seed`` and ``number``."""

    seed: int
    number: int
    backend: str
    family: int
    packets: int


class Result(msgspec.Struct, frozen=True):
    """What trying one or more rule sets gave: pairs, how many each feature decided, and a text for each disagreement."""

    pairs: int = 0
    decided: Counter[str] = msgspec.field(default_factory=Counter)
    disagreements: tuple[tuple[str, str], ...] = ()

    def plus(self, other: "Result") -> "Result":
        """Both together."""
        return Result(
            self.pairs + other.pairs, self.decided + other.decided, self.disagreements + other.disagreements
        )


def report(result: Result) -> Iterator[str]:
    """How many pairs each feature decided, the names of the disagreements' files, and the sum as the last line."""
    for name in ALL:
        count = result.decided[name]
        yield f"{name:<36} decided {count:6} pairs, {count * 100 / max(result.pairs, 1):5.1f} %"
    yield from (
        f"disagreement: {name}: {text.splitlines()[1].removeprefix('# ')}"
        for name, text in result.disagreements
    )
    yield f"pairs={result.pairs} disagreements={len(result.disagreements)}"


def tasks(pairs: int, seed: int, backends: Iterable[str], families: Iterable[int]) -> list[Task]:
    """The rule sets for so many pairs, backends and families by turns."""
    kinds = list(product(backends, families))
    count = math.ceil(pairs / PACKETS)
    sizes = [PACKETS] * (count - 1) + [pairs - PACKETS * (count - 1)]
    return [Task(seed, at, *kinds[at % len(kinds)], size) for at, size in enumerate(sizes)]


def host_of(lab: Lab) -> Host:
    """The lab's router as it really is, read as `ruleflow snapshot` reads a host."""
    with TemporaryDirectory(prefix="ruleflow-") as place:
        with lab.inside():
            snapshot(Path(place), ())
        return msgspec.structs.replace(read_host(Path(place), "router"), dumps=(), unknown=())


class Trial:
    """One rule set, tried with conversations that react to what became of their packets."""

    def __init__(self, lab: Lab, host: Host, task: Task) -> None:
        self.task, self.random = task, Random(f"{task.seed}:{task.number}")  # noqa: S311 - to be repeated, not to be secret
        self.talks = conversations(self.random, task.family, CONVERSATIONS)
        rules = random_rules(self.random, task.family, [talk.first for talk in self.talks])
        self.pairing = Pairing(lab, host, task.family, rules)
        self.translators: dict[object, frozenset[str]] = {}
        self.decided: Counter[str] = Counter()
        self.disagreements: list[tuple[str, str]] = []

    def run(self) -> Result:
        """Send and walk all packets."""
        for _ in range(self.task.packets):
            talk = self._talk()
            kind, shot = talk.next(self.random)
            pair = self.pairing.one(shot)
            self.decided.update(self._features(kind, pair.walk))
            if pair.differs:
                self._disagree(pair)
            else:
                talk.saw(kind, pair.seen)
                for other in self.talks:
                    if other is not talk and talk.is_mistakable_for(other):
                        talk.is_over = other.is_over = True
        return Result(self.task.packets, self.decided, tuple(self.disagreements))

    def _talk(self) -> Conversation:
        at = self.random.randrange(len(self.talks))
        if self.talks[at].is_over:
            self.talks[at] = another(self.random, self.task.family, self.talks)
        return self.talks[at]

    def _features(self, kind: str, found: Walk) -> set[str]:
        end, packet, features = found.end, found.packet, self.pairing.features
        way = "out" if packet.is_local else "in" if end.local or end.hook == "INPUT" else "through"
        names = {f"packet {kind}", f"packet {way}", *features.decided(found)}
        if end.connection is not None:
            key = end.connection.protocol, end.connection.original
            for ref in end.rewritten_by:
                own = features.of_rule((ref.table, ref.chain, ref.index))
                self.translators[key] = self.translators.get(key, frozenset()) | own
            if is_translated(found):
                names |= self.translators.get(key, frozenset())
        return names

    def _disagree(self, pair: Pair) -> None:
        """Write it down and begin anew: what follows in the same connections could only repeat it."""
        name = f"disagreement-{self.task.seed}-{self.task.number}-{len(self.disagreements) + 1}.txt"
        rules, sent = self.pairing.rules, tuple(self.pairing.sent)
        if not self.disagreements:
            rules, sent, pair = smaller(self.pairing, pair)
        self.disagreements.append((name, reproducer(self.task, rules, sent, pair)))
        self.pairing.begin()
        self.talks, self.translators = [Conversation(talk.first) for talk in self.talks], {}


_labs: dict[str, Lab] = {}


def try_one(task: Task, host: Host) -> Result:
    """Try one rule set in this process's lab, which is kept for the next one."""
    if task.backend not in _labs:
        _labs[task.backend] = Lab(SPEC, task.backend, trace=True)
    return Trial(_labs[task.backend], host, task).run()


def close_labs() -> None:
    """Take down the labs of this process."""
    while _labs:
        _labs.popitem()[1].close()


def run(todo: list[Task], workers: int = 2, told: Callable[[Result], None] = lambda _: None) -> Result:
    """Try all rule sets, in so many processes; ``told`` is called with the sum so far.

    Raises `LabUnavailableError` where there can be no lab, `LoadRefusedError` where the real restore refuses a rule set.
    """
    with Lab(SPEC, "nft", trace=False) as lab:
        host = host_of(lab)
    total = Result()
    if workers < 2:
        for task in todo:
            total = total.plus(try_one(task, host))
            told(total)
        close_labs()
        return total
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        for result in pool.map(try_one, todo, [host] * len(todo), chunksize=2):
            total = total.plus(result)
            told(total)
    return total
