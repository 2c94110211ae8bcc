"""Whether the kernel believes that a packet's source is behind the interface it arrived on.

fib_validate_source and __fib_validate_source (net/ipv4/fib_frontend.c) decide it for every IPv4 packet that is
routed; the match ``rpfilter`` asks the same in its own way (net/ipv4/netfilter/ipt_rpfilter.c,
net/ipv6/netfilter/ip6t_rpfilter.c). IPv6 routing itself does not check sources.
"""

import msgspec

from ruleflow.netfilter.fib import Flow, Found, lookup
from ruleflow.netfilter.host import Host
from ruleflow.netfilter.numbers import address_text
from ruleflow.netfilter.source_address import SCOPES


class Check(msgspec.Struct, frozen=True):
    """``fault`` says why the source is not believed (None: it is), ``error`` is errno's name."""

    fault: str | None = None
    error: str | None = None
    assumed: tuple[str, ...] = ()


def validate_source(
    host: Host, source: int, destination: int, iif: str, out: str | None, mark: int = 0, tos: int = 0
) -> Check:
    """fib_validate_source: is ``source`` believable on ``iif``?

    ``out`` is the interface the packet will leave by, None where it is for this host. The answer names the
    settings (rp_filter, accept_local) that were not known and taken as 0.
    """
    filter_, accepts, assumed = _settings(host, iif)
    if not filter_ and (iif != out or not _redirects(host, iif)):
        if accepts:
            return Check(assumed=assumed)
        if not _has_custom(host):
            if host.owns(source, 4):
                return Check(_own(source, iif), "EINVAL", assumed)
            return Check(assumed=assumed)
    fault, error = _full(host, source, destination, iif, out, filter_, accepts, mark, tos)
    return Check(fault, error, assumed)


def _settings(host: Host, iif: str) -> tuple[int, bool, tuple[str, ...]]:
    filter_, accepts = host.rp_filter(iif), host.accept_local(iif)
    assumed = []
    if filter_ is None:
        assumed.append(f"rp_filter of {iif} is not known: taken as 0")
    if accepts is None:
        assumed.append(f"accept_local of {iif} is not known: taken as 0")
    return filter_ or 0, accepts or False, tuple(assumed)


def _redirects(host: Host, iif: str) -> bool:
    """send_redirects, which is on unless switched off."""
    redirects = host.send_redirects(iif)
    return True if redirects is None else redirects


def _own(source: int, iif: str) -> str:
    return f"{address_text(source, 4)} is an address of this host and arrives on {iif}: accept_local is off"


def _has_custom(host: Host) -> bool:
    """fib4_has_custom_rules, or local routes somebody added (fib_has_custom_local_routes)."""
    rules = [rule for rule in host.rules or () if rule.family == 4]
    plain = [(rule.priority, rule.table) for rule in rules] == [
        (0, "local"),
        (32766, "main"),
        (32767, "default"),
    ]
    added = any(
        route.family == 4 and route.kind == "local" and route.protocol not in ("kernel", "boot", "")
        or route.family == 4 and route.kind == "local" and route.protocol == "boot" and route.table == "local"
        for route in host.routes or ()
    )  # fmt: skip
    return bool(rules and not plain) or added


def _full(
    host: Host,
    source: int,
    destination: int,
    iif: str,
    out: str | None,
    filter_: int,
    accepts: bool,
    mark: int,
    tos: int,
) -> tuple[str | None, str | None]:
    """__fib_validate_source: a lookup the other way round."""
    flow = Flow(
        family=4, destination=source, source=destination, iif=out or "lo", tos=tos, uid=0,
        mark=mark if host.src_valid_mark(iif) else 0,
    )  # fmt: skip
    found = lookup(host, flow)
    if found.error or found.route is None:
        return _last_resort(source, iif, filter_)
    kind = found.route.kind
    if kind != "unicast" and (kind != "local" or not accepts):
        return (_own(source, iif) if kind == "local" else f"{address_text(source, 4)} is {kind}"), "EINVAL"
    if _uses(found, iif) or (kind == "local" and iif == "lo"):
        return None, None
    if not any(one.family == 4 for link in host.interfaces if link.name == iif for one in link.addresses):
        return _last_resort(source, iif, filter_)
    if filter_ == 1:
        return _wrong_way(source, iif, found), "EXDEV"
    return None, None


def _uses(found: Found, iif: str) -> bool:
    """fib_info_nh_uses_dev: any of the route's next hops, usable or not."""
    return found.route is not None and any(hop.interface == iif for hop in found.route.nexthops)


def _last_resort(source: int, iif: str, filter_: int) -> tuple[str | None, str | None]:
    if filter_:
        return f"no way leads back to {address_text(source, 4)} (rp_filter {filter_} on {iif})", "EXDEV"
    return None, None


def _wrong_way(source: int, iif: str, found: Found) -> str:
    back = found.hops[0].interface if found.hops else "elsewhere"
    return f"the way back to {address_text(source, 4)} is {back}, not {iif} (rp_filter 1 on {iif})"


def believes(
    host: Host,
    source: int,
    destination: int,
    *,
    family: int,
    iif: str,
    loose: bool = False,
    valid_mark: bool = False,
    accept_local: bool = False,
    mark: int = 0,
    tos: int = 0,
) -> bool | None:
    """What the match ``rpfilter`` answers without ``--invert``; None where the tables are not known."""
    if host.routes is None:
        return None
    link = host.interface(iif)
    if link is not None and link.is_loopback:
        return True  # rpfilter_is_loopback
    mark = mark if valid_mark else 0
    if family == 4:
        return _believes_four(host, source, destination, iif, loose, accept_local, mark, tos)
    return _believes_six(host, source, destination, iif, loose, accept_local, mark)


def _believes_four(
    host: Host, source: int, destination: int, iif: str, loose: bool, accept_local: bool, mark: int, tos: int
) -> bool:
    """rpfilter_mt and rpfilter_lookup_reverse: unicast, and out of the same device unless loose."""
    if source >> 28 == 14 or source == 0:
        return source == 0 and (destination >> 28 == 14 or destination == 0xFFFFFFFF)
    back = 0 if destination >> 28 == 14 or destination == 0xFFFFFFFF else destination
    flow = Flow(family=4, destination=source, source=back, iif="lo", mark=mark, tos=tos, uid=0)
    found = lookup(host, flow)
    if found.error or found.route is None:
        return False
    if found.route.kind != "unicast" and not (found.route.kind == "local" and accept_local):
        return False
    return _uses(found, iif) or loose


def _believes_six(
    host: Host, source: int, destination: int, iif: str, loose: bool, accept_local: bool, mark: int
) -> bool:
    """rpfilter_lookup_reverse6: RTF_REJECT and anycast never; local with --accept-local only."""
    if source >> 120 == 0xFF or source == 0:
        return False
    near = source >> 118 == 0x3FA
    flow = Flow(
        family=6,
        destination=source,
        source=destination,
        oif=iif if near or not loose else None,
        mark=mark,
        uid=0,
    )
    found = lookup(host, flow)
    if found.error or found.route is None or found.route.kind == "anycast":
        return False
    if found.route.kind == "local" and not accept_local:
        return False
    return loose or any(hop.interface == iif for hop in found.hops)


_ = SCOPES
