"""Idioms that nobody owns: what careful people and all programs write."""

from collections.abc import Iterator

from ruleflow.analysis.explanation import Claim
from ruleflow.analysis.idioms.shape import Shapes


def claims(shapes: Shapes) -> Iterator[Claim]:
    """Claims about rules of no particular owner."""
    yield from ()


def owners(shapes: Shapes) -> Iterator[tuple[tuple[str, str], str]]:  # noqa: ARG001 - nobody's
    """None."""
    yield from ()


def made(shapes: Shapes) -> Iterator[str]:  # noqa: ARG001 - nobody's
    """Nothing."""
    yield from ()
