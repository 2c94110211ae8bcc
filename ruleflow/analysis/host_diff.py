"""What differs between two hosts beside their rules: interfaces, addresses, routes, settings, sets."""

from collections.abc import Iterable, Iterator

from ruleflow.netfilter.host import Host

_SETTINGS = ("forward", "rp_filter", "route_localnet", "bridge-nf-call", "accept_local", "nf_call")
"""Parts of the names of settings that decide the fate of packets."""


def host_differences(before: Host, after: Host) -> Iterator[str]:
    """A sentence for each difference."""
    yield from _compared("interface", _interfaces(before), _interfaces(after))
    yield from _compared("address", _addresses(before), _addresses(after))
    yield from _compared("route", _routes(before), _routes(after))
    yield from _compared("routing rule", map(str, before.rules or ()), map(str, after.rules or ()))
    yield from _compared("bridge port", _ports(before), _ports(after))
    yield from _compared("setting", _settings(before), _settings(after))
    yield from _compared(
        "set", (repr(one) for one in before.sets or ()), (repr(one) for one in after.sets or ())
    )


def _compared(what: str, before: Iterable[str], after: Iterable[str]) -> Iterator[str]:
    old, new = dict.fromkeys(before), dict.fromkeys(after)
    yield from (f"- {what} {one}" for one in old if one not in new)
    yield from (f"+ {what} {one}" for one in new if one not in old)


def _interfaces(host: Host) -> Iterator[str]:
    for link in host.interfaces:
        yield f"{link.name}{f' ({link.kind})' if link.kind else ''}{f', part of {link.master}' if link.master else ''}{'' if link.is_up else ', down'}"


def _addresses(host: Host) -> Iterator[str]:
    for link in host.interfaces:
        yield from (f"{own} on {link.name}" for own in link.addresses)


def _routes(host: Host) -> Iterator[str]:
    for route in host.routes or ():
        yield f"{route} (table {route.table})"


def _ports(host: Host) -> Iterator[str]:
    for port in host.ports:
        yield f"{port.interface} of {port.bridge}{', hairpin' if port.hairpin else ''}{', isolated' if port.isolated else ''}"


def _settings(host: Host) -> Iterator[str]:
    for name, value in host.sysctls.values if host.sysctls else ():
        if any(part in name for part in _SETTINGS):
            yield f"{name} = {value}"
