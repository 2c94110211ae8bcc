"""The live trace of this machine's nftables (and so of iptables-nft), read from netlink: no process, nothing changed."""

import select
import socket
import time
from collections.abc import Iterator, Mapping

from ruleflow.errors import RuleflowError
from ruleflow.kernel.netlink import Netlink, Traced
from ruleflow.kernel.observe import trace_event
from ruleflow.kernel.trace import Listing, TraceEvent, completed
from ruleflow.ruleset.ir import Ruleset

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


class TraceUnavailableError(RuleflowError):
    """The kernel does not let us listen to traces."""


def live_listing(family: int, rules: Ruleset | str) -> Listing:
    """Where the rules of a family stand: ``rules`` as iptables-nft-save prints them now, handles from the kernel.

    Raises `TraceUnavailableError` without the right to ask.
    """
    netlink = _open()
    try:
        handles = netlink.rules(FAMILIES[family])
    finally:
        netlink.close()
    return Listing.of_text(rules, handles) if isinstance(rules, str) else Listing.of(rules, handles)


def live_trace(listings: Mapping[int, Listing], *, seconds: float | None = None) -> Iterator[TraceEvent]:
    """The events of packets that a TRACE rule (or `nft … meta nftrace set 1`) marks, as they happen, completed.

    ``listings`` are by family (`live_listing`); it ends after ``seconds``, or never. Raises `TraceUnavailableError`
    without the right to listen, `EventsLostError` where events come faster than they are taken.
    """
    netlink = _open()
    try:
        netlink.listen_to_traces()
        yield from completed(_events(netlink, seconds), listings)
    finally:
        netlink.close()


def _open() -> Netlink:
    try:
        return Netlink()
    except OSError as error:
        raise TraceUnavailableError(
            f"netlink cannot be opened: {error.strerror}", help="run as root"
        ) from error


def _events(netlink: Netlink, seconds: float | None) -> Iterator[TraceEvent]:
    end = None if seconds is None else time.monotonic() + seconds
    names = dict(socket.if_nameindex())
    while end is None or time.monotonic() < end:
        left = None if end is None else max(0.0, end - time.monotonic())
        if not select.select([netlink.socket], [], [], left)[0]:
            return
        for each in netlink.events():
            if isinstance(each, Traced):
                if not {each.in_index, each.out_index} <= {0, *names}:
                    names = dict(socket.if_nameindex())
                event, _ = trace_event(each, names)
                if event:
                    yield event
