"""A host read from the files that ``ruleflow snapshot`` (and ../shared/capture) writes for a namespace.

The JSON files hold what ``ip -j -d addr``, ``ip -j route show table all``, ``ip -j rule``, ``ip -j neigh`` and
``bridge -j -d link`` print (iproute2); ``sysctl.txt`` lines of ``sysctl -a``; ``listen.txt`` lines of ``ss -ltnup``.
``netns.json``, where it is there, names the namespaces that have a number (link-netnsid) in this one.
"""

from itertools import pairwise
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
    Relay,
    Route,
    RulesText,
    Sysctls,
)
from ruleflow.netfilter.ipset import IpSet, read_sets
from ruleflow.netfilter.numbers import PROTOCOLS, read_address, read_mac

Row = dict[str, Any]

DUMPS = {
    "iptables.save": (4, "nft"),
    "ip6tables.save": (6, "nft"),
    "iptables-legacy.save": (4, "legacy"),
    "ip6tables-legacy.save": (6, "legacy"),
}
"""The files with rules, and the family and backend each is of."""

DEFAULT_RULES = {4: ((0, "local"), (32766, "main"), (32767, "default")), 6: ((0, "local"), (32766, "main"))}
"""What every namespace starts with (fib_default_rules_init, fib6_rules_net_init)."""


def read_host(directory: Path, name: str) -> Host:
    """The namespace whose files are in ``directory``, called ``name``.

    :raises ReadError: where ``addr.json`` is missing or a file cannot be read; other files may be missing, and
        the host's ``unknown`` then says so.
    """
    files = _Files(directory)
    links = files.rows("addr.json", "interfaces and addresses", required=True) or []
    ports = _ports(files.rows("bridge.json", ""), links)
    return Host(
        name=name,
        interfaces=tuple(_interface(row) for row in links),
        routes=_routes(files),
        rules=_rules(files),
        ports=ports,
        sysctls=_sysctls(files.text("sysctl.txt", "kernel settings (sysctl)")),
        sets=_sets(files),
        neighbours=tuple(
            _neighbour(row) for row in files.rows("neigh.json", "neighbours") or () if "dst" in row
        ),
        listeners=_listeners(files.text("listen.txt", "listening sockets")),
        relays=read_relays(files.text("docker-proxy.txt", "") or ""),
        dumps=_dumps(directory),
        namespaces=tuple((row["nsid"], row["name"]) for row in files.rows("netns.json", "") or ()),
        unknown=tuple(files.unknown),
        assumed=tuple(files.assumed),
    )


class _Files:
    """The files of one namespace; what is missing is written down."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.unknown: list[str] = []
        self.assumed: list[str] = []

    def text(self, name: str, what: str) -> str | None:
        """The text of file ``name``, None where it is missing (said, if ``what`` it holds is given)."""
        path = self.directory / name
        if not path.is_file():
            if what:
                self.unknown.append(f"{what}: {name} is missing")
            return None
        return path.read_text("utf-8", "surrogateescape")

    def rows(self, name: str, what: str, *, required: bool = False) -> list[Row] | None:
        text = self.text(name, what)
        if text is None and required:
            raise ReadError(
                f"{self.directory.name} is not the snapshot of a host: {name} is missing",
                where=Where(str(self.directory)),
                help="make one with: ruleflow snapshot DIR",
            )
        return None if text is None else _json(text, self.directory / name)


def _json(text: str, path: Path) -> list[Row]:
    if not text.strip():  # ip -j prints nothing where there is nothing to say
        return []
    try:
        return [row for row in msgspec.json.decode(text, type=list[Row]) if row]
    except msgspec.DecodeError as error:
        raise ReadError(f"this is not what ip -j prints: {error}", where=Where(str(path))) from None


def _interface(row: Row) -> Interface:
    info = row.get("linkinfo", {})
    mac = str(row.get("address", ""))
    return Interface(
        index=row["ifindex"],
        name=row["ifname"],
        kind=info.get("info_kind", "loopback" if row.get("link_type") == "loopback" else ""),
        flags=tuple(row.get("flags", ())),
        state=row.get("operstate", "UNKNOWN"),
        mac=read_mac(mac) if mac.count(":") == 5 else None,
        mtu=row.get("mtu", 1500),
        master=row.get("master"),
        master_kind=info.get("info_slave_kind", ""),
        group=str(row.get("group", "default")),
        peer=row.get("link"),
        peer_index=row.get("link_index"),
        peer_namespace=row.get("link_netnsid"),
        mode=_mode(info.get("info_data") or {}),
        addresses=tuple(_address(one) for one in row.get("addr_info", ()) if "local" in one),
    )


def _mode(data: Row) -> str:
    """A macvlan's mode; an ipvlan's with its flag, where that is not the common one (ipvlan_print_opt)."""
    flag = data.get("mode_flag", "bridge")
    return " ".join([str(data.get("mode", "")), *([] if flag == "bridge" else [flag])])


_ADDRESS_FLAGS = (
    "secondary", "deprecated", "tentative", "dadfailed", "temporary", "optimistic", "mngtmpaddr", "noprefixroute",
)  # fmt: skip


def _address(row: Row) -> Address:
    number, family = read_address(row["local"])
    return Address(
        family=family,
        address=number,
        length=row["prefixlen"],
        scope=str(row.get("scope", "global")),
        peer=read_address(row["address"])[0] if "address" in row else None,
        broadcast=read_address(row["broadcast"])[0] if "broadcast" in row else None,
        flags=tuple(flag for flag in _ADDRESS_FLAGS if row.get(flag)),
    )


def _ports(rows: list[Row] | None, links: list[Row]) -> tuple[BridgePort, ...]:
    """The bridges' ports: from bridge.json, or else from what ``ip -d`` says of each interface."""
    if rows is None:
        rows = [
            link | link["linkinfo"]["info_slave_data"]
            for link in links
            if link.get("linkinfo", {}).get("info_slave_kind") == "bridge"
        ]
    return tuple(
        BridgePort(
            interface=row["ifname"],
            bridge=row["master"],
            hairpin=bool(row.get("hairpin", False)),
            isolated=bool(row.get("isolated", False)),
            state=str(row.get("state", "forwarding")),
            learning=bool(row.get("learning", True)),
        )
        for row in rows
        if "master" in row
    )


def _routes(files: _Files) -> tuple[Route, ...] | None:
    """IPv4 from route.json, IPv6 from route6.json (``ip route show table all`` prints both into the first)."""
    rows = files.rows("route.json", "routes")
    six = files.rows("route6.json", "" if rows is None else "IPv6 routes")
    if rows is None and six is None:
        return None
    if six is not None:
        rows = [row for row in rows or () if not _is_six(row)] + six
    return tuple(route for row in rows or () if (route := _route(row)) is not None)


def _is_six(row: Row) -> bool:
    """IPv6 routes always have a preference (RTA_PREF, rt6_fill_node); IPv4 routes never."""
    return "pref" in row or ":" in str(row.get("dst", ""))


def _route(row: Row) -> Route | None:
    family = 6 if _is_six(row) else 4
    destination, length = _prefix(row.get("dst", "default"), family)
    source, source_length = _prefix(row.get("from", "default"), family)
    kind = row.get("type", "unicast")
    if kind == "nat":  # RTN_NAT has had no meaning since Linux 2.6
        return None
    return Route(
        family=family,
        destination=destination,
        length=length,
        table=str(row.get("table", "main")),
        kind=kind,
        nexthops=tuple(_nexthop(hop) for hop in row.get("nexthops") or [row]) if kind not in _REJECTS else (),
        scope=str(row.get("scope", "global")),
        source=source,
        source_length=source_length,
        preferred_source=read_address(row["prefsrc"])[0] if "prefsrc" in row else None,
        metric=int(row.get("metric", 0)),
        tos=_tos(row.get("tos", 0)),
        protocol=str(row.get("protocol", "boot")),
        preference=str(row.get("pref", "medium")),
    )


_REJECTS = frozenset({"unreachable", "blackhole", "prohibit", "throw"})


def _nexthop(row: Row) -> Nexthop:
    gateway = row.get("gateway", (row.get("via") or {}).get("host"))
    number, family = read_address(gateway) if gateway else (None, 4)
    flags = tuple(row.get("flags", ()))
    return Nexthop(
        interface=row.get("dev"),
        gateway=number,
        gateway_family=family,
        weight=int(row.get("weight", 1)),
        flags=flags,
    )


def _prefix(text: str, family: int) -> tuple[int, int]:
    if text in ("default", "all", "any"):
        return 0, 0
    address, slash, length = text.partition("/")
    return read_address(address)[0], int(length) if slash else (32 if family == 4 else 128)


_TOS_NAMES = {"lowdelay": 0x10, "throughput": 0x08, "reliability": 0x04, "mincost": 0x02, "default": 0}


def _tos(value: object) -> int:
    text = str(value)
    return _TOS_NAMES[text] if text in _TOS_NAMES else int(text, 0) if text[:1].isdecimal() else 0


def _rules(files: _Files) -> tuple[PolicyRule, ...] | None:
    rows = files.rows("rule.json", "routing policy (ip rule)")
    six = files.rows("rule6.json", "")
    if rows is None and six is None:
        return None
    four = [_rule(row, 4) for row in rows or ()]
    if six is None:
        files.assumed.append("the routing policy of IPv6 was not recorded; taken as the kernel's default")
        return (*four, *default_rules(6))
    return (*four, *(_rule(row, 6) for row in six))


def default_rules(family: int) -> tuple[PolicyRule, ...]:
    """The rules every namespace begins with: table local, main and (IPv4) default."""
    return _DEFAULTS[family]


_DEFAULTS = {
    family: tuple(PolicyRule(family=family, priority=at, table=table) for at, table in rows)
    for family, rows in DEFAULT_RULES.items()
}


def _rule(row: Row, family: int) -> PolicyRule:
    source, source_length = _rule_prefix(row, "src", family)
    destination, destination_length = _rule_prefix(row, "dst", family)
    mark = int(str(row.get("fwmark", "0")), 0)
    return PolicyRule(
        family=family,
        priority=row.get("priority", 0),
        action="goto" if "goto" in row else "nop" if "nop" in row else str(row.get("action", "lookup")),
        table=str(row.get("table", "main")),
        goto=row.get("goto"),
        negated="not" in row,
        source=source,
        source_length=source_length,
        destination=destination,
        destination_length=destination_length,
        iif=row.get("iif"),
        oif=row.get("oif"),
        mark=mark,
        mask=int(str(row["fwmask"]), 0) if "fwmask" in row else (0xFFFFFFFF if "fwmark" in row else 0),
        uids=(row["uid_start"], row["uid_end"]) if "uid_start" in row else None,
        protocol=_rule_protocol(row.get("ipproto")),
        source_ports=_rule_ports(row, "sport"),
        destination_ports=_rule_ports(row, "dport"),
        tos=_tos(row.get("tos", row.get("dsfield", 0))),
        suppress_length=int(row.get("suppress_prefixlen", -1)),
        suppress_group=str(row["suppress_ifgroup"]) if "suppress_ifgroup" in row else None,
    )


def _rule_prefix(row: Row, side: str, family: int) -> tuple[int, int]:
    text = row.get(side, "all")
    if text in ("all", "any"):
        return 0, 0
    width = 32 if family == 4 else 128
    return read_address(text)[0], int(row.get(f"{side}len", width))


def _rule_protocol(value: object) -> int | None:
    if value is None:
        return None
    text = str(value).lower()
    if text.startswith("ipproto-"):
        text = text.removeprefix("ipproto-")
    return int(text) if text.isdecimal() else PROTOCOLS.get(text, 255)


def _rule_ports(row: Row, side: str) -> tuple[int, int] | None:
    if f"{side}_start" in row:
        return int(row[f"{side}_start"]), int(row[f"{side}_end"])
    return (int(row[side]), int(row[side])) if side in row else None


def _neighbour(row: Row) -> Neighbour:
    number, family = read_address(row["dst"])
    mac = row.get("lladdr", "")
    return Neighbour(
        family=family,
        address=number,
        interface=row.get("dev", ""),
        mac=read_mac(mac) if mac.count(":") == 5 else None,
        state=tuple(row.get("state", ())),
    )


def _sysctls(text: str | None) -> Sysctls | None:
    if text is None:
        return None
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return Sysctls.of({name.strip(): value.strip() for name, _, value in pairs})


def _sets(files: _Files) -> tuple[IpSet, ...] | None:
    text = files.text("ipset.save", "")
    return None if text is None else read_sets(text, str(files.directory / "ipset.save"))


def _listeners(text: str | None) -> tuple[Listener, ...] | None:
    if text is None:
        return None
    return tuple(one for line in text.splitlines() if (one := _listener(line.split())) is not None)


def _listener(words: list[str]) -> Listener | None:
    """One line of ``ss -ltnup``: protocol, state, two queues, local address, peer address, process."""
    if len(words) < 5 or words[0] not in ("tcp", "udp", "sctp", "dccp"):
        return None
    local, _, port = words[4].rpartition(":")
    address, _, interface = local.partition("%")
    address = address.strip("[]")
    number, family = (None, 0) if address == "*" else read_address(address)
    process, _, container = " ".join(words[6:]).partition(" container=")
    return Listener(
        protocol=words[0],
        port=int(port),
        family=family,
        address=number or None,
        interface=interface.rstrip("]") or None,
        process=process,
        container=container,
    )


def read_relays(text: str) -> tuple[Relay, ...]:
    """What each docker-proxy relays, from its command lines (one a line)."""
    return tuple(one for line in text.splitlines() if (one := _relay(line.split())) is not None)


def _relay(words: list[str]) -> Relay | None:
    pairs = pairwise(words)
    options = {name.lstrip("-"): value for name, value in pairs if name.startswith("-")}
    try:
        at, family = read_address(options["host-ip"])
        to, to_family = read_address(options["container-ip"])
        ports = int(options["host-port"]), int(options["container-port"])
    except KeyError:
        return None
    return Relay(
        protocol=options.get("proto", "tcp"), family=family, address=at, port=ports[0],
        to_family=to_family, to_address=to, to_port=ports[1],
        answers_as_asked="-use-listen-fd" in words,  # both came with Docker 28
    )  # fmt: skip


def _dumps(directory: Path) -> tuple[RulesText, ...]:
    def text(name: str) -> str:
        return (directory / name).read_text("utf-8", "surrogateescape")

    present = ((name, *kind) for name, kind in DUMPS.items() if (directory / name).is_file())
    return tuple(
        RulesText(family, _backend(text(name), backend), text(name)) for name, family, backend in present
    )


def _backend(text: str, backend: str) -> str:
    """The backend that the dump itself names in its first line, if it does."""
    first = text.partition("\n")[0]
    return "legacy" if "(legacy)" in first else "nft" if "(nf_tables)" in first else backend
