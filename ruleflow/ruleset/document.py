"""What a text held: the rule sets of both families, what was noise, and what is worth a warning."""

import msgspec

from ruleflow.errors import Where, visible
from ruleflow.ruleset.ir import Ruleset


class Notice(msgspec.Struct, frozen=True):
    """Something a reader should know: ``code`` RF0.., what, where, what to do; ``count`` times in all."""

    code: str
    message: str
    where: Where
    help: str | None = None
    count: int = 1

    def __str__(self) -> str:
        times = f" ({self.count} times)" if self.count > 1 else ""
        text = f"warning[{self.code}]: {visible(self.message)}{times}\n  --> {visible(str(self.where))}"
        return f"{text}\n   = help: {self.help}" if self.help else text


class Document(msgspec.Struct, frozen=True):
    """A text as read: ``rulesets`` in the order they stand, ``noise`` as line number and text.

    ``errors`` are the lines passed over with ``lenient``. ``str()`` is the canonical text of all rule sets.
    """

    source: str
    text: str
    rulesets: tuple[Ruleset, ...]
    warnings: tuple[Notice, ...] = ()
    errors: tuple[Notice, ...] = ()
    noise: tuple[tuple[int, str], ...] = ()

    def __str__(self) -> str:
        return "".join(str(ruleset) for ruleset in self.rulesets)

    def line(self, number: int) -> str:
        """A line of the text as it stood, counted from 1, without its end."""
        return self.text.split("\n")[number - 1].removesuffix("\r")
