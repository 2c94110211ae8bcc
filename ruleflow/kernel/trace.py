"""What the kernel tells about a packet's way through the rules, read into one kind of event, whoever told it.

Three tellers: `xtables-monitor --trace`, `nft monitor trace`, and the kernel log for the legacy backend's TRACE; the lab
listens to netlink itself. They give handles or numbers, and often no word where a chain ends; `completed` mends both.
"""

import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from ruleflow.kernel.wire import AH, DCCP, ESP, ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE
from ruleflow.netfilter.packet import FLAGS, Packet
from ruleflow.ruleset.ir import Goto, Jump, Opaque, Rule, Ruleset

Place = tuple[str, str, int]
"""A rule's place: table, chain, number from 1."""
BUILT_IN = frozenset({"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"})
ENDS = frozenset({"ACCEPT", "DROP", "QUEUE", "STOLEN"})
"""Verdicts after which the table is left."""
VERDICT_OF_TARGET = {
    "DNAT": "ACCEPT", "SNAT": "ACCEPT", "MASQUERADE": "ACCEPT", "REDIRECT": "ACCEPT", "NETMAP": "ACCEPT",
    "REJECT": "DROP", "NFQUEUE": "QUEUE", "ACCEPT": "ACCEPT", "DROP": "DROP", "RETURN": "RETURN", "QUEUE": "QUEUE",
}  # fmt: skip
"""What the kernel calls what these targets decide; all others go on to the next rule."""


class TraceEvent(msgspec.Struct, frozen=True):
    """One event: the packet ``trace`` stood in a chain of a table, and this happened.

    ``kind`` is ``packet`` (it enters a built-in chain), ``rule`` (this rule matched), ``end`` (the chain's end, back to the
    caller) or ``policy``. ``verdict`` is ACCEPT, DROP, QUEUE, STOLEN, CONTINUE (the next rule is asked), JUMP, GOTO (to
    ``target``), RETURN, or empty where nobody says. ``number`` counts a chain's rules from 1, ``handle`` is nft's.
    """

    trace: str
    family: int
    table: str
    chain: str
    kind: str
    number: int | None = None
    handle: int | None = None
    verdict: str = ""
    target: str | None = None
    line: int | None = None
    packet: Packet | None = None


class Listing(msgspec.Struct, frozen=True):
    """Where loaded rules stand: handles of nft to places, lines of the dump, lengths of chains, and what rules decide
    (number 0: the policy).
    """

    handles: Mapping[tuple[str, int], Place] = {}
    lines: Mapping[Place, int] = {}
    lengths: Mapping[tuple[str, str], int] = {}
    verdicts: Mapping[Place, tuple[str, str | None]] = {}

    @classmethod
    def of(cls, ruleset: Ruleset, rules: Iterable[tuple[str, str, int]] = ()) -> "Listing":
        """For a rule set and, on nft, the kernel's rules in order as (table, chain, handle): `Netlink.rules`."""
        places = [((ref.table, ref.chain, ref.index), rule) for ref, rule in ruleset.rules()]
        return cls(
            handles=_handles(rules),
            lines={place: rule.line for place, rule in places if rule.line is not None},
            lengths={(table.name, chain.name): len(chain.rules) for table in ruleset for chain in table},
            verdicts={place: _verdict_of(rule) for place, rule in places} | _policies(ruleset),
        )

    @classmethod
    def of_text(cls, text: str, rules: Iterable[tuple[str, str, int]] = ()) -> "Listing":
        """The same from the text iptables-save prints, without reading its rules: by their ``-A`` and last ``-j`` or ``-g``."""
        lines: dict[Place, int] = {}
        lengths: dict[tuple[str, str], int] = {}
        verdicts: dict[Place, tuple[str, str | None]] = {}
        table = ""
        for at, line in enumerate(text.split("\n"), 1):
            if line.startswith("*"):
                table = line[1:].strip()
            elif line.startswith(":"):
                name, policy, *_ = [*line[1:].split(" "), "-"]
                lengths.setdefault((table, name), 0)
                verdicts[table, name, 0] = (policy, None)
            elif appended := APPENDED.match(line):
                key = table, appended[1]
                lengths[key] = lengths.get(key, 0) + 1
                lines[(*key, lengths[key])] = at
                verdicts[(*key, lengths[key])] = _verdict_in(line, table, lengths)
        return cls(handles=_handles(rules), lines=lines, lengths=lengths, verdicts=verdicts)


def _handles(rules: Iterable[tuple[str, str, int]]) -> dict[tuple[str, int], Place]:
    handles: dict[tuple[str, int], Place] = {}
    counted: dict[tuple[str, str], int] = {}
    for table, chain, handle in rules:
        number = counted[table, chain] = counted.get((table, chain), 0) + 1
        handles[table, handle] = table, chain, number
    return handles


def _policies(ruleset: Ruleset) -> dict[Place, tuple[str, str | None]]:
    return {
        (table.name, chain.name, 0): (chain.policy, None)
        for table in ruleset
        for chain in table
        if chain.policy
    }


def _verdict_of(rule: Rule) -> tuple[str, str | None]:
    target = rule.target
    if isinstance(target, Jump):
        return "JUMP", target.chain
    if isinstance(target, Goto):
        return "GOTO", target.chain
    if target is None or isinstance(target, Opaque):
        return ("CONTINUE", None) if target is None else ("", None)
    return VERDICT_OF_TARGET.get(str(target).split()[1], "CONTINUE"), None


APPENDED = re.compile(r"(?:\[\d+:\d+\] )?-A (\S+)")


def _verdict_in(line: str, table: str, chains: Mapping[tuple[str, str], int]) -> tuple[str, str | None]:
    at = max(line.rfind(" -j "), line.rfind(" -g "))
    if at < 0:
        return "CONTINUE", None
    name = line[at + 4 :].split(" ", 1)[0].rstrip()
    if (table, name) in chains:
        return ("GOTO" if line[at + 2] == "g" else "JUMP"), name
    return VERDICT_OF_TARGET.get(name, "CONTINUE"), None


NO_LISTING = Listing()


# from text


def parse_trace(text: str | Iterable[str]) -> Iterator[TraceEvent]:
    """The events in the output of any of the three tellers (also mixed), in order; other lines are passed over."""
    for line in text.splitlines() if isinstance(text, str) else text:
        for pattern, read in _READERS:
            if found := pattern.search(line):
                yield read(found)
                break


def _read_nft(found: re.Match[str]) -> TraceEvent:
    rest, kind = found["rest"], found["kind"].rstrip(":")
    family = _family_in_words(found["family"], rest)
    event = TraceEvent(found["trace"], family, found["table"], found["chain"], kind)
    if kind == "packet":
        return msgspec.structs.replace(event, packet=_packet_of_words(rest, family))
    words = (
        re.search(r"\(verdict (\S+)(?: (\S+))?\)\s*$", rest) if kind == "rule" else re.match(r"(\S+)", rest)
    )
    if words is None:
        return event
    verdict = _verdict(words[1])
    target = words[2] if kind == "rule" else None
    if kind == "return":  # nft says so where a rule returned to the caller
        return msgspec.structs.replace(event, kind="end", verdict="RETURN")
    return msgspec.structs.replace(event, verdict=verdict, target=target)


def _family_in_words(table_family: str, words: str) -> int:
    if table_family in ("ip", "ip6"):
        return 4 if table_family == "ip" else 6
    return 6 if "ip6 saddr" in words else 4


def _read_monitor_event(found: re.Match[str]) -> TraceEvent:
    family = {"2": 4, "10": 6}.get(found["family"], 4)
    event = TraceEvent(found["trace"], family, found["table"], found["chain"], found["kind"])
    verdict, _, target = (
        found["what"].partition(":") if found["kind"] != "rule" else found["verdict"].partition(":")
    )
    if found["kind"] == "rule":
        event = msgspec.structs.replace(event, handle=int(found["handle"], 16))
    if found["kind"] == "return":
        return msgspec.structs.replace(event, kind="end", verdict="RETURN")
    return msgspec.structs.replace(event, verdict=_verdict(verdict), target=target or None)


def _read_monitor_packet(found: re.Match[str]) -> TraceEvent:
    family = {"2": 4, "10": 6}.get(found["family"], 6 if "HOPLIMIT=" in found["rest"] else 4)
    return TraceEvent(found["trace"], family, "", "", "packet", packet=_packet_of_log(found["rest"], family))


def _read_log(found: re.Match[str]) -> TraceEvent:
    family = 6 if "HOPLIMIT=" in found["rest"] else 4
    packet = _packet_of_log(found["rest"], family)
    ident = re.search(r"\b(?:ID|FLOWLBL)=(\d+)", found["rest"])
    kind = "end" if found["kind"] == "return" else found["kind"]
    return TraceEvent(
        f"{family}:{ident[1] if ident else 0}",
        family,
        found["table"],
        found["chain"],
        kind,
        int(found["number"]),
        packet=packet,
    )


_READERS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], TraceEvent]], ...] = (
    (re.compile(r"^trace id (?P<trace>\w+) (?P<family>\w+) (?P<table>\S+) (?P<chain>.+?) (?P<kind>packet:|rule|policy|return)(?: (?P<rest>.*)|)$"), _read_nft),
    (re.compile(r"^ ?TRACE: (?P<family>\d+) (?P<trace>[0-9a-f]+) (?P<table>[^:]*):(?P<chain>.*?):(?P<kind>rule|policy|return):(?:(?P<handle>0x[0-9a-f]+):(?P<verdict>\S*)|(?P<what>\S*))"), _read_monitor_event),
    (re.compile(r"^PACKET: (?P<family>\d+) (?P<trace>[0-9a-f]+) (?P<rest>.*)$"), _read_monitor_packet),
    (re.compile(r"TRACE: (?P<table>[^: ]*):(?P<chain>.*?):(?P<kind>rule|policy|return):(?P<number>\d+) (?P<rest>.*)$"), _read_log),
)  # fmt: skip


def parse_log_prefix(prefix: str, trace: str, family: int, packet: Packet | None) -> TraceEvent | None:
    """The event in the prefix (``TRACE: filter:INPUT:rule:2``) of a packet the legacy backend logged; None where it has none."""
    found = re.fullmatch(r"TRACE: ([^:]*):(.*):(rule|policy|return):(\d+) ?", prefix)
    if not found:
        return None
    kind = "end" if found[3] == "return" else found[3]
    return TraceEvent(trace, family, found[1], found[2], kind, int(found[4]), packet=packet)


def _verdict(word: str) -> str:
    if word.startswith("0x"):  # xtables-monitor 1.8.9 has no name for a negative verdict but the first four
        number = int(word, 16)
        return {0xFFFFFFFB: "RETURN", 3: "QUEUE"}.get(
            number if number > 0xFFFF0000 else number & 0xFFFF, word
        )
    return word.upper()


# packets in words

NFT_WORDS = {
    "ip saddr": "source", "ip6 saddr": "source", "ip daddr": "destination", "ip6 daddr": "destination",
    "ip ttl": "ttl", "ip6 hoplimit": "ttl", "ip length": "length", "iif": "in_interface", "oif": "out_interface",
    "ip protocol": "protocol", "ip6 nexthdr": "protocol", "sport": "source_port", "dport": "destination_port",
    "mark": "mark", "ether saddr": "mac",
}  # fmt: skip
NFT_PROTOCOLS = {
    "tcp": TCP, "udp": UDP, "icmp": ICMP, "icmpv6": ICMPV6, "ipv6-icmp": ICMPV6, "sctp": SCTP, "dccp": DCCP, "udplite": UDPLITE,
    "esp": ESP, "ah": AH,
}  # fmt: skip


def _packet_of_words(words: str, family: int) -> Packet:
    facts: dict[str, object] = {}
    for name in ("iif", "oif"):
        if found := re.search(rf'\b{name} "([^"]*)"', words):
            facts[NFT_WORDS[name]] = found[1]
    for key in ("ip saddr", "ip daddr", "ip6 saddr", "ip6 daddr"):
        if found := re.search(rf"\b{key} (\S+)", words):
            facts[NFT_WORDS[key]] = _address(found[1])
    for key in ("ip ttl", "ip6 hoplimit", "ip length", "sport", "dport"):
        if found := re.search(rf"\b{key} (\d+)", words):
            facts[NFT_WORDS[key]] = int(found[1])
    protocol = re.search(r"\b(tcp|udp|icmpv6|icmp|sctp|dccp|udplite|esp|ah) (?:sport|type|spi)", words)
    named = protocol or re.search(r"\b(?:ip protocol|ip6 nexthdr) (\S+)", words)
    if named and (named[1] in NFT_PROTOCOLS or named[1].isdecimal()):
        facts["protocol"] = NFT_PROTOCOLS[named[1]] if named[1] in NFT_PROTOCOLS else int(named[1])
    if found := re.search(r"\btcp flags (?:== )?(\S+)", words):
        facts["tcp_flags"] = sum(
            FLAGS.get({"ecn": "ece"}.get(flag, flag), 0) for flag in re.split(r"[,|]", found[1])
        )
    return Packet(family=family, **_possible(facts))  # type: ignore[arg-type]


LOG_NUMBERS = {"TTL": "ttl", "HOPLIMIT": "ttl", "SPT": "source_port", "SPORT": "source_port", "DPT": "destination_port",
               "DPORT": "destination_port", "TYPE": "icmp_type", "CODE": "icmp_code", "UID": "uid", "GID": "gid"}  # fmt: skip
LOG_NAMES = {"IN": "in_interface", "OUT": "out_interface", "PHYSIN": "physdev_in", "PHYSOUT": "physdev_out"}
LOG_PROTOCOLS = {
    "TCP": TCP,
    "UDP": UDP,
    "ICMP": ICMP,
    "ICMPv6": ICMPV6,
    "SCTP": SCTP,
    "UDPLITE": UDPLITE,
    "AH": AH,
    "ESP": ESP,
}


def _packet_of_log(words: str, family: int) -> Packet:
    """Read the ``KEY=value`` words the kernel's LOG prints (net/ipv4/netfilter/nf_log_syslog.c); what is quoted in [ ] is left."""
    own = words.split("[", maxsplit=1)[0]
    facts: dict[str, object] = {}
    for key, value in re.findall(r"\b([A-Z]+)=(\S*)", own):
        if key in LOG_NUMBERS and value.isdecimal():
            facts.setdefault(LOG_NUMBERS[key], int(value))
        elif key in LOG_NAMES and value:
            facts[LOG_NAMES[key]] = value
        elif key in ("SRC", "DST"):
            facts["source" if key == "SRC" else "destination"] = _address(value)
        elif key == "PROTO":
            facts["protocol"] = LOG_PROTOCOLS.get(value, int(value) if value.isdecimal() else None)
        elif key in ("MARK", "TOS", "TC"):
            facts["mark" if key == "MARK" else "tos"] = (
                int(value, 16) if value.startswith("0x") else int(value)
            )
        elif key == "LEN":
            facts.setdefault("length", int(value))
    flags = re.findall(r"(?<![=\w])(CWR|ECE|URG|ACK|PSH|RST|SYN|FIN)(?= |$)", own)
    if flags:
        facts["tcp_flags"] = sum(FLAGS[flag.lower()] for flag in set(flags))
        facts.setdefault("protocol", TCP)
    return Packet(family=family, **_possible(facts))  # type: ignore[arg-type]


def _possible(facts: dict[str, object]) -> dict[str, object]:
    """Facts that fit together: xtables-monitor prints the ports of any protocol, and the protocol of none."""
    if facts.get("protocol") not in (None, TCP, UDP, UDPLITE, SCTP, DCCP):
        facts = {key: value for key, value in facts.items() if key not in ("source_port", "destination_port")}
    return facts


def _address(text: str) -> int:
    return int.from_bytes(socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text), "big")


# mending


def completed(
    events: Iterable[TraceEvent], listing: Listing | Mapping[int, Listing] = NO_LISTING
) -> Iterator[TraceEvent]:
    """The events with handles turned into rule numbers and lines, chains' untold ends filled in, verdicts where known.

    ``listing`` is one for all events, or one for each family. Events of several packets and tables may be mixed, as they
    come from a live trace; nothing is held back.
    """
    stacks: dict[tuple[str, int, str], list[str]] = {}
    for event in events:
        known = listing if isinstance(listing, Listing) else listing.get(event.family, NO_LISTING)
        located = _located(event, known)
        stack = stacks.setdefault((event.trace, event.family, event.table), [])
        for chain in _left(stack, located):
            yield TraceEvent(event.trace, event.family, event.table, chain, "end", verdict="RETURN")
        yield located
        _follow(stack, located)
        if not stack:
            del stacks[event.trace, event.family, event.table]


def _located(event: TraceEvent, listing: Listing) -> TraceEvent:
    number = event.number
    if event.handle is not None and (event.table, event.handle) in listing.handles:
        number = listing.handles[event.table, event.handle][2]
    if number is None:
        return event
    kind = event.kind
    length = listing.lengths.get((event.table, event.chain))
    if kind in ("end", "policy") and length is not None:
        # The legacy kernel calls an unconditional last word by these names, too: ip_tables.c, get_chainname_rulenum.
        kind, number = ("rule", number) if number <= length else (kind, None)
    place = (event.table, event.chain, number or 0)
    verdict, target = (
        (event.verdict, event.target) if event.verdict else listing.verdicts.get(place, ("", None))
    )
    if kind == "end":
        verdict = "RETURN"
    return msgspec.structs.replace(
        event, kind=kind, number=number, verdict=verdict, target=target, line=listing.lines.get(place)
    )


def _left(stack: list[str], event: TraceEvent) -> Iterator[str]:
    """The chains that must have ended, unsaid, for this event to stand where it stands; they are taken off the stack."""
    if event.kind == "packet":
        stack.clear()
    elif event.chain in stack:
        while stack[-1] != event.chain:
            yield stack.pop()
    elif event.chain in BUILT_IN:  # another hook, or the end of what a goto from a built-in chain led to
        if event.kind == "policy":
            yield from reversed(stack)
        stack.clear()
    if not stack or stack[-1] != event.chain:
        stack.append(event.chain)


def _follow(stack: list[str], event: TraceEvent) -> None:
    if event.verdict == "JUMP" and event.target:
        stack.append(event.target)
    elif event.verdict == "GOTO" and event.target:
        stack[-1:] = [event.target]
    elif event.verdict in ENDS or event.kind == "policy":
        stack.clear()
    elif event.verdict == "RETURN" and stack:
        stack.pop()
