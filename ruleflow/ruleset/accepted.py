"""The sequences of word kinds that grammar/save.lark has accepted before, kept between runs.

The grammar's answer hangs on the kinds alone, and large dumps and small ones share most of them: where all
are known, lark need not be loaded at all (30 ms, a quarter of what explaining a small dump takes). The note
is of one grammar: another text of it has another file.
"""

import functools
import zlib
from pathlib import Path

from ruleflow.data import cache_file, grammar


class Accepted:
    """Kind sequences as texts; what is new is written behind the others."""

    def __init__(self, place: Path | None) -> None:
        self.place = place
        self.known: set[str] = set()
        if place is not None:
            try:
                self.known.update(place.read_text("ascii").splitlines())
            except (OSError, ValueError):
                self.known.clear()

    def __contains__(self, kinds: str) -> bool:
        return kinds in self.known

    def add(self, kinds: str) -> None:
        """Remember a sequence; where nothing can be written, for this run."""
        self.known.add(kinds)
        if self.place is None or len(kinds) > 2000 or len(self.known) > 5000:
            return
        try:
            with self.place.open("a", encoding="ascii") as file:
                file.write(f"{kinds}\n")
        except OSError:
            self.place = None


@functools.cache
def accepted() -> Accepted:
    """What the present grammar has accepted."""
    place = cache_file(f"accepted-{zlib.crc32(grammar('save.lark').encode()):08x}")
    return Accepted(Path(place) if place is not None else None)
