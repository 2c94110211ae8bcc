"""Addresses, masks and prefixes of both families: read, printed, and as sets.

Names are not resolved, but for those that mean the same on every machine. The types follow libxtables/xtoptions.c and
xtables.c of iptables 1.8.9.
"""

import functools
import socket

import msgspec

from ruleflow.ruleset.condition import Masked, Values
from ruleflow.ruleset.values import Unreadable, ValueType, number


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
