"""A connection on paper: the answer in one line, why, what would make it a yes; and the matrix of everybody."""

from collections.abc import Iterable, Iterator

from ruleflow.errors import visible
from ruleflow.netfilter.connect import Connection
from ruleflow.netfilter.journey import Leg
from ruleflow.netfilter.packet_words import words
from ruleflow.views.text import Paper
from ruleflow.views.walk_text import because, ending, walk_lines

_STYLES = {"reached": "green", "refused": "magenta", "unknown": "yellow"}


def connection_lines(found: Connection, paper: Paper, *, detail: str = "matches") -> Iterator[str]:
    """The answer and each packet's way; ``detail`` ``minimal`` is the answer alone, ``full`` has every rule."""
    yield answer_line(found, paper)
    yield from paper.wrap(f"because  {visible(found.because)}", 0, 9)
    if found.remedy:
        yield from paper.wrap(f"a yes    would need {visible(found.remedy)}", 0, 9)
    if detail == "minimal":
        return
    for leg in found.walks:
        yield ""
        yield paper.paint(f"at {visible(leg.host)}", "bold") + f"   {visible(words(leg.walk.packet))}"
        if detail == "full":
            yield from (f"  {line}" for line in walk_lines(leg.walk, None, paper, detail="full"))
        else:
            yield from _short(leg)


def answer_line(found: Connection, paper: Paper) -> str:
    """``web to 192.0.2.10:80 tcp   reached web, which sees 172.17.0.1``."""
    port = "" if found.port is None else f":{found.port}"
    to = f"[{found.to}]" if ":" in found.to and port else found.to
    said = {
        "reached": f"reached {found.by or ''}".rstrip(), "refused": f"refused by {found.by or 'somebody on the way'}",
        "closed": "closed: a proxy took it, and nobody is behind it", "no-answer": "no answer",
        "unreachable": "unreachable", "unknown": "not known",
    }[found.result]  # fmt: skip
    sees = f", which sees {found.sees}" if found.sees else ""
    text = paper.paint(visible(said + sees), _STYLES.get(found.result, "red"))
    return f"{visible(found.from_)} to {visible(to)}{port} {found.protocol}   {text}"


def _short(leg: Leg) -> Iterator[str]:
    end = leg.walk.end
    yield f"  {leg.walk.verdict}  {visible(ending(end))}"
    yield f"  because  {visible(because(end))}"


def matrix_lines(found: Iterable[Connection], paper: Paper) -> Iterator[str]:
    """Every answer, one a line."""
    for one in found:
        yield answer_line(one, paper)
