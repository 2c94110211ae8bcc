"""The options every rule may have: addresses, interfaces, protocol, fragments (iptables(8), PARAMETERS)."""

from typing import Annotated, ClassVar

from ruleflow.ruleset.condition import Condition
from ruleflow.ruleset.extension import Match, Maybe, option
from ruleflow.ruleset.fields import DESTINATION, FRAGMENT, IN_INTERFACE, OUT_INTERFACE, PROTOCOL, SOURCE
from ruleflow.ruleset.condition import In, Intervals
from ruleflow.ruleset.values import FLAG, Interface, Network, Not, Prefix, ProtocolNumber, Unreadable

_NETWORK, _INTERFACE = Network(), Interface()


class Header(Match, frozen=True, gc=False):
    """A match with the empty name: ``-s -d -i -o -p -f``, in the order iptables-save prints them."""

    name: ClassVar[str] = ""

    source: Annotated[
        Maybe[Prefix],
        option("-s", "--source", "--src", type=_NETWORK, field=SOURCE, says="from {}", says_not="from anywhere but {}"),
    ] = None
    destination: Annotated[
        Maybe[Prefix],
        option(
            "-d", "--destination", "--dst", type=_NETWORK, field=DESTINATION, says="to {}", says_not="to anywhere but {}"
        ),
    ] = None
    in_interface: Annotated[
        Maybe[str],
        option(
            "-i", "--in-interface", type=_INTERFACE, field=IN_INTERFACE,
            says="arriving on {}", says_not="arriving on any interface but {}",
        ),
    ] = None  # fmt: skip
    out_interface: Annotated[
        Maybe[str],
        option(
            "-o", "--out-interface", type=_INTERFACE, field=OUT_INTERFACE,
            says="leaving by {}", says_not="leaving by any interface but {}",
        ),
    ] = None  # fmt: skip
    protocol_number: Annotated[
        Maybe[int],
        option("-p", "--protocol", "--proto", type=ProtocolNumber(), field=PROTOCOL, says="{}", says_not="anything but {}"),
    ] = None
    fragment: Annotated[
        Maybe[bool],
        option("-f", "--fragments", "--fragment", type=FLAG, says="a fragment other than the first", says_not="no later fragment"),
    ] = None

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:
        """Drop what matches everything and so is not printed; refuse ``! -p all`` and ``-f`` in IPv6."""
        for attr in ("source", "destination"):
            prefix = values.get(attr)
            if isinstance(prefix, Prefix) and prefix.mask == 0:
                del values[attr]
        if values.get("protocol_number") == 0:
            del values["protocol_number"]
        if values.get("protocol_number") == Not(0):
            raise Unreadable("! -p all matches no packet")
        for attr in ("in_interface", "out_interface"):
            if values.get(attr) in ("+", ""):
                del values[attr]
        if family == 6 and "fragment" in values:
            raise Unreadable("-f is not for IPv6", "write -m frag")

    def conditions(self) -> tuple[Condition, ...]:
        """As the rows say, but ``-f`` is a fragment offset above 0 (ip_tables.c, ip_packet_match)."""
        conditions = [row.condition(value) for row, value in self.given() if row.attr != "fragment"]
        if self.fragment is not None:
            later = Intervals(((1, 8191),))
            row = self.row("fragment")
            conditions.append(In(FRAGMENT, later, isinstance(self.fragment, Not), row.say(self.fragment)))
        return tuple(conditions)
