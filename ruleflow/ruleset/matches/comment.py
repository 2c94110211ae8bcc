"""The comment: a match that every packet meets."""

from typing import Annotated

from ruleflow.ruleset.condition import Condition
from ruleflow.ruleset.extension import Match, option
from ruleflow.ruleset.values import Text


class CommentText(Text):
    """A text, cut at 255 bytes as iptables does (struct xt_comment_info has 256)."""

    def read_word(self, word: str, family: int) -> str:  # noqa: ARG002
        return word.encode("utf-8", "surrogateescape")[:255].decode("utf-8", "surrogateescape")


class Comment(Match, frozen=True, gc=False):
    """Somebody's words about the rule (comment_mt, net/netfilter/xt_comment.c: always true)."""

    name = "comment"

    comment: Annotated[
        str | None,
        option("--comment", type=CommentText(), negatable=False, mandatory=True, says="commented {}"),
    ] = None

    def conditions(self) -> tuple[Condition, ...]:
        """None: every packet meets it."""
        return ()
