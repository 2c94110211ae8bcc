"""ufw's rules (ufw 0.36: before.rules, after.rules, user.rules), and those of ufw-docker beside them."""

from collections.abc import Iterator

from ruleflow.analysis.explanation import Claim
from ruleflow.analysis.idioms.owner import Idiom, Owner, told
from ruleflow.analysis.idioms.shape import Shape, Shapes, place

_PARTS = {
    "before-logging": ("logging", "Logging at the level you chose comes first, and decides nothing."),
    "before": ("what must work", "What must work whatever you configure is decided first: loopback, known connections, ICMP, DHCP (file before.rules). Then your own rules are asked."),
    "after": ("what is not worth a log line", "What your rules did not decide, and is known to be noise (broadcasts, file sharing), is kept out of the log (file after.rules)."),
    "after-logging": ("logging", "What is about to meet the policy is logged before, as far as the level of logging asks for it."),
    "reject": ("the policy", "Where the default is to reject instead of to drop, a rule there does it, since a policy can only drop."),
    "track": ("connections this host opens", "Where the default is to allow, new connections are let through there by a rule, so that conntrack knows them and their answers fit."),
    "user": ("your own rules", "Here are the rules you give with ufw allow, deny, limit and route (file user.rules)."),
}  # fmt: skip


def _part(chain: str | None) -> str:
    """``before-logging`` of ``ufw6-before-logging-input``."""
    name = (chain or "").partition("-")[2]
    for hook in ("-input", "-output", "-forward"):
        if name.endswith(hook):
            return name.removesuffix(hook)
    return ""


def _owner(shapes: Shapes) -> Owner:
    signs = [
        one for hook in ("INPUT", "FORWARD", "OUTPUT") for one in shapes.chain("filter", hook)
        if (one.calls or "").startswith(("ufw-", "ufw6-")) and _part(one.calls) in _PARTS and one.asks()
    ]  # fmt: skip
    return Owner("ufw", shapes, r"ufw6?-[a-z-]+", signs)


def claims(shapes: Shapes) -> Iterator[Claim]:
    """Claims about its rules."""
    yield from told(_owner(shapes), _IDIOMS)
    yield from _beside_docker(shapes)


def owners(shapes: Shapes) -> Iterator[tuple[tuple[str, str], str]]:
    """Its chains."""
    yield from _owner(shapes).owned()


def made(shapes: Shapes) -> Iterator[str]:
    """Ufw, if its chains are there."""
    yield from _owner(shapes).sentence()


def part(owner: Owner, one: Shape) -> Claim | None:
    """The jumps from the hooks, and from before to user."""
    words = _PARTS.get(_part(one.calls))
    if words is None or not one.asks() or one.calls is None:
        return None
    return owner.claim(f"to-{_part(one.calls)}", one, words[1], words[0])


def not_local(owner: Owner, one: Shape) -> Claim | None:
    """ufw-not-local: what is for another machine is dropped."""
    chain = one.ref.chain.partition("-")[2]
    if one.calls is not None and one.calls.endswith("-not-local") and one.asks():
        return owner.claim(
            "to-not-local",
            one,
            "What your own rules are asked about should be for this host, or for everybody; the chain drops the rest.",
            "packets for others",
        )
    if chain != "not-local":
        return None
    if one.verdict == "RETURN" and one.asks("dst_type"):
        return owner.claim(
            "is-local",
            one,
            "Packets for this host, and those for all hosts, go on to your own rules.",
            "packets that are for us",
        )
    if one.verdict == "DROP" and one.asks():
        return owner.claim(
            "is-not-local",
            one,
            "What is left is for some other machine and came here by mistake or on purpose.",
            "packets for others",
        )
    return None


def limit(owner: Owner, one: Shape) -> Claim | None:
    """``ufw limit``: two rules with -m recent, and the chains they lead to."""
    chain = one.ref.chain.partition("-")[2]
    if one.calls is not None and one.calls.endswith("-user-limit-accept"):
        return owner.claim(
            "limit-accept",
            one,
            "Whoever did not come too often is let in; this is the third of the rules that ufw limit writes for a port.",
            "a port with a limit",
        )
    if chain == "user-limit" and one.verdict == "REJECT" and one.asks():
        return owner.claim(
            "limit-reject",
            one,
            "Whoever comes too often is refused, which tells an honest client to wait.",
            "a port with a limit",
        )
    if chain == "user-limit-accept" and one.verdict == "ACCEPT" and one.asks():
        return owner.claim(
            "limit-in", one, "The end of ufw limit for those within the limit.", "a port with a limit"
        )
    return None


def skip(owner: Owner, one: Shape) -> Claim | None:
    """``ufw-after-input -p udp --dport 137 -j ufw-skip-to-policy-input``, and what that chain does."""
    if one.calls is not None and "-skip-to-policy-" in one.calls:
        return owner.claim(
            "skip",
            one,
            "Such packets fill every local network and would fill the log: they get the policy at once, without a log line.",
            "what is not worth a log line",
        )
    if "-skip-to-policy-" in one.ref.chain and one.asks() and one.verdict:
        return owner.claim(
            "policy",
            one,
            "The same as the default policy, so that what jumps here need not pass the rules for logging.",
            "the policy",
        )
    return None


def track(owner: Owner, one: Shape) -> Claim | None:
    """``ufw-track-output -p tcp -m conntrack --ctstate NEW -j ACCEPT``."""
    if _part(one.ref.chain) != "track" or one.verdict != "ACCEPT" or one.states != {"NEW"}:
        return None
    return owner.claim(
        "track",
        one,
        "The default is to allow, and this lets new connections through by a rule that asks conntrack, so that their answers are known.",
        "new connections",
    )


def discovery(owner: Owner, one: Shape) -> Claim | None:
    """MDNS and UPnP in ufw-before-input."""
    if (
        _part(one.ref.chain) != "before"
        or one.verdict != "ACCEPT"
        or one.port not in (5353, 1900)
        or one.destination is None
    ):
        return None
    what = (
        "mDNS, by which machines on a link find each other's names"
        if one.port == 5353
        else "UPnP, by which devices on a link find each other"
    )
    return owner.claim(
        "discovery",
        one,
        f"This is {what}; it is sent to a multicast address of the link.",
        "finding others on the link",
    )


def logging_chain(owner: Owner, one: Shape) -> Claim | None:
    """The jump to ufw-logging-deny."""
    if one.calls is None or not one.calls.endswith(("-logging-deny", "-logging-allow")):
        return None
    return owner.claim("to-log", one, "Logged with a limit before the next rule decides.", "logging")


def _beside_docker(shapes: Shapes) -> Iterator[Claim]:
    """ufw-docker: DOCKER-USER asks ufw-user-forward."""
    mine = [
        one for one in shapes.chain("filter", "DOCKER-USER") if one.calls == "ufw-user-forward" and one.asks()
    ]
    if not mine:
        return
    owner = Owner("ufw-docker", shapes, r"ufw-docker.*", mine, needed=1)
    jump = mine[0]
    reason = (
        "Packets to published ports pass FORWARD, and Docker lets them through before ufw is asked. Here ufw's rules for "
        "forwarding are asked first, in Docker's own place for the administrator. They see the container's port, not the published one."
    )
    yield owner.claim("to-ufw", jump, reason, "ufw's say over published ports")
    for one in (*shapes.chain("filter", "DOCKER-USER"), *shapes.chain("filter", "ufw-docker-logging-deny")):
        found = _closed(owner, one, jump)
        if found is not None:
            yield found


def _closed(owner: Owner, one: Shape, jump: Shape) -> Claim | None:
    """The rules around the jump: who is trusted, and what is closed."""
    if one.verdict == "RETURN" and one.source is not None and one.asks("source"):
        return owner.claim(
            "private",
            one,
            "Private networks are trusted: containers talk to each other, and the local network reaches them without ufw being asked.",
            "private networks",
        )
    if one.verdict == "RETURN" and one.protocol == "udp" and one.asks("protocol", "sport", "dport"):
        return owner.claim(
            "answers",
            one,
            "Answers of name servers to containers pass, though conntrack is not asked here.",
            "answers to containers",
        )
    if one.ref.chain == "ufw-docker-logging-deny" and one.verdict == "DROP" and one.asks():
        return owner.claim(
            "drop", one, "The end of what is closed: logged above, dropped here.", "to close published ports"
        )
    if one.verdict == "RETURN" and one.asks() and one.ref > jump.ref:
        return owner.claim(
            "rest",
            one,
            "What is not for a container's network goes on to Docker's own rules.",
            "everything else",
        )
    if one.destination is not None and (one.calls == "ufw-docker-logging-deny" or one.verdict == "DROP"):
        return owner.claim(
            "closed",
            one,
            f"New connections to a container's network that {place(jump)} did not allow end here, so a published port is closed until ufw opens it.",
            "to close published ports",
        )
    return None


_IDIOMS: tuple[Idiom, ...] = (part, not_local, limit, skip, track, discovery, logging_chain)
