"""What is wrong with a declaration: every fault with its place and what to write instead, all of them at once."""

import msgspec

from ruleflow.bridge.read_yaml import Value
from ruleflow.errors import RuleflowError, Where


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong, where, and what to write instead."""

    message: str
    where: Where
    help: str | None = None

    def __str__(self) -> str:
        return str(RuleflowError(self.message, where=self.where, help=self.help))


class DeclarationError(RuleflowError):
    """A declaration that cannot be used; ``faults`` are all that is wrong with it, in the order of the text."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__(faults[0].message, where=faults[0].where, help=faults[0].help)
        self.faults = faults

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self.faults)


class Faults:
    """Collects what is wrong with one text while it is read."""

    def __init__(self, source: str, text: str) -> None:
        self.source = source
        self.lines = text.splitlines()
        self._found: list[Fault] = []

    def __len__(self) -> int:
        return len(self._found)

    def add(self, at: Value, message: str, help: str | None = None) -> None:  # noqa: A002 - the word the reader sees
        """Something is wrong at ``at``."""
        line = self.lines[at.line - 1] if at.line <= len(self.lines) else ""
        where = Where(self.source, at.line, at.column, max(1, len(at.text or "")), line)
        fault = Fault(message, where, help)
        if fault not in self._found:  # one node may stand in several places (YAML aliases)
            self._found.append(fault)

    def stop(self) -> None:
        """Raises `DeclarationError` if anything was found."""
        if self._found:
            raise DeclarationError(tuple(sorted(self._found, key=_place)))


def _place(fault: Fault) -> tuple[int, int]:
    return fault.where.line or 0, fault.where.column or 0
