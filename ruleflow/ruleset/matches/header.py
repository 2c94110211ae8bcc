"""The options every rule may have: addresses, interfaces, protocol, fragments (iptables(8), PARAMETERS)."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from ruleflow.ruleset.addresses import Network, Prefix
from ruleflow.ruleset.condition import Condition, In, Intervals
from ruleflow.ruleset.extension import Match, Maybe, option
from ruleflow.ruleset.fields import DESTINATION, FRAGMENT, IN_INTERFACE, OUT_INTERFACE, PROTOCOL, SOURCE
from ruleflow.ruleset.values import Flag, Interface, Not, ProtocolNumber, Unreadable

_NETWORK, _INTERFACE = Network(), Interface()


def everywhere(prefix: Prefix) -> bool:
    """``-s 0/0`` is every address, and is not kept."""
    return prefix.mask == 0


def any_interface(name: str) -> bool:
    """``-i +`` is every interface."""
    return name in ("+", "")


def any_protocol(number: int) -> bool:
    """``-p all``."""
    return number == 0


class Later(Flag):
    """``-f``, for which IPv6 has a match of its own."""

    def read(self, words: Sequence[str], family: int) -> bool:
        if family == 6:
            raise Unreadable("-f is not for IPv6", "write -m frag")
        return super().read(words, family)


class Header(Match, frozen=True, gc=False):
    """A match with the empty name: ``-s -d -i -o -p -f``, in the order iptables-save prints them."""

    name: ClassVar[str] = ""

    source: Annotated[
        Maybe[Prefix],
        option(
            "-s", "--source", "--src", type=_NETWORK, field=SOURCE, says="from {}", says_not="from anywhere but {}",
            vacuous=everywhere,
        ),
    ] = None  # fmt: skip
    destination: Annotated[
        Maybe[Prefix],
        option(
            "-d", "--destination", "--dst", type=_NETWORK, field=DESTINATION, says="to {}", says_not="to anywhere but {}",
            vacuous=everywhere,
        ),
    ] = None  # fmt: skip
    in_interface: Annotated[
        Maybe[str],
        option(
            "-i", "--in-interface", type=_INTERFACE, field=IN_INTERFACE,
            says="arriving on {}", says_not="arriving on any interface but {}", vacuous=any_interface,
        ),
    ] = None  # fmt: skip
    out_interface: Annotated[
        Maybe[str],
        option(
            "-o", "--out-interface", type=_INTERFACE, field=OUT_INTERFACE,
            says="leaving by {}", says_not="leaving by any interface but {}", vacuous=any_interface,
        ),
    ] = None  # fmt: skip
    protocol_number: Annotated[
        Maybe[int],
        option(
            "-p", "--protocol", type=ProtocolNumber(), field=PROTOCOL, says="{}", says_not="anything but {}",
            vacuous=any_protocol, never="! -p all matches no packet",
        ),
    ] = None  # fmt: skip
    fragment: Annotated[
        Maybe[bool],
        option(
            "-f",
            "--fragments",
            "--fragment",
            type=Later(),
            says="a fragment other than the first",
            says_not="no later fragment",
        ),
    ] = None

    def conditions(self) -> tuple[Condition, ...]:
        """As the rows say, but ``-f`` is a fragment offset above 0 (ip_tables.c, ip_packet_match)."""
        conditions = [row.condition(value) for row, value in self.given() if row.attr != "fragment"]
        if self.fragment is not None:
            later = Intervals(((1, 8191),))
            row = self.row("fragment")
            conditions.append(In(FRAGMENT, later, isinstance(self.fragment, Not), row.say(self.fragment)))
        return tuple(conditions)
