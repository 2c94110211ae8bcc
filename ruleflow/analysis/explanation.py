"""What `explain` gives: a rule set told in sentences, as values (views print them, msgspec makes JSON of them)."""

import msgspec

from ruleflow.ruleset.ir import Counters, RuleRef

Span = tuple[int, int, int]
"""Where a phrase stands in the source: line, first column, first column behind it; all count from 1, in characters."""


class Phrase(msgspec.Struct, frozen=True):
    """A piece of a sentence, and the words of the source that say it (None where no source was at hand)."""

    text: str
    span: Span | None = None


class Claim(msgspec.Struct, frozen=True):
    """What rules are for: ``reason`` in whole sentences, and by what it was recognised.

    ``about`` are the rules it explains; ``evidence`` says in words why we believe it, ``seen`` are the
    other rules that were looked at. A place with index 0 is the chain's policy. ``owner`` is a guess at the program that made them ("" where anybody may
    have), ``purpose`` a few words to stand behind it (``for the published port 8080``, ``to keep networks apart``). ``code`` names the
    idiom and is the same for all rules that have the same reason.
    """

    code: str
    about: tuple[RuleRef, ...]
    reason: str
    evidence: str
    owner: str = ""
    purpose: str = ""
    seen: tuple[RuleRef, ...] = ()


class RuleSaid(msgspec.Struct, frozen=True):
    """One rule in a sentence: ``who`` it is about, then what it ``does``, and ``why`` where that is known."""

    ref: RuleRef
    who: str
    does: str
    who_phrases: tuple[Phrase, ...] = ()
    does_phrases: tuple[Phrase, ...] = ()
    comments: tuple[str, ...] = ()
    counters: Counters | None = None
    calls: str | None = None
    """The chain it jumps or goes to."""
    note: str = ""
    """What else is to be said of it: that it is never reached."""
    why: Claim | None = None


class ChainSaid(msgspec.Struct, frozen=True):
    """A chain: what meets it, its rules, and what happens to what no rule decides (``rest``)."""

    table: str
    name: str
    about: str
    rules: tuple[RuleSaid, ...] = ()
    rest: str = ""
    rest_why: Claim | None = None
    policy: str | None = None
    line: int | None = None
    callers: tuple[RuleRef, ...] = ()
    owner: str = ""
    counters: Counters | None = None


class Summary(msgspec.Struct, frozen=True):
    """A part of "In short": ``where`` (``Into this host``), and line by line what happens there, in order."""

    where: str
    lines: tuple[str, ...]


class Explained(msgspec.Struct, frozen=True):
    """The explanation of one rule set: the short of it, then every chain in the order a packet meets them."""

    source: str
    family: int
    counts: str
    short: tuple[Summary, ...] = ()
    chains: tuple[ChainSaid, ...] = ()
    notes: tuple[str, ...] = ()
    """What is true of the whole: chains that nothing uses, chains without rules."""


class HostLine(msgspec.Struct, frozen=True):
    """One thing of a host (an interface, a route), and what is said of it."""

    what: str
    says: str


class HostPart(msgspec.Struct, frozen=True):
    """A part of a host: its interfaces, its bridges, a table of routes."""

    title: str
    about: str
    lines: tuple[HostLine, ...] = ()


class Explanation(msgspec.Struct, frozen=True):
    """The explanation of all rule sets found in one text, or of a host (``host``: what stands around its rules)."""

    schema: str
    ruleflow: str
    rulesets: tuple[Explained, ...] = ()
    warnings: tuple[str, ...] = ()
    host: tuple[HostPart, ...] = ()


class Reasons:
    """Says claims: each reason in full the first time, and by reference to that place when it comes again."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], str] = {}

    def say(self, claim: Claim, ref: RuleRef) -> str:
        """The claim about the rule at ``ref`` in sentences: owner and purpose, the evidence, the reason."""
        who = ", ".join(part for part in (claim.owner, claim.purpose) if part)
        who = who if claim.owner else who[:1].upper() + who[1:]
        place = f"line {ref.line}" if ref.line is not None else f"{ref.chain} {ref.index}"
        before = self._told.setdefault((claim.code, claim.owner), place)
        if before != place:
            return f"{who}: the same reason as {before}." if who else f"The same reason as {before}."
        guess = f" (a guess, {claim.evidence})" if claim.owner else ""
        return f"{who}{guess}. {claim.reason}" if who else claim.reason
