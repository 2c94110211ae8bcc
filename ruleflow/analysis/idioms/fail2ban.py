"""fail2ban's rules (config/action.d/iptables*.conf): a chain or a set of banned addresses for each jail."""

from collections.abc import Iterator

from ruleflow.analysis.explanation import Claim
from ruleflow.analysis.idioms.owner import Idiom, Owner, told
from ruleflow.analysis.idioms.shape import Shape, Shapes, is_host, network, port_words

_PREFIXES = ("f2b-", "fail2ban-")


def _set_name(one: Shape) -> str:
    """The set a rule asks for, if fail2ban may have made it."""
    value = one.get("set.lookup")
    name = value.split(" ")[0] if isinstance(value, str) else ""
    return name if name.startswith(_PREFIXES) else ""


def _owner(shapes: Shapes) -> Owner:
    signs = [
        one for (table, chain), rules in shapes.chains.items() if table == "filter" for one in rules
        if ((one.calls or "").startswith(_PREFIXES) and _is_jail(shapes, one.calls or "")) or (_set_name(one) and one.verdict in ("DROP", "REJECT"))
    ]  # fmt: skip
    return Owner("fail2ban", shapes, r"(f2b|fail2ban)-.+", signs, needed=1)


def _is_jail(shapes: Shapes, chain: str) -> bool:
    """Only bans and a RETURN: the shape of a jail's chain."""
    rules = shapes.chain("filter", chain)
    return all(
        _bans(one) or (one.verdict == "RETURN" and (one.asks() or one.asks("source"))) for one in rules
    ) and bool(rules)


def _bans(one: Shape) -> bool:
    return one.verdict in ("DROP", "REJECT") and (one.asks("source") or bool(_set_name(one)))


def claims(shapes: Shapes) -> Iterator[Claim]:
    """Claims about its rules."""
    owner = _owner(shapes)
    yield from told(owner, _IDIOMS)
    for one in owner.signs:
        if _set_name(one):
            yield owner.claim(
                "set",
                one,
                f"Addresses that failed to log in too often are in the set {_set_name(one)}; fail2ban adds and removes them there, and this rule turns them away.",
                f"the jail {_jail(_set_name(one))}",
            )


def owners(shapes: Shapes) -> Iterator[tuple[tuple[str, str], str]]:
    """Its chains."""
    yield from _owner(shapes).owned()


def made(shapes: Shapes) -> Iterator[str]:
    """fail2ban, if its chains or sets are there."""
    yield from _owner(shapes).sentence()


def _jail(chain: str) -> str:
    return chain.partition("-")[2]


def entry(owner: Owner, one: Shape) -> Claim | None:
    """``INPUT -p tcp -m multiport --dports 22 -j f2b-sshd``."""
    if not owner.mine(one.calls) or not set(one.facts) <= {"protocol", "dport"}:
        return None
    what = port_words(one) if "dport" in one.facts else "any port"
    reason = f"Connections to {what} are checked against the addresses that the jail {_jail(one.calls or '')} has banned, before any other rule may let them in."
    return owner.claim("jail", one, reason, f"the jail {_jail(one.calls or '')}")


def ban(owner: Owner, one: Shape) -> Claim | None:
    """``f2b-sshd -s 203.0.113.66/32 -j REJECT``."""
    if not owner.mine(one.ref.chain):
        return None
    if one.verdict in ("DROP", "REJECT") and one.asks("source") and is_host(one.get("source")):
        return owner.claim(
            "ban",
            one,
            f"{network(one.source)} was seen in a log too often in a way that the jail looks for, and is banned for a time; the rule goes when the time is over.",
            f"a ban by the jail {_jail(one.ref.chain)}",
        )
    if one.verdict == "RETURN" and one.asks():
        return owner.claim(
            "not-banned",
            one,
            "Whoever is not banned goes on to the other rules.",
            f"the jail {_jail(one.ref.chain)}",
        )
    return None


_IDIOMS: tuple[Idiom, ...] = (entry, ban)
