"""A rule set without what certain programs manage: their chains, the jumps to them, and rules recognised as theirs."""

from ruleflow.analysis.idioms import recognise
from ruleflow.ruleset.ir import Chain, Goto, Jump, Rule, RuleRef, Ruleset, Table

_ALIASES = {"kube": "kube", "kubernetes": "kube", "k8s": "kube"}
_PREFIXES = {
    "docker": ("DOCKER",), "kube": ("KUBE-",), "cni": ("CNI-",), "podman": ("NETAVARK",), "libvirt": ("LIBVIRT_",),
    "calico": ("cali",), "fail2ban": ("f2b-", "fail2ban-"), "ufw": ("ufw-", "ufw6-"), "tailscale": ("ts-",),
}  # fmt: skip
"""How the chains of a program begin, for what `idioms` has no better evidence of."""


def without_owners(rules: Ruleset, names: str) -> Ruleset:
    """``rules`` without what the programs ``names`` (separated by commas) manage."""
    wanted = [
        _ALIASES.get(name.strip().lower(), name.strip().lower()) for name in names.split(",") if name.strip()
    ]
    known = recognise(rules)
    chains = {key for key, owner in known.owners.items() if _is_one_of(owner, wanted)}
    refs = {
        ref
        for claim in known.claims
        if claim.owner and _is_one_of(claim.owner, wanted)
        for ref in claim.about
    }
    prefixes = tuple(prefix for name in wanted for prefix in _PREFIXES.get(name, ()))
    return Ruleset(rules.family, tuple(_table(table, chains, refs, prefixes) for table in rules.tables))


def _is_one_of(owner: str, wanted: list[str]) -> bool:
    return any(word in owner.lower() for word in wanted)


def _table(
    table: Table, chains: set[tuple[str, str]], refs: set[RuleRef], prefixes: tuple[str, ...]
) -> Table:
    gone = {
        chain.name for chain in table.chains
        if chain.policy is None and ((table.name, chain.name) in chains or (prefixes and chain.name.startswith(prefixes)))
    }  # fmt: skip
    kept = []
    for chain in table.chains:
        if chain.name in gone:
            continue
        rules = tuple(
            rule for index, rule in enumerate(chain.rules, 1)
            if not _calls(rule, gone) and RuleRef(table.name, chain.name, index, rule.line) not in refs
        )  # fmt: skip
        kept.append(Chain(chain.name, chain.policy, rules, chain.counters, chain.line, chain.comments))
    return Table(table.name, tuple(kept), table.before, table.inside, table.after, table.line)


def _calls(rule: Rule, gone: set[str]) -> bool:
    return isinstance(rule.target, Jump | Goto) and rule.target.chain in gone
