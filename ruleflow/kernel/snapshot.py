"""A live host written as files: what netfilter/read_host.py reads, in the shape of ip -j, ss, sysctl and *-save.

Observing does not write: legacy tables are opened only where /proc/net/ip_tables_names lists them, because
opening one registers it (and from then on iptables-nft-save warns).
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import get_native_id
from typing import Any

import msgspec

from ruleflow.errors import RuleflowError
from ruleflow.kernel import rows
from ruleflow.kernel.containers import Running, proxies, running
from ruleflow.kernel.namespaces import NAMED, NoNamespaceError, inside
from ruleflow.kernel.redact import redact_directory
from ruleflow.kernel.run import ProcessError, installed, run
from ruleflow.kernel.sockets import listening, processes
from ruleflow.netfilter.world import World, read_world

_SETTINGS = re.compile(
    r"net\.ipv4\.ip_forward\w*|net\.bridge\..*"
    r"|net\.ipv[46]\.conf\..*\.(forwarding|route_localnet|rp_filter|accept_local|src_valid_mark|send_redirects"
    r"|ignore_routes_with_linkdown|force_forwarding|use_oif_addrs_only)"
)
"""The settings that decide where a packet goes."""


def snapshot(
    directory: Path, namespaces: tuple[str, ...] | None = None, *, redact: bool = False
) -> tuple[str, ...]:
    """Write this host into ``directory``, its namespaces and running containers under ``ns/``.

    ``namespaces`` names those to take (None: all named ones and all containers; empty: none). ``redact``
    replaces public addresses and names, each always by the same other. Gives a sentence for each fact that
    could not be had.

    :raises RuleflowError: where a namespace is not there or may not be entered (one must be root).
    """
    directory.mkdir(parents=True, exist_ok=True)
    containers = running()
    owners = processes((one.name, one.pid) for one in containers)
    notes = _Notes()
    wanted = tuple(_wanted(namespaces, containers))
    places = {"host": Path(f"/proc/{get_native_id()}/ns/net"), **dict(wanted)}
    _write_namespace(directory, owners, notes, places)
    directory.joinpath("docker-proxy.txt").write_text(proxies(), "utf-8")
    _write_containers(directory, containers)
    for name, path in wanted:
        try:
            inside(path, _writer(directory / "ns" / name, owners, notes, places))
        except NoNamespaceError:
            if namespaces is not None:
                raise
            notes.add(f"the namespace {name} ended before it was read")
    if redact:
        redact_directory(directory)
    return tuple(notes.lines)


def live_world(namespaces: tuple[str, ...] | None = None) -> World:
    """The host and its namespaces as they are now; ``namespaces`` as for :func:`snapshot`.

    :raises RuleflowError: where a namespace is not there or may not be entered.
    """
    with TemporaryDirectory(prefix="ruleflow-") as place:
        notes = snapshot(Path(place), namespaces)
        world = read_world(Path(place))
    return msgspec.structs.replace(world, unknown=(*world.unknown, *notes))


class _Notes:
    """What could not be had, once each."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, line: str) -> None:
        if line not in self.lines:
            self.lines.append(line)


def _wanted(names: tuple[str, ...] | None, containers: tuple[Running, ...]) -> Iterator[tuple[str, Path]]:
    """The namespaces to write, each once, this one left out."""
    seen = {_identity(Path("/proc/self/ns/net"))}
    places = {path.name: path for path in sorted(NAMED.glob("*"))} if NAMED.is_dir() else {}
    places |= {one.name: Path(f"/proc/{one.pid}/ns/net") for one in containers}
    for name in places if names is None else names:
        if name not in places:
            raise RuleflowError(
                f"there is no namespace {name!r}", help=f"there are: {', '.join(sorted(places))}"
            )
        identity = _identity(places[name])
        if identity is not None and identity not in seen:
            seen.add(identity)
            yield name, places[name]


def _identity(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:  # it ended meanwhile
        return None


Places = dict[str, Path]
"""The namespaces that are written, by name."""


def _writer(directory: Path, owners: dict[int, str], notes: _Notes, places: Places) -> Callable[[], None]:
    return lambda: _write_namespace(directory, owners, notes, places)


def _write_namespace(directory: Path, owners: dict[int, str], notes: _Notes, places: Places) -> None:
    """All files of the namespace this thread is in."""
    directory.mkdir(parents=True, exist_ok=True)
    settings = _sysctls()
    for name, found in (_netlink(settings) | {"netns.json": _numbers(places)}).items():
        directory.joinpath(name).write_bytes(msgspec.json.encode(found) + b"\n")
    lines = (f"{name} = {value}\n" for name, value in sorted(settings.items()))
    directory.joinpath("sysctl.txt").write_text("".join(lines), "utf-8")
    directory.joinpath("listen.txt").write_text(listening(owners), "utf-8")
    for name, text in _dumps(notes):
        directory.joinpath(name).write_text(text, "utf-8", "surrogateescape")


def _netlink(settings: dict[str, str]) -> dict[str, list[rows.Row]]:
    """The JSON files, from netlink; what bridges are set to goes into ``settings``."""
    from pyroute2 import IPRoute

    with IPRoute() as kernel:
        links, addresses = list(kernel.get_links()), list(kernel.get_addr())
        names: rows.Names = {link["index"]: link.get_attr("IFLA_IFNAME") for link in links}
        routes = {
            family: _kept(kernel.get_routes(family=family), rows.route_row, names) for family in (2, 10)
        }
        policy = {
            family: [rows.rule_row(rule) for rule in kernel.get_rules(family=family)] for family in (2, 10)
        }
        neighbours = _kept(kernel.get_neighbours(), rows.neighbour_row, names)
    made = [
        rows.link_row(link, [one for one in addresses if one["index"] == link["index"]], names)
        for link in links
    ]
    for link in links:
        for setting, value in rows.bridge_settings(link).items():
            if value:
                settings[f"net.bridge.{names[link['index']]}.{setting}"] = str(value)
    ports = [rows.port_row(row) for row in made if row.get("linkinfo", {}).get("info_slave_kind") == "bridge"]
    return {
        "addr.json": made, "route.json": routes[2] + routes[10], "route6.json": routes[10],
        "rule.json": policy[2], "rule6.json": policy[10], "neigh.json": neighbours, "bridge.json": ports,
    }  # fmt: skip


def _numbers(places: Places) -> list[rows.Row]:
    """Under which number (link-netnsid) this namespace knows the others; most it has none for."""
    from pyroute2 import IPRoute, NetlinkError

    found = []
    with IPRoute() as kernel:
        for name, path in places.items():
            try:
                with path.open("rb") as there:
                    number = kernel.get_netnsid(fd=there.fileno())["nsid"]
            except (OSError, NetlinkError):  # it ended meanwhile, or is not one yet
                continue
            if number < _NO_NUMBER:
                found.append({"name": name, "nsid": number})
    return found


_NO_NUMBER = 1 << 31
"""NETNSA_NSID_NOT_ASSIGNED is -1, which pyroute2 reads without sign."""


def _kept(
    messages: Any, turn: Callable[[Any, rows.Names], rows.Row | None], names: rows.Names
) -> list[rows.Row]:
    return [row for message in messages if (row := turn(message, names)) is not None]


def _sysctls() -> dict[str, str]:
    """The settings that decide, by name, of the namespace this thread is in."""
    root = Path("/proc/sys")
    found = {}
    for directory in ("net/ipv4", "net/ipv4/conf", "net/ipv6/conf", "net/bridge"):
        depth = "*/*" if directory.endswith("conf") else "*"
        for path in root.joinpath(directory).glob(depth):
            name = ".".join(part.replace(".", "/") for part in path.relative_to(root).parts)
            if path.is_file() and _SETTINGS.fullmatch(name):
                try:
                    found[name] = path.read_text("utf-8").strip()
                except OSError:  # some settings may be written only
                    continue
    return found


def _dumps(notes: _Notes) -> Iterator[tuple[str, str]]:
    """The files with rules and sets: file name and text."""
    for family in ("ip", "ip6"):
        save = next((p for p in (f"{family}tables-nft-save", f"{family}tables-save") if installed(p)), None)
        if save is None:
            notes.add(f"{family}tables-save is not installed: no rules of that family")
        else:
            yield from _said(f"{family}tables.save", (save,), notes)
        if _legacy_tables(family):
            yield from _said(f"{family}tables-legacy.save", (f"{family}tables-legacy-save",), notes)
    if installed("nft"):
        yield from _said("nft.json", ("nft", "-j", "list", "ruleset"), notes)
    if installed("ipset"):
        yield from _said("ipset.save", ("ipset", "save"), notes)


def _legacy_tables(family: str) -> bool:
    path = Path(f"/proc/thread-self/net/{family}_tables_names")
    try:
        return bool(path.read_text("utf-8").strip())
    except OSError:
        return False


def _said(name: str, command: tuple[str, ...], notes: _Notes) -> Iterator[tuple[str, str]]:
    """The file with what ``command`` prints; a failure is a note."""
    try:
        result = run(command)
    except ProcessError as error:
        notes.add(error.message)
        return
    if result.ok:
        yield name, result.output
    else:
        notes.add(f"{' '.join(command)}: {result.errors.strip()}")


def _write_containers(directory: Path, containers: tuple[Running, ...]) -> None:
    directory.joinpath("containers.txt").write_text("".join(one.line() for one in containers), "utf-8")
    directory.joinpath("ps.txt").write_text(
        "".join(f"{one.name} {one.ports}\n" for one in containers), "utf-8"
    )
