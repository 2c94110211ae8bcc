"""A declaration as rules, in the layout of your choice."""

from difflib import get_close_matches
from importlib import import_module

from ruleflow.bridge.declaration import LAYOUTS, Declaration
from ruleflow.errors import RuleflowError
from ruleflow.ruleset.ir import Ruleset


def generate(declaration: Declaration, layout: str | None = None, family: int = 4) -> Ruleset:
    """The rule set of ``declaration`` for IPv4 or IPv6 (``family`` 4 or 6), in ``layout`` or the one it asks for.

    A foreign layout is what its owner would have made, to read and compare. Raises `RuleflowError` for a layout that is not known.
    """
    name = known_layout(layout) or declaration.layout
    module = import_module(f"ruleflow.bridge.layouts.{name.replace('-', '_')}")
    ruleset: Ruleset = module.generate(declaration, family)
    return ruleset


def known_layout(name: str | None) -> str | None:
    """``name``, if it is a layout or None. Raises `RuleflowError`."""
    if name is not None and name not in LAYOUTS:
        near = get_close_matches(name, LAYOUTS, 1)
        help_ = f"did you mean {near[0]}?" if near else f"there are: {', '.join(LAYOUTS)}"
        raise RuleflowError(f"there is no layout {name!r}", help=help_)
    return name
