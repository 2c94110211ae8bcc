"""What people give instead of rules: listings, other languages, error messages, binary files."""

import re

_FORMS = tuple(
    (re.compile(pattern, re.MULTILINE), message, help_)
    for pattern, message, help_ in (
        (
            r"^Chain \S+ \((?:policy \S+|\d+ references)",
            "this is a listing of iptables -L: it lacks interfaces and other tables", "run iptables-save and give me that",
        ),
        (
            r'^table (?:ip|ip6|inet|arp|bridge|netdev) \S+ \{|^(?:add|insert|create) (?:table|chain|rule) |\A\s*\{"nftables"',
            "this is a listing of nft: it is another language", "run iptables-save (or iptables-nft-save) and give me that",
        ),
        (
            r"^create \S+ (?:hash|bitmap|list):|^Type: (?:hash|bitmap|list):",
            "this lists the members of ip sets, not rules", "run iptables-save and give me that",
        ),
        (r"^Bridge (?:table|chain): ", "this is a listing of ebtables: bridge rules are another language", "run iptables-save and give me that"),
        (
            r"^Status: (?:active|inactive)|^To +Action +From", "this is what ufw status says: it leaves out most of the rules",
            "run iptables-save (as root) and give me that",
        ),
        (
            r"Permission denied|you must be root|Operation not permitted",
            "iptables has printed an error here, not its rules", "run it as root: sudo iptables-save",
        ),
        (
            r"command not found|: not found$",
            "the shell has printed an error here: it did not find iptables-save", "on Debian: apt install iptables, and run it as root",
        ),
        (r"\0", "this is a binary file, not text", "give me the output of iptables-save"),
    )
)  # fmt: skip
"""How it is recognised, what it is, and what to do; the first two also where commands stand beside them."""


def recognised(text: str, *, commands: bool) -> tuple[int, str, str] | None:
    """Where ``text`` shows that it is something else, what it is and what to do; None where it does not.

    ``commands``: calls of iptables stand in it too, and so only a listing counts.
    """
    for pattern, message, help_ in _FORMS[:2] if commands else _FORMS:
        found = pattern.search(text)
        if found is not None:
            return found.start(), message, help_
    return None
