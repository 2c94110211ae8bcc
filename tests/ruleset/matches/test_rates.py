"""A rate, once printed, stays as it is."""

from hypothesis import given
from hypothesis import strategies as st

from ruleflow.ruleset.shape import reader

UNITS = st.sampled_from(["sec", "min", "hour", "day"])


def printed(options: str) -> str:
    (line,) = reader(4).read(f"-A INPUT {options}")
    return str(line.rule).removeprefix("-A INPUT ")


@given(st.integers(1, 10000), UNITS)
def test_limit_is_read_as_it_prints(count: int, unit: str) -> None:
    once = printed(f"-m limit --limit {count}/{unit}")
    assert printed(once) == once


@given(st.integers(1, 1000000), UNITS)
def test_hashlimit_is_read_as_it_prints(count: int, unit: str) -> None:
    once = printed(f"-m hashlimit --hashlimit-upto {count}/{unit} --hashlimit-name x")
    assert printed(once) == once


@given(st.integers(1, 4000), st.sampled_from(["k", "m"]))
def test_bytes_are_read_as_they_print(count: int, size: str) -> None:
    """A burst beside it is not: iptables-save rounds it down, and refuses then what it printed."""
    once = printed(f"-m hashlimit --hashlimit-above {count}{size}b/s --hashlimit-name x")
    assert printed(once) == once
