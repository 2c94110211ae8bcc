"""Names and comments that somebody hostile, or merely foreign, may have given."""

from hypothesis import strategies as st

from ruleflow.ruleset.ir import Chain, Jump, Opaque, Rule, Ruleset, Table
from ruleflow.ruleset.matches.comment import Comment

NAMES = (
    "a<b>&c", '"];x', "<script>", "<script>alert(1)</script>", "a&amp;b", "\\N\\G\\E", "emoji😀🔥", "עברית-عربي", "x\x1b[31my",
    "end", "style:x#1;", "%%{init}%%", "`code`", "--><b>", "']]>", "ABCDEFGHIJKLMNOPQRSTUVWXYZab", "漢字漢字漢字漢字", "a#35;b", "n1",
    "\u202edesrever", "subgraph", "ﬂ°°35¶ß", "{{x}}", "$(id)", "a;b|c", "&lt;", "o'clock",
)  # fmt: skip

names = st.text(min_size=1, max_size=28).filter(lambda name: name != "INPUT")
texts = st.text(max_size=60)


def hostile(names: list[str]) -> Ruleset:
    """Chains with these names, each called from the one before, and comments and log prefixes that say the same.

    Values, not text: iptables takes names that no dump can be read back with.
    """
    chains, before = [], "INPUT"
    for name in names:
        rules = (
            Rule(before, (Comment(name),), Jump(name)),
            Rule(before, (Opaque(f"-m {name}", name),), Opaque(f"-j {name}", name)),
        )
        chains.append(Chain(before, "ACCEPT" if before == "INPUT" else None, rules))
        before = name
    chains.append(Chain(before, None if names else "ACCEPT", ()))
    return Ruleset(4, (Table("filter", tuple(chains)),))
