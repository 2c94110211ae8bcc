"""A table in the making: the commands of a restore file applied in order."""

import re
from collections.abc import Iterator, Sequence

import msgspec

from ruleflow.ruleset.advice import close
from ruleflow.ruleset.ir import BUILTIN_CHAINS, ZERO, Chain, Counters, Goto, Jump, Rule, Table
from ruleflow.ruleset.registry import registry
from ruleflow.ruleset.shape import Line

_COUNTERS = re.compile(r"\[(\d+):(\d+)\]")
_CHAIN = re.compile(r":([^ \t\r\[]+) - \[(\d+):(\d+)\]")


class Refused(ValueError):  # noqa: N818 - becomes a ReadError where the line is known
    """A command that cannot be applied: what a restore would refuse."""

    def __init__(self, message: str, help: str | None = None) -> None:  # noqa: A002
        super().__init__(message)
        self.message, self.help = message, help


class _Chain(msgspec.Struct):
    name: str
    policy: str | None
    counters: Counters
    line: int | None
    rules: list[Rule]
    comments: tuple[str, ...] = ()
    declared: bool = True


class TableBuilder:
    """Collects chains and rules; `finish` gives the table as a restore would have it."""

    def __init__(self, name: str, family: int, line: int) -> None:
        self.name, self.family, self.line = name, family, line
        self.before: tuple[str, ...] = ()
        self.comments: list[str] = []
        self.chains: dict[str, _Chain] = {}
        self.builtin = BUILTIN_CHAINS.get(name, ())
        self.rules: dict[str, list[Rule]] = {}
        """The rules of each chain that has been named."""

    # -- lines ----------------------------------------------------------------------------------------

    def declare_all(self, lines: Sequence[str], at: int) -> int:
        """Chain lines in their usual form, from ``lines[at]`` on; gives the index of the first that is another."""
        count = len(lines)
        while at < count and (found := _CHAIN.fullmatch(lines[at])) is not None:
            name, packets, octets = found.groups()
            if name in self.chains or name in self.builtin:
                break
            at += 1
            counters = ZERO if packets == octets == "0" else Counters(int(packets), int(octets))
            self.chains[name] = chain = _Chain(name, None, counters, at, [])
            self.rules[name] = chain.rules
        return at

    def declare(self, words: list[str], line: int) -> None:
        """``:NAME POLICY [packets:bytes]``; a chain declared again is emptied, as a restore does.

        What stands for the counters may be anything: a restore without ``-c`` does not look at it.
        """
        if len(words) == 2 and words[1].startswith("["):
            words = [words[0], "-", words[1]]
        name, policy = words[0], words[1] if len(words) > 1 else "-"
        counters = _COUNTERS.fullmatch(words[2]) if len(words) > 2 else None
        known = self.chains.get(name)
        rules: list[Rule] = known.rules if known is not None and name in self.builtin else []
        count = Counters(int(counters[1]), int(counters[2])) if counters else ZERO
        self.chains[name] = _Chain(name, self._policy_of(name, policy), count, line, rules, self._taken())
        self.rules[name] = rules

    def _policy_of(self, name: str, policy: str) -> str | None:
        """The policy of a chain line; a chain that no hook calls has none, whatever is written (iptables-nft)."""
        if self.builtin and name not in self.builtin:
            return None
        return _policy(policy) if name in self.builtin or policy != "-" else None

    def append(self, rule: Rule) -> None:
        """``-A``: a rule at the end of its chain."""
        rules = self.rules.get(rule.chain)
        if rules is None:
            rules = self._chain(rule.chain, rule.line).rules
        if self.comments:
            rule = msgspec.structs.replace(rule, comments=self._taken())
        rules.append(rule)

    def keep_policies(self, earlier: Table) -> None:
        """Begin with the policies of the same table further up: only a chain line changes a policy (iptables-legacy)."""
        for chain in earlier.chains:
            if chain.name in self.builtin and chain.policy is not None:
                self.chains[chain.name] = kept = _Chain(chain.name, chain.policy, ZERO, None, [])
                self.rules[chain.name] = kept.rules

    def apply(self, line: Line) -> Iterator[tuple[str, str, str | None]]:
        """Any command; yields warnings as code, message and help. Raises `Refused`."""
        if line.command == "APPEND" and line.rule is not None:
            self.append(line.rule)
            return iter(())
        return iter(list(getattr(self, f"_{line.command.lower()}")(line)))

    # -- commands -------------------------------------------------------------------------------------

    def _insert(self, line: Line) -> Iterator[tuple[str, str, str | None]]:
        assert line.rule is not None
        rules = self._chain(line.chain, line.rule.line).rules
        place = line.number or 1
        if not 1 <= place <= len(rules) + 1:
            raise Refused(f"{line.chain} has {len(rules)} rules: nothing can be inserted at {place}")
        rules.insert(place - 1, line.rule)
        yield from ()

    def _replace(self, line: Line) -> Iterator[tuple[str, str, str | None]]:
        assert line.rule is not None
        rules = self._chain(line.chain, line.rule.line).rules
        rules[self._index(line, rules)] = line.rule
        yield from ()

    def _delete(self, line: Line) -> Iterator[tuple[str, str, str | None]]:
        rules = self._existing(line).rules
        if line.number is not None:
            del rules[self._index(line, rules)]
        elif line.rule in rules:
            rules.remove(line.rule)
        else:
            yield (
                "RF009",
                f"-D takes away a rule that {line.chain} does not have",
                "a restore would stop here",
            )

    def _check(self, line: Line) -> Iterator[tuple[str, str, str | None]]:
        chain = self.chains.get(line.chain)
        if chain is None or line.rule not in chain.rules:
            yield "RF009", f"-C asks for a rule that {line.chain} does not have", "a restore would stop here"

    def _new(self, line: Line) -> Iterator[tuple[str, str, str | None]]:
        if line.chain in self.chains or line.chain in self.builtin:
            raise Refused(f"the chain {line.chain} is there already")
        self.declare([line.chain], self.line)
        yield from ()

    def _flush(self, line: Line) -> Iterator[tuple[str, str, str | None]]:
        for chain in [self._existing(line)] if line.chain else self.chains.values():
            chain.rules.clear()
        yield from ()

    def _remove(self, line: Line) -> Iterator[tuple[str, str, str | None]]:
        names = (
            [self._existing(line).name]
            if line.chain
            else [name for name in self.chains if name not in self.builtin]
        )
        for name in names:
            if self.chains[name].rules:
                raise Refused(f"the chain {name} is not empty", f"write -F {name} first")
        for name in names:
            del self.chains[name], self.rules[name]
        yield from ()

    def _zero(self, line: Line) -> Iterator[tuple[str, str, str | None]]:
        for chain in [self._existing(line)] if line.chain else self.chains.values():
            chain.counters = ZERO
        yield from ()

    def _policy(self, line: Line) -> Iterator[tuple[str, str, str | None]]:
        if line.chain not in self.builtin:
            raise Refused(f"only a chain that a hook calls has a policy, not {line.chain}")
        if line.word not in ("ACCEPT", "DROP", "QUEUE"):
            raise Refused(f"{line.word!r} is no policy", "write ACCEPT or DROP")
        self._chain(line.chain, None).policy = line.word
        yield from ()

    def _rename(self, line: Line) -> Iterator[tuple[str, str, str | None]]:
        chain = self._existing(line)
        if not line.word or line.word in self.chains:
            raise Refused(
                "-E needs the chain's new name"
                if not line.word
                else f"the chain {line.word} is there already"
            )
        del self.chains[chain.name], self.rules[chain.name]
        chain.name = line.word
        chain.rules[:] = [msgspec.structs.replace(rule, chain=line.word) for rule in chain.rules]
        self.chains[line.word], self.rules[line.word] = chain, chain.rules
        yield from ()

    # -- the table ------------------------------------------------------------------------------------

    def warnings(self) -> Iterator[tuple[str, str, int, str | None]]:
        """What a restore would refuse in the whole table: code, message, line and help."""
        if not self.builtin:
            yield (
                "RF008",
                f"iptables has no table {self.name}; a restore would refuse it",
                self.line,
                close(self.name, BUILTIN_CHAINS),
            )
        for chain in self.chains.values():
            if not chain.declared:
                yield (
                    "RF008",
                    f"the chain {chain.name} is not declared; a restore would refuse its rules",
                    chain.line or self.line,
                    close(chain.name, self._declared()),
                )
        known = {*self.chains, *self.builtin}
        missing: dict[str, int] = {}
        for chain in self.chains.values():
            for rule in chain.rules:
                if type(rule.target) in (Jump, Goto) and rule.target.chain not in known:  # type: ignore[union-attr]
                    missing.setdefault(rule.target.chain, rule.line or self.line)  # type: ignore[union-attr]
        for name, line in missing.items():
            yield (
                "RF008",
                f"there is no chain and no target {name}; a restore would refuse the rule",
                line,
                close(name, (*registry(self.family).targets, *self._declared())),
            )

    def _declared(self) -> list[str]:
        return [*self.builtin, *(chain.name for chain in self.chains.values() if chain.declared)]

    def finish(self) -> Table:
        """The table; its chains in the order that iptables-save prints them, whichever save wrote the text.

        1.8.9 prints every chain of a hook and sorts the others, over both backends; an older iptables-nft-save
        left chains out and printed them as they had been made.
        """
        names = list(self.chains)
        if self.builtin:
            for name in self.builtin:
                if name not in self.chains:
                    self.chains[name] = _Chain(name, "ACCEPT", ZERO, None, [])
            rank = {name: index for index, name in enumerate(self.builtin)}
            names = sorted(
                self.chains,
                key=lambda name: (rank.get(name, len(rank)), name.encode("utf-8", "surrogateescape")),
            )
        chains = tuple(self._finished(self.chains[name]) for name in names)
        return Table(self.name, chains, self.before, tuple(self.comments), (), self.line)

    def _finished(self, chain: _Chain) -> Chain:
        return Chain(chain.name, chain.policy, tuple(chain.rules), chain.counters, chain.line, chain.comments)

    def _chain(self, name: str, line: int | None) -> _Chain:
        chain = self.chains.get(name)
        if chain is None:
            if len(name.split()) != 1:
                raise Refused(f"{name!r} is no name of a chain", "it has no blanks in it")
            builtin = name in self.builtin
            chain = _Chain(
                name, "ACCEPT" if builtin else None, ZERO, None if builtin else line, [], (), builtin
            )
            self.chains[name] = chain
            self.rules[name] = chain.rules
        return chain

    def _existing(self, line: Line) -> _Chain:
        if line.chain in self.builtin:
            return self._chain(line.chain, None)
        chain = self.chains.get(line.chain)
        if chain is None:
            raise Refused(f"there is no chain {line.chain}", f"write -N {line.chain} first")
        return chain

    def _index(self, line: Line, rules: list[Rule]) -> int:
        if line.number is None:
            raise Refused("-R needs the number of the rule it replaces", f"write -R {line.chain} 1 …")
        if not 1 <= line.number <= len(rules):
            raise Refused(f"{line.chain} has {len(rules)} rules: there is none at {line.number}")
        return line.number - 1

    def _taken(self) -> tuple[str, ...]:
        if not self.comments:
            return ()
        taken = tuple(self.comments)
        self.comments.clear()
        return taken


def _policy(word: str) -> str:
    return "ACCEPT" if word == "-" else word
