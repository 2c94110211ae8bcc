"""What `diff` gives: the packets that fare differently, how, by which rules, and the edits of the text, as values.

JSON is made of them as they stand (schema ``ruleflow.diff/1``).
"""

import msgspec

from ruleflow.ruleset.ir import RuleRef

SCHEMA = "ruleflow.diff/1"

KINDS = ("opens", "closes", "rewrites", "refuses", "queues", "marks", "tracks", "alters", "logs", "unknown")
"""How packets fare differently: let pass now, stopped now, rewritten otherwise, refused otherwise (DROP against
REJECT), left to a program, marked otherwise, tracked or not, changed in another way, logged otherwise, or
treated by something that ruleflow does not know."""


class Allowed(msgspec.Struct, frozen=True):
    """The values of one field in a box: ``ranges`` of numbers (first and last), and the same in ``words``.

    Interfaces have ``words`` only: names, ``*`` for any other name, ``eth*`` for any other that begins so, and
    the empty text for none.
    """

    field: str
    words: tuple[str, ...]
    ranges: tuple[tuple[int, int], ...] = ()


class Only(msgspec.Struct, frozen=True):
    """A condition that packet and rules do not decide, and whether it holds for the packets of the box."""

    text: str
    holds: bool


class BoxOf(msgspec.Struct, frozen=True):
    """A product of sets: all packets that have one of the values of each field, and meet what is undecided so."""

    fields: tuple[Allowed, ...]
    only: tuple[Only, ...] = ()


class Rewritten(msgspec.Struct, frozen=True):
    """A field of the packet that leaves with another value, in words (``172.17.0.2``, ``unknown``)."""

    field: str
    to: str


class Fate(msgspec.Struct, frozen=True):
    """What happens to packets on one side.

    ``verdict`` is ACCEPT, DROP, REJECT or QUEUE, ``reply`` what REJECT sends. ``by`` is the rule that decided;
    index 0 is the chain's policy, None: nothing stopped it. ``hook`` is the last one the packets came to.
    """

    verdict: str
    by: RuleRef | None = None
    hook: str = ""
    reply: str | None = None
    rewritten: tuple[Rewritten, ...] = ()
    rewritten_by: tuple[RuleRef, ...] = ()
    notes: tuple[str, ...] = ()


class Class(msgspec.Struct, frozen=True):
    """Packets that fare alike before, and alike after: ``boxes`` are disjoint and, unless ``left``, all of them.

    ``way`` is ``in`` (into this host), ``through``, ``out``, or ``arriving`` where they do not come as far as
    routing. ``witness`` is one of them, ``walk`` the command that shows it.
    """

    kind: str
    way: str
    before: Fate
    after: Fate
    boxes: tuple[BoxOf, ...]
    witness: str | None = None
    walk: str | None = None
    left: int = 0


class Told(msgspec.Struct, frozen=True):
    """Classes that a person would call one change, in few words that may be a little wide of the exact boxes.

    ``classes`` are their places in the list of classes; ``before`` and ``after`` are the fates, the first said first.
    """

    kind: str
    way: str
    words: tuple[str, ...]
    before: tuple[Fate, ...]
    after: tuple[Fate, ...]
    classes: tuple[int, ...]
    walk: str | None = None


class Edit(msgspec.Struct, frozen=True):
    """One difference of the texts.

    ``kind`` is ``added``, ``removed``, ``moved``, ``changed`` (its comment alone), ``merged`` (several rules now
    are one, or one is several), ``policy``, ``chain added``, ``chain removed`` or ``chain renamed``. ``before``
    and ``after`` are the rules' texts, ``effect`` whether a changed packet is decided by it.
    """

    kind: str
    table: str
    chain: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    before_refs: tuple[RuleRef, ...] = ()
    after_refs: tuple[RuleRef, ...] = ()
    why: str = ""


class Published(msgspec.Struct, frozen=True):
    """One published port that one side has and the other has not, with its rules and what each is for."""

    sentence: str
    rules: tuple[tuple[RuleRef, str, str], ...]
    opens: tuple[str, ...] = ()
    not_opened: tuple[str, ...] = ()
    taken_back: bool = False


class Intent(msgspec.Struct, frozen=True):
    """Whether exactly the intended packets fare differently: what is ``beyond`` it, what is ``missing``."""

    text: str
    met: bool
    beyond: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    witness: str | None = None


class FamilyChanges(msgspec.Struct, frozen=True):
    """The differences of one family's rule sets."""

    family: int
    classes: tuple[Class, ...] = ()
    told: tuple[Told, ...] = ()
    edits: tuple[Edit, ...] = ()
    published: tuple[Published, ...] = ()
    undecided: tuple[str, ...] = ()
    intent: Intent | None = None
    assumed: tuple[str, ...] = ()


class DeclaredChange(msgspec.Struct, frozen=True):
    """One difference of what the rules declare, in a ``sentence``.

    ``sign`` is ``+``, ``-`` or ``~``; ``kind`` is ``port map``, ``option``, ``network`` or ``endpoint``. ``subject`` is the port
    map, network or address it is about (empty: all of them). ``option`` is named as in a declaration, ``before`` and
    ``after`` are its values, or the port maps.
    """

    sign: str
    kind: str
    sentence: str
    subject: str
    option: str = ""
    before: str = ""
    after: str = ""
    families: tuple[int, ...] = ()


class Declared(msgspec.Struct, frozen=True):
    """What differs between the declarations that the rules of both sides can be read back into.

    ``before`` and ``after`` are the layouts they are written in (``docker-classic``); ``unread`` are bridges and subnets
    whose rules no layout would write so, on one side at least: nothing is said about them here.
    """

    before: tuple[str, ...]
    after: tuple[str, ...]
    changes: tuple[DeclaredChange, ...] = ()
    unread: tuple[str, ...] = ()


class Changes(msgspec.Struct, frozen=True):
    """All differences between two texts or hosts."""

    schema: str
    ruleflow: str
    before: str
    after: str
    same: bool
    families: tuple[FamilyChanges, ...] = ()
    host: tuple[str, ...] = ()
    """Differences of the hosts beside the rules, a sentence each."""
    declared: Declared | None = None
    """Networks, options and published ports that differ; None where the rules are the same or of no layout."""

    @property
    def classes(self) -> tuple[Class, ...]:
        """The classes of all families."""
        return tuple(one for family in self.families for one in family.classes)

    @property
    def edits(self) -> tuple[Edit, ...]:
        """The edits of all families."""
        return tuple(one for family in self.families for one in family.edits)

    def found(self, what: str = "any") -> bool:
        """Whether there is something of a kind: ``any`` difference, ``opens``, ``closes``, or ``text`` (an edit, too).

        Where an intention was given, ``any`` asks whether it was missed.
        """
        intents = [family.intent for family in self.families if family.intent is not None]
        if intents and what == "any":
            return not all(intent.met for intent in intents)
        if what in ("opens", "closes"):
            return any(one.kind == what for one in self.classes)
        return not self.same or (what == "text" and bool(self.edits))
