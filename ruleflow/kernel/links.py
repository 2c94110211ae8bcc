"""Links, addresses, routes and namespaces: made, changed and taken away again by pyroute2, settings by /proc/sys."""

import contextlib
import errno
import hashlib
import importlib
import os
from collections.abc import Callable, Iterator
from ipaddress import ip_interface
from pathlib import Path
from typing import Any, TypeVar

from ruleflow.errors import RuleflowError
from ruleflow.kernel.namespaces import NAMED, inside, sysctl_path
from ruleflow.kernel.owned import Address, Link, Netns, Owned, Route, Setting
from ruleflow.kernel.seen import Seen, see_here

Result = TypeVar("Result")
PROBE = "rf-probe"
"""What the link and the namespaces of probes are called."""
NODAD = 0x02  # IFA_F_NODAD, <linux/if_addr.h>: a bridge without ports would keep its IPv6 address tentative


class LinkRefusedError(RuleflowError):
    """The kernel did not make, change or remove a link, address, route, namespace or setting; its words are in the message.

    ``exists``: because there is one already, so it is not ours.
    """

    exists = False


def see(netns: str = "") -> Seen:
    """What is there in the namespace of this thread, or in ``netns``; nothing where there is no such namespace.

    :raises RuleflowError: where the namespace may not be entered.
    """
    if netns and not netns_exists(netns):
        return Seen()
    return within(netns, lambda: see_here(netns))


def netns_path(name: str) -> Path:
    """The file of a namespace: a name of ``ip netns``, a path, or ``pid:1234``."""
    if name.startswith("pid:"):
        return Path("/proc", name.removeprefix("pid:"), "ns/net")
    return Path(name) if "/" in name else NAMED / name


def within(netns: str, work: Callable[[], Result]) -> Result:
    """What ``work`` gives in a namespace; the empty name is where we are."""
    return inside(netns_path(netns), work) if netns else work()


def lasting(link: Link, seen: Link) -> bool:
    """Whether a link that is there is as wanted; what is not wanted in particular may be anything."""
    if link.kind != seen.kind:
        return False
    same_mtu = link.mtu is None or link.mtu == seen.mtu
    return (
        same_mtu
        and link.bridge == seen.bridge
        and (link.hairpin, link.isolated) == (seen.hairpin, seen.isolated)
    )


def get_ready() -> None:
    """Load what making links needs: a tenth of a second of work that another thread may do meanwhile."""
    importlib.import_module("pyroute2")


def make_netns(one: Netns) -> None:
    """Make a named namespace with its loopback up. Raises `LinkRefusedError`."""
    from pyroute2 import netns

    with _told(f"make {one}"):
        if not _is_namespace(NAMED / one.name):
            remove_netns(one)  # what a cut-off `add` left behind: a file that is no namespace
        netns.create(one.name)
    within(one.name, lambda: _up("lo"))


def netns_exists(name: str) -> bool:
    """Whether there is such a namespace, not only a file that a cut-off `ip netns add` left."""
    return _is_namespace(netns_path(name))


def _is_namespace(path: Path) -> bool:
    try:
        return path.stat().st_dev == Path("/proc/self/ns/net").stat().st_dev
    except OSError:
        return False


def remove_netns(one: Netns) -> None:
    """Take a name away; the namespace ends when no process is left in it."""
    from pyroute2 import netns

    with _told(f"remove {one}"), contextlib.suppress(FileNotFoundError):
        if (NAMED / one.name).exists():
            netns.remove(one.name)


def remove_leftovers() -> None:
    """Take away the namespaces of probes (``rf-probe-PID``) whose process was killed; their cables go with them."""
    for path in NAMED.glob(f"{PROBE}-*") if NAMED.is_dir() else ():
        process = path.name.removeprefix(f"{PROBE}-")
        if process.isdigit() and not Path("/proc", process).exists():
            remove_netns(Netns(path.name))


def make_link(link: Link) -> None:
    """Make a link, set it up and plug it in. Raises `LinkRefusedError`."""
    from pyroute2 import IPRoute

    with _told(f"make {link}"), IPRoute() as kernel:
        if link.kind == "bridge":
            kernel.link("add", ifname=link.name, kind="bridge", address=_mac(link.name), **_mtu(link))
        else:
            _make_pair(kernel, link)
        _set(kernel, link)
    if link.netns:
        within(link.netns, lambda: _up(link.peer))


def _make_pair(kernel: Any, link: Link) -> None:
    handle = os.open(netns_path(link.netns), os.O_RDONLY | os.O_CLOEXEC)
    try:
        peer = {"ifname": link.peer, "net_ns_fd": handle, **_mtu(link)}
        kernel.link("add", ifname=link.name, kind="veth", peer=peer, **_mtu(link))
    finally:
        os.close(handle)


def _mtu(link: Link) -> dict[str, int]:
    return {} if link.mtu is None else {"mtu": link.mtu}


def _mac(name: str) -> list[int] | str:
    """An address of its own, or a bridge would change its address with every port (br_stp_recalculate_bridge_id)."""
    return ":".join(f"{byte:02x}" for byte in (0x02, *hashlib.sha256(name.encode()).digest()[:5]))


def change_link(link: Link) -> None:
    """Set a link that is there to what is wanted. Raises `LinkRefusedError`."""
    from pyroute2 import IPRoute

    with _told(f"change {link}"), IPRoute() as kernel:
        _set(kernel, link)


def _set(kernel: Any, link: Link) -> None:
    index = _index(kernel, link.name)
    if link.mtu is not None:
        kernel.link("set", index=index, mtu=link.mtu)
    if link.kind == "veth":
        kernel.link("set", index=index, master=_index(kernel, link.bridge) if link.bridge else 0)
    if link.bridge:
        kernel.brport("set", index=index, mode=int(link.hairpin), isolated=int(link.isolated))
    kernel.link("set", index=index, state="up")


def _index(kernel: Any, name: str) -> int:
    found = kernel.link_lookup(ifname=name)
    if not found:
        raise LinkRefusedError(f"there is no link {name}")
    return int(found[0])


def _up(name: str) -> None:
    from pyroute2 import IPRoute

    with _told(f"set {name} up"), IPRoute() as kernel:
        kernel.link("set", index=_index(kernel, name), state="up")


def remove_link(link: Link) -> None:
    """Take a link away, if it is there; its addresses and routes go with it."""
    from pyroute2 import IPRoute

    with _told(f"remove {link}"), IPRoute() as kernel:
        for index in kernel.link_lookup(ifname=link.name):
            kernel.link("del", index=index)


def make_address(one: Address) -> None:
    """Give a link an address. Raises `LinkRefusedError`."""
    within(one.netns, lambda: _address_of(one, "add"))


def remove_address(one: Address) -> None:
    """Take an address away, if it is there."""
    if one in see(one.netns).addresses:
        within(one.netns, lambda: _address_of(one, "del"))


def _address_of(one: Address, verb: str) -> None:
    from pyroute2 import IPRoute

    at = ip_interface(one.address)
    more = {"flags": NODAD} if at.version == 6 and verb == "add" else {}
    with _told(f"{verb} {one}"), IPRoute() as kernel:
        index = _index(kernel, one.link)
        kernel.addr(verb, index=index, address=str(at.ip), prefixlen=at.network.prefixlen, **more)


def make_route(one: Route) -> None:
    """Make a route. Raises `LinkRefusedError`."""
    within(one.netns, lambda: _route_of(one, "add"))


def remove_route(one: Route) -> None:
    """Take a route away, if it is there."""
    if one in see(one.netns).routes:
        within(one.netns, lambda: _route_of(one, "del"))


def _route_of(one: Route, verb: str) -> None:
    from pyroute2 import IPRoute

    to = one.destination if one.destination != "default" else "::/0" if ":" in one.gateway else "0.0.0.0/0"
    with _told(f"{verb} route {one}"), IPRoute() as kernel:
        kernel.route(verb, dst=to, gateway=one.gateway, oif=_index(kernel, one.link))


def setting(name: str) -> str | None:
    """The value of a sysctl in the namespace of this thread; None where there is none."""
    try:
        return sysctl_path(name).read_text("utf-8").strip()
    except OSError:
        return None


def write_setting(name: str, value: str) -> None:
    """Set a sysctl. Raises `LinkRefusedError` where it is not there or may not be written."""
    try:
        sysctl_path(name).write_text(value, "utf-8")
    except OSError as error:
        raise LinkRefusedError(f"cannot set {name} = {value}: {error.strerror}") from error


def alongside(name: str) -> tuple[tuple[str, str], ...]:
    """The settings that the kernel overwrites when ``name`` is written, as they are now (devinet.c, addrconf.c)."""
    if name not in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
        return ()
    root = Path("/proc/sys/net", name.split(".")[1], "conf")
    leaves = ("forwarding", "accept_redirects") if "ipv4" in name else ("forwarding",)
    found = (path for leaf in leaves for path in sorted(root.glob(f"*/{leaf}")))
    return tuple((_name(path), path.read_text("utf-8").strip()) for path in found)


def _name(path: Path) -> str:
    parts = path.relative_to("/proc/sys").parts
    return ".".join(part.replace(".", "/") for part in parts)


def undo_setting(one: Setting) -> None:
    """Give a setting and those beside it their earlier values; one that somebody else set meanwhile stays."""
    now = setting(one.name)
    if not one.before:  # it came with a link of ours, and goes with it
        return
    if now == one.value and now != one.before:
        write_setting(one.name, one.before)
    if now in (one.value, one.before):
        for name, value in one.along:
            if setting(name) not in (None, value):
                write_setting(name, value)


def namespaces_of(owned: Owned) -> tuple[str, ...]:
    """The namespaces in which something of ours is, this host's as the empty name."""
    named = (
        *(one.netns for one in owned.addresses),
        *(one.netns for one in owned.routes),
        *(one.netns for one in owned.links),
    )
    return tuple(dict.fromkeys(("", *named)))


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """The kernel's refusal, in our words and its own."""
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        yield
    except NetlinkError as error:
        refused = LinkRefusedError(f"cannot {what}: {os.strerror(error.code)}")
        refused.exists = error.code == errno.EEXIST
        raise refused from error
    except OSError as error:
        raise LinkRefusedError(f"cannot {what}: {error.strerror or error}") from error
