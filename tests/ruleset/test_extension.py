"""One place per extension: a match takes one class and one case file, and no other module knows its options."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar

import pytest

import ruleflow
from ruleflow.ruleset import parse, shape
from ruleflow.ruleset.condition import No, Unknown, Yes
from ruleflow.ruleset.extension import Extension, Match, Maybe, option
from ruleflow.ruleset.fields import Field
from ruleflow.ruleset.lexer import COMMANDS
from ruleflow.ruleset.registry import Registry, registry
from ruleflow.ruleset.values import NumberRange, Range, Unreadable

PACKAGE = Path(ruleflow.__file__).parent
HUE = Field("hue", "hue", 9)


@pytest.fixture
def colour(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Match]]:
    """The imaginary ``-m colour --hue N[:N]``: this class, and the cases below, are all it takes."""

    class Colour(Match, frozen=True):
        """The colour of a packet."""

        name: ClassVar[str] = "colour"
        hue: Annotated[
            Maybe[Range],
            option(
                "--hue",
                type=NumberRange(0, 359),
                field=HUE,
                mandatory=True,
                says="of hue {}",
                says_not="of no hue in {}",
            ),
        ] = None

    monkeypatch.setattr(shape, "registry", functools.cache(Registry))
    fresh = functools.cache(shape.Reader)
    monkeypatch.setattr(shape, "reader", fresh)
    monkeypatch.setattr(parse, "reader", fresh)
    yield Colour
    Colour.name = "\0"  # a class lives on in __subclasses__; without a name it is no extension


@pytest.mark.parametrize(
    ("rule", "canonical"),
    [
        ("-m colour --hue 120 -j ACCEPT", "-m colour --hue 120 -j ACCEPT"),
        ("-m colour --hue 0:60 -j ACCEPT", "-m colour --hue 0:60 -j ACCEPT"),
        ("-m colour ! --hue 300: -p tcp", "-p tcp -m colour ! --hue 300:359"),
        ("-m colour --hue ! :5", "-m colour ! --hue 0:5"),
        ("-m colour --hu=7", "-m colour --hue 7"),
    ],
)
def test_an_imaginary_match_reads_and_prints(colour: type[Match], rule: str, canonical: str) -> None:
    (line,) = shape.reader(4).read(f"-A INPUT {rule}")
    assert str(line.rule) == f"-A INPUT {canonical}"


@pytest.mark.parametrize(
    "rule", ["-m colour", "-m colour --hue 360", "-m colour --hue 5:4", "-m colour --hue red"]
)
def test_an_imaginary_match_is_refused(colour: type[Match], rule: str) -> None:
    with pytest.raises(Unreadable):
        shape.reader(4).read(f"-A INPUT {rule}")


def test_an_imaginary_match_is_said_and_decided(colour: type[Match]) -> None:
    (line,) = shape.reader(4).read("-A INPUT -m colour ! --hue 0:60 -j ACCEPT")
    assert line.rule is not None
    (match,) = line.rule.matches
    assert isinstance(match, colour)
    assert [text for _, text in match.phrases()] == ["of no hue in 0 to 60"]
    assert isinstance(match.decide(Facts(90)), Yes)
    assert match.decide(Facts(30)) == No(match.conditions()[0], 30)
    assert isinstance(match.decide(Facts(None)), Unknown)


class Facts:
    """A packet of which the hue alone is known, or nothing."""

    def __init__(self, hue: int | None) -> None:
        self.hue = hue

    def value(self, field: Field) -> int | None:
        return self.hue if field is HUE else None

    def absent(self, field: Field) -> bool:
        return False

    def derived(self, condition: object) -> Yes:
        return Yes()


def every_class() -> list[type[Extension]]:
    both = [*registry(4).matches.values(), *registry(4).targets.values()]
    both += [*registry(6).matches.values(), *registry(6).targets.values()]
    return list(dict.fromkeys(both))


def test_no_second_module_spells_an_option() -> None:
    """An option of an extension is a string of its own module and of no other of the package.

    A rule written out as text (what a layout generates, a help) uses the language as a user does, and is none.
    """
    owners: dict[str, set[str]] = {}
    for cls in every_class():
        for flag in cls.options():
            if flag.startswith("--") and cls.name and flag not in COMMANDS:
                owners.setdefault(flag, set()).add(cls.__module__)
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(("ruleflow", *path.relative_to(PACKAGE).with_suffix("").parts))
        if module.startswith(("ruleflow.cli", "ruleflow.kernel.random_", "ruleflow.kernel.features")):
            continue  # the command line's own options; writers and counters of random rules
        wrong += [
            f"{module} spells {text}, which is {', '.join(owners[text])}'s"
            for text in strings(path)
            if text in owners and module not in owners[text]
        ]
    assert not wrong, "\n".join(wrong)


def strings(path: Path) -> Iterator[str]:
    """The string constants of a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize("cls", every_class(), ids=lambda cls: cls.name or "header")
def test_every_row_is_complete(cls: type[Extension]) -> None:
    """Spellings are options, an attribute belongs to each row, and the class says what it is."""
    assert cls.__doc__
    own_way = "read" in cls.__dict__  # its spellings are its own affair
    for row in (*cls.rows(), *(() if own_way else cls.spellings)):
        assert row.attr in cls.__struct_fields__
        assert all(flag.startswith("-") for flag in row.flags)


def test_every_extension_has_cases() -> None:
    cases = {path.stem for path in (Path(__file__).parent.parent / "cases").glob("*.t")}
    named = {cls.name for cls in every_class()} - {"", "ACCEPT", "DROP", "QUEUE", "RETURN"}
    assert named <= cases, f"no cases for {sorted(named - cases)}"
