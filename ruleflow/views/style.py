"""The colours and lines of all pictures, as one style sheet: light and dark by the reader's own setting.

The palette has a contrast of at least 6:1 on white and 9:1 on the dark ground; no meaning is told by colour alone.
"""

_LIGHT = {
    "ground": "#ffffff", "ink": "#1f2328", "dim": "#4c545d", "line": "#8b949e", "soft": "#f3f5f8", "card": "#ffffff",
    "accept": "#00664b", "drop": "#a34700", "reject": "#8f3f6e", "jump": "#005a8c", "rewrite": "#7a5200",
    "road": "#5f7fa6", "added": "#00664b", "removed": "#a34700", "addedground": "#dff5ea", "removedground": "#fdeadc",
}  # fmt: skip
_DARK = {
    "ground": "#0d1117", "ink": "#e6edf3", "dim": "#adb8c4", "line": "#6e7681", "soft": "#151b23", "card": "#1c232c",
    "accept": "#4fd1a5", "drop": "#ff9a57", "reject": "#f0a8d0", "jump": "#7cc4ff", "rewrite": "#ffc24d",
    "road": "#5d86b8", "added": "#4fd1a5", "removed": "#ff9a57", "addedground": "#10352a", "removedground": "#40230d",
}  # fmt: skip

KINDS = {
    "accept": "accept", "drop": "drop", "reject": "reject", "queue": "jump", "rewrite": "rewrite", "mark": "rewrite",
    "jump": "jump", "goto": "jump", "return": "dim", "pass": "dim", "log": "dim", "count": "dim", "unknown": "dim",
    "more": "dim",
}  # fmt: skip
"""The colour of each kind of line."""

_PICTURE = """
.rf text{font-family:DejaVu Sans,Verdana,Helvetica,Arial,sans-serif;fill:var(--ink);font-size:11.5px;unicode-bidi:isolate;white-space:pre}
.rf .ground{fill:var(--ground)}
.rf .title{font-size:15px;font-weight:bold}
.rf .name{font-size:13px;font-weight:bold}
.rf .note,.rf .number,.rf .when,.rf .about{font-size:11px;fill:var(--dim)}
.rf .when{font-style:italic}
.rf .hook,.rf .way{font-size:11px;font-weight:bold}
.rf .table,.rf .stub{font-size:11px;fill:var(--dim)}
.rf .stub{fill:var(--jump);text-decoration:underline}
.rf .frame-hook{fill:var(--soft);stroke:none}
.rf .frame-table{fill:none;stroke:var(--line);stroke-dasharray:1.5 2.5}
.rf .body{fill:var(--card);stroke:var(--jump);stroke-width:1.3}
.rf .plain .body{stroke:var(--line)}
.rf .place rect,.rf .place polygon{fill:var(--card);stroke:var(--road);stroke-width:2.5}
.rf .place text{font-size:11px}
.rf .place text.first{font-weight:bold}
.rf .wire{fill:none;stroke-linejoin:round}
.rf .wire.road{stroke:var(--road)}
.rf .wire.ask{stroke:var(--road)}
.rf .wire.jump{stroke:var(--jump)}
.rf .wire.goto{stroke:var(--jump);stroke-dasharray:6 4}
.rf .head-road,.rf .head-ask{fill:var(--road)}
.rf .head-jump,.rf .head-goto{fill:var(--jump)}
.rf .wire.added{stroke:var(--added);stroke-width:3px}
.rf .wire.removed{stroke:var(--removed);stroke-width:3px}
.rf .badge{fill:none;stroke-width:1.3}
.rf .word{font-size:11px;font-weight:bold}
.rf .faded{opacity:.42}
.rf .partly .row:not(.added):not(.removed){opacity:.5}
.rf .box.walked .body{stroke-width:3.5}
.rf .wire.walked{stroke-width:6px;stroke:var(--accept)}
.rf .head-walked{fill:var(--accept)}
.rf .row.added .ground-of-row{fill:var(--addedground)}
.rf .row.removed .ground-of-row{fill:var(--removedground)}
.rf .row.removed .said{text-decoration:line-through}
.rf .row.walked .said{font-weight:bold}
.rf .ground-of-row{fill:none}
.rf .box.added .body{stroke:var(--added);stroke-width:3px}
.rf .box.removed .body{stroke:var(--removed);stroke-width:3px;stroke-dasharray:5 3}
.rf a{cursor:pointer}
.rf a:hover .said,.rf a:focus .said{text-decoration:underline}
"""


def variables(selector: str) -> str:
    """The palette as CSS variables on ``selector``, dark where the reader's system is."""
    return f"{selector}{{{_set(_LIGHT)}}}@media (prefers-color-scheme:dark){{{selector}{{{_set(_DARK)}}}}}"


def _set(colours: dict[str, str]) -> str:
    return ";".join(f"--{name}:{value}" for name, value in colours.items())


def picture() -> str:
    """The rules for everything inside a picture (class ``rf``)."""
    kinds = "".join(
        f".rf .k-{kind} .badge{{stroke:var(--{colour})}}.rf .k-{kind} .word{{fill:var(--{colour})}}"
        for kind, colour in KINDS.items()
    )
    return _PICTURE.replace("\n", "") + kinds


def sheet(other: str = "") -> str:
    """The whole style sheet of a picture that stands alone: no variables, for not every viewer knows them (librsvg).

    ``other``: other rules, in the same manner, for a picture of another kind.
    """
    rules = other or picture()
    dark = "".join(_with(rule, _DARK) + "}" for rule in rules.split("}") if "var(" in rule)
    return f"{_with(rules, _LIGHT)}@media (prefers-color-scheme:dark){{{dark}}}"


def _with(rules: str, colours: dict[str, str]) -> str:
    for name, value in colours.items():
        rules = rules.replace(f"var(--{name})", value)
    return rules
