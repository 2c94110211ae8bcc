"""What people give to be walked, made into values: a dump or a host's directory, packets in several forms, assumptions."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ruleflow.errors import ReadError
from ruleflow.netfilter.choices import Assumed
from ruleflow.netfilter.host import Host
from ruleflow.netfilter.ipset import IpSet, SetMember, read_sets
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.walk import Around
from ruleflow.ruleset.fields import STATES

if TYPE_CHECKING:
    from ruleflow.netfilter.world import World
    from ruleflow.ruleset.document import Document


def world_of(name: str) -> "World":
    """The world in a snapshot's directory, or a sample's (``sample:docker-host``). Raises `ReadError`."""
    from ruleflow.netfilter.world import read_world

    return read_world(_directory(name) or Path(name))


def _directory(name: str) -> Path | None:
    if name.startswith("sample:"):
        from ruleflow.data import sample

        path = sample(name.removeprefix("sample:"))
        return path if path.is_dir() else None
    path = Path(name)
    return path if path.is_dir() else None


def subject_of(name: str, document: "Callable[[], Document]", family: int, given: dict[str, Any]) -> Machine:
    """The machine to walk through: a host's directory, or the rules of a dump on a described or inferred host.

    ``given`` has ``local``, ``routes``, ``sets`` and ``host_file`` as on the command line. Raises `ReadError`.
    """
    sets = tuple(_set(text) for text in given["sets"])
    directory = _directory(name)
    if directory is not None:
        from ruleflow.netfilter.journey import Travel
        from ruleflow.netfilter.world import read_world

        world = read_world(directory)
        made = Machine.of(_with_sets(world.main, sets), family)
        made.behind = Travel(world).port_behind(world.main.name, family)
        return made
    rulesets = tuple(one for one in document().rulesets if one.family == family)
    if not rulesets:
        raise ReadError(
            f"{name} has no rules for IPv{family}",
            help=f"give an IPv{10 - family} packet, or read it with -{family}",
        )
    if given["host_file"]:
        from ruleflow.netfilter.describe import read_description

        return Machine(_with_sets(read_description(Path(given["host_file"])), sets), rulesets, family)
    routes = tuple(_route(text) for text in given["routes"] if text != "-")
    made = Machine.inferred_from(rulesets[0], local=tuple(given["local"]), routes=routes)
    if sets or len(rulesets) > 1:
        made = Machine(_with_sets(made.host, sets), rulesets, family, made.assumed)
    return made


def _with_sets(host: Host, sets: tuple[IpSet, ...]) -> Host:
    return msgspec.structs.replace(host, sets=(*sets, *(host.sets or ()))) if sets else host


def _route(text: str) -> tuple[str, str]:
    network, equals, interface = text.partition("=")
    if not equals:
        raise ReadError(f"{text!r} is no route", help="write it like --route 172.17.0.0/16=docker0")
    return network, interface


def _set(text: str) -> IpSet:
    """``NAME=FILE``: what ``ipset save`` printed, or a member a line."""
    name, equals, file = text.partition("=")
    if not equals:
        raise ReadError(f"{text!r} names no file", help="write it like --set banned=banned.ipset")
    try:
        lines = Path(file).read_text("utf-8")
    except OSError as error:
        raise ReadError(
            f"cannot read {file!r}: {error.strerror}", help="give the output of: ipset save NAME"
        ) from None
    if lines.lstrip().startswith(("create", "add")):
        found = next((one for one in read_sets(lines, file) if one.name == name), None)
        if found is None:
            raise ReadError(f"{file} has no set {name!r}", help="give the output of: ipset save")
        return found
    members = tuple(
        SetMember((line.strip(),)) for line in lines.splitlines() if line.strip() and line[0] != "#"
    )
    six = any(":" in member.parts[0] for member in members)
    return IpSet(name, "hash:net", (("family", "inet6" if six else "inet"),), members)


def packets_of(
    words: tuple[str, ...], log: str | None, capture: str | None, state: str | None, *, routes: tuple[str, ...] = (),
    facts: dict[str, int | None] | None = None,
) -> list[Packet]:  # fmt: skip
    """The packets to walk: in words, from a log line, from ``ip route get`` (``--route -``) or a capture.

    ``facts`` are given beside them (``--uid``, ``--mark``). Raises `ReadError` where there is none, or what is there is no packet.
    """
    if capture is not None:
        from ruleflow.netfilter.capture_file import read_capture

        found = list(read_capture(Path(capture)))
    elif log is not None:
        from ruleflow.netfilter.packet_input import read_log_line

        found = [read_log_line(sys.stdin.read() if log == "-" else log)]
    elif "-" in routes:
        from ruleflow.netfilter.packet_input import read_route_get

        found = [read_route_get(sys.stdin.read())]
    else:
        found = [Packet.parse(" ".join(words))]
    if not found:
        raise ReadError(
            "there is no packet in it", help="say one like: tcp 203.0.113.9:40000 192.0.2.1:8080 in eth0"
        )
    told = {name: value for name, value in (facts or {}).items() if value is not None}
    return [_in_state(packet.with_(**told) if told else packet, state) for packet in found]


def _in_state(packet: Packet, text: str | None) -> Packet:
    """``--ct established,reply``."""
    if text is None:
        return packet
    for word in text.lower().split(","):
        if word.upper() in STATES:
            packet = packet.with_(state=STATES[word.upper()])
        elif word in ("reply", "original"):
            packet = packet.with_(ct_direction=int(word == "reply"))
        else:
            raise ReadError(
                f"{word!r} is no state of a connection",
                help="write new, established, related, invalid or untracked, and reply",
            )
    return packet


def around(assume: tuple[str, ...]) -> Around:
    """What ``--assume 'recent=no'`` says. Raises `ReadError`."""
    told: Assumed = ()
    for text in assume:
        word, equals, says = text.rpartition("=")
        if not equals or says.lower() not in _SAYS:
            raise ReadError(f"{text!r} assumes nothing", help="write it like --assume recent=no")
        told = (*told, (word, _SAYS[says.lower()]))
    return Around(assumed=told)


_SAYS = {"yes": True, "no": False, "true": True, "false": False}


def end_of(text: str) -> tuple[str, int | None]:
    """``192.0.2.10:80``, ``[2001:db8::1]:80``, ``web:80`` or an address alone. Raises `ReadError`."""
    if text.startswith("["):
        address, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        address, _, port = text.partition(":")
    else:
        address, port = text, ""
    if port and not (port.isdecimal() and int(port) < 65536):
        raise ReadError(f"{port!r} is no port", help="write it like 192.0.2.10:80")
    return address, int(port) if port else None
