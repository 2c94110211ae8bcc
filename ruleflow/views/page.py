"""One HTML file that needs no network: the head, the policy that keeps scripts of others out, the style sheet.

The Content-Security-Policy allows nothing but the style and script that stand in the page, by their hashes
(CSP Level 3, "hash-source"); attributes ``style=`` and ``on…=`` and every address are refused.
"""

import base64
import hashlib

from ruleflow.views import style
from ruleflow.views.paper import xml

_PAGE = """
*{box-sizing:border-box}
body{margin:0 auto;max-width:72rem;padding:1rem 1.2rem 4rem;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
a{color:var(--jump)}
h1{font-size:1.45rem;margin:.6rem 0}h2{font-size:1.15rem;margin:2rem 0 .5rem;border-bottom:1px solid var(--line)}
.scroll{overflow-x:auto}
svg.rf{max-width:none;height:auto}
:focus-visible{outline:3px solid var(--jump);outline-offset:1px}
@media print{body{max-width:none;padding:0}.scroll{overflow:visible}svg.rf{max-width:100%;height:auto}.noprint{display:none}}
"""


def page(title: str, body: str, *, more_style: str = "", script: str = "") -> str:
    """An HTML page: ``body`` is HTML already, ``script`` ours; the same input gives the same bytes."""
    css = style.variables(":root") + _PAGE.replace("\n", "") + style.picture() + more_style
    sources = [f"style-src {_hash(css)}", *([f"script-src {_hash(script)}"] if script else [])]
    policy = "; ".join(["default-src 'none'", *sources, "base-uri 'none'", "form-action 'none'"])
    code = f"<script>{script}</script>\n" if script else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>{xml(title)}</title>\n<style>{css}</style>\n</head>\n'
        f"<body>\n{body}{code}</body>\n</html>\n"
    )


def scroll(picture: str, name: str = "picture") -> str:
    """A picture that may be wider than the page, to be reached with the keyboard."""
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{xml(name)}">{picture}</div>\n'


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
