"""Whether the kernel believes that a packet's source is behind the interface it arrived on.

fib_validate_source and __fib_validate_source (net/ipv4/fib_frontend.c) decide it for every IPv4 packet that is
routed; the match ``rpfilter`` asks the same in its own way (net/ipv4/netfilter/ipt_rpfilter.c,
net/ipv6/netfilter/ip6t_rpfilter.c). IPv6 routing itself does not check sources.
"""

import msgspec

from ruleflow.netfilter.fib import Flow, Found, lookup, uses_default_rules
from ruleflow.netfilter.host import Host
from ruleflow.netfilter.numbers import address_text


class Check(msgspec.Struct, frozen=True):
    """``fault`` says why the source is not believed (None: it is), ``error`` is errno's name."""

    fault: str | None = None
    error: str | None = None
    assumed: tuple[str, ...] = ()


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """A packet from ``source`` arrived on ``iif``; it will leave by ``out`` (None: it is for this host)."""

    source: int
    destination: int
    iif: str
    out: str | None = None
    mark: int = 0
    tos: int = 0


def validate_source(host: Host, arrival: Arrival) -> Check:
    """fib_validate_source: is the source of an IPv4 packet believable where it arrived?

    The answer names the settings (rp_filter, accept_local) that were not known and taken as 0.
    """
    iif = arrival.iif
    filter_, accepts, assumed = _settings(host, iif)
    if not filter_ and (iif != arrival.out or not _redirects(host, iif)):
        if accepts:
            return Check(assumed=assumed)
        if not _has_custom(host):
            own = host.owns(arrival.source, 4)
            return Check(_own(arrival.source, iif), "EINVAL", assumed) if own else Check(assumed=assumed)
    fault, error = _full(host, arrival, filter_, accepts)
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
    """fib4_has_custom_rules, or local routes that somebody added (fib_has_custom_local_routes)."""
    added = (one for one in host.routes or () if one.family == 4 and one.kind == "local")
    return not uses_default_rules(host) or any(one.protocol != "kernel" for one in added)


def _full(host: Host, asked: Arrival, filter_: int, accepts: bool) -> tuple[str | None, str | None]:
    """__fib_validate_source: a lookup the other way round."""
    source, iif = asked.source, asked.iif
    mark = asked.mark if host.src_valid_mark(iif) else 0
    back = Flow(
        family=4,
        destination=source,
        source=asked.destination,
        iif=asked.out or "lo",
        tos=asked.tos,
        mark=mark,
        uid=0,
    )
    found = lookup(host, back)
    if found.error or found.route is None:
        return _last_resort(source, iif, filter_)
    kind = found.route.kind
    if kind != "unicast" and (kind != "local" or not accepts):
        return (_own(source, iif) if kind == "local" else f"{address_text(source, 4)} is {kind}"), "EINVAL"
    if _uses(found, iif) or (kind == "local" and iif == "lo"):
        return None, None
    if not any(link.name == iif for link, _ in host.addresses(4)):
        return _last_resort(source, iif, filter_)
    return (_wrong_way(source, iif, found), "EXDEV") if filter_ == 1 else (None, None)


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


class Options(msgspec.Struct, frozen=True):
    """What the match ``rpfilter`` is told: its options but ``--invert``."""

    loose: bool = False
    valid_mark: bool = False
    accept_local: bool = False


def believes(host: Host, arrival: Arrival, family: int, options: Options) -> bool | None:
    """What the match ``rpfilter`` answers without ``--invert``; None where the tables are not known."""
    if host.routes is None:
        return None
    link = host.interface(arrival.iif)
    if link is not None and link.is_loopback:  # rpfilter_is_loopback
        return True
    mark = arrival.mark if options.valid_mark else 0
    arrival = msgspec.structs.replace(arrival, mark=mark)
    return _believes_four(host, arrival, options) if family == 4 else _believes_six(host, arrival, options)


def _believes_four(host: Host, arrival: Arrival, options: Options) -> bool:
    """rpfilter_mt and rpfilter_lookup_reverse (net/ipv4/netfilter/ipt_rpfilter.c)."""
    to = arrival.destination
    many = to >> 28 == 14 or to in (0, 0xFFFFFFFF)
    if to >> 28 == 14 and arrival.source == 0:
        return to >> 8 == 0xE00000  # ipv4_is_local_multicast
    back = 0 if many else to
    flow = Flow(
        family=4, destination=arrival.source, source=back, iif="lo", mark=arrival.mark, tos=arrival.tos, uid=0
    )
    found = lookup(host, flow)
    if found.error or found.route is None:
        return False
    if found.route.kind != "unicast" and not (found.route.kind == "local" and options.accept_local):
        return False
    return _uses(found, arrival.iif) or options.loose


def _believes_six(host: Host, arrival: Arrival, options: Options) -> bool:
    """rpfilter_mt6 and rpfilter_lookup_reverse6 (net/ipv6/netfilter/ip6t_rpfilter.c)."""
    source, to = arrival.source, arrival.destination
    if source == 0:  # duplicate address detection
        return True
    asked = arrival.iif if source >> 118 == 0x3FA or not options.loose else None
    back = to if to and to >> 120 != 0xFF else None
    found = lookup(host, Flow(family=6, destination=source, source=back, oif=asked, mark=arrival.mark, uid=0))
    if found.error or found.route is None or found.route.kind == "anycast":
        return False
    if found.route.kind == "local":
        return options.accept_local
    return options.loose or any(hop.interface == arrival.iif for hop in found.hops)
