"""How expectations were met: for people, as TAP 13, as JUnit; and a file of what is so now."""

from collections.abc import Iterable, Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from ruleflow.analysis.expectations import Result
from ruleflow.errors import visible


def text(results: Sequence[Result], source: str) -> Iterator[str]:
    """A line for each, what is wrong below it, and the sum."""
    for one in results:
        word = "skip" if one.skipped else "ok" if one.ok else "FAIL"
        yield f"{word:<5}{_title(one)}"
        if one.skipped:
            yield f"       {visible(one.skipped)}"
        if not one.ok:
            yield from (f"       {line}" for line in _details(one, source))
    bad, skipped = sum(not one.ok for one in results), sum(bool(one.skipped) for one in results)
    left = f", {skipped} not tried" if skipped else ""
    yield f"{len(results)} expectations, {f'{bad} not met' if bad else 'all met'}{left}"


def _title(one: Result) -> str:
    """The expectation's, and what of it was sent through the kernel."""
    return visible(one.expectation.title) + (f" [{one.live}]" if one.live else "")


def _details(one: Result, source: str) -> Iterator[str]:
    want = one.expectation
    more = f", to {want.rewrites_to}" if want.rewrites_to else f", seen as {want.sees}" if want.sees else ""
    yield visible(f"expected  {want.verdict.replace('_', ' ')}{more}   ({source}:{want.line})")
    yield visible(f"found     {one.found}")
    if one.why:
        yield visible(f"because   {one.why}")
    if one.witness:
        yield visible(f"packet    {one.witness}")


def tap(results: Sequence[Result], source: str) -> Iterator[str]:
    """TAP version 13, with the details of what failed as YAML (testanything.org).

    Not 14: perl's TAP::Parser, which prove and Jenkins' plugin follow, fails every test of a version it does not know.
    """
    yield "TAP version 13"
    yield f"1..{len(results)}"
    for number, one in enumerate(results, 1):
        title = _title(one).replace("\\", "\\\\").replace("#", "\\#")
        skipped = f" # SKIP {visible(one.skipped)}" if one.skipped else ""
        yield f"{'ok' if one.ok else 'not ok'} {number} - {title}{skipped}"
        if not one.ok:
            yield "  ---"
            for line in _details(one, source):
                key, _, value = line.partition(" ")
                yield f"  {key}: {_quoted(value.strip())}"
            yield "  ..."


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def junit(results: Sequence[Result], source: str) -> str:
    """A test suite, a test for each expectation."""
    bad, skipped = sum(not one.ok for one in results), sum(bool(one.skipped) for one in results)
    cases = "".join(_case(one, source) for one in results)
    head = f'<testsuite name={quoteattr(visible(source))} tests="{len(results)}" failures="{bad}" errors="0" skipped="{skipped}">'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="ruleflow test">\n  {head}\n{cases}  </testsuite>\n</testsuites>\n'


def _case(one: Result, source: str) -> str:
    head = f"    <testcase name={quoteattr(_title(one))} classname={quoteattr(visible(source))}"
    if one.skipped:
        return f"{head}><skipped message={quoteattr(visible(one.skipped))}/></testcase>\n"
    if one.ok:
        return f"{head}/>\n"
    details = "\n".join(_details(one, source))
    return f"{head}><failure message={quoteattr(visible(one.found))}>{escape(details)}</failure></testcase>\n"


def recorded(entries: Iterable[tuple[str, str, str]], against: str) -> Iterator[str]:
    """A file of expectations."""
    yield f"against: {_quoted(against)}"
    yield "tests:"
    for verdict, words, place in entries:
        yield f"- {verdict}: {_quoted(words)}"
        if place:
            yield f"  rewrites_to: {_quoted(place)}"
