"""Matches on the header of a transport protocol: tcp, udp and their kin."""

from typing import Annotated

from ruleflow.ruleset.extension import Match, Maybe, option
from ruleflow.ruleset.fields import DESTINATION_PORT, SOURCE_PORT
from ruleflow.ruleset.values import Ports, Range


class Udp(Match, frozen=True, gc=False):
    """Ports of a UDP packet (extensions/libxt_udp.c)."""

    name = "udp"
    protocol = ("udp",)

    source_port: Annotated[
        Maybe[Range],
        option("--sport", "--source-port", type=Ports("udp"), field=SOURCE_PORT, says="from {}", says_not="not from {}"),
    ] = None
    destination_port: Annotated[
        Maybe[Range],
        option("--dport", "--destination-port", type=Ports("udp"), field=DESTINATION_PORT, says="to {}", says_not="not to {}"),
    ] = None
