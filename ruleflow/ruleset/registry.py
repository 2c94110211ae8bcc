"""Which extensions there are: every class in the modules of `matches` and `targets`, found by itself.

To import all of them takes 30 ms, a fifth of what explaining a small dump takes in all. So what each module
holds is written down once in the user's cache, and a module is imported when a rule uses it. The note is
good for as long as the modules are the very files it was made from; without a cache all are imported.
"""

import functools
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import msgspec

from ruleflow.data import cache_file
from ruleflow.ruleset import matches, targets
from ruleflow.ruleset.extension import Extension, Match, Target
from ruleflow.ruleset.protocols import NUMBERS, protocol_name

E = TypeVar("E", bound=Extension)


class Names(msgspec.Struct):
    """What one family has: names to modules, protocols to the match that ``-p`` loads, all spellings of options."""

    matches: dict[str, str]
    targets: dict[str, str]
    protocols: dict[str, str]
    flags: tuple[str, ...]


class Index(msgspec.Struct):
    """The names of both families, and the files they were found in (name, size, time of change in ns)."""

    files: tuple[tuple[str, int, int], ...]
    families: dict[int, Names]


class Extensions(Mapping[str, type[E]]):
    """Extensions by name; a class's module is imported when it is asked for."""

    def __init__(self, kind: type[E], family: int, modules: Mapping[str, str]) -> None:
        self.kind, self.family, self.modules = kind, family, dict(modules)
        self.classes: dict[str, type[E]] = {}
        self._take()

    def __getitem__(self, name: str) -> type[E]:
        if name not in self.classes:
            importlib.import_module(self.modules[name])
            self._take()
        return self.classes[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self.modules, **self.classes})

    def __len__(self) -> int:
        return len({**self.modules, **self.classes})

    def _take(self) -> None:
        """Enter the classes that are there by now, those of no module of ours among them."""
        for cls in _classes(self.kind):
            if self.family in cls.families:
                self.classes.update(dict.fromkeys((cls.name, *cls.aliases), cls))


class Registry:
    """All extensions of one family by name, and every structural word of the language."""

    def __init__(self, family: int, index: Index | None = None) -> None:
        names = index.families[family] if index is not None else _names(family)
        self.family = family
        self.matches: Extensions[Match] = Extensions(Match, family, names.matches)
        self.targets: Extensions[Target] = Extensions(Target, family, names.targets)
        self.protocols = names.protocols
        """The match that ``-p`` loads where one of its options is used, by the protocol's printed name."""
        self.flags = frozenset(names.flags).union(_names(family).flags)
        """Every spelling of every option of every extension."""

    def for_protocol(self, protocol: str | None) -> type[Match] | None:
        """The match that ``-p protocol`` may load."""
        name = self.protocols.get(protocol) if protocol else None
        return self.matches[name] if name is not None else None

    @functools.cached_property
    def protocol_words(self) -> frozenset[str]:
        """The words after ``-p`` that are structure: those of protocols whose match may be loaded by them."""
        mine = [word for word, number in NUMBERS.items() if protocol_name(number) in self.protocols]
        numbers = {str(NUMBERS[word]) for word in mine}
        return frozenset({*mine, *map(str.upper, mine), *numbers})


@functools.cache
def registry(family: int) -> Registry:
    """The extensions of ``family`` (4 or 6)."""
    return Registry(family, _index())


@functools.cache
def _index() -> Index:
    """What the modules hold: as noted before, or found by importing them all."""
    files = tuple(_files())
    place = cache_file("extensions")
    noted = _noted(Path(place)) if place is not None else None
    if noted is not None and noted.files == files:
        return noted
    for name, _, _ in files:
        importlib.import_module(name)
    found = Index(files, {4: _names(4), 6: _names(6)})
    if place is not None:
        _note(Path(place), found)
    return found


def _files() -> Iterator[tuple[str, int, int]]:
    package: ModuleType
    for package in (matches, targets):
        for folder in package.__path__:
            for path in sorted(Path(folder).glob("*.py")):
                if path.stem != "__init__":
                    state = path.stat()
                    yield f"{package.__name__}.{path.stem}", state.st_size, state.st_mtime_ns


def _noted(place: Path) -> Index | None:
    try:
        return msgspec.json.decode(place.read_bytes(), type=Index)
    except (OSError, msgspec.DecodeError):
        return None


def _note(place: Path, index: Index) -> None:
    """Write the note beside, then in one step to its place: two runs at once do no harm."""
    try:
        beside = place.with_suffix(f".{id(index):x}")
        beside.write_bytes(msgspec.json.encode(index))
        beside.replace(place)
    except OSError:
        return  # it is found again the next time


def _names(family: int) -> Names:
    """The names of the classes that are imported by now."""
    mine = [cls for cls in _classes(Match) if family in cls.families]
    theirs = [cls for cls in _classes(Target) if family in cls.families]
    return Names(
        {name: cls.__module__ for cls in mine for name in (cls.name, *cls.aliases)},
        {name: cls.__module__ for cls in theirs for name in (cls.name, *cls.aliases)},
        {protocol: cls.name for cls in mine for protocol in cls.protocol},
        tuple(sorted({flag for cls in (*mine, *theirs) for flag in cls.options()})),
    )


def _classes(kind: type[E]) -> Iterator[type[E]]:
    for cls in kind.__subclasses__():
        if cls.name != "\0":
            yield cls
        yield from _classes(cls)
