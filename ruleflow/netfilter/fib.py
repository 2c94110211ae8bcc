"""The forwarding tables looked up as the kernel does it: policy rules in order, longest prefix, metric.

IPv4 follows fib_rules_lookup (net/core/fib_rules.c), fib_table_lookup (net/ipv4/fib_trie.c) and fib4_rule_*
(net/ipv4/fib_rules.c); IPv6 fib6_rule_* (net/ipv6/fib6_rules.c), fib6_table_lookup, rt6_select and
rt6_score_route (net/ipv6/route.c).
"""

from collections.abc import Iterator
from itertools import groupby

import msgspec

from ruleflow.netfilter.host import Host, Nexthop, PolicyRule, Route
from ruleflow.netfilter.numbers import within
from ruleflow.netfilter.read_host import default_rules


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """What a lookup is asked with (struct flowi4, flowi6). ``iif`` None: sent by this host."""

    family: int
    destination: int
    source: int | None = None
    iif: str | None = None
    oif: str | None = None
    mark: int = 0
    uid: int | None = None
    protocol: int | None = None
    source_port: int | None = None
    destination_port: int | None = None
    tos: int = 0


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a lookup gives: a route and the next hops it may take, or an ``error`` (an errno's name).

    Several ``hops`` stand for a multipath route: a hash of the packet chooses. ``assumed`` are facts that a
    policy rule asked for and that were not given.
    """

    route: Route | None = None
    hops: tuple[Nexthop, ...] = ()
    rule: PolicyRule | None = None
    error: str | None = None
    assumed: tuple[str, ...] = ()


ROUTE_ERRORS = {
    4: {"unreachable": "EHOSTUNREACH", "blackhole": "EINVAL", "prohibit": "EACCES", "throw": "EAGAIN"},
    6: {"unreachable": "EHOSTUNREACH", "blackhole": "EINVAL", "prohibit": "EACCES", "throw": "EAGAIN"},
}
"""What a lookup that ends in such a route answers (fib_props, net/ipv4/fib_semantics.c; ip6_rt_type_to_error)."""
RULE_ERRORS = {"unreachable": "ENETUNREACH", "prohibit": "EACCES", "blackhole": "EINVAL"}
"""fib4_rule_action, fib6_rule_action."""


def lookup(host: Host, flow: Flow) -> Found:
    """Which route ``flow`` takes in ``host``, whose tables must be known (``host.routes`` is not None)."""
    rules = _rules(host, flow.family)
    if flow.family == 4 and _are_defaults(rules):
        return _merged(host, flow)
    asked: list[str] = []
    found = _by_rules(host, flow, rules, asked)
    return msgspec.structs.replace(found, assumed=tuple(asked)) if asked else found


def local_lookup(host: Host, flow: Flow) -> Found | None:
    """What the LOCAL table alone says of an IPv4 address (fib_get_table(net, RT_TABLE_LOCAL)).

    Until the first ``ip rule`` is added, LOCAL and MAIN are one trie (fib_trie_table, fib_unmerge), and a more
    specific route of MAIN is found in "LOCAL".
    """
    return _in_table(host, flow, MERGED if uses_default_rules(host) else "local")


def uses_default_rules(host: Host) -> bool:
    """Whether IPv4's policy is what every namespace begins with (else fib4_has_custom_rules)."""
    return _are_defaults(_rules(host, 4))


def _rules(host: Host, family: int) -> tuple[PolicyRule, ...]:
    if host.rules is None:
        return default_rules(family)
    return tuple(rule for rule in host.rules if rule.family == family)


def _are_defaults(rules: tuple[PolicyRule, ...]) -> bool:
    return rules == default_rules(4)


MERGED = "local+main"
"""The name of the one trie that LOCAL and MAIN are by default."""


def _merged(host: Host, flow: Flow) -> Found:
    """fib_lookup without custom rules (include/net/ip_fib.h): the merged trie, then table default."""
    for table in (MERGED, "default"):
        found = _in_table(host, flow, table)
        if found is not None and found.error != "EAGAIN":
            name = found.route.table if found.route else table
            rule = next(rule for rule in default_rules(4) if rule.table == name)
            return msgspec.structs.replace(found, rule=rule)
    return Found(error="ENETUNREACH")


def _by_rules(host: Host, flow: Flow, rules: tuple[PolicyRule, ...], asked: list[str]) -> Found:
    """fib_rules_lookup: the first rule whose table (or verdict) answers."""
    at = 0
    while at < len(rules):
        rule = rules[at]
        at += 1
        if not _applies(rule, flow, asked):
            continue
        if rule.action == "goto":
            jump = next((i for i, one in enumerate(rules) if one.priority == rule.goto), None)
            at = at if jump is None else max(at, jump)
        elif rule.action in RULE_ERRORS:
            return Found(rule=rule, error=RULE_ERRORS[rule.action])
        elif rule.action == "lookup":
            found = _in_table(host, flow, rule.table)
            if found is not None and found.error != "EAGAIN" and not _suppressed(host, rule, found, asked):
                return msgspec.structs.replace(found, rule=rule)
    return Found(error="ENETUNREACH")


def _applies(rule: PolicyRule, flow: Flow, asked: list[str]) -> bool:
    """fib_rule_match and fib4_rule_match, fib6_rule_match; ``not`` turns the whole answer."""
    return _matches(rule, flow, asked) != rule.negated


def _matches(rule: PolicyRule, flow: Flow, asked: list[str]) -> bool:
    if rule.iif is not None and rule.iif != (flow.iif or "lo"):  # output comes from LOOPBACK_IFINDEX
        return False
    if rule.oif is not None and rule.oif != flow.oif:
        return False
    if (rule.mark ^ flow.mark) & rule.mask:
        return False
    if not within(flow.destination, rule.destination, rule.destination_length, rule.family):
        return False
    if not _source_matches(rule, flow):
        return False
    if rule.tos and rule.tos != flow.tos & 0xFC:
        return False
    return _transport_matches(rule, flow, asked) and _user_matches(rule, flow, asked)


def _source_matches(rule: PolicyRule, flow: Flow) -> bool:
    """Without a source IPv4 compares 0.0.0.0; IPv6 does not match (RT6_LOOKUP_F_HAS_SADDR)."""
    if rule.source_length == 0:
        return True
    if flow.source is None and rule.family == 6:
        return False
    return within(flow.source or 0, rule.source, rule.source_length, rule.family)


def _transport_matches(rule: PolicyRule, flow: Flow, asked: list[str]) -> bool:
    if rule.protocol is not None:
        if flow.protocol is None:
            asked.append(f"ip rule {rule.priority} asks for the protocol, which is not given: taken as none")
        if rule.protocol != flow.protocol:
            return False
    for ports, port in (
        (rule.source_ports, flow.source_port),
        (rule.destination_ports, flow.destination_port),
    ):
        if ports is not None and not ports[0] <= (port or 0) <= ports[1]:
            return False
    return True


def _user_matches(rule: PolicyRule, flow: Flow, asked: list[str]) -> bool:
    """A forwarded packet is looked up as root's (sock_net_uid(net, NULL), ip_route_input_slow)."""
    if rule.uids is None:
        return True
    if flow.uid is None and flow.iif is None:
        asked.append(f"ip rule {rule.priority} asks for the user, who is not given: taken as root")
    return rule.uids[0] <= (flow.uid or 0) <= rule.uids[1]


def _suppressed(host: Host, rule: PolicyRule, found: Found, asked: list[str]) -> bool:
    """fib4_rule_suppress, fib6_rule_suppress: an answer too short, or out of a group, is no answer."""
    if found.error is not None or found.route is None:
        return False
    if found.route.length <= rule.suppress_length:
        return True
    if rule.suppress_group is None:
        return False
    links = [host.interface(hop.interface) for hop in found.hops]
    groups = [link.group for link in links if link is not None]
    if len(set(groups)) > 1:  # which of them a packet's hash chooses decides
        asked.append(f"ip rule {rule.priority} suppresses by group; of several next hops the first is taken")
    return groups[:1] == [rule.suppress_group]


def _in_table(host: Host, flow: Flow, table: str) -> Found | None:
    """The answer of one table, None where it has none."""
    routes = _index(host).get((flow.family, table))
    if routes is None:
        return None
    return _four(host, flow, routes) if flow.family == 4 else _six(host, flow, routes)


Lengths = tuple[tuple[int, dict[int, tuple[Route, ...]]], ...]
"""For each prefix length, longest first: the routes by their network's leading bits, in the order asked."""

_indices: dict[int, tuple[tuple[Route, ...], dict[tuple[int, str], Lengths]]] = {}


def _index(host: Host) -> dict[tuple[int, str], Lengths]:
    """The routes of ``host`` by table and prefix, made once for each tuple of routes."""
    routes = host.routes or ()
    known = _indices.get(id(routes))
    if known is None or known[0] is not routes:
        if len(_indices) > 64:
            _indices.clear()
        known = _indices[id(routes)] = (routes, _make_index(routes))
    return known[1]


def _make_index(routes: tuple[Route, ...]) -> dict[tuple[int, str], Lengths]:
    tables: dict[tuple[int, str], list[Route]] = {}
    for route in routes:
        tables.setdefault((route.family, route.table), []).append(route)
        if route.family == 4 and route.table in ("local", "main"):
            tables.setdefault((4, MERGED), []).append(route)
    return {key: _lengths(key[0], rows) for key, rows in tables.items()}


def _lengths(family: int, routes: list[Route]) -> Lengths:
    width = 32 if family == 4 else 128
    found: dict[int, dict[int, list[Route]]] = {}
    for route in sorted(routes, key=_four_order if family == 4 else _six_order):
        network = route.destination >> (width - route.length)
        found.setdefault(route.length, {}).setdefault(network, []).append(route)
    return tuple(
        (width - length, {network: tuple(rows) for network, rows in found[length].items()})
        for length in sorted(found, reverse=True)
    )


def _four_order(route: Route) -> tuple[bool, int, int]:
    """fib_find_alias: LOCAL (255) before MAIN (254) in a merged trie, then TOS, then metric."""
    return route.table != "local", -route.tos, route.metric


def _six_order(route: Route) -> tuple[int, int]:
    """Longest source prefix first (fib6_node_lookup), then metric (fib6_add_rt2node)."""
    return -route.source_length, route.metric


def _candidates(flow: Flow, routes: Lengths) -> Iterator[tuple[Route, ...]]:
    for shift, networks in routes:
        rows = networks.get(flow.destination >> shift)
        if rows:
            yield rows


def _four(host: Host, flow: Flow, routes: Lengths) -> Found | None:
    for rows in _candidates(flow, routes):
        for route in rows:
            if route.tos and route.tos != flow.tos & 0xFC:
                continue
            if route.kind in ROUTE_ERRORS[4]:
                return Found(route=route, error=ROUTE_ERRORS[4][route.kind])
            hops = tuple(hop for hop in route.nexthops if _usable(host, flow, route, hop))
            if hops:
                return Found(route=route, hops=hops[:1] if flow.oif else hops)
    return None


def _usable(host: Host, flow: Flow, route: Route, hop: Nexthop) -> bool:
    """fib_lookup_good_nhc (net/ipv4/fib_trie.c); an address outlives its interface's going down (fib_sync_down_dev)."""
    if flow.oif is not None and hop.interface != flow.oif:
        return False
    return (route.kind == "local" and "dead" not in hop.flags) or _alive(host, 4, hop)


def _alive(host: Host, family: int, hop: Nexthop) -> bool:
    """Not RTNH_F_DEAD, and with carrier where the interface's setting asks for it."""
    link = host.interface(hop.interface)
    if "dead" in hop.flags or (link is not None and not link.is_up):
        return False
    return "linkdown" not in hop.flags or not host.ignores_linkdown(family, hop.interface or "")


def _six(host: Host, flow: Flow, routes: Lengths) -> Found | None:
    """fib6_table_lookup: the first prefix, longest first, one of whose routes can be taken.

    fib6_node_lookup_1 passes over a prefix that has routes for certain sources (``from``) and none for this
    one, its plain routes too (but at ::/0, the root); fib6_backtrack, coming from a longer prefix, does not.
    """
    strict, begun = _is_strict(flow), False
    for rows in _candidates(flow, routes):
        mine = [route for route in rows if _from(flow, route)]
        if not begun and rows[0].length and rows[0].source_length and not (mine and mine[0].source_length):
            continue
        begun = True
        for group in _rounds(mine):
            best = _best(host, flow, group, strict)
            if best is not None:
                return best
    return None


def _rounds(routes: list[Route]) -> Iterator[list[Route]]:
    """find_rr_leaf, per source prefix: the routes of the lowest metric, then all others whatever their metric."""
    for _, group in groupby(routes, key=lambda route: route.source_length):
        rows = list(group)
        lowest = [route for route in rows if route.metric == rows[0].metric]
        yield lowest
        yield rows[len(lowest) :]


def _from(flow: Flow, route: Route) -> bool:
    return within(flow.source or 0, route.source, route.source_length, 6)


def _best(host: Host, flow: Flow, group: list[Route], strict: bool) -> Found | None:
    """rt6_score_route: the asked interface counts 2, the preference 4 to 12; the first of the best wins."""
    best: tuple[int, Route, Nexthop] | None = None
    asked = flow.oif or flow.iif
    for route in group:
        for hop in route.nexthops or (Nexthop(interface="lo"),):
            if not _alive(host, 6, hop):
                continue
            same = 2 if asked is None or hop.interface == asked else 0
            if strict and not same:
                continue
            score = same | _PREFERENCE.get(route.preference, 2) << 2
            if best is None or score > best[0]:
                best = score, route, hop
    return None if best is None else _six_found(host, best[1], best[2], asked if strict else None)


_PREFERENCE = {"low": 1, "medium": 2, "high": 3}


def _six_found(host: Host, route: Route, hop: Nexthop, asked: str | None) -> Found:
    """fib6_select_path: a hash chooses among all next hops that could have been taken, the asked first or not."""
    if route.kind in ROUTE_ERRORS[6]:
        return Found(route=route, error=ROUTE_ERRORS[6][route.kind])
    others = (one for one in route.nexthops if one is not hop and _alive(host, 6, one))
    return Found(route=route, hops=(hop, *(one for one in others if asked in (None, one.interface))))


def _is_strict(flow: Flow) -> bool:
    """RT6_LOOKUP_F_IFACE: ip6_route_output_flags, ip6_route_input_lookup and rt6_need_strict."""
    return needs_interface(flow.destination) or (flow.oif is not None and not flow.source)


def needs_interface(destination: int) -> bool:
    """Whether an IPv6 address has a meaning on its own link only: multicast, link-local, loopback."""
    return destination >> 120 == 0xFF or destination >> 118 == 0x3FA or destination == 1
