"""UDP conversations that go on as before although their port map has changed: conntrack keeps the first packet's translation.

They are forgotten by the host's port, when a port map comes (an earlier packet was not translated) and when it goes
(moby issues 8795 and 53384, CNI issue 123: both know only one of the two).
"""

import contextlib
import re
import socket
from collections.abc import Iterator
from typing import Any

_DNAT = re.compile(r"-p udp .*--dport (\d+)(?::(\d+))?.*-j DNAT")
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


def forget(family: int, before: tuple[str, ...], after: tuple[str, ...]) -> int:
    """Forget the UDP conversations of every port whose DNAT rule is in only one of ``before`` and ``after``; how many."""
    changed = set(before) ^ set(after)
    spans = tuple(span for text in changed for span in _ports(text))
    return _forget(_FAMILIES[family], spans) if spans else 0


def _ports(text: str) -> Iterator[tuple[int, int]]:
    found = _DNAT.search(text)
    if found:
        yield int(found[1]), int(found[2] or found[1])


def _forget(family: int, spans: tuple[tuple[int, int], ...]) -> int:
    from pyroute2.conntrack import Conntrack, NFCTAttrTuple
    from pyroute2.netlink.exceptions import NetlinkError

    gone = 0
    with Conntrack(nfgen_family=family) as kernel:
        for entry in list(kernel.dump_entries(tuple_orig=NFCTAttrTuple(family, proto=socket.IPPROTO_UDP))):
            if any(low <= _port(entry) <= high for low, high in spans):
                with contextlib.suppress(NetlinkError):  # it ended by itself meanwhile
                    kernel.delete(entry)
                    gone += 1
    return gone


def _port(entry: Any) -> int:
    return int(entry.tuple_orig.dport)
