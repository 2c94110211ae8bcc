"""Service rule sets as kube-proxy writes them, old (1.20 to 1.23) and new (1.24 on), made from what a service is.

Written from kube-proxy's documented behaviour (pkg/proxy/iptables/proxier.go); used by the tests beside it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

NODE = {4: "192.168.0.2", 6: "fd00:cafe::2"}
PODS = {4: "10.0.0.0/8", 6: "fd00:10::/32"}


@dataclass(frozen=True)
class Service:
    """One service port. ``local`` are the endpoints on this node; ``external`` and ``balancer`` further addresses."""

    name: str
    cluster_ip: str
    endpoints: tuple[str, ...] = ()
    local: tuple[str, ...] = ()
    port: int = 80
    protocol: str = "tcp"
    node_port: int | None = None
    external: tuple[str, ...] = ()
    balancer: tuple[str, ...] = ()
    source_ranges: tuple[str, ...] = ()
    local_only: bool = False  # externalTrafficPolicy: Local
    internal_local: bool = False  # internalTrafficPolicy: Local
    affinity: bool = False
    health: int | None = None

    @property
    def tag(self) -> str:
        return self.name.upper()

    def comment(self, words: str = "") -> str:
        text = f"ns/{self.name}:p{self.port}" + (f" {words}" if words else "")
        return f'-m comment --comment "{text}"'

    def to(self, address: str, port: int) -> str:
        host = "" if not address else f"-d {address}/{128 if ':' in address else 32} "
        return f"{host}-p {self.protocol} -m {self.protocol} --dport {port}"


@dataclass
class Rules:
    """The chains of a table in the making."""

    lines: dict[str, list[str]] = field(default_factory=dict)

    def add(self, chain: str, *rules: str) -> None:
        self.lines.setdefault(chain, []).extend(rules)

    def table(self, name: str, hooks: tuple[str, ...]) -> str:
        own = [chain for chain in self.lines if chain not in hooks]
        head = [f":{chain} ACCEPT [0:0]" for chain in hooks] + [f":{chain} - [0:0]" for chain in sorted(own)]
        rules = [
            f"-A {chain} {rule}" for chain in (*hooks, *sorted(own)) for rule in self.lines.get(chain, ())
        ]
        return "\n".join([f"*{name}", *head, *rules, "COMMIT", ""])


def rule_set(services: tuple[Service, ...], *, old: bool = False, family: int = 4) -> str:
    """The text of nat and filter for a node with these services."""
    nat, filter_ = Rules(), Rules()
    _frame(nat, filter_, old=old, family=family)
    for one in services:
        if not one.endpoints:
            _nobody(filter_, one)
        else:
            _served(nat, filter_, one, old=old, family=family)
        if one.health is not None:
            filter_.add(
                "KUBE-NODEPORTS",
                f"-p tcp {one.comment('health check node port')} -m tcp --dport {one.health} -j ACCEPT",
            )
    own = "" if not old else " ! -d 127.0.0.0/8" if family == 4 else " ! -d ::1/128"
    nat.add(
        "KUBE-SERVICES",
        f'{own} -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS'.strip(),
    )
    return nat.table("nat", ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")) + filter_.table(
        "filter", ("INPUT", "FORWARD", "OUTPUT")
    )


def _frame(nat: Rules, filter_: Rules, *, old: bool, family: int) -> None:
    portals = '-m comment --comment "kubernetes service portals"'
    nat.add("PREROUTING", f"{portals} -j KUBE-SERVICES")
    nat.add("OUTPUT", f"{portals} -j KUBE-SERVICES")
    nat.add("POSTROUTING", '-m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING')
    nat.add("KUBE-NODEPORTS")
    nat.add(
        "KUBE-POSTROUTING", "-m mark ! --mark 0x4000/0x4000 -j RETURN", "-j MARK --set-xmark 0x4000/0x0",
        '-m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
    )  # fmt: skip
    nat.add("KUBE-MARK-MASQ", "-j MARK --set-xmark 0x4000/0x4000")
    if old:
        nat.add("KUBE-MARK-DROP", "-j MARK --set-xmark 0x8000/0x8000")
        for hook in ("INPUT", "OUTPUT"):
            filter_.add(hook, "-j KUBE-FIREWALL")
        filter_.add(
            "KUBE-FIREWALL",
            '-m comment --comment "kubernetes firewall for dropping marked packets" -m mark --mark 0x8000/0x8000 -j DROP',
        )
    new = "-m conntrack --ctstate NEW"
    if not old:
        for hook in ("INPUT", "FORWARD", "OUTPUT"):
            filter_.add(
                hook, f'{new} -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL'
            )
        filter_.add("KUBE-PROXY-FIREWALL")
    filter_.add("INPUT", '-m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS')
    filter_.add(
        "INPUT",
        f'{new} -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES',
    )
    filter_.add("FORWARD", '-m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD')
    for hook in ("FORWARD", "OUTPUT"):
        filter_.add(hook, f"{new} {portals} -j KUBE-SERVICES")
    filter_.add(
        "FORWARD",
        f'{new} -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES',
    )
    for chain in ("KUBE-NODEPORTS", "KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES"):
        filter_.add(chain)
    filter_.add(
        "KUBE-FORWARD", "-m conntrack --ctstate INVALID -j DROP",
        '-m comment --comment "kubernetes forwarding rules" -m mark --mark 0x4000/0x4000 -j ACCEPT',
        '-m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
    )  # fmt: skip
    del family


def _nobody(filter_: Rules, one: Service) -> None:
    """A service without endpoints refuses."""
    none = one.comment("has no endpoints")
    filter_.add("KUBE-SERVICES", f"{one.to(one.cluster_ip, one.port)} {none} -j REJECT")
    for address in (*one.external, *one.balancer):
        filter_.add("KUBE-EXTERNAL-SERVICES", f"{one.to(address, one.port)} {none} -j REJECT")
    if one.node_port is not None:
        filter_.add(
            "KUBE-EXTERNAL-SERVICES",
            f"{one.to('', one.node_port)} {none} -m addrtype --dst-type LOCAL -j REJECT",
        )


def _served(nat: Rules, filter_: Rules, one: Service, *, old: bool, family: int) -> None:
    cluster, outside = f"KUBE-SVC-{one.tag}", f"KUBE-{'XLB' if old else 'EXT'}-{one.tag}"
    locals_ = f"KUBE-SVL-{one.tag}"
    within = locals_ if one.internal_local else cluster
    nat.add("KUBE-SERVICES", f"{one.to(one.cluster_ip, one.port)} {one.comment('cluster IP')} -j {within}")
    if within == cluster or one.local_only or one.node_port is not None:
        _chosen(nat, one, cluster, one.endpoints, family)
    if one.internal_local or (one.local_only and not old):
        _chosen(nat, one, locals_, one.local, family)
    reach = outside if not old or one.local_only else cluster
    for address in one.external:
        if reach == cluster:
            nat.add(
                "KUBE-SERVICES", f"{one.to(address, one.port)} {one.comment('external IP')} -j KUBE-MARK-MASQ"
            )
        nat.add("KUBE-SERVICES", f"{one.to(address, one.port)} {one.comment('external IP')} -j {reach}")
    for address in one.balancer:
        _balanced(nat, filter_, one, address, reach, old=old)
    if one.node_port is not None:
        if reach == cluster:
            nat.add("KUBE-NODEPORTS", f"{one.to('', one.node_port)} {one.comment()} -j KUBE-MARK-MASQ")
        nat.add("KUBE-NODEPORTS", f"{one.to('', one.node_port)} {one.comment()} -j {reach}")
    if (not old and (one.external or one.balancer or one.node_port)) or one.local_only:
        _from_outside(nat, one, outside, old=old, family=family)
    if one.local_only and not one.local and not old:
        for address in (*one.external, *one.balancer):
            filter_.add(
                "KUBE-EXTERNAL-SERVICES",
                f"{one.to(address, one.port)} {one.comment('has no local endpoints')} -j DROP",
            )
        if one.node_port is not None:
            filter_.add(
                "KUBE-EXTERNAL-SERVICES",
                f"{one.to('', one.node_port)} {one.comment('has no local endpoints')} -m addrtype --dst-type LOCAL -j DROP",
            )


def _balanced(nat: Rules, filter_: Rules, one: Service, address: str, reach: str, *, old: bool) -> None:
    """A load balancer's address: with source ranges behind a chain of its own, which drops others."""
    guard, said = f"KUBE-FW-{one.tag}", one.comment("loadbalancer IP")
    if not old and not one.source_ranges:
        nat.add("KUBE-SERVICES", f"{one.to(address, one.port)} {said} -j {reach}")
        return
    nat.add("KUBE-SERVICES", f"{one.to(address, one.port)} {said} -j {guard}")
    if guard in nat.lines:
        return
    if old and not one.local_only:
        nat.add(guard, f"{said} -j KUBE-MARK-MASQ")
    for network in one.source_ranges or ("",):
        nat.add(guard, f"{f'-s {network} ' if network else ''}{said} -j {reach}")
    if old:
        nat.add(guard, f"{said} -j KUBE-MARK-DROP")
    else:
        filter_.add(
            "KUBE-PROXY-FIREWALL",
            f"{one.to(address, one.port)} {one.comment('traffic not accepted')} -j DROP",
        )


def _from_outside(nat: Rules, one: Service, outside: str, *, old: bool, family: int) -> None:
    """What comes by an external address: masqueraded, or to endpoints of this node alone."""
    cluster = f"KUBE-SVC-{one.tag}"
    if not one.local_only:
        nat.add(outside, f"{one.comment('masquerade external')} -j KUBE-MARK-MASQ", f"-j {cluster}")
        return
    nat.add(outside, f"-s {PODS[family]} {one.comment('pod traffic')} -j {cluster}")
    nat.add(
        outside, f"{one.comment('masquerade LOCAL traffic')} -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ"
    )
    nat.add(outside, f"{one.comment('route LOCAL traffic')} -m addrtype --src-type LOCAL -j {cluster}")
    if not old:
        nat.add(f"KUBE-SVL-{one.tag}")
        nat.add(outside, f"-j KUBE-SVL-{one.tag}")
    elif one.local:
        nat.add(outside, *_shares(one, one.local))
    else:
        nat.add(outside, f"{one.comment('has no local endpoints')} -j KUBE-MARK-DROP")


def _chosen(nat: Rules, one: Service, chain: str, endpoints: tuple[str, ...], family: int) -> None:
    """A chain that chooses one of the endpoints, and the chain of each."""
    if nat.lines.get(chain):
        return
    nat.add(chain)
    if chain.startswith("KUBE-SVC"):
        nat.add(
            chain,
            f"! -s {PODS[family]} {one.to(one.cluster_ip, one.port)} {one.comment('cluster IP')} -j KUBE-MARK-MASQ",
        )
    nat.add(chain, *_shares(one, endpoints))
    for endpoint in endpoints:
        _endpoint(nat, one, endpoint)


def _shares(one: Service, endpoints: tuple[str, ...]) -> Iterator[str]:
    if one.affinity:
        for endpoint in endpoints:
            sep = _sep(one, endpoint)
            mask = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" if "[" in endpoint else "255.255.255.255"
            yield f"{one.comment()} -m recent --rcheck --seconds 10800 --reap --name {sep} --mask {mask} --rsource -j {sep}"
    for at, endpoint in enumerate(endpoints):
        left = len(endpoints) - at
        share = f" -m statistic --mode random --probability {1 / left:.11f}" if left > 1 else ""
        yield f"{one.comment(f'-> {endpoint}')}{share} -j {_sep(one, endpoint)}"


def _sep(one: Service, endpoint: str) -> str:
    at = one.endpoints.index(endpoint) if endpoint in one.endpoints else 99
    return f"KUBE-SEP-{one.tag}{at}"


def _endpoint(nat: Rules, one: Service, endpoint: str) -> None:
    sep = _sep(one, endpoint)
    if sep in nat.lines:
        return
    address = endpoint.rpartition(":")[0].strip("[]")
    noted = ""
    if one.affinity:
        mask = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" if ":" in address else "255.255.255.255"
        noted = f" -m recent --set --name {sep} --mask {mask} --rsource"
    width = 128 if ":" in address else 32
    nat.add(
        sep, f"-s {address}/{width} {one.comment()} -j KUBE-MARK-MASQ",
        f"-p {one.protocol} {one.comment()}{noted} -m {one.protocol} -j DNAT --to-destination {endpoint}",
    )  # fmt: skip
