"""`ruleflow explain`."""

from typing import TYPE_CHECKING, Any

import click

from ruleflow.cli.inputs import directory_of, read_dump, reading
from ruleflow.cli.outputs import coloured, formats, paper_for, write_json, write_lines

if TYPE_CHECKING:
    from ruleflow.analysis.explanation import Explanation
    from ruleflow.analysis.spans import Spans


@click.command()
@click.argument("dump", required=False)
@reading
@formats("text", "md", "json")
@click.option("--table", help="Only this table.")
@click.option("--chain", help="Only this chain and what it calls.")
@click.option("--depth", type=click.IntRange(0), help="Called chains down to this many calls.")
@click.option("--spans", is_flag=True, help="Show the source below each rule, marked.")
@coloured
def explain(dump: str | None, form: str, color: str, spans: bool, **how: Any) -> None:
    """Say what DUMP does, chain by chain, and why each rule is there.

    DUMP may also be one rule: ruleflow explain 'iptables -A INPUT -p tcp --dport 22 -j ACCEPT'
    """
    from ruleflow.analysis.explain import narrowed

    only = {key: how.pop(key) for key in ("table", "chain", "depth")}
    told, sources = _told(dump, spans=spans or form == "json", how=how)
    explanation = narrowed(told, **only)
    if form == "json":
        import msgspec

        write_json([msgspec.to_builtins(explanation)])
        return
    from ruleflow.views import markdown, text

    lines = (
        markdown.explanation(explanation)
        if form == "md"
        else (text.explanation(explanation, text.Paper(*paper_for(color)), sources if spans else None))
    )
    write_lines(lines)


def _told(dump: str | None, *, spans: bool, how: dict[str, Any]) -> "tuple[Explanation, dict[str, Spans]]":
    """The explanation of a dump, a rule or a host's directory, and the texts it is about."""
    from ruleflow.analysis.explain import explain as told
    from ruleflow.analysis.spans import Spans

    directory = directory_of(dump)
    if directory is not None:
        from ruleflow.analysis.explain_host import explain_host, sources
        from ruleflow.netfilter.world import read_world

        world = read_world(directory)
        return explain_host(world, str(dump), family=how["family"], spans=spans), sources(world, str(dump))
    document = read_dump(dump, **how)
    return told(document, spans=spans), {document.source: Spans(document.text)}
