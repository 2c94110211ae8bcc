"""Targets of the nat table, which rewrite a connection's addresses (net/netfilter/xt_nat.c, nf_nat_core.c)."""

import socket
from collections.abc import Sequence
from typing import Annotated

import msgspec

from ruleflow.ruleset.addresses import Prefix, address_text, full_mask, mask_of
from ruleflow.ruleset.effect import ACCEPT, Effects, Rewrite
from ruleflow.ruleset.extension import Match, Maybe, Option, Target, option
from ruleflow.ruleset.ports import port_number, service_name
from ruleflow.ruleset.values import Not, Range, Unreadable, ValueType, number

_NAT_PORTS = frozenset({1, 6, 17, 33, 132})
"""ICMP, TCP, UDP, DCCP, SCTP: where libxt_NAT.c allows a port (an id in ICMP)."""


class Translation(msgspec.Struct, frozen=True):
    """New addresses from ``low`` to ``high`` (None: unchanged) and new ports (None: unchanged where possible).

    ``port_base`` shifts: a port that is ``port_base + n`` becomes ``port_low + n``.
    """

    family: int
    low: int | None = None
    high: int | None = None
    port_low: int | None = None
    port_high: int | None = None
    port_base: int | None = None

    def __str__(self) -> str:
        address = _range_text(self.low, self.high, self.family)
        if self.port_low is None:
            return address
        if self.family == 6 and address:
            address = f"[{address}]"
        return f"{address}:{self.ports}"

    @property
    def ports(self) -> str:
        """The new ports as iptables-save prints them."""
        last = f"-{self.port_high}" if self.port_high != self.port_low else ""
        base = f"/{self.port_base}" if self.port_base is not None else ""
        return f"{self.port_low}{last}{base}"


def _range_text(low: int | None, high: int | None, family: int) -> str:
    if low is None or high is None:
        return ""
    first = address_text(low, family)
    return first if low == high else f"{first}-{address_text(high, family)}"


def read_address(text: str, family: int) -> int:
    """An address as inet_pton reads it: nothing left out. Raises `Unreadable`."""
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    try:
        return int.from_bytes(socket.inet_pton(kind, text), "big")
    except (OSError, ValueError):
        raise Unreadable(f"{text!r} is not an IPv{family} address") from None


def read_ports(text: str, *, shift: bool = False) -> tuple[int, int, int | None]:
    """``port[-port[/port]]`` as first, last and base (`parse_ports`, extensions/libxt_NAT.c). Raises `Unreadable`."""
    if "-" not in text or text[:1].isalpha():
        port = port_number(text)
        return port, port, None
    first, _, rest = text.partition("-")
    last, slash, base = rest.partition("/")
    low, high = number(first, 0, 65535), number(last, 0, 65535)
    if high < low:
        raise Unreadable(f"the range {text} ends before it begins", f"write {high}-{low}")
    if not slash:
        return low, high, None
    if not shift:
        raise Unreadable("only DNAT can shift a range of ports", f"write {first}-{last}")
    base_port = port_number(base)
    if base_port == 0:
        raise Unreadable("ports cannot be shifted from port 0")
    return low, high, base_port


class NewAddress(ValueType[Translation]):
    """``[address[-address]][:port[-port[/port]]]``, an IPv6 address in brackets where a port follows."""

    def __init__(self, *, shift: bool) -> None:
        self.shift = shift

    def read_word(self, word: str, family: int) -> Translation:
        """As `parse_to` of extensions/libxt_NAT.c reads it. Raises `Unreadable`."""
        if family == 4:
            usual = _one_address_and_port(word)
            if usual is not None:
                return usual
        addresses, ports = _parted(word, family)
        low = high = None
        if addresses:
            first, dash, last = addresses.partition("-")
            low = read_address(first, family)
            high = read_address(last, family) if dash else low
        if ports is None:
            if low is None:
                raise Unreadable(f"{word!r} names neither an address nor a port")
            return Translation(family, low, high)
        return Translation(family, low, high, *read_ports(ports, shift=self.shift))

    def show(self, value: Translation) -> str:
        """As ``str``, the usual form (one IPv4 address and one port) in a third of the time."""
        if value.family == 4 and value.low is not None and value.low == value.high:
            port = value.port_low
            if port is not None and port == value.port_high and value.port_base is None:
                return f"{socket.inet_ntop(socket.AF_INET, value.low.to_bytes(4, 'big'))}:{port}"
        return str(value)

    def say(self, value: Translation) -> str:
        address = _say_addresses(value)
        if value.port_low is None:
            return address
        if value.port_low == value.port_high:
            if value.low == value.high and address:
                return str(value)
            return f"{address}, {_port(value.port_low)}" if address else _port(value.port_low)
        ports = f"ports {value.port_low} to {value.port_high}"
        if value.port_base == value.port_low:
            ports = f"{ports}, each kept"
        elif value.port_base is not None:
            ports = f"{ports}, shifted so that {value.port_base} becomes {value.port_low}"
        else:
            ports = f"one of {ports}"
        return f"{address}, {ports}" if address else ports


def _port(port: int) -> str:
    name = service_name(port)
    return f"port {port} ({name})" if name else f"port {port}"


def _say_addresses(value: Translation) -> str:
    if value.low is None or value.high is None:
        return ""
    if value.low == value.high:
        return address_text(value.low, value.family)
    return f"one of {address_text(value.low, value.family)} to {address_text(value.high, value.family)}"


def _one_address_and_port(word: str) -> Translation | None:
    """``a.b.c.d:port``, the usual spelling, in a third of the time; None where it is another."""
    address, _, port = word.partition(":")
    if not (len(port) < 5 and port.isdecimal() and port.isascii()) or port[0] == "0":
        return None
    try:
        low = int.from_bytes(socket.inet_pton(socket.AF_INET, address), "big")
    except (OSError, ValueError):
        return None
    number_ = int(port)
    return Translation(4, low, low, number_, number_)


def _parted(word: str, family: int) -> tuple[str, str | None]:
    """The addresses and, where a colon says so, the ports of a word."""
    before, bracket, inside = word.partition("[")
    if not bracket:
        first, colon, ports = word.partition(":")
        return (word, None) if not colon or ":" in ports else (first, ports)
    addresses, closed, after = inside.partition("]")
    if family == 4 or not closed or before or after[:1] not in ("", ":"):
        raise Unreadable(f"{word!r} is no address in brackets")
    return addresses, after[1:] if after else None


class NewPorts(ValueType[Range]):
    """``port[-port]``: the new port, or the ports one of which is taken."""

    def read_word(self, word: str, family: int) -> Range:  # noqa: ARG002
        low, high, _ = read_ports(word)
        return Range(low, high)

    def show(self, value: Range) -> str:
        return str(value.low) if value.low == value.high else f"{value.low}-{value.high}"

    def say(self, value: Range) -> str:
        return _port(value.low) if value.low == value.high else f"one of ports {value.low} to {value.high}"


def _flag(flag: str, says: str) -> Option:
    return option(flag, negatable=False, says=says)


_RANDOM_DESTINATION = "choose at random where there are several ports"
_RANDOM = "choose the port at random"
_FULLY = "choose the port fully at random"
_PERSISTENT = "give a client the same address for every connection"


def _port_misfit(wanted: bool, protocol: Maybe[int]) -> str | None:
    bare = protocol.value if isinstance(protocol, Not) else protocol
    if not wanted or bare in _NAT_PORTS:
        return None
    return "a new port needs -p tcp, udp, sctp, dccp or icmp before it"


class Dnat(Target, frozen=True, gc=False):
    """The connection goes to another destination (DNAT; net/netfilter/xt_nat.c, `xt_dnat_target_v2`).

    Of a range of addresses the kernel takes one by a hash of source and destination (with ``--persistent``
    of the source alone); a port inside a range stays unless it is taken or ``--random`` is given, which
    without ports or with a shift does nothing: a destination's port never changes by itself
    (net/netfilter/nf_nat_core.c, `find_best_ips_proto`, `nf_nat_l4proto_unique_tuple`).
    """

    name = "DNAT"
    tables = ("nat",)
    hooks = ("PREROUTING", "OUTPUT")
    picky = True

    to: Annotated[
        Translation | None,
        option(
            "--to-destination", type=NewAddress(shift=True), negatable=False, mandatory=True,
            says="rewrite the destination to {}",
        ),
    ] = None  # fmt: skip
    random: Annotated[bool | None, _flag("--random", _RANDOM_DESTINATION)] = None
    persistent: Annotated[bool | None, _flag("--persistent", _PERSISTENT)] = None

    def misfit(self, protocol: Maybe[int], matches: Sequence[Match]) -> str | None:  # noqa: ARG002
        return _port_misfit(self.to is not None and self.to.port_low is not None, protocol)

    def effects(self) -> Effects:
        """One rewrite, then the nat table is done with the connection."""
        to = self.to or Translation(4)
        rewrite = Rewrite(
            "destination", to.low, to.high, to.port_low, to.port_high, to.port_base,
            random=bool(self.random and to.port_base is None), persistent=bool(self.persistent),
        )  # fmt: skip
        return Effects((rewrite,), ACCEPT)


class Snat(Target, frozen=True, gc=False):
    """The connection comes from another source (SNAT; net/netfilter/xt_nat.c, `xt_snat_target_v1`).

    Without ports the old port stays where it is free, else one of the same class is taken: 1 to 511, 600 to
    1023 or 1024 to 65535 (`nf_nat_l4proto_unique_tuple`). A shifted range is refused: the real tool takes
    it and prints what it cannot read again.
    """

    name = "SNAT"
    tables = ("nat",)
    hooks = ("POSTROUTING", "INPUT")
    picky = True

    to: Annotated[
        Translation | None,
        option(
            "--to-source", type=NewAddress(shift=False), negatable=False, mandatory=True,
            says="rewrite the source to {}",
        ),
    ] = None  # fmt: skip
    random: Annotated[bool | None, _flag("--random", _RANDOM)] = None
    fully_random: Annotated[bool | None, _flag("--random-fully", _FULLY)] = None
    persistent: Annotated[bool | None, _flag("--persistent", _PERSISTENT)] = None

    def misfit(self, protocol: Maybe[int], matches: Sequence[Match]) -> str | None:  # noqa: ARG002
        return _port_misfit(self.to is not None and self.to.port_low is not None, protocol)

    def effects(self) -> Effects:
        """One rewrite, then the nat table is done with the connection."""
        to = self.to or Translation(4)
        rewrite = Rewrite(
            "source", to.low, to.high, to.port_low, to.port_high, random=bool(self.random),
            fully_random=bool(self.fully_random), persistent=bool(self.persistent),
        )  # fmt: skip
        return Effects((rewrite,), ACCEPT)


class Masquerade(Target, frozen=True, gc=False):
    """The source becomes the address of the outgoing interface (net/netfilter/nf_nat_masquerade.c).

    IPv4 asks for the interface's address toward the next hop and drops the packet where there is none;
    IPv6 asks source address selection for the destination.
    """

    name = "MASQUERADE"
    tables = ("nat",)
    hooks = ("POSTROUTING",)
    picky = True

    ports: Annotated[Range | None, option("--to-ports", type=NewPorts(), negatable=False, says="from {}")] = (
        None
    )
    random: Annotated[bool | None, _flag("--random", _RANDOM)] = None
    fully_random: Annotated[bool | None, _flag("--random-fully", _FULLY)] = None

    def misfit(self, protocol: Maybe[int], matches: Sequence[Match]) -> str | None:  # noqa: ARG002
        return _port_misfit(self.ports is not None, protocol)

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        what = (None, "masquerade as the outgoing interface")
        return (what, *Target.phrases(self))

    def effects(self) -> Effects:
        """One rewrite to an address only the host knows, then the nat table is done with the connection."""
        rewrite = Rewrite(
            "source", port_low=self.ports.low if self.ports else None, port_high=self.ports.high if self.ports else None,
            address_of_interface=True, random=bool(self.random), fully_random=bool(self.fully_random),
        )  # fmt: skip
        return Effects((rewrite,), ACCEPT)


class Redirect(Target, frozen=True, gc=False):
    """The destination becomes this host itself (net/netfilter/nf_nat_redirect.c).

    In OUTPUT that is 127.0.0.1 or ::1, in PREROUTING the first address of the incoming interface; where it
    has none the packet is dropped.
    """

    name = "REDIRECT"
    tables = ("nat",)
    hooks = ("PREROUTING", "OUTPUT")
    picky = True

    ports: Annotated[Range | None, option("--to-ports", type=NewPorts(), negatable=False, says="{}")] = None
    random: Annotated[bool | None, _flag("--random", _RANDOM_DESTINATION)] = None

    def misfit(self, protocol: Maybe[int], matches: Sequence[Match]) -> str | None:  # noqa: ARG002
        return _port_misfit(self.ports is not None, protocol)

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        if self.ports is None:
            return ((None, "redirect to this host"), *Target.phrases(self))
        row = self.row("ports")
        return ((row, f"redirect to this host, {row.say(self.ports)}"), *Target.phrases(self)[1:])

    def effects(self) -> Effects:
        """One rewrite to an address only the host knows, then the nat table is done with the connection."""
        rewrite = Rewrite(
            "destination", port_low=self.ports.low if self.ports else None,
            port_high=self.ports.high if self.ports else None, address_of_interface=True,
            random=bool(self.random and self.ports),
        )  # fmt: skip
        return Effects((rewrite,), ACCEPT)


class HostPrefix(ValueType[Prefix]):
    """An address written in full with ``/length`` or ``/mask`` (XTTYPE_HOSTMASK of libxtables/xtoptions.c).

    ``cut``: bits outside the mask are cleared.
    """

    def __init__(self, *, cut: bool) -> None:
        self.cut = cut

    def read_word(self, word: str, family: int) -> Prefix:
        text, slash, length = word.partition("/")
        address = read_address(text, family)
        mask = read_mask(length, family) if slash else full_mask(family)
        return Prefix(family, address & mask if self.cut else address, mask)


def read_mask(text: str, family: int) -> int:
    """A prefix's mask from its length or its own form (XTTYPE_PLENMASK). Raises `Unreadable`."""
    if text.isascii() and text.isdigit():
        return mask_of(number(text, 0, 32 if family == 4 else 128), family)
    mask = read_address(text, family)
    if mask != mask_of(mask.bit_count(), family):
        raise Unreadable(f"{text} is not a prefix: its ones do not stand together")
    return mask


class Netmap(Target, frozen=True, gc=False):
    """The network part of the address is replaced, the host part stays (net/netfilter/xt_NETMAP.c).

    The destination in PREROUTING and OUTPUT, the source in POSTROUTING and INPUT.
    """

    name = "NETMAP"
    tables = ("nat",)
    hooks = ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")

    to: Annotated[
        Prefix | None,
        option(
            "--to", type=HostPrefix(cut=True), negatable=False, mandatory=True,
            says="map the address into {}, the host part kept",
        ),
    ] = None  # fmt: skip

    def effects(self) -> Effects:
        """One rewrite of destination or source, as the hook says, then the nat table is done."""
        to = self.to or Prefix(4, 0, 0)
        high = to.address | (full_mask(to.family) & ~to.mask)
        return Effects((Rewrite("hook", to.address, high, netmask=to.mask),), ACCEPT)
