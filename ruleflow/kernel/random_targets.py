"""Targets of random rules: what a table allows, in the words of iptables-restore."""

from collections.abc import Callable

from ruleflow.kernel.random_conditions import Draft
from ruleflow.kernel.random_packets import HOSTS, LOCAL
from ruleflow.kernel.wire import SCTP, TCP, UDP

Maker = Callable[[Draft], str]

REFUSALS = {
    4: (
        "icmp-net-unreachable", "icmp-host-unreachable", "icmp-proto-unreachable", "icmp-port-unreachable",
        "icmp-net-prohibited", "icmp-host-prohibited", "icmp-admin-prohibited",
    ),
    6: ("icmp6-no-route", "icmp6-adm-prohibited", "icmp6-addr-unreachable", "icmp6-port-unreachable"),
}  # fmt: skip
MARKS = (0, 1, 2, 3, 0x10, 0x11, 0xFF, 0xFFFFFFFF)
PREFIXES = {
    4: ("10.9.0.0/16", "192.0.2.0/24", "198.51.100.0/28"),
    6: ("fd00:9::/64", "2001:db8::/64", "2001:db8:1::/112"),
}


def plain(word: str) -> Maker:
    """A target without options."""
    return lambda _: f" -j {word}"


def nothing(_: Draft) -> str:
    """A rule that only counts."""
    return ""


def call(draft: Draft) -> str:
    """A jump or goto into one of the chains behind this one."""
    if not draft.place.callees:
        return " -j RETURN"
    return f" -{draft.random.choice('jjg')} {draft.random.choice(draft.place.callees)}"


def refuse(draft: Draft) -> str:
    """REJECT with one of its kinds."""
    if draft.random.random() < 0.45 and draft.settle(TCP):
        return " -j REJECT --reject-with tcp-reset"
    return f" -j REJECT --reject-with {draft.random.choice(REFUSALS[draft.place.family])}"


def mark(draft: Draft) -> str:
    """MARK, in each of its spellings."""
    option = draft.random.choice(("set-xmark", "set-xmark", "set-mark", "or-mark", "and-mark", "xor-mark"))
    value = f"{draft.random.choice(MARKS):#x}"
    mask = (
        f"/{draft.random.choice(MARKS):#x}"
        if option.startswith("set") and draft.random.random() < 0.7
        else ""
    )
    return f" -j MARK --{option} {value}{mask}"


def connmark(draft: Draft) -> str:
    """CONNMARK: set, save, restore, with masks."""
    random = draft.random
    kind = random.choice(("set-xmark", "save-mark", "restore-mark"))
    one, other = (f"{random.choice(MARKS):#x}" for _ in range(2))
    if kind == "set-xmark":
        return f" -j CONNMARK --set-xmark {one}/{other}"
    masks = random.choice(("", f" --nfmask {one} --ctmask {other}", f" --mask {one}"))
    return f" -j CONNMARK --{kind}{masks}"


def ttl(draft: Draft) -> str:
    """TTL or HL."""
    name, option = ("TTL", "ttl") if draft.place.family == 4 else ("HL", "hl")
    how, value = draft.random.choice(
        (("set", 1), ("set", 64), ("set", 200), ("dec", 1), ("dec", 63), ("inc", 1), ("inc", 200))
    )
    return f" -j {name} --{option}-{how} {value}"


def dscp(draft: Draft) -> str:
    """DSCP."""
    return f" -j DSCP --set-dscp {draft.random.choice((0, 0x2E, 0x0A, 0x3F)):#04x}"


def tos(draft: Draft) -> str:
    """TOS, with a mask."""
    value, mask = draft.random.choice(((0x10, 0xFF), (0x10, 0x3F), (0, 0xFF), (0x28, 0xFC), (0x08, 0x08)))
    return f" -j TOS --set-tos {value:#04x}/{mask:#04x}"


def untrack(draft: Draft) -> str:
    """NOTRACK under both its names."""
    return draft.random.choice((" -j NOTRACK", " -j CT --notrack"))


TARGETS: dict[str, tuple[tuple[Maker, int], ...]] = {
    "filter": ((plain("ACCEPT"), 8), (plain("DROP"), 5), (refuse, 7), (plain("RETURN"), 5), (call, 10), (nothing, 1), (mark, 3), (connmark, 3)),
    "security": ((plain("ACCEPT"), 4), (plain("DROP"), 2), (plain("RETURN"), 3), (call, 5), (mark, 2), (connmark, 2)),
    "mangle": (
        (plain("ACCEPT"), 2), (plain("DROP"), 1), (plain("RETURN"), 3), (call, 8), (mark, 8), (connmark, 8), (ttl, 6),
        (dscp, 5), (tos, 5),
    ),
    "raw": ((plain("ACCEPT"), 3), (plain("DROP"), 1), (plain("RETURN"), 3), (call, 6), (mark, 5), (untrack, 5), (connmark, 1)),
    "nat": ((plain("ACCEPT"), 2), (plain("RETURN"), 3), (call, 10), (mark, 3), (connmark, 3)),
}  # fmt: skip
"""What each table's rules do, and how often."""

SHIFTED = ("8000-8010/80", "9000-9500/8000", "7000-7009/440", "6000-6001/20")
PORTS = ("80", "8080", "8000-8010", "5000-5001")


def translation(draft: Draft) -> str:
    """A target that translates, as the hook allows it."""
    random = draft.random
    if draft.place.hook in ("PREROUTING", "OUTPUT"):
        return random.choices((_dnat, _redirect, _netmap), (6, 3, 2))[0](draft)
    if draft.place.hook == "POSTROUTING":
        return random.choices((_snat, _masquerade, _netmap), (4, 4, 2))[0](draft)
    return random.choices((_snat, _netmap), (3, 1))[0](draft)


def _ported(draft: Draft) -> bool:
    """Whether the rule is about a protocol that has ports, which options with ports ask for."""
    if draft.packet.protocol in (TCP, UDP, SCTP):
        return draft.settle(draft.packet.protocol)
    return draft.settle(draft.random.choice((TCP, UDP)))


def _in_brackets(draft: Draft, address: str, port: str) -> str:
    return f"[{address}]:{port}" if draft.place.family == 6 else f"{address}:{port}"


def _range(draft: Draft) -> str:
    if draft.place.family == 4:
        return draft.random.choice(("10.0.0.5-10.0.0.8", "198.51.100.7-198.51.100.8", "192.0.2.9-192.0.2.12"))
    return draft.random.choice(("fd00::5-fd00::8", "2001:db8:1::7-2001:db8:1::8"))


def _dnat(draft: Draft) -> str:
    random, family = draft.random, draft.place.family
    hosts = [host for group in HOSTS[family].values() for host in group]
    address = _range(draft) if random.random() < 0.3 else random.choice((*hosts, *LOCAL[family]))
    words = f" -j DNAT --to-destination {address}"
    if random.random() < 0.6 and _ported(draft):
        port = random.choice((*PORTS, *SHIFTED))
        words = f" -j DNAT --to-destination {_in_brackets(draft, address, port)}"
    return words + random.choice(("", "", "", " --random", " --persistent"))


def _redirect(draft: Draft) -> str:
    if draft.random.random() < 0.7 and _ported(draft):
        return f" -j REDIRECT --to-ports {draft.random.choice(PORTS)}" + draft.random.choice(
            ("", "", " --random")
        )
    return " -j REDIRECT"


def _netmap(draft: Draft) -> str:
    return f" -j NETMAP --to {draft.random.choice(PREFIXES[draft.place.family])}"


def _snat(draft: Draft) -> str:
    random, family = draft.random, draft.place.family
    address = (
        _range(draft)
        if random.random() < 0.25
        else random.choice((*LOCAL[family], HOSTS[family]["eth0"][-1]))
    )
    words = f" -j SNAT --to-source {address}"
    if random.random() < 0.4 and _ported(draft):
        words = f" -j SNAT --to-source {_in_brackets(draft, address, random.choice(PORTS))}"
    return words + random.choice(("", "", "", " --random", " --random-fully", " --persistent"))


def _masquerade(draft: Draft) -> str:
    words = " -j MASQUERADE"
    if draft.random.random() < 0.35 and _ported(draft):
        words += f" --to-ports {draft.random.choice(PORTS)}"
    return words + draft.random.choice(("", "", "", " --random"))
