"""Matches on marks: mark (of the packet) and connmark (of its connection)."""

from typing import Annotated

from ruleflow.ruleset.condition import Condition
from ruleflow.ruleset.extension import Match, Maybe, option
from ruleflow.ruleset.fields import CONNMARK, MARK
from ruleflow.ruleset.matches.connection import TRACKED
from ruleflow.ruleset.values import HexMasked, MaskedValue


class Mark(Match, frozen=True, gc=False):
    """The packet's mark: (mark & mask) == value (mark_mt, net/netfilter/xt_mark.c)."""

    name = "mark"

    mark: Annotated[
        Maybe[MaskedValue],
        option("--mark", type=HexMasked(), field=MARK, mandatory=True, says="with mark {}", says_not="without mark {}"),
    ] = None


class Connmark(Match, frozen=True, gc=False):
    """The connection's mark (connmark_mt, net/netfilter/xt_connmark.c); without a connection it fails, ``!`` or not."""

    name = "connmark"

    mark: Annotated[
        Maybe[MaskedValue],
        option(
            "--mark", type=HexMasked(), field=CONNMARK, mandatory=True,
            says="with connection mark {}", says_not="without connection mark {}",
        ),
    ] = None  # fmt: skip

    def conditions(self) -> tuple[Condition, ...]:
        return (*super().conditions(), TRACKED)
