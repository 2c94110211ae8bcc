r"""ruleflow: what iptables rules do, why a packet does not arrive, and what a port mapping adds.

>>> import ruleflow
>>> rules = ruleflow.parse("*filter\n:INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n")
>>> print(rules["filter"]["INPUT"].rules[0])
-A INPUT -i lo -j ACCEPT
"""

from typing import TYPE_CHECKING

from ruleflow.errors import RuleflowError

if TYPE_CHECKING:
    from ruleflow.ruleset.ir import Ruleset

__version__ = "0.1.0"
__all__ = ["RuleflowError", "__version__", "parse"]


def parse(text: str, *, family: int | None = None, strict: bool = False) -> "Ruleset":
    """The rule set of one iptables-save dump.

    ``family`` is 4 or 6; by default the text tells. ``strict`` makes an unknown extension or option an
    error instead of keeping it word for word. Raises `RuleflowError` for a line that cannot be read, and
    where the text holds no rule set or more than one (`ruleflow.ruleset.parse.parse` gives them all).
    """
    from ruleflow.ruleset.parse import parse_one

    return parse_one(text, family=family, strict=strict)
