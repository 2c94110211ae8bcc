"""Matches on marks: mark (of the packet) and connmark (of its connection)."""

from typing import Annotated

from ruleflow.ruleset.condition import Condition
from ruleflow.ruleset.extension import Match, Maybe, option
from ruleflow.ruleset.fields import CONNMARK, MARK
from ruleflow.ruleset.matches.connection import TRACKED
from ruleflow.ruleset.values import HexMasked, MaskedValue


class Bits(HexMasked):
    """A mark, of which often a bit or two count."""

    def say(self, value: MaskedValue) -> str:
        plural = "bits" if value.mask.bit_count() > 1 else "bit"
        if value.value & ~value.mask:
            return f"{self.show(value)} (which none has)"
        if value.mask == self.full or value.value not in (0, value.mask):
            return super().say(value)
        return f"{plural} 0x{value.mask:x} {'set' if value.value else 'clear'}"


class Mark(Match, frozen=True, gc=False):
    """The packet's mark: (mark & mask) == value (mark_mt, net/netfilter/xt_mark.c)."""

    name = "mark"

    mark: Annotated[
        Maybe[MaskedValue],
        option(
            "--mark", type=Bits(), field=MARK, mandatory=True, says="with mark {}", says_not="without mark {}"
        ),
    ] = None


class Connmark(Match, frozen=True, gc=False):
    """The connection's mark (connmark_mt, net/netfilter/xt_connmark.c); without a connection it fails, ``!`` or not."""

    name = "connmark"

    mark: Annotated[
        Maybe[MaskedValue],
        option(
            "--mark", type=Bits(), field=CONNMARK, mandatory=True,
            says="with connection mark {}", says_not="without connection mark {}",
        ),
    ] = None  # fmt: skip

    def conditions(self) -> tuple[Condition, ...]:
        return (*super().conditions(), TRACKED)
