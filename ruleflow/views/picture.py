"""An outline in any of the formats that `ruleflow graph` speaks."""

from ruleflow.analysis.outline import Outline

FORMATS = ("svg", "dot", "mermaid", "html", "json")
ENDINGS = {"svg": "svg", "dot": "dot", "mermaid": "mmd", "html": "html", "json": "json"}

Pieces = tuple[str, ...]


def picture(outline: Outline, form: str, *, link: str = "", by: str = "own") -> tuple[str, Pieces]:
    """The picture's text, and what is to be said about it (what was left out).

    ``link`` is the dump's file as seen from the picture; ``by`` is ``own`` or ``dot``, who lays out an SVG.
    Raises `RuleflowError` where ``dot`` is asked for and not there.
    """
    if form == "json":
        import json

        import msgspec

        # json spells out bytes that are no UTF-8 (\\udcff), where msgspec refuses them
        return json.dumps(msgspec.to_builtins(outline), indent=2) + "\n", outline.notes
    if form == "mermaid":
        from ruleflow.views.mermaid import mermaid

        text, notes = mermaid(outline)
        return text, (*outline.notes, *notes)
    if form == "dot" or by == "dot":
        from ruleflow.views.dot import dot, svg_by_dot

        return dot(outline, link=link) if form == "dot" else svg_by_dot(outline, link=link), outline.notes
    from ruleflow.views.graph import svg

    if form == "html":
        from ruleflow.views.page import page, scroll

        return page(outline.title, scroll(svg(outline, link=link, inside=True))), outline.notes
    return svg(outline, link=link), outline.notes
