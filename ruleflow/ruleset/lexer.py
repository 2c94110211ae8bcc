"""The words of a line as tokens of the kinds that grammar/save.lark names.

Which word is an option, a name or a value follows from the option tables alone, never from the look of a
word: iptables-save prints a comment ``-j`` unquoted. The order of deciding follows `do_parse` of
iptables/xshared.c: options of every rule first, then those of the extensions loaded, the last one first,
then those of the protocol's own match, which is loaded for them.
"""

from collections.abc import Sequence

import msgspec

from ruleflow.ruleset.advice import suggestion, unexpected
from ruleflow.ruleset.extension import Extension, Match, Option
from ruleflow.ruleset.protocols import NUMBERS, protocol_name
from ruleflow.ruleset.registry import Registry
from ruleflow.ruleset.values import Unreadable

COMMANDS: dict[str, str] = {
    "-A": "APPEND", "--append": "APPEND", "-I": "INSERT", "--insert": "INSERT", "-R": "REPLACE",
    "--replace": "REPLACE", "-D": "DELETE", "--delete": "DELETE", "-C": "CHECK", "--check": "CHECK",
    "-N": "NEW", "--new-chain": "NEW", "--new": "NEW", "-F": "FLUSH", "--flush": "FLUSH", "-X": "REMOVE",
    "--delete-chain": "REMOVE", "-Z": "ZERO", "--zero": "ZERO", "-P": "POLICY", "--policy": "POLICY",
    "-E": "RENAME", "--rename-chain": "RENAME",
}  # fmt: skip
_RULE_COMMANDS = frozenset({"APPEND", "INSERT", "REPLACE", "DELETE", "CHECK"})
_NUMBERED = frozenset({"INSERT", "REPLACE", "DELETE", "ZERO"})
_MATCH = frozenset({"-m", "--match"})
_JUMP = frozenset({"-j", "--jump"})
_GOTO = frozenset({"-g", "--goto"})
_COUNTERS = frozenset({"-c", "--set-counters"})
_QUIET = frozenset({"-v", "--verbose", "-n", "--numeric", "-x", "--exact", "--line-numbers", "-w", "--wait"})
_GENERAL = (
    "--match", "--jump", "--goto", "--set-counters", "--verbose", "--numeric", "--exact", "--wait", "--wait-interval",
    "--modprobe", "--table", "--list", "--list-rules", "--line-numbers", "--version", "--help", "--ipv4", "--ipv6",
)  # fmt: skip
_SPENT = frozenset({"-W", "--wait-interval", "-M", "--modprobe"})
"""Options for the tool itself, with a value, that say nothing of the rule."""
_SWITCHES = ("-v", "-n", "-x", "-f", "-4", "-6")
"""Short options without a value, so that others may stand behind the same dash (``-vA``)."""
_FAMILIES = {"-4": 4, "--ipv4": 4, "-6": 6, "--ipv6": 6}
_STARTERS = _MATCH | _JUMP | _GOTO


class Group(msgspec.Struct):
    """One extension in use on a line (or the header): its options and the words that it owns."""

    cls: type[Extension] | None
    words: list[int]
    options: list[tuple[Option, bool, tuple[int, ...], int]] = []
    """Row, negated, the words of the value, the word of the option."""
    name: str = ""


class Token(msgspec.Struct):
    """A word with its kind; ``group`` says whose option or value it is."""

    kind: str
    text: str
    index: int
    group: int = 0
    row: Option | None = None


class Misplaced(Unreadable):
    """A word that cannot stand where it stands; ``index`` is the word's."""

    def __init__(self, message: str, index: int, help: str | None = None, unknown: str | None = None) -> None:  # noqa: A002
        super().__init__(message, help)
        self.index = index
        self.unknown = unknown


class OtherFamily(Misplaced):
    """The line says ``-4`` or ``-6`` and means the other family: each restore passes the other's lines over."""


class Lexer:
    """One line's words on their way to tokens.

    ``exact`` turns false where a kind did not follow from known words alone (an abbreviation, ``--a=b``, an
    option whose value may be left out), so that lines of the same kinds need not have the same outline.
    """

    def __init__(self, words: Sequence[str], registry: Registry, header: type[Match]) -> None:
        self.words = list(words)
        self.places = list(range(len(words)))  # word of the line that each word came from
        self.registry = registry
        self.exact = True
        self.tokens: list[Token] = []
        self.groups: list[Group] = [Group(header, [])]
        self.protocol: str | None = None
        self.negated_at: int | None = None
        self.targeted = False
        self.unknown: list[tuple[int, str]] = []
        self.at = 0

    def run(self) -> list[Token]:
        """All tokens of the line. Raises `Misplaced`."""
        if self.words and self.words[0].startswith("["):
            self._part_counters()
            self._emit("COUNTERS")
        self._bring_command_forward()
        kind = COMMANDS.get(self._word() or "")
        if kind is None:
            raise Misplaced(
                f"I do not know the command {self._word()!r}", self.at, "a rule begins with -A CHAIN"
            )
        self._emit(kind)
        if self.at < len(self.words):
            self._emit("NAME")
        if kind in _NUMBERED and (self._word() or "").isdigit():
            self.exact = False  # a chain's name may be a number too: the kinds do not tell
            self._emit("NUMBER")
        elif kind in ("POLICY", "RENAME") and self.at < len(self.words):
            self._emit("NAME")
            if kind == "POLICY" and self.at < len(
                self.words
            ):  # -P takes no counters, but dumps of old had them
                self._emit("COUNTERS")
        while self.at < len(self.words):
            self._clause()
        if self.negated_at is not None:
            raise Misplaced("! stands before nothing", self.negated_at)
        return self.tokens

    def _part_counters(self) -> None:
        """``[0:0]-A``: the blank behind the counters may be missing."""
        counters, bracket, rest = self.words[0].partition("]")
        if rest:
            self.exact = False
            self.words[:1], self.places[:1] = [counters + bracket, rest], [0, 0]

    def _bring_command_forward(self) -> None:
        """``-4 -A INPUT …`` and ``-s ADDRESS -A INPUT …``: getopt takes options in any order."""
        first = self._word()
        if first is None or first in COMMANDS or not first.startswith(("-", "!")):
            return
        found = next(
            (i for i in range(self.at, len(self.words)) if command_words(self.words[i]) is not None), None
        )
        if found is None:
            return
        self.exact = False
        spelled = command_words(self.words[found]) or ()
        places = [self.places[found]] * len(spelled)
        self.words[found : found + 1], self.places[found : found + 1] = spelled, places
        order = [
            found,
            found + 1,
            *[i for i in range(self.at, len(self.words)) if i not in (found, found + 1)],
        ]
        order = [i for i in order if i < len(self.words)]
        self.words[self.at :] = [self.words[i] for i in order]
        self.places[self.at :] = [self.places[i] for i in order]

    # -- one clause -----------------------------------------------------------------------------------

    def _clause(self) -> None:
        word = self.words[self.at]
        row = self.groups[0].cls.options().get(word)  # type: ignore[union-attr]
        if word == "!":
            if self.negated_at is not None:
                raise Misplaced("! stands twice", self.at)
            self.negated_at = self.at
            self._emit("BANG")
        elif row is not None:
            self._option(row, 0)
        elif word in _MATCH:
            self._match()
        elif word in _JUMP or word in _GOTO:
            self._target("JUMP" if word in _JUMP else "GOTO")
        elif word in _COUNTERS:
            self._given_counters()
        elif word in _QUIET:
            self._emit("QUIET")
            if word in ("-w", "--wait") and (self._word() or "").isdigit():
                self._emit("VALUE")
        elif word in _FAMILIES or word in _SPENT:
            self._aside(word)
        else:
            self._extension_option(word)

    def _aside(self, word: str) -> None:
        """Pass over what is said to the tool and not of the rule. Raises `OtherFamily`."""
        self.exact = False
        family = _FAMILIES.get(word)
        if family not in (None, self.registry.family):
            raise OtherFamily(f"{word} makes this a line of IPv{family}", self.at)
        count = 1 if family else 2
        del self.words[self.at : self.at + count], self.places[self.at : self.at + count]

    def _extension_option(self, word: str) -> None:
        for number in range(len(self.groups) - 1, 0, -1):
            group = self.groups[number]
            if group.cls is not None and word in group.cls.options():
                return self._option(group.cls.options()[word], number)
        # what is loaded is asked first: beside -m multiport, --dport is an abbreviation of --dports
        if self._respell(word, loaded=True) or self._load_for_protocol(word) or self._respell(word):
            return None
        self._unknown(word)
        return None

    def _option(self, row: Option, number: int) -> None:
        """An option with its values; ``--dport ! 80`` is the old spelling of ``! --dport 80``."""
        index = self.at
        negated, self.negated_at = self.negated_at is not None, None
        owned = [index - 1, index] if negated else [index]
        self._emit("OPTION", number, row)
        if row.type.words and self._word() == "!" and not negated and row.negatable:
            negated = True
            owned.append(self.at)
            self._emit("BANG", number, row)
        if negated and not row.negatable:
            raise Misplaced(f"{row.flag} cannot be negated", index)
        values = self._values(row, number, index)
        group = self.groups[number]
        group.words.extend((*owned, *values))
        group.options.append((row, negated, values, index))
        if number == 0 and row.flag == "-p":
            self._note_protocol(self.words[values[0]], negated=negated)

    def _values(self, row: Option, number: int, index: int) -> tuple[int, ...]:
        wanted = row.type.words
        if row.type.wide:
            self.exact = False
            following = self.words[self.at : self.at + wanted]
            wanted = 0 if not following or following[0][:1] in ("-", "!", "") else wanted
        if self.at + wanted > len(self.words):
            raise Misplaced(f"{row.flag} needs {_count(wanted)}", index)
        values = tuple(range(self.at, self.at + wanted))
        for _ in values:
            self._emit("VALUE", number, row)
        return values

    def _note_protocol(self, word: str, *, negated: bool) -> None:
        number = NUMBERS.get(word.lower())
        if number is None and word.isascii() and word.isdigit():
            number = int(word)
        if (
            word not in self.registry.protocol_words
            and number is not None
            and protocol_name(number) in self.registry.protocols
        ):
            self.exact = False  # tCP, 006
        self.protocol = None if negated or number is None else protocol_name(number)

    # -- extensions -----------------------------------------------------------------------------------

    def _match(self) -> None:
        if self.at + 1 >= len(self.words):
            raise Misplaced("-m needs the name of a match", self.at)
        name = self.words[self.at + 1]
        cls = self.registry.matches.get(name)
        if cls is None:
            self._opaque(self.at, f"I do not know the match {name!r}", name)
            return
        owned = [self.at, self.at + 1]
        if self.negated_at is not None:  # old: "-m ! name"; iptables refuses, and so do we
            raise Misplaced("! cannot stand before -m", self.negated_at)
        self.groups.append(Group(cls, owned, [], name))
        self._emit("MATCH", len(self.groups) - 1)
        self._emit("NAME", len(self.groups) - 1)

    def _target(self, kind: str) -> None:
        if self.negated_at is not None:
            raise Misplaced(f"! cannot stand before {self.words[self.at]}", self.negated_at)
        if self.at + 1 >= len(self.words):
            raise Misplaced(f"{self.words[self.at]} needs a chain or a target", self.at)
        name = self.words[self.at + 1]
        cls = self.registry.targets.get(name) if kind == "JUMP" else None
        group = Group(cls, [self.at, self.at + 1], [], name)
        if self.targeted:
            raise Misplaced("a rule has one target only", self.at)
        self.targeted = True
        self.groups.append(group)
        self._emit(kind, len(self.groups) - 1)
        self._emit("NAME", len(self.groups) - 1)

    def _load_for_protocol(self, word: str) -> bool:
        """Load the match of ``-p`` where it knows the option (`load_proto`, iptables/xshared.c)."""
        cls = self.registry.for_protocol(self.protocol)
        if cls is None or word not in cls.options() or any(group.cls is cls for group in self.groups):
            return False
        self.groups.append(Group(cls, [], [], cls.name))
        self._option(cls.options()[word], len(self.groups) - 1)
        return True

    # -- spellings, and what is not known -------------------------------------------------------------

    def _respell(self, word: str, *, loaded: bool = False) -> bool:
        """Write ``--a=b``, ``-sADDRESS`` and abbreviations as getopt_long takes them, and try again."""
        flag, equals, value = word.partition("=")
        if not word.startswith("--"):
            return self._attached(word)
        known = self._spellings(loaded=loaded)
        found = [flag] if flag in known and equals else sorted(k for k in known if k.startswith(flag))
        rows = {id(known[name]) if known[name] is not None else name for name in found}
        if len(rows) != 1 or len(flag) < 3 or found == [word]:
            return False
        self._replace([found[0], *([value] if equals else [])])
        return True

    def _attached(self, word: str) -> bool:
        if len(word) > 2 and word[:2] in _SWITCHES:
            self._replace([word[:2], f"-{word[2:]}"])
            return True
        if len(word) < 3 or word[:2] not in (
            "-s",
            "-d",
            "-i",
            "-o",
            "-p",
            "-j",
            "-g",
            "-m",
            "-w",
            "-W",
            "-M",
            "-c",
        ):
            return False
        if f"-{word}" in self.registry.flags:
            raise Misplaced(
                f"I do not know the option {word}", self.at, f"did you mean -{word}, with two dashes?", word
            )
        self._replace([word[:2], word[2:].removeprefix("=")])
        return True

    def _replace(self, words: list[str]) -> None:
        self.exact = False
        place = self.places[self.at]
        self.words[self.at : self.at + 1] = words
        self.places[self.at : self.at + 1] = [place] * len(words)
        self._clause()

    def _spellings(self, *, loaded: bool) -> dict[str, Option | None]:
        """The long options of every rule and of the extensions ``loaded``, or also of the protocol's match."""
        known: dict[str, Option | None] = dict.fromkeys(
            (*_GENERAL, *(flag for flag in COMMANDS if flag.startswith("--")))
        )
        classes = [group.cls for group in self.groups]
        if not loaded:
            classes.append(self.registry.for_protocol(self.protocol))
        for cls in classes:
            if cls is not None:
                known |= {flag: row for flag, row in cls.options().items() if flag.startswith("--")}
        return known

    def _unknown(self, word: str) -> None:
        self.exact = False
        if not word.startswith("-"):
            self._swallowed()
            raise Misplaced(
                f"I do not expect {word!r} here",
                self.at,
                unexpected(word, self.words[: self.at], self.registry),
            )
        last = len(self.groups) - 1
        if last == 0 and not self._has_unknown_owner():
            raise Misplaced(f"I do not know the option {word}", self.at, self._suggestion(word), unknown=word)
        start = min(self.groups[last].words, default=self.at) if last else self.at
        self._opaque(start, f"I do not know the option {word}", self.groups[last].name, at=self.at)

    def _swallowed(self) -> None:
        """Say where a value is missing: ``--dport -j ACCEPT`` takes ``-j`` for the port. Raises `Misplaced`."""
        for token in reversed(self.tokens):
            if (
                token.index == self.at - 1
                and token.kind in ("VALUE", "NAME")
                and token.text.startswith("-")
                and token.index
            ):
                owner = token.row.flag if token.row is not None else self.words[token.index - 1]
                help_ = f"write the value of {owner} behind it"
                raise Misplaced(f"{owner} has taken {token.text!r} for its value", token.index - 1, help_)

    def _has_unknown_owner(self) -> bool:
        return any(group.cls is None for group in self.groups)

    def _opaque(self, start: int, message: str, name: str, at: int | None = None) -> None:
        """Everything from word ``start`` to the next -m, -j or -g stays word for word."""
        self.unknown.append((at if at is not None else start + 1, message))
        target = self.words[start] in _JUMP | _GOTO
        self.tokens = [token for token in self.tokens if token.index < start]
        header, *others = (
            self.groups
        )  # the header stays the first group, though all its options may stand behind
        self.groups = [header, *(group for group in others if not group.words or min(group.words) < start)]
        header.options = [given for given in header.options if max(given[2], default=given[3]) < start]
        header.words = [index for index in header.words if index < start]
        self.negated_at = None
        self.groups.append(Group(None, [], [], name))
        number = len(self.groups) - 1
        end = start + 2 if not target or len(self.words) > start + 1 else start + 1
        while end < len(self.words) and self.words[end] not in _STARTERS:
            end += 1
        self.at = start
        while self.at < min(end, len(self.words)):
            self.groups[number].words.append(self.at)
            self._emit("OPAQUE", number)

    def _suggestion(self, word: str) -> str | None:
        return suggestion(word, self.protocol, self.words, self.registry)

    # -- small ----------------------------------------------------------------------------------------

    def _given_counters(self) -> None:
        packets, comma, count = (self.words[self.at + 1 : self.at + 2] or [""])[0].partition(",")
        if comma:
            self.exact = False
            place = self.places[self.at + 1]
            self.words[self.at + 1 : self.at + 2] = [packets, count]
            self.places[self.at + 1 : self.at + 2] = [place, place]
        if self.at + 2 >= len(self.words):
            raise Misplaced("-c needs a packet and a byte count", self.at)
        self._emit("SET_COUNTERS")
        self._emit("VALUE")
        self._emit("VALUE")

    def _word(self) -> str | None:
        return self.words[self.at] if self.at < len(self.words) else None

    def _emit(self, kind: str, group: int = 0, row: Option | None = None) -> None:
        self.tokens.append(Token(kind, self.words[self.at], self.at, group, row))
        self.at += 1


def command_words(word: str) -> tuple[str, ...] | None:
    """A command word as getopt_long takes it: ``-AINPUT``, ``--app``, ``--append=INPUT``, ``-vA``; None for others."""
    if word in COMMANDS:
        return (word,)
    flag, equals, value = word.partition("=")
    if word.startswith("--"):
        found = {COMMANDS[name] for name in COMMANDS if name.startswith(flag)} if len(flag) > 4 else set()
        full = flag if flag in COMMANDS else next((name for name in COMMANDS if name.startswith(flag)), flag)
        return (full, *([value] if equals else [])) if len(found) == 1 else None
    short = f"-{word[1:].lstrip('vnx')}" if word[:2] in _SWITCHES else word
    if short[:2] in COMMANDS and word[:1] == "-":
        return (short[:2], *([short[2:]] if len(short) > 2 else []))
    return None


def _count(number: int) -> str:
    return "a value" if number == 1 else f"{number} values"
