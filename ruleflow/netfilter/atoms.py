"""Interface names as numbers: every name that rules or the host speak of, and "any other"."""

from collections.abc import Iterable

NONE = ""
"""The name where there is no interface: in for a packet sent by this host, out for one delivered to it."""


class Atoms:
    """The classes of names that the given names and wildcards (``eth+``) tell apart, in a fixed order.

    Each wildcard has a class "any other that begins so"; it stands just before the names that begin so,
    which makes every wildcard one interval. Class 0 is "no interface", class 1 "any other name".

    >>> atoms = Atoms(["eth0", "eth+", "lo"])
    >>> atoms.range("eth+"), atoms.range("lo"), atoms.words(2), atoms.words(1)
    ((2, 3), (4, 4), 'any other eth…', 'any other')
    """

    def __init__(self, names: Iterable[str]) -> None:
        wanted = {name for name in names if name not in (NONE, "+")}
        exact = {name for name in wanted if not name.endswith("+")}
        stems = {name[:-1] for name in wanted if name.endswith("+")}
        # A stem sorts before its own exact name: ("eth", 0) < ("eth", 1) < ("eth0", 1).
        order = sorted({(name, 1) for name in exact} | {(stem, 0) for stem in stems})
        self._order: tuple[tuple[str, int], ...] = ((NONE, 1), (NONE, 0), *order)
        self._index = {atom: number for number, atom in enumerate(self._order)}

    def __len__(self) -> int:
        return len(self._order)

    def range(self, pattern: str) -> tuple[int, int]:
        """The classes that a name or wildcard covers, as an interval. Raises KeyError for one not given."""
        if pattern == "+":
            return 0, len(self._order) - 1
        if not pattern.endswith("+"):
            number = self._index[(pattern, 1)]
            return number, number
        stem = pattern[:-1]
        first = last = self._index[(stem, 0)]
        while last + 1 < len(self._order) and self._order[last + 1][0].startswith(stem):
            last += 1
        return first, last

    def of(self, name: str) -> int:
        """The class of a packet's interface name (`NONE` where it has none)."""
        found = self._index.get((name, 1))
        if found is not None:
            return found
        for length in range(len(name), 0, -1):
            found = self._index.get((name[:length], 0))
            if found is not None:
                return found
        return 1

    def name(self, number: int) -> str:
        """A name of the class, made up where the class is "any other"."""
        name, exact = self._order[number]
        if exact:
            return name
        for tail in ("0", "1", "x", "y9", "zz", "other"):
            made = (name or "eth") + tail
            if len(made) <= 15 and self.of(made) == number:
                return made
        return name or next(made for n in range(10**6) if self.of(made := f"if{n}") == number)

    def words(self, number: int) -> str:
        """The class in words."""
        name, exact = self._order[number]
        if exact:
            return name or "no interface"
        return f"any other {name}…" if name else "any other"
