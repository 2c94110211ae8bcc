"""A declaration as rules, in the layout of your choice."""

from importlib import import_module

from ruleflow.bridge.declaration import LAYOUTS, Declaration
from ruleflow.bridge.layouts.writing import Writing
from ruleflow.errors import RuleflowError
from ruleflow.ruleset.ir import Ruleset


def generate(declaration: Declaration, layout: str | None = None, family: int = 4) -> Ruleset:
    """The rule set of ``declaration`` for IPv4 or IPv6 (``family`` 4 or 6), in ``layout`` or the one it asks for.

    A foreign layout is what its owner would have made, to read and compare. Raises `RuleflowError` for a layout that is not known.
    """
    return write(declaration, layout, family).ruleset()


def write(declaration: Declaration, layout: str | None = None, family: int = 4) -> Writing:
    """The same as text, chain by chain, not yet read. Raises `RuleflowError` for a layout that is not known."""
    name = known_layout(layout) or declaration.layout
    module = import_module(f"ruleflow.bridge.layouts.{name.replace('-', '_')}")
    written: Writing = module.write(declaration, family)
    return written


def known_layout(name: str | None) -> str | None:
    """``name``, if it is a layout or None. Raises `RuleflowError`."""
    if name is not None and name not in LAYOUTS:
        from difflib import get_close_matches

        near = get_close_matches(name, LAYOUTS, 1)
        help_ = f"did you mean {near[0]}?" if near else f"there are: {', '.join(LAYOUTS)}"
        raise RuleflowError(f"there is no layout {name!r}", help=help_)
    return name
