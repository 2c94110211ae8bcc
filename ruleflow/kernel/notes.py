"""What a reader of a plan must know beside the changes: who decides before our rules, and what clashes with them."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from ruleflow.bridge.declaration import Declaration, PortMap
from ruleflow.bridge.needs import needs
from ruleflow.kernel.backend import NFT_FAMILIES, Backend
from ruleflow.kernel.heard import Heard
from ruleflow.kernel.owned import Owned, OwnedTable, standing
from ruleflow.kernel.run import installed
from ruleflow.kernel.saved import SavedChain, SavedTable
from ruleflow.kernel.sockets import listening_at
from ruleflow.kernel.transition import Sight
from ruleflow.ruleset.ir import BUILTIN_CHAINS
from ruleflow.ruleset.words import split


class Note(msgspec.Struct, frozen=True):
    """``code`` says what kind: foreign-first, policy, other-backend, nft-chain, listener, kept …; ``text`` is for people."""

    code: str
    text: str
    where: str = ""


def foreign_notes(
    sight: Sight, present: Owned, target: Owned, backend: Backend, heard: Heard
) -> Iterator[Note]:
    """Everything worth knowing about what others have on this host."""
    for table in target.tables:
        yield from _decide_first(sight.table(*table.key), present.table(*table.key), table)
    if heard.other_rules:
        text = f"the other iptables backend holds {heard.other_rules} rules: both filter every packet"
        yield Note("other-backend", text)
    if backend.kind == "nft" and not installed("nft"):
        yield Note(
            "nft-missing",
            "nft is not installed: rules that nft itself made here cannot be told from those of iptables",
        )
    yield from (note for note in _native_chains(heard) if target.tables)
    yield from _checked_by_python_iptables(sight, heard)
    yield from _kept(sight, present, target)
    yield from _advertised(sight, target)


def _decide_first(live: SavedTable, ours: OwnedTable, target: OwnedTable) -> Iterator[Note]:
    there = standing(live, ours)
    for name in dict.fromkeys(one.chain for one in target.placed):
        if name not in live:
            continue
        chain = live[name]
        depth = max((one.above for one in there.placed if one.chain == name), default=0)
        yield from _above(chain, there, depth, target)
        if chain.policy == "DROP":
            yield Note(
                "policy",
                f"{name} drops what no rule decides (its policy, not ours)",
                f"IPv{target.family} {target.table} {name}",
            )


def _above(chain: SavedChain, there: OwnedTable, depth: int, target: OwnedTable) -> Iterator[Note]:
    """The foreign rules that a packet meets before the last of ours."""
    if not depth:
        return
    ours = {one.text for one in there.placed}
    foreign = [rule for rule in chain.rules if rule not in ours][:depth]
    for rule in foreign:
        yield Note(
            "foreign-first",
            f"this rule, not ours, decides before ours: {rule}",
            f"IPv{target.family} {target.table} {chain.name}",
        )


def _kept(sight: Sight, present: Owned, target: Owned) -> Iterator[Note]:
    for table in present.tables:
        wanted = {chain.name for chain in target.table(*table.key).chains}
        live = sight.table(*table.key)
        for chain in table.chains:
            if chain.kept and chain.name not in wanted and chain.name in live and live[chain.name].rules:
                count = len(live[chain.name].rules)
                text = f"{chain.name} holds {count} rules of yours: it stays; remove it by hand when you are done with it"
                yield Note("kept", text, f"IPv{table.family} {table.table} {chain.name}")


def _checked_by_python_iptables(sight: Sight, heard: Heard) -> Iterator[Note]:
    """Where a second reader read the same tables (`Heard.second`), the save is compared to it."""
    for (family, name), chains in heard.second.items():
        table = sight.table(family, name)
        if chains != {chain.name: tuple(map(_target, chain.rules)) for chain in table}:
            text = f"python-iptables reads other chains or rules in {name} than iptables-legacy-save prints"
            yield Note("legacy-reader", text, f"IPv{family} {name}")


def _target(rule: str) -> str:
    """The name after ``-j`` or ``-g`` of a saved rule, "" where there is none."""
    words = split(rule)
    return next((words[place + 1] for place, word in enumerate(words[:-1]) if word in ("-j", "-g")), "")


def _advertised(sight: Sight, target: Owned) -> Iterator[Note]:
    """A host that forwards IPv6 does not listen to routers any more where accept_ra is 1 (ip-sysctl.rst)."""
    if not any(one.name == "net.ipv6.conf.all.forwarding" and not sight.has(one) for one in target.settings):
        return
    listening_ = [
        path.parent.name
        for path in Path("/proc/sys/net/ipv6/conf").glob("*/accept_ra")
        if path.read_text().strip() == "1"
    ]
    routed = {
        route.link
        for route in sight.seen[""].routes
        if route.destination == "default" and ":" in route.gateway
    }
    for name in sorted(routed.intersection(listening_)):
        text = f"with IPv6 forwarding {name} ignores router advertisements: its default route may end; set accept_ra=2 there to keep it"
        yield Note("router-advertisement", text, name)


def _native_chains(heard: Heard) -> Iterator[Note]:
    """Base chains that nft itself made: a DROP there wins over an ACCEPT of ours."""
    for chain in (entry["chain"] for entry in heard.native if "chain" in entry):
        if chain.get("hook") not in ("prerouting", "forward", "postrouting", "output", "input"):
            continue
        if chain["family"] in NFT_FAMILIES.values() and chain["name"] in BUILTIN_CHAINS.get(
            chain["table"], ()
        ):
            continue
        policy = chain.get("policy", "accept")
        name = f"{chain['family']} {chain['table']} {chain['name']}"
        yield Note(
            "nft-chain",
            f"the nft chain {name} (hook {chain['hook']}, policy {policy}) is asked too; what it drops stays dropped",
            name,
        )


def listener_notes(declaration: Declaration) -> Iterator[Note]:
    """Programs of this host that listen on a port that is to be published: nobody outside reaches them any more."""
    published = {
        (port.protocol, number): (endpoint.name, port)
        for endpoint in declaration.endpoints for port in endpoint.ports if port.published is not None
        for number in range(port.published.low, port.published.high + 1)
    }  # fmt: skip
    for line in listening_at(published).splitlines():
        words = line.split()
        address, _, number = words[4].rpartition(":")
        found = published[words[0], int(number)]
        if not _clashes(address, found[1]):
            continue
        who = words[6] if len(words) > 6 else "a program"
        text = f"{who} listens on {words[4]} ({words[0]}), which {found[0]} is to be reached at: others will reach {found[0]}"
        yield Note("listener", text, str(found[1]))


def need_notes(declaration: Declaration) -> Iterator[Note]:
    """What rules cannot do here, and what a foreign layout leaves to programs that we do not start."""
    needed = needs(declaration)
    for text in needed.unserved:
        yield Note("unserved", text)
    if needed.proxies:
        text = f"{declaration.layout} leaves connections from this host and from containers to {len(needed.proxies)} proxies, which are not started"
        yield Note("proxy", text)


def _clashes(address: str, port: PortMap) -> bool:
    plain = address.strip("[]").partition("%")[0]
    wild = plain in ("*", "0.0.0.0", "::")  # noqa: S104 - what ss prints for any address
    return wild or port.host_ip is None or port.host_ip.is_unspecified or str(port.host_ip) == plain
