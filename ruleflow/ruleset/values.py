"""The value types of options: each reads itself from words, prints itself as iptables-save does, says itself
in words, and gives itself as a set over its field.

A value itself is small and immutable (an int, a text, a `Range`, a `Prefix`…); its type knows the rest. The
types follow libxtables/xtoptions.c of iptables 1.8.9. Special types stand beside the one extension that
uses them.
"""

import functools
import re
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from ruleflow.ruleset import protocols
from ruleflow.ruleset.condition import AnyBit, Intervals, Masked, Names, Values
from ruleflow.ruleset.words import quote

V = TypeVar("V")


class Unreadable(ValueError):  # noqa: N818 - it is caught where the place is known, and becomes a ReadError
    """A word is not a value of this type: ``message`` says why, ``help`` what to write instead."""

    def __init__(self, message: str, help: str | None = None) -> None:  # noqa: A002
        super().__init__(message)
        self.message = message
        self.help = help


class Not(msgspec.Struct, Generic[V], frozen=True):
    """A value with ``!`` before its option."""

    value: V


class Range(msgspec.Struct, frozen=True, order=True):
    """All whole numbers from ``low`` to ``high``, both in it."""

    low: int
    high: int

    def __str__(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low}:{self.high}"


class Prefix(msgspec.Struct, frozen=True, order=True):
    """Addresses that agree with ``address`` in the bits of ``mask`` (which need not be contiguous)."""

    family: int
    address: int
    mask: int

    @property
    def length(self) -> int | None:
        """The prefix length, or None where the mask is not contiguous."""
        return mask_length(self.mask, self.family)

    def __str__(self) -> str:
        length = self.length
        mask = str(length) if length is not None else address_text(self.mask, self.family)
        return f"{address_text(self.address, self.family)}/{mask}"


class MaskedValue(msgspec.Struct, frozen=True):
    """A number of which only the bits of ``mask`` count."""

    value: int
    mask: int


class ValueType(Generic[V]):
    """What an option's words mean. ``words`` is how many it takes; a flag takes none."""

    words: int = 1
    wide: bool = False
    """Whether the number of words depends on what follows (an optional value)."""

    def read(self, words: Sequence[str], family: int) -> V:
        """The value that ``words`` spell. Raises `Unreadable`."""
        return self.read_word(words[0], family)

    def read_word(self, word: str, family: int) -> V:
        """The value of a type that takes one word. Raises `Unreadable`."""
        raise NotImplementedError

    def show(self, value: V) -> str:
        """The value as iptables-save prints it."""
        return str(value)

    def say(self, value: V) -> str:
        """The value in words."""
        return self.show(value)

    def values(self, value: V) -> Values | None:  # noqa: ARG002
        """The value as a set over the option's field; None where it is no set of one field."""
        return None


# -- numbers ----------------------------------------------------------------------------------------------

_NUMBER = re.compile(r"\s*\+?(0[xX][0-9a-fA-F]+|[0-9]+)", re.ASCII)


def number(text: str, low: int = 0, high: int = 0xFFFFFFFF) -> int:
    """A whole number as strtoul with base 0 reads it: decimal, ``0x`` or octal. Raises `Unreadable`."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise Unreadable(f"{text!r} is not a number")
    digits = found[1]
    try:
        value = int(
            digits, 16 if digits[:2] in ("0x", "0X") else 8 if digits[0] == "0" and len(digits) > 1 else 10
        )
    except ValueError:
        raise Unreadable(f"{text!r} is not a number (a leading 0 means octal)") from None
    if not low <= value <= high:
        raise Unreadable(f"{text} is outside {low} to {high}")
    return value


class Flag(ValueType[bool]):
    """An option without a value."""

    words = 0

    def read(self, words: Sequence[str], family: int) -> bool:  # noqa: ARG002
        return True

    def show(self, value: bool) -> str:  # noqa: ARG002
        return ""


class Number(ValueType[int]):
    """A whole number between ``low`` and ``high``, printed by ``form`` (``{}``, ``0x{:x}``)."""

    def __init__(self, low: int = 0, high: int = 0xFFFFFFFF, form: str = "{}") -> None:
        self.low, self.high, self.form = low, high, form

    def read_word(self, word: str, family: int) -> int:  # noqa: ARG002
        return number(word, self.low, self.high)

    def show(self, value: int) -> str:
        return self.form.format(value)

    def values(self, value: int) -> Values | None:
        return Intervals(((value, value),))


class NumberRange(ValueType[Range]):
    """``low[:high]``; an end left out is the type's bound. ``full`` ranges print both ends always."""

    def __init__(
        self, low: int = 0, high: int = 0xFFFFFFFF, *, separator: str = ":", ordered: bool = True
    ) -> None:
        self.low, self.high, self.separator, self.ordered = low, high, separator, ordered

    def read_word(self, word: str, family: int) -> Range:  # noqa: ARG002
        first, colon, last = word.partition(self.separator)
        low = self.end(first) if first or not colon else self.low
        high = (self.end(last) if last else self.high) if colon else low
        if self.ordered and low > high:
            raise Unreadable(f"the range {word} ends before it begins", f"write {high}{self.separator}{low}")
        return Range(low, high)

    def end(self, text: str) -> int:
        """One end of the range as a number."""
        return number(text, self.low, self.high)

    def show(self, value: Range) -> str:
        if value.low == value.high:
            return str(value.low)
        return f"{value.low}{self.separator}{value.high}"

    def say(self, value: Range) -> str:
        return str(value.low) if value.low == value.high else f"{value.low} to {value.high}"

    def values(self, value: Range) -> Values | None:
        return Intervals(((value.low, value.high),) if value.low <= value.high else ())


class HexMasked(ValueType[MaskedValue]):
    """``value[/mask]`` in hexadecimal: marks. A full mask is not printed."""

    def __init__(self, bits: int = 32) -> None:
        self.full = (1 << bits) - 1

    def read_word(self, word: str, family: int) -> MaskedValue:  # noqa: ARG002
        value, slash, mask = word.partition("/")
        return MaskedValue(number(value, 0, self.full), number(mask, 0, self.full) if slash else self.full)

    def show(self, value: MaskedValue) -> str:
        return f"0x{value.value:x}" if value.mask == self.full else f"0x{value.value:x}/0x{value.mask:x}"

    def say(self, value: MaskedValue) -> str:
        if value.mask == self.full:
            return f"0x{value.value:x}"
        return f"0x{value.value:x} in the bits 0x{value.mask:x}"

    def values(self, value: MaskedValue) -> Values | None:
        if value.value & ~value.mask:
            return Intervals(())  # xt_mark compares (mark & mask) with the value as it is: never equal
        return Masked(value.value, value.mask)


def either(words: Sequence[str]) -> str:
    """Several words as a choice.

    >>> either(["a", "b", "c"])
    'a, b or c'
    """
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else "".join(words)


# -- names and texts --------------------------------------------------------------------------------------


class Text(ValueType[str]):
    """A string of at most ``longest`` bytes, printed in quotes where iptables-save quotes it."""

    def __init__(self, longest: int | None = None, *, quoted: bool = True) -> None:
        self.longest, self.quoted = longest, quoted

    def read_word(self, word: str, family: int) -> str:  # noqa: ARG002
        if self.longest is not None and len(word.encode("utf-8", "surrogateescape")) > self.longest:
            raise Unreadable(f"{word!r} is longer than {self.longest} bytes")
        return word

    def show(self, value: str) -> str:
        return quote(value) if self.quoted else value

    def say(self, value: str) -> str:
        return f'"{value}"'


class Interface(ValueType[str]):
    """An interface's name, at most 15 characters; a trailing ``+`` stands for any ending."""

    def read_word(self, word: str, family: int) -> str:  # noqa: ARG002
        if len(word.encode("utf-8", "surrogateescape")) > 15:
            raise Unreadable(
                f"the interface name {word!r} is longer than 15 characters",
                "the kernel allows no longer name",
            )
        return word

    def say(self, value: str) -> str:
        return f"an interface named {value[:-1]}…" if value.endswith("+") else value

    def values(self, value: str) -> Values | None:
        return Names((value,))


class Choice(ValueType[int]):
    """One of several words, kept as its number; ``names`` maps the printed word to the number."""

    def __init__(
        self, names: Mapping[str, int], *, also: Mapping[str, int] | None = None, fold: bool = False
    ) -> None:
        self.names = {v: k for k, v in reversed(list(names.items()))}
        self.fold = fold
        self.numbers = {self._key(k): v for k, v in {**names, **(also or {})}.items()}

    def _key(self, word: str) -> str:
        return word.lower() if self.fold else word

    def read_word(self, word: str, family: int) -> int:  # noqa: ARG002
        found = self.numbers.get(self._key(word))
        if found is None:
            raise Unreadable(f"{word!r} is none of {', '.join(self.names.values())}")
        return found

    def show(self, value: int) -> str:
        return self.names[value]

    def values(self, value: int) -> Values | None:
        return Intervals(((value, value),))


class BitNames(ValueType[int]):
    """A comma-separated list of words, each a bit; printed in the order of ``names``.

    ``abbreviated``: a word's beginning will do, and its case does not count (``est`` for ESTABLISHED; the
    first of ``names`` that begins so is meant, as strncasecmp in a row of ifs finds it).
    """

    def __init__(
        self,
        names: Mapping[str, int],
        *,
        also: Mapping[str, int] | None = None,
        fold: bool = False,
        abbreviated: bool = False,
    ) -> None:
        self.names = dict(names)
        self.fold = fold or abbreviated
        self.abbreviated = abbreviated
        self.bits = {self._key(k): v for k, v in {**names, **(also or {})}.items()}

    def _key(self, word: str) -> str:
        return word.upper() if self.fold else word

    def read_word(self, word: str, family: int) -> int:  # noqa: ARG002
        mask = 0
        for name in word.split(","):
            bit = self.bit(self._key(name))
            if bit is None:
                raise Unreadable(f"{name!r} is none of {', '.join(self.names)}")
            mask |= bit
        return mask

    def bit(self, key: str) -> int | None:
        """The bit of one word, or None where it is not known."""
        if self.abbreviated and key:
            return next((bit for name, bit in self.bits.items() if name.startswith(key)), None)
        return self.bits.get(key)

    def listed(self, value: int) -> list[str]:
        """The words of the bits that are set."""
        return [name for name, bit in self.names.items() if bit and value & bit == bit]

    def show(self, value: int) -> str:
        return ",".join(self.listed(value))

    def say(self, value: int) -> str:
        return either(self.listed(value))

    def values(self, value: int) -> Values | None:
        return AnyBit(value)


class ProtocolNumber(ValueType[int]):
    """A protocol by name or number; ``all`` and 0 mean every one."""

    def read_word(self, word: str, family: int) -> int:  # noqa: ARG002
        found = protocols.NUMBERS.get(word.lower())
        if found is not None:
            return found
        try:
            return number(word, 0, 255)
        except Unreadable:
            raise Unreadable(f"I do not know the protocol {word!r}", "write its number") from None

    def show(self, value: int) -> str:
        return protocols.protocol_name(value)

    def values(self, value: int) -> Values | None:
        return Intervals(((value, value),))


# -- addresses --------------------------------------------------------------------------------------------

_WIDTH = {4: 32, 6: 128}
_AF = {4: socket.AF_INET, 6: socket.AF_INET6}


def full_mask(family: int) -> int:
    """The mask of one address."""
    return (1 << _WIDTH[family]) - 1


def mask_of(length: int, family: int) -> int:
    """The mask of a prefix length."""
    return full_mask(family) ^ (full_mask(family) >> length)


@functools.lru_cache(maxsize=1024)
def mask_length(mask: int, family: int) -> int | None:
    """The prefix length of a mask, or None where its ones are not together."""
    length = mask.bit_count()
    return length if mask == mask_of(length, family) else None


def address_text(address: int, family: int) -> str:
    """An address in words, as inet_ntop prints it."""
    return socket.inet_ntop(_AF[family], address.to_bytes(_WIDTH[family] // 8, "big"))


def address_number(text: str, family: int) -> int:
    """The number of an address in words. Raises `Unreadable`."""
    try:
        if text.lower() in _LOCAL_NAMES[family]:
            text = _LOCAL_NAMES[family][text.lower()]
        if family == 4:
            return _dotted(text)
        return int.from_bytes(socket.inet_pton(socket.AF_INET6, text), "big")
    except (OSError, ValueError):
        raise _no_address(text, family) from None


_LOCAL_NAMES = {
    4: {"localhost": "127.0.0.1"},
    6: dict.fromkeys(("localhost", "ip6-localhost", "ip6-loopback"), "::1"),
}
"""The names that mean the same on every machine (RFC 6761, and Debian's /etc/hosts); no others are looked up."""


def _no_address(text: str, family: int) -> Unreadable:
    other = 6 if family == 4 else 4
    try:
        socket.inet_pton(_AF[other], text)
    except (OSError, ValueError):
        return Unreadable(
            f"{text!r} is not an IPv{family} address", "host names are not resolved: write the address"
        )
    return Unreadable(f"{text} is an IPv{other} address in an IPv{family} rule set", f"read it with -{other}")


def _dotted(text: str) -> int:
    """An IPv4 address; parts left out are zero, as in ``10/8``, and a leading 0 means octal (xtables_numeric_to_ipaddr).

    What is none of this, such as one number for all, the tool gives to getaddrinfo, and so to inet_aton.
    """
    parts = text.split(".")
    if not 1 <= len(parts) <= 4:
        raise ValueError(text)
    value = 0
    try:
        for part in parts:
            value = value << 8 | number(part, 0, 255)
    except Unreadable:
        if not text.isascii() or " " in text:
            raise
        return int.from_bytes(socket.inet_aton(text), "big")
    return value << 8 * (4 - len(parts))


class CommaList(Exception):  # noqa: N818 - no error: the rule stands for several
    """A word names several addresses, and so the rule stands for several rules."""


@functools.lru_cache(maxsize=65536)
def _prefix(word: str, family: int) -> Prefix:
    address, slash, mask = word.rpartition("/")
    if not slash:
        return Prefix(family, address_number(word, family), full_mask(family))
    bits = _mask(mask, family)
    # "any/0": where the mask is null the name is ignored (xtables_ipparse_multiple)
    return Prefix(family, address_number(address, family) & bits if bits else 0, bits)


def _mask(text: str, family: int) -> int:
    if text.isascii() and text.removeprefix("+").isdigit():
        length = number(text)
        if length > _WIDTH[family]:
            raise Unreadable(f"an IPv{family} prefix is at most {_WIDTH[family]} bits long, not {text}")
        return mask_of(length, family)
    try:
        return address_number(text, family)
    except Unreadable:
        raise Unreadable(f"{text!r} is not a mask", f"write a prefix length, 0 to {_WIDTH[family]}") from None


_LENGTHS4 = {"": full_mask(4)} | {str(length): mask_of(length, 4) for length in range(33)}
_ENDS4 = {mask_of(length, 4): f"/{length}" for length in range(33)}


class Network(ValueType[Prefix]):
    """``address[/mask]``; the mask is always printed, as a length where it can be."""

    def read_word(self, word: str, family: int) -> Prefix:
        if family == 4:  # the usual spelling, in a third of the time
            address, _, length = word.partition("/")
            try:
                mask = _LENGTHS4[length]
                return Prefix(
                    4, int.from_bytes(socket.inet_pton(socket.AF_INET, address), "big") & mask, mask
                )
            except (KeyError, OSError, ValueError):
                pass
        if "," in word:
            raise CommaList
        return _prefix(word.strip(), family)

    def show(self, value: Prefix) -> str:
        if value.family == 4 and (end := _ENDS4.get(value.mask)) is not None:
            return socket.inet_ntop(socket.AF_INET, value.address.to_bytes(4, "big")) + end
        return str(value)

    def say(self, value: Prefix) -> str:
        full = full_mask(value.family)
        return address_text(value.address, value.family) if value.mask == full else str(value)

    def values(self, value: Prefix) -> Values | None:
        return Masked(value.address, value.mask)


class HostMask(ValueType[Prefix]):
    """``address[/length]`` whose host bits stay as they are; a full mask is not printed (XTTYPE_HOSTMASK)."""

    def read_word(self, word: str, family: int) -> Prefix:
        address, slash, mask = word.partition("/")
        bits = _mask(mask, family) if slash else full_mask(family)
        if mask_length(bits, family) is None:
            raise Unreadable(f"{mask} is no prefix length", "the mask's ones must stand together")
        return Prefix(family, address_number(address, family), bits)

    def show(self, value: Prefix) -> str:
        return (
            address_text(value.address, value.family) if value.mask == full_mask(value.family) else str(value)
        )

    def values(self, value: Prefix) -> Values | None:
        return Masked(value.address & value.mask, value.mask)


# -- ports ------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1024)
def port_number(text: str, protocol: str | None = None) -> int:
    """A port by number or by service name (/etc/services). Raises `Unreadable`."""
    try:
        return number(text, 0, 65535)
    except Unreadable:
        if text[:1].isdigit() or text[:1] == "-" or not text.isascii() or "\0" in text:
            raise
    try:
        return socket.getservbyname(text, protocol) if protocol else socket.getservbyname(text)
    except OSError:
        raise Unreadable(f"I do not know the service {text!r}", "write the port's number") from None


def resolved_port(text: str) -> int:
    """A port as getaddrinfo reads it: decimal, of which 16 bits count, or a service of any protocol. Raises `Unreadable`."""
    decimal = text.strip().removeprefix("+")
    if decimal.isascii() and decimal.isdigit():
        return int(decimal) & 0xFFFF
    if decimal[:2].lower() == "0x":
        raise Unreadable(f"{text!r} is no port", "write it in decimal")
    return port_number(text)


@functools.lru_cache(maxsize=1024)
def service_name(port: int) -> str | None:
    """The well-known service of a port, for sentences; a short list, the same on every machine."""
    return _SERVICES.get(port)


_SERVICES = {
    20: "ftp-data", 21: "ftp", 22: "ssh", 23: "telnet", 25: "smtp", 53: "dns", 67: "dhcp server",
    68: "dhcp client", 69: "tftp", 80: "http", 88: "kerberos", 110: "pop3", 111: "rpcbind", 123: "ntp",
    137: "netbios", 138: "netbios", 139: "netbios", 143: "imap", 161: "snmp", 162: "snmp trap", 179: "bgp",
    389: "ldap", 443: "https", 445: "smb", 465: "smtps", 500: "ike", 514: "syslog", 546: "dhcpv6 client",
    547: "dhcpv6 server", 587: "mail submission", 631: "ipp", 636: "ldaps", 853: "dns over tls", 873: "rsync",
    993: "imaps", 995: "pop3s", 1194: "openvpn", 1701: "l2tp", 1723: "pptp", 1812: "radius", 1900: "ssdp",
    2049: "nfs", 2375: "docker", 2376: "docker", 2379: "etcd", 3128: "squid", 3306: "mysql", 3389: "rdp",
    4500: "ipsec nat-t", 4789: "vxlan", 5060: "sip", 5353: "mdns", 5432: "postgresql", 5900: "vnc",
    6379: "redis", 6443: "kubernetes api", 8443: "https", 9100: "node exporter", 10250: "kubelet",
    27017: "mongodb", 51820: "wireguard",
}  # fmt: skip


def _port_help(text: str) -> str | None:
    """What to write instead of several ports in one word."""
    if "," in text:
        return f"several ports need -m multiport --dports {text}"
    low, dash, high = text.partition("-")
    return f"write a range as {low}:{high}" if dash and low.isdigit() and high.isdigit() else None


class Ports(NumberRange):
    """A port or a range of ports, by number or service name of ``protocol``; without one, as getaddrinfo reads them."""

    def __init__(self, protocol: str | None = None, *, separator: str = ":", ordered: bool = False) -> None:
        super().__init__(0, 65535, separator=separator, ordered=ordered)
        self.protocol = protocol

    def read_word(self, word: str, family: int) -> Range:
        if len(word) < 5 and word.isdecimal() and word.isascii() and word[0] != "0":  # the usual spelling
            port = int(word)
            return Range(port, port)
        return super().read_word(word, family)

    def end(self, text: str) -> int:
        try:
            return port_number(text, self.protocol) if self.protocol else resolved_port(text)
        except Unreadable as error:
            raise Unreadable(error.message, _port_help(text) or error.help) from None

    def say(self, value: Range) -> str:
        if value.low != value.high:
            return f"ports {value.low} to {value.high}"
        name = service_name(value.low)
        return f"port {value.low} ({name})" if name else f"port {value.low}"


FLAG = Flag()
AnyType = ValueType[Any]
