"""Whether exactly the intended packets fare differently: ``tcp to 8443 from 10.0.0.0/8``.

Three steps: something changed, nothing beyond the intention changed, and all that was intended now is so for
packets that begin a connection.
"""

import re

from ruleflow.analysis.change_classes import ChangeClasses
from ruleflow.analysis.changes import Class, Intent
from ruleflow.analysis.cover import wide
from ruleflow.analysis.witness import Witness
from ruleflow.errors import ReadError, Where
from ruleflow.netfilter.encode import DPORT, DST, IN, LEVELS, OUT, PROTO, SPORT, SRC, STATE
from ruleflow.netfilter.idd import NOTHING
from ruleflow.netfilter.intervals import Interval, joined
from ruleflow.netfilter.numbers import PORTS, PROTOCOLS
from ruleflow.netfilter.trail import Trail
from ruleflow.ruleset.addresses import Network
from ruleflow.ruleset.values import Unreadable

FRAGMENT = LEVELS["fragment"]
_WAYS = {"into": "in", "in": "in", "through": "through", "out": "out"}
_NETWORK = Network()
HELP = "write it like: tcp to 8443 from 10.0.0.0/8, or close udp to 192.0.2.1 port 53 through"


class Intended:
    """What was intended, read from words: a set of packets, ``opens`` or ``closes``, and the way, if it was said.

    ``[open|close] [tcp|udp|…|everything] [to ADDRESS] [to|port PORTS] [from ADDRESS] [from port PORTS]
    [arriving on NAME] [leaving by NAME] [into|through|out]``. Raises `ReadError` for other words.
    """

    def __init__(self, text: str, family: int) -> None:
        self.text, self.family = text, family
        self.closes = False
        self.way: str | None = None
        self.fits = True
        """Whether the words can be about packets of the family."""
        self.tests: dict[int, tuple[Interval, ...]] = {}
        self.names: dict[int, str] = {}
        self._words = re.findall(r"[^\s]+", text)
        self._at = 0
        while self._at < len(self._words):
            self._read(self._next())

    def _next(self) -> str:
        word = self._words[self._at] if self._at < len(self._words) else ""
        self._at += 1
        return word.removesuffix(",")

    def _fail(self, word: str) -> ReadError:
        where = Where("intention", 1, max(1, self.text.find(word) + 1), max(1, len(word)), self.text)
        return ReadError(f"I do not understand {word!r} in an intention", where=where, help=HELP)

    def _read(self, word: str) -> None:
        if word in ("open", "opens", "allow", "close", "closes", "deny"):
            self.closes = word in ("close", "closes", "deny")
        elif word in PROTOCOLS:
            number = PROTOCOLS[word]
            self.fits &= (number, self.family) not in ((1, 6), (58, 4))
            self.tests[PROTO] = ((number, number),)
        elif word in ("to", "from"):
            self._end(word, self._next())
        elif word in ("port", "ports"):
            self.tests[DPORT] = self._ports(self._next())
        elif word in ("arriving", "leaving"):
            if self._next() not in ("on", "by"):
                raise self._fail(word)
            self.names[IN if word == "arriving" else OUT] = self._next()
        elif word in _WAYS:
            self.way = _WAYS[word]
            while self._at < len(self._words) and self._words[self._at] in ("of", "this", "host"):
                self._at += 1
        elif word not in ("everything", "all", "and"):
            raise self._fail(word)

    def _end(self, side: str, word: str) -> None:
        address, port = (DST, DPORT) if side == "to" else (SRC, SPORT)
        if word in ("port", "ports"):
            self.tests[port] = self._ports(self._next())
        elif (re.fullmatch(r"[\d,:-]+", word) and "::" not in word) or word in PORTS:
            self.tests[port] = self._ports(word)
        else:
            self.tests[address] = self._network(word)

    def _network(self, word: str) -> tuple[Interval, ...]:
        for family in (self.family, 10 - self.family):
            try:
                prefix = _NETWORK.read_word(word, family)
            except Unreadable:
                continue
            self.fits &= family == self.family
            full = (1 << (32 if family == 4 else 128)) - 1
            return ((prefix.address, prefix.address | (full & ~prefix.mask)),)
        raise self._fail(word)

    def _ports(self, word: str) -> tuple[Interval, ...]:
        found: list[Interval] = []
        for part in word.split(","):
            low, _, high = part.replace("-", ":").partition(":")
            try:
                first = PORTS[low] if low in PORTS else int(low)
                found.append((first, int(high) if high else first))
            except ValueError:
                raise self._fail(word) from None
        return joined(found)


def judged(text: str, classes: ChangeClasses, found: tuple[Class, ...]) -> Intent:
    """Whether the classes ``found`` are exactly what ``text`` says."""
    wanted = Intended(text, classes.encoder.family)
    if not wanted.fits:
        return Intent(text, not found, tuple(one.witness or "" for one in found[:3]))
    where = _set(wanted, classes)
    beyond, example = _beyond(wanted, where, classes, found)
    missing = _missing(wanted, where, classes, found)
    met = bool(found) and not beyond and not missing
    return Intent(text, met, beyond, missing if found else ("nothing changed",), example)


def _set(wanted: Intended, classes: ChangeClasses) -> int:
    tests = dict(wanted.tests)
    for level, name in wanted.names.items():
        atoms = classes.encoder.atoms
        number = atoms.of(name)
        tests[level] = ((number, number),)
    return classes.diagrams.cube(tests.items())


def _beyond(
    wanted: Intended, where: int, classes: ChangeClasses, found: tuple[Class, ...]
) -> tuple[tuple[str, ...], str | None]:
    """What changed that was not intended, and a packet of it."""
    kind = "closes" if wanted.closes else "opens"
    said: list[str] = []
    example = None
    for number, one in enumerate(found):
        right = one.kind == kind and wanted.way in (None, one.way)
        rest = classes.diagrams.without(classes.where[number], where) if right else classes.where[number]
        if rest == NOTHING:
            continue
        said.append(
            f"{one.kind} {one.way}: {'; '.join(classes.say(rest, found, [number], where if right else NOTHING))}"
        )
        if example is None:
            witness = Witness(classes.encoder, rest, "send" if one.way == "out" else "arrive")
            example = witness.walk(classes.source, one.way)
    return tuple(said), example


def _missing(
    wanted: Intended, where: int, classes: ChangeClasses, found: tuple[Class, ...]
) -> tuple[str, ...]:
    """What was intended and is not so, of packets that begin a connection, on the ways where something changed."""
    ways = (
        [wanted.way] if wanted.way else list(dict.fromkeys(one.way for one in found if one.way != "arriving"))
    )
    new = classes.diagrams.both(classes.diagrams.test(STATE, ((1, 1),)), where)
    if DPORT in wanted.tests or SPORT in wanted.tests:
        # a later fragment has no ports: nobody means it who names one
        new = classes.diagrams.both(classes.diagrams.test(FRAGMENT, ((0, 0),)), new)
    said: list[str] = []
    for way in ways:
        entry = {"in": "in", "through": "through", "out": "send"}[way]
        parts = Trail(classes.comparison.flows[1]).entry(entry, new)
        for part in parts:
            if (part.then == "ACCEPT") == wanted.closes:
                words = classes.words(wide(classes.diagrams, part.where, part.where, 1))
                by = (
                    f" by {part.by}"
                    if part.by is not None and part.by.index
                    else " by the policy"
                    if part.by is not None
                    else ""
                )
                said.append(f"{way}: still {part.then.lower()}{by}: {'; '.join(words)}")
    return tuple(said)
