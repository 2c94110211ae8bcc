"""A declaration as rules, in the layout of your choice."""

from importlib import import_module

from ruleflow.bridge.declaration import LAYOUTS, Declaration
from ruleflow.errors import RuleflowError
from ruleflow.ruleset.ir import Ruleset


def generate(declaration: Declaration, layout: str | None = None, family: int = 4) -> Ruleset:
    """The rule set of ``declaration`` for IPv4 or IPv6 (``family`` 4 or 6), in ``layout`` or the one it asks for.

    A foreign layout is what its owner would have made, to read and compare. Raises `RuleflowError` for a layout that is not known.
    """
    name = layout or declaration.layout
    if name not in LAYOUTS:
        raise RuleflowError(f"there is no layout {name!r}", help=f"there are: {', '.join(LAYOUTS)}")
    module = import_module(f"ruleflow.bridge.layouts.{name.replace('-', '_')}")
    ruleset: Ruleset = module.generate(declaration, family)
    return ruleset
