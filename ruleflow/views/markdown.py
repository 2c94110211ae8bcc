"""An explanation as Markdown, for wikis and pull requests; what a dump holds is escaped."""

import re
from collections.abc import Iterator

from ruleflow.analysis.explanation import ChainSaid, Explained, Explanation, Reasons, RuleSaid
from ruleflow.errors import visible

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|~>:@$^=])")


def escape(text: str) -> str:
    r"""Foreign text so that Markdown shows it and nothing else happens.

    >>> escape("<b>*x*")
    '&lt;b\\>\\*x\\*'
    """
    return _SPECIAL.sub(r"\\\1", visible(text).replace("&", "&amp;").replace("<", "&lt;"))


def explanation(told: Explanation) -> Iterator[str]:
    """The lines of an explanation."""
    for part in told.host:
        yield from (f"## {escape(part.title)}", "")
        yield from (_plain(part.about), "") if part.about else ()
        for line in part.lines:
            yield (
                f"- **{escape(line.what.strip())}** {_plain(line.says)}"
                if line.what.strip()
                else f"- {_plain(line.says)}"
            )
        yield ""
    for one in told.rulesets:
        yield from _ruleset(one)


def _ruleset(told: Explained) -> Iterator[str]:
    yield from (f"# {escape(told.source)}", "", f"{told.counts}, IPv{told.family}", "")
    if told.short:
        yield from ("## In short", "")
        for part in told.short:
            yield f"- **{escape(part.where)}**"
            yield from (f"  - {_plain(line)}" for line in part.lines)
        yield ""
    reasons = Reasons()
    for chain in told.chains:
        yield from _chain(chain, reasons)
    if told.notes:
        yield from ("## Also", "")
        yield from (f"- {_plain(note)}" for note in told.notes)


def _chain(chain: ChainSaid, reasons: Reasons) -> Iterator[str]:
    about = f": {_plain(chain.about)}" if chain.about else ""
    owner = f" ({_plain(chain.owner)})" if chain.owner else ""
    yield from (
        f"## {escape(chain.table)} {escape(chain.name)}",
        "",
        f"{escape(chain.name)}{about}{owner}",
        "",
    )
    for rule in chain.rules:
        yield from _rule(rule, reasons)
    if chain.rest:
        yield f"- everything else: **{_plain(chain.rest)}** (policy)"
        if chain.rest_why is not None:
            yield from ("", f"  > {_plain(reasons.say(chain.rest_why, chain.rest_why.about[0]))}")
    yield ""


def _rule(rule: RuleSaid, reasons: Reasons) -> Iterator[str]:
    place = f" (line {rule.ref.line})" if rule.ref.line is not None else ""
    count = f", {rule.counters.packets:,} packets" if rule.counters is not None else ""
    yield f"{rule.ref.index}. {_plain(rule.who)}: **{_plain(rule.does)}**{place}{count}"
    for comment in rule.comments:
        yield f'   "{escape(comment)}"'
    if rule.note:
        yield f"   *{_plain(rule.note)}*"
    if rule.why is not None:
        yield from ("", f"   > {_plain(reasons.say(rule.why, rule.ref))}", "")


def _plain(text: str) -> str:
    return escape(text)
