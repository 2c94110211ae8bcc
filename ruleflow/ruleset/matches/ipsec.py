"""Matches on IPsec's headers: ah, esp and ipcomp."""

from typing import Annotated

from ruleflow.ruleset.condition import AnyBit, Condition, In, Undecided
from ruleflow.ruleset.extension import Match, Maybe, Option, option
from ruleflow.ruleset.fields import ICMPV6_HEADERS, SPI
from ruleflow.ruleset.matches.ports import Transport
from ruleflow.ruleset.values import Not, Number, NumberRange, Range

_ALL = Range(0, 0xFFFFFFFF)
_SPIS = NumberRange(ordered=False)
_AUTH_HEADER = In(ICMPV6_HEADERS, AnyBit(8), text="with an authentication header")
"""Bit MASK_AH of <linux/netfilter_ipv6/ip6t_ipv6header.h>."""


class Ah(Transport, frozen=True, gc=False):
    """The security association of an IPv4 packet with an authentication header (ah_mt, net/ipv4/netfilter/ipt_ah.c)."""

    name = "ah"
    protocol = ("ah",)
    families = (4,)
    number = 51

    spi: Annotated[
        Maybe[Range],
        option("--ahspi", type=_SPIS, field=SPI, hidden=_ALL, says="with spi {}", says_not="without spi {}"),
    ] = None


class Ah6(Match, frozen=True, gc=False):
    """The authentication header of an IPv6 packet, wherever it stands (ah_mt6, net/ipv6/netfilter/ip6t_ah.c).

    ``--ahlen 0`` asks nothing, negated or not. The header's length and its reserved field are no facts here.
    """

    name = "ah"
    protocol = ("ah",)
    families = (6,)

    spi: Annotated[
        Maybe[Range],
        option("--ahspi", type=_SPIS, field=SPI, hidden=_ALL, says="with spi {}", says_not="without spi {}"),
    ] = None
    length: Annotated[
        Maybe[int],
        option(
            "--ahlen", type=Number(), hidden=0,
            says="with an authentication header of length {}", says_not="with an authentication header not of length {}",
        ),
    ] = None  # fmt: skip
    reserved: Annotated[
        bool | None,
        option("--ahres", negatable=False, says="with the reserved field of the authentication header 0"),
    ] = None

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        """As the rows say; without any it asks for the header."""
        return super().phrases() or ((None, "with an authentication header"),)

    def conditions(self) -> tuple[Condition, ...]:
        """The header is there, and its fields are as the options say."""
        asked = [
            row.condition(value) if row.attr == "spi" else Undecided(row.say(value))
            for row, value in self.given()
            if value != Not(0)
        ]
        return (*asked, _AUTH_HEADER)


class Esp(Transport, frozen=True, gc=False):
    """The security association of an encrypted packet (esp_mt, net/netfilter/xt_esp.c)."""

    name = "esp"
    protocol = ("esp",)
    number = 50

    spi: Annotated[
        Maybe[Range],
        option("--espspi", type=_SPIS, field=SPI, hidden=_ALL, says="with spi {}", says_not="without spi {}"),
    ] = None


class Ipcomp(Transport, frozen=True, gc=False):
    """The compression parameter index of a compressed packet (comp_mt, net/netfilter/xt_ipcomp.c).

    Without ``--ipcompspi`` it asks for index 0, and so a range of all indices is printed (iptables-save leaves
    it out and so changes the rule). ``--compres`` is kept and never asked. An index has 16 bits: the fact
    ``spi`` of such a packet is one of 0 to 65535.
    """

    name = "ipcomp"
    protocol = ("ipcomp",)
    number = 108

    spi: Annotated[
        Maybe[Range],
        option(
            "--ipcompspi",
            type=_SPIS,
            field=SPI,
            says="with compression index {}",
            says_not="without compression index {}",
        ),
    ] = None
    reserved: Annotated[
        bool | None, option("--compres", negatable=False, says="with the reserved field 0")
    ] = None

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:  # noqa: ARG003
        """Index 0 is meant where none is given."""
        values.setdefault("spi", Range(0, 0))

    def conditions(self) -> tuple[Condition, ...]:
        return tuple(c for c in super().conditions() if not isinstance(c, Undecided))
