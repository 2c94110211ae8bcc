"""A host one only describes: a small YAML file (docs/host-description.md) read into a Host."""

from pathlib import Path
from typing import Any

import msgspec

from ruleflow.errors import ReadError, Where
from ruleflow.netfilter.host import (
    Address,
    BridgePort,
    Host,
    Interface,
    Listener,
    Neighbour,
    Nexthop,
    PolicyRule,
    Route,
    Sysctls,
)
from ruleflow.netfilter.ipset import IpSet, SetMember
from ruleflow.netfilter.kernel_routes import kernel_routes
from ruleflow.netfilter.numbers import PROTOCOLS, read_address, read_mac
from ruleflow.netfilter.read_host import default_rules

KEYS = ("name", "interfaces", "routes", "rules", "settings", "sets", "listeners", "neighbours")
"""What a description may hold; ``interfaces`` it must."""
_KINDS = (
    "local",
    "broadcast",
    "unreachable",
    "blackhole",
    "prohibit",
    "throw",
    "multicast",
    "anycast",
    "unicast",
)
_REJECTS = ("unreachable", "blackhole", "prohibit", "throw")


def read_description(path: Path) -> Host:
    """The host that the YAML file ``path`` describes.

    :raises ReadError: with the entry that is not understood.
    """
    return parse_description(path.read_text("utf-8"), str(path))


def parse_description(text: str, source: str = "<description>") -> Host:
    """The host that ``text`` describes (see docs/host-description.md).

    The routes the kernel makes for addresses (LOCAL, connected networks) are added; so is ``lo``, where it is
    not described. Settings that are not given are the kernel's defaults; the host's ``assumed`` says so.

    :raises ReadError: with the entry that is not understood.
    """
    entries = _load(text, source)
    reader = _Reader(source)
    unknown = [key for key in entries if key not in KEYS]
    if unknown:
        raise reader.wrong(
            unknown[0], f"I do not know the key {unknown[0]!r}", f"the keys are {', '.join(KEYS)}"
        )
    if not isinstance(entries.get("interfaces"), dict):
        raise reader.wrong("interfaces", "the interfaces are missing", "interfaces: {eth0: [192.0.2.10/24]}")
    return _host(entries, reader)


def _load(text: str, source: str) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        entries = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ReadError(f"this is not YAML: {error}", where=Where(source)) from None
    if not isinstance(entries, dict):
        raise ReadError("this describes no host", where=Where(source), help="begin with interfaces:")
    return entries


class _Reader:
    """Says which entry of which file is wrong."""

    def __init__(self, source: str) -> None:
        self.source = source

    def wrong(self, entry: object, message: str, advice: str) -> ReadError:
        return ReadError(f"{message} (in {entry})", where=Where(self.source), help=advice)


def _host(entries: dict[str, Any], reader: _Reader) -> Host:
    links = [
        _interface(index, name, said) for index, (name, said) in enumerate(entries["interfaces"].items(), 2)
    ]
    if not any(link.name == "lo" for link in links):
        links.insert(0, _loopback())
    ports = [port for name, said in entries["interfaces"].items() for port in _ports(name, said)]
    links += [_port_link(len(links) + 2 + at, port) for at, port in enumerate(ports) if _is_new(port, links)]
    settings = {str(name): _setting(value) for name, value in (entries.get("settings") or {}).items()}
    sysctls = Sysctls.of(settings)
    made = Host(sysctls=sysctls)
    routes = kernel_routes(links, forwards_six=bool(made.forwards(6)))
    return Host(
        name=str(entries.get("name", "host")),
        interfaces=tuple(_mastered(link, ports) for link in links),
        routes=(*routes, *(parse_route(str(line), reader.source) for line in entries.get("routes") or ())),
        rules=_rules(entries.get("rules") or (), reader),
        ports=tuple(ports),
        sysctls=sysctls,
        sets=tuple(_set(name, said) for name, said in (entries.get("sets") or {}).items()),
        neighbours=tuple(_neighbour(at, said) for at, said in (entries.get("neighbours") or {}).items()),
        listeners=None
        if "listeners" not in entries
        else tuple(_listener(str(line), reader) for line in entries["listeners"]),
        assumed=("settings that the description does not give are the kernel's defaults",),
    )


def _loopback() -> Interface:
    own = (
        Address(family=4, address=127 << 24 | 1, length=8, scope="host"),
        Address(family=6, address=1, length=128, scope="host"),
    )
    return Interface(index=1, name="lo", kind="loopback", flags=("LOOPBACK", "UP", "LOWER_UP"), addresses=own)


def _interface(index: int, name: str, said: Any) -> Interface:
    """``eth0: [192.0.2.10/24]`` or ``eth0: {addresses: […], mac: …, up: false}``."""
    facts: dict[str, Any] = said if isinstance(said, dict) else {"addresses": said or ()}
    texts: Any = facts.get("addresses") or ()
    addresses = [texts] if isinstance(texts, str) else texts
    flags = ("UP", "LOWER_UP") if facts.get("up", True) else ()
    return Interface(
        index=index, name=name, kind=str(facts.get("kind", "bridge" if "ports" in facts else "")), flags=flags,
        state="UP" if flags else "DOWN", mtu=int(facts.get("mtu", 1500)), group=str(facts.get("group", "default")),
        mac=read_mac(str(facts["mac"])) if "mac" in facts else None,
        addresses=tuple(parse_address(str(text)) for text in addresses),
    )  # fmt: skip


def parse_address(text: str) -> Address:
    """``192.0.2.10/24``; without a length, the address alone.

    :raises ReadError: where it is no address.
    """
    address, slash, length = text.partition("/")
    number, family = read_address(address)
    width = 32 if family == 4 else 128
    bits = int(length) if slash and length.isdecimal() else width
    if bits > width or (slash and not length.isdecimal()):
        raise ReadError(
            f"{text!r} is not an address with a prefix length", help="write it like 192.0.2.10/24"
        )
    near = (family == 6 and number >> 118 == 0x3FA) or (family == 4 and number >> 16 == 0xA9FE)
    home = number >> 24 == 127 if family == 4 else number == 1
    scope = "host" if home else "link" if near and family == 6 else "global"
    return Address(family=family, address=number, length=bits, scope=scope)


def _ports(bridge: str, said: Any) -> list[BridgePort]:
    """``ports: [veth1]`` or ``ports: {veth1: {hairpin: true, isolated: true}}``."""
    ports = said.get("ports") or () if isinstance(said, dict) else ()
    pairs = ports.items() if isinstance(ports, dict) else [(name, None) for name in ports]
    return [
        BridgePort(
            interface=str(name), bridge=bridge, hairpin=bool((facts or {}).get("hairpin", False)),
            isolated=bool((facts or {}).get("isolated", False)),
        )
        for name, facts in pairs
    ]  # fmt: skip


def _is_new(port: BridgePort, links: list[Interface]) -> bool:
    return not any(link.name == port.interface for link in links)


def _port_link(index: int, port: BridgePort) -> Interface:
    return Interface(index=index, name=port.interface, kind="veth", state="UP")


def _mastered(link: Interface, ports: list[BridgePort]) -> Interface:
    bridge = next((port.bridge for port in ports if port.interface == link.name), None)
    return link if bridge is None else msgspec.structs.replace(link, master=bridge, master_kind="bridge")


def _setting(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def parse_route(line: str, source: str = "<route>") -> Route:
    """A route as ``ip route`` says it: ``10.0.0.0/8 via 192.0.2.7 dev eth0 metric 5 table 100``.

    :raises ReadError: where it is not understood.
    """
    words = line.split()
    kind = words.pop(0) if words and words[0] in _KINDS else "unicast"
    facts = dict(zip(words[1::2], words[2::2], strict=False))
    unknown = [
        word for word in facts if word not in ("via", "dev", "metric", "table", "src", "scope", "tos", "from")
    ]
    if not words or unknown or len(words) % 2 == 0 or not (facts or kind in _REJECTS):
        raise ReadError(
            f"I do not understand the route {line!r}",
            where=Where(source),
            help="default via 192.0.2.1 dev eth0",
        )
    via = read_address(facts["via"]) if "via" in facts else None
    own = read_address(facts["src"]) if "src" in facts else None
    family = _family(words[0], via, own)
    destination, length = _prefix(words[0], family)
    from_, from_length = _prefix(facts.get("from", "default"), family)
    hop = Nexthop(
        interface=facts.get("dev"), gateway=via[0] if via else None, gateway_family=via[1] if via else 4
    )
    return Route(
        family=family, destination=destination, length=length, kind=kind, table=facts.get("table", "main"),
        nexthops=() if kind in _REJECTS else (hop,), scope=facts.get("scope", "global" if via else "link"),
        source=from_, source_length=from_length, preferred_source=own[0] if own else None, protocol="static",
        metric=int(facts.get("metric", 0 if family == 4 else 1024)), tos=int(facts.get("tos", "0"), 0),
    )  # fmt: skip


def _family(prefix: str, *others: tuple[int, int] | None) -> int:
    known = [6 if ":" in prefix else 4] if prefix != "default" else [other[1] for other in others if other]
    return known[0] if known else 4


def _prefix(text: str, family: int) -> tuple[int, int]:
    if text in ("default", "all"):
        return 0, 0
    own = parse_address(text)
    shift = (32 if family == 4 else 128) - own.length
    return own.address >> shift << shift, own.length


def _rules(lines: Any, reader: _Reader) -> tuple[PolicyRule, ...]:
    own = [_rule(str(line), reader) for line in lines]
    return tuple(
        rule
        for family in (4, 6)
        for rule in sorted(
            (*default_rules(family), *(one for one in own if one.family == family)),
            key=lambda one: one.priority,
        )
    )


_VERDICTS = ("prohibit", "blackhole", "unreachable", "nop")


def _rule(line: str, reader: _Reader) -> PolicyRule:
    """``not from 10.0.0.0/8 fwmark 1/0xff iif eth0 lookup 100 priority 100``, as ``ip rule`` takes it."""
    words = line.split()
    negated = words[:1] == ["not"]
    words = words[negated:]
    action = next((word for word in words if word in _VERDICTS), "lookup")
    words = [word for word in words if word not in _VERDICTS]
    facts = dict(zip(words[::2], words[1::2], strict=False))
    known = {
        "from",
        "to",
        "fwmark",
        "iif",
        "oif",
        "lookup",
        "table",
        "priority",
        "pref",
        "family",
        "suppress_prefixlength",
    }
    if len(words) % 2 or set(facts) - known:
        raise reader.wrong(
            "rules", f"I do not understand the rule {line!r}", "from 10.0.0.0/8 lookup 100 priority 100"
        )
    six = any(":" in facts.get(side, "") for side in ("from", "to")) or facts.get("family") in ("6", "inet6")
    family = 6 if six else 4
    mark, slash, mask = facts.get("fwmark", "").partition("/")
    source, destination = _prefix(facts.get("from", "all"), family), _prefix(facts.get("to", "all"), family)
    return PolicyRule(
        family=family, priority=int(facts.get("priority", facts.get("pref", "32765"))), action=action, negated=negated,
        table=facts.get("lookup", facts.get("table", "main")), iif=facts.get("iif"), oif=facts.get("oif"),
        source=source[0], source_length=source[1], destination=destination[0], destination_length=destination[1],
        mark=int(mark, 0) if mark else 0, mask=int(mask, 0) if slash else 0xFFFFFFFF if mark else 0,
        suppress_length=int(facts.get("suppress_prefixlength", "-1")),
    )  # fmt: skip


def _set(name: str, said: Any) -> IpSet:
    """``blocked: {type: hash:net, members: [203.0.113.0/24, 203.0.113.7 nomatch]}``, or a plain list."""
    facts = said if isinstance(said, dict) else {"members": said}
    members = [str(text).split() for text in facts.get("members") or ()]
    six = any(
        ":" in words[0] and not words[0].startswith(("tcp:", "udp:")) and "::" in words[0]
        for words in members
    )
    options = (("family", "inet6" if six else "inet"),)
    made = tuple(SetMember(tuple(words[0].split(",")), "nomatch" in words) for words in members)
    return IpSet(str(name), str(facts.get("type", "hash:net")), options, made)


def _neighbour(address: Any, said: Any) -> Neighbour:
    number, family = read_address(str(address))
    facts = said if isinstance(said, dict) else {"interface": said}
    mac = read_mac(str(facts["mac"])) if "mac" in facts else None
    return Neighbour(
        family=family,
        address=number,
        interface=str(facts.get("interface", "")),
        mac=mac,
        state=("PERMANENT",),
    )


def _listener(line: str, reader: _Reader) -> Listener:
    """``tcp 0.0.0.0:22 sshd``; ``*:80`` takes both families."""
    protocol, _, rest = line.partition(" ")
    place, _, process = rest.strip().partition(" ")
    host, _, port = place.rpartition(":")
    if protocol not in PROTOCOLS or not port.isdecimal() or not host:
        raise reader.wrong("listeners", f"I do not understand the listener {line!r}", "tcp 0.0.0.0:22 sshd")
    number, family = (None, 0) if host == "*" else read_address(host.strip("[]"))
    return Listener(protocol=protocol, port=int(port), family=family, address=number or None, process=process)
