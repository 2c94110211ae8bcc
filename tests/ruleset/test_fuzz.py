"""No input of any kind gives a traceback, and each error says where."""

import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ruleflow.errors import ReadError
from ruleflow.ruleset.parse import parse
from ruleflow.ruleset.registry import registry

SAMPLES = sorted((Path(__file__).parent.parent.parent / "samples").glob("*.rules"))
WORDS = sorted({*registry(4).flags, *registry(6).flags, *registry(4).matches, *registry(4).targets} - {""})
CALM = settings(
    max_examples=int(os.environ.get("RULEFLOW_FUZZ", "300")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def survives(data: bytes | str) -> None:
    """Reading gives a document, or an error that names its line and column; what is read prints and reads again."""
    for lenient in (False, True):
        try:
            document = parse(data, lenient=lenient)
        except ReadError as error:
            assert error.where is None or error.where.line is None or error.where.column is not None
            assert str(error)
            continue
        printed = str(document)
        if not document.errors:
            again = parse(
                printed, lenient=True, family=document.rulesets[0].family if document.rulesets else None
            )
            if len({ruleset.family for ruleset in document.rulesets}) == 1 and len(document.rulesets) == 1:
                assert str(again) == printed


@CALM
@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    survives(data)


@CALM
@given(st.lists(st.sampled_from([*WORDS, "!", "-A", "-I", "INPUT", "-j", "-g", "-m", "-s", "10.0.0.0/8", "fe80::/10", "1", "a,b", '"', "\\", "'", "1:2", "-p", "tcp", "udp", "icmp"]), max_size=12))  # fmt: skip
def test_any_words(words: list[str]) -> None:
    survives("*filter\n-A INPUT " + " ".join(words) + "\nCOMMIT\n")


@CALM
@given(st.sampled_from(WORDS), st.text(max_size=12), st.booleans(), st.sampled_from([4, 6]))
def test_any_value(flag: str, value: str, negated: bool, family: int) -> None:
    owners = [cls.name for cls in registry(family).matches.values() if flag in cls.options() and cls.name]
    name = owners[0] if owners else "comment"
    bang = "! " if negated else ""
    try:
        parse(f"*filter\n-A INPUT -p tcp -m {name} {bang}{flag} {value}\nCOMMIT\n", family=family)
    except ReadError as error:
        assert error.where is not None


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_samples_with_bytes_changed(path: Path) -> None:
    rng = random.Random(path.name)
    data = path.read_bytes()
    for _ in range(12):
        changed = bytearray(data)
        for _ in range(rng.randint(1, 6)):
            place = rng.randrange(len(changed))
            match rng.randrange(4):
                case 0:
                    changed[place] = rng.randrange(256)
                case 1:
                    del changed[place : place + rng.randint(1, 40)]
                case 2:
                    changed[place:place] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 8)))
                case _:
                    del changed[place:]
            if not changed:
                break
        survives(bytes(changed))


@pytest.mark.parametrize("data", [b"", b"\0" * 1000, b"\x1f\x8b", b"\x1f\x8bxxxxxxxxx", b"*", b"*filter", b"*filter\n:", b"*filter\n-A", b"*filter\n-A X -m", b'*filter\n-A X "', b"[", b"*filter\n[1:", b"-A", b":\n", b"\xff\xfe", b"\xff\xfea"])  # fmt: skip
def test_stumps(data: bytes) -> None:
    survives(data)


def test_a_long_line_and_many_of_them() -> None:
    survives("*filter\n-A INPUT " + "-s 1.1.1.1 " * 20000 + "\nCOMMIT\n")
    survives("*filter\n-A INPUT -s " + "1.1.1.1," * 3000 + "1.1.1.1\nCOMMIT\n")
    survives("x" * 1_000_000)
