"""The whole of a rule set in one HTML file: summary, picture, topology, matrix, every rule explained, a packet form, the source.

It needs no network. Without script all can be read and folded; the script lights up what belongs together,
searches, and walks packets on classes computed beforehand.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from ruleflow.analysis.explanation import ChainSaid, RuleSaid
from ruleflow.analysis.report import Report
from ruleflow.netfilter.connect import Connection
from ruleflow.views import graph, topology
from ruleflow.views.page import page, scroll
from ruleflow.views.paper import xml

_OPEN = 40
"""Chains with more rules are folded at first."""
_FOLDER = Path(__file__).parent


def report(given: Report) -> str:
    """The page; the same report gives the same bytes."""
    body = "".join(f"{line}\n" for line in _body(given))
    css = topology.rules() + _file("report.css").replace("\n", "")
    return page(
        f"ruleflow: {given.name}", body, more_style=css, script=_file("packet_form.js") + _file("report.js")
    )


def _file(name: str) -> str:
    return (_FOLDER / name).read_text("utf-8")


_SECTIONS = {
    "short": "In short", "picture": "Picture", "topology": "Who is plugged where", "matrix": "Who reaches whom",
    "findings": "Findings", "walk": "Try a packet", "chains": "Every rule", "source": "Source",
}  # fmt: skip


def _body(given: Report) -> Iterator[str]:
    parts = {
        "short": _short(given), "picture": iter((scroll(graph.svg(given.outline, link="#", inside=True)),)),
        "topology": _plan(given), "matrix": _matrix(given), "findings": _findings(given), "walk": _form(given),
        "chains": _chains(given), "source": _source(given),
    }  # fmt: skip
    shown = {name: lines for name, part in parts.items() if (lines := list(part))}
    yield f"<header><h1>{xml(given.name)}: IPv{given.told.family} rules</h1><p>{xml(given.told.counts)}</p></header>"
    links = "".join(f'<li><a href="#{name}">{_SECTIONS[name]}</a></li>' for name in shown)
    yield f'<nav aria-label="Sections"><ul>{links}</ul></nav><main>'
    for name, lines in shown.items():
        yield f'<section id="{name}" aria-labelledby="{name}-name"><h2 id="{name}-name">{_SECTIONS[name]}</h2>'
        yield from lines
        yield "</section>"
    yield "</main>"


def _short(given: Report) -> Iterator[str]:
    if given.told.short:
        yield "<dl>"
        yield from (
            f"<dt>{xml(one.where)}</dt><dd>{'<br>'.join(xml(line) for line in one.lines)}</dd>"
            for one in given.told.short
        )
        yield "</dl>"
    for note in (*given.told.notes, *given.outline.notes):
        yield f'<p class="dim">{xml(note)}</p>'


def _plan(given: Report) -> Iterator[str]:
    if given.plan is not None:
        yield scroll(topology.svg(given.plan, link="#", inside=True))


_GOOD = {"reached": "accept", "refused": "reject", "closed": "reject", "unknown": "rewrite"}


def _matrix(given: Report) -> Iterator[str]:
    """Who reaches whom: a row for each place, a column for each target."""
    if not given.matrix:
        return
    targets = list(dict.fromkeys(_target(one) for one in given.matrix))
    rows: dict[str, dict[str, Connection]] = {}
    for one in given.matrix:
        rows.setdefault(one.from_, {})[_target(one)] = one
    head = "".join(f'<th scope="col">to {xml(target)}</th>' for target in targets)
    yield f'<div class="scroll" tabindex="0" role="region" aria-label="matrix"><table class="matrix"><thead><tr><th scope="col">from</th>{head}</tr></thead><tbody>'
    for name, row in rows.items():
        cells = "".join(_cell(row.get(target)) for target in targets)
        yield f'<tr><th scope="row">{xml(name)}</th>{cells}</tr>'
    yield "</tbody></table></div>"


def _target(one: Connection) -> str:
    return f"{one.to}{'' if one.port is None else f':{one.port}'} {one.protocol}"


def _cell(one: Connection | None) -> str:
    if one is None:
        return "<td></td>"
    sees = f"; it sees {one.sees}" if one.sees else ""
    by = f" {one.by}" if one.by else ""
    return f'<td title="{xml(one.because)}"><span class="verdict v-{_GOOD.get(one.result, "drop")}">{xml(one.result)}</span>{xml(by + sees)}</td>'


def _findings(given: Report) -> Iterator[str]:
    if given.findings:
        yield "<ul>"
        for code, severity, words, line in given.findings:
            link = f' <a href="#L{line}">line {line}</a>' if line is not None else ""
            yield f"<li><b>{xml(severity)} {xml(code)}</b> {xml(words)}{link}</li>"
        yield "</ul>"


# -- every rule ---------------------------------------------------------------------------------------------


def _chains(given: Report) -> Iterator[str]:
    yield (
        '<p id="searching" class="search" hidden><label>Search rules (press /)<input type="search" id="search" autocomplete="off"></label>'
        '<span id="found" class="dim" role="status"></span></p>'
    )
    for chain in given.told.chains:
        yield from _chain(chain)


def _chain(chain: ChainSaid) -> Iterator[str]:
    name = f"{chain.table} {chain.name}"
    count = f"{len(chain.rules):,} rule{'' if len(chain.rules) == 1 else 's'}"
    folded = "" if len(chain.rules) > _OPEN else " open"
    yield f'<details{folded} data-name="{xml(name)}"><summary><b>{xml(name)}</b> <span class="dim">{xml(chain.about)} ({count})</span></summary>'
    yield '<table class="rules"><thead><tr><th scope="col">rule</th><th scope="col">who</th><th scope="col">what happens, and why</th></tr></thead><tbody>'
    for rule in chain.rules:
        yield _rule(rule)
    if chain.rest:
        yield f'<tr><td class="n">else</td><td>all else</td><td><span class="verdict {_colour(chain.rest)}">{xml(chain.rest)}</span> (policy)</td></tr>'
    yield "</tbody></table></details>"


def _rule(rule: RuleSaid) -> str:
    line = rule.ref.line
    mark = f' data-rule="{line}" id="R{line}"' if line is not None else ""
    place = f'<a href="#L{line}">{rule.ref.index}</a>' if line is not None else str(rule.ref.index)
    notes = [f"Comment: {comment}" for comment in rule.comments] + ([rule.note] if rule.note else [])
    notes += (
        [
            f"{rule.why.owner + ', ' if rule.why.owner else ''}{rule.why.purpose}: {rule.why.reason}".lstrip(
                ": "
            )
        ]
        if rule.why
        else []
    )
    notes += (
        [f"{rule.counters.packets:,} packets, {rule.counters.bytes:,} bytes"]
        if rule.counters and rule.counters.packets
        else []
    )
    why = "".join(f'<p class="why">{xml(note)}</p>' for note in notes)
    return f'<tr{mark}><td class="n">{place}</td><td>{xml(rule.who)}</td><td><span class="{_colour(rule.does)}">{xml(rule.does)}</span>{why}</td></tr>'


_COLOURS = (
    ("let ", "accept"), ("accept", "accept"), ("drop", "drop"), ("refuse", "reject"), ("see ", "jump"), ("go to ", "jump"),
    ("rewrite", "rewrite"), ("masquerade", "rewrite"), ("mark", "rewrite"), ("set ", "rewrite"),
)  # fmt: skip


def _colour(text: str) -> str:
    return next((f"v-{colour}" for begin, colour in _COLOURS if text.startswith(begin)), "dim")


# -- the form and the source ----------------------------------------------------------------------------------


def _form(given: Report) -> Iterator[str]:
    name = xml(given.name)
    if given.classes is None:
        yield f"<p>The classes of packets are too many for a page. Ask: <code>ruleflow walk {name} tcp 203.0.113.9:40000 192.0.2.1:80 in eth0</code></p>"
        return
    six = given.told.family == 6
    source, to = ("2001:db8::9", "2001:db8::1") if six else ("203.0.113.9", "192.0.2.1")
    ways = "".join(
        f'<option value="{xml(each)}">arriving on {xml(each)}</option>'
        for each in given.classes["interfaces"]
    )
    yield (
        f'<form id="packet" data-dump="{name}" hidden>'
        '<label>Protocol<select name="proto"><option>tcp</option><option>udp</option><option>icmp</option></select></label>'
        f'<label>From address<input name="src" value="{source}" autocomplete="off"></label>'
        '<label>From port<input name="sport" value="40000" inputmode="numeric" autocomplete="off"></label>'
        f'<label>To address<input name="dst" value="{_usual(given, to)}" autocomplete="off"></label>'
        '<label>To port<input name="dport" value="80" inputmode="numeric" autocomplete="off"></label>'
        f'<label>How<select name="in">{ways}<option value="">sent by this host</option></select></label>'
        '<label>Connection<select name="state"><option value="">a new one</option><option value="2">known (established)</option>'
        '<option value="3">related</option><option value="0">invalid</option></select></label>'
        '<button type="submit">Walk it</button></form><output id="answer" aria-live="polite"></output>'
    )
    yield f"<noscript><p>The form needs script. Ask on the command line: <code>ruleflow walk {name} tcp {source}:40000 {to}:80 in eth0</code></p></noscript>"
    data = (
        json.dumps(given.classes, separators=(",", ":"))
        .replace("<", "\\u003c")
        .replace(">", "\\u003e")
        .replace("&", "\\u0026")
    )
    yield f'<script type="application/json" id="classes">{data}</script>'


def _usual(given: Report, other: str) -> str:
    """An address of the host itself, where one is known."""
    plugs = given.plan.uplinks if given.plan else ()
    return next((xml(address.partition("/")[0]) for plug in plugs for address in plug.addresses), other)


def _source(given: Report) -> Iterator[str]:
    if not given.source:
        return
    lines = given.source.split("\n")
    lines = lines[:-1] if lines and not lines[-1] else lines
    shown = "\n".join(
        f'<span id="L{number}" data-rule="{number}"><a href="#R{number}">{number}</a>{xml(line.removesuffix(chr(13)))}</span>'
        for number, line in enumerate(lines, 1)
    )
    yield f"<details{' open' if len(lines) <= 200 else ''}><summary>{len(lines):,} lines of {xml(given.name)}</summary><pre>{shown}</pre></details>"
