"""Matches on the link a packet came over: mac, pkttype, physdev (bridge ports) and devgroup."""

from typing import Annotated

from ruleflow.ruleset.condition import AllOf, AnyOf, Condition, In, Intervals, Masked, Names, Values
from ruleflow.ruleset.extension import Match, Maybe, option
from ruleflow.ruleset.fields import MAC, NFMARK_IN_GROUP, OUT_GROUP, PHYSDEV_IN, PHYSDEV_OUT, PKTTYPE
from ruleflow.ruleset.values import Choice, HexMasked, Interface, MaskedValue, Not, Unreadable, ValueType

# -- mac and pkttype --------------------------------------------------------------------------------------


class MacAddress(ValueType[int]):
    """Six hexadecimal numbers of at most two digits, parted by colons (xtopt_parse_ethermac)."""

    def read_word(self, word: str, family: int) -> int:  # noqa: ARG002
        parts = word.split(":")
        digits = "0123456789abcdefABCDEF"
        if len(parts) != 6 or not all(0 < len(part) < 3 and all(c in digits for c in part) for part in parts):
            raise Unreadable(f"{word!r} is not a mac address", "write it like 02:42:ac:11:00:02")
        return int.from_bytes(bytes(int(part, 16) for part in parts), "big")

    def show(self, value: int) -> str:
        return value.to_bytes(6, "big").hex(":")

    def values(self, value: int) -> Values | None:
        return Intervals(((value, value),))


class Mac(Match, frozen=True, gc=False):
    """Who sent the frame, where it came over Ethernet; else it fails, ``!`` or not (mac_mt, net/netfilter/xt_mac.c)."""

    name = "mac"
    hooks = ("PREROUTING", "INPUT", "FORWARD")

    source: Annotated[
        Maybe[int],
        option(
            "--mac-source", type=MacAddress(), field=MAC, mandatory=True,
            says="from mac address {}", says_not="from any mac address but {}",
        ),
    ] = None  # fmt: skip


_PKTTYPES = {"unicast": 0, "broadcast": 1, "multicast": 2, "otherhost": 3}
_SAID_PKTTYPES = (
    "to this host's mac address",
    "broadcast on the link",
    "multicast on the link",
    "meant for another host on the link",
)


class PacketType(Choice):
    """Whom the frame was meant for."""

    def say(self, value: int) -> str:
        return _SAID_PKTTYPES[value]


class Pkttype(Match, frozen=True, gc=False):
    """Whom the frame was meant for (pkttype_mt, net/netfilter/xt_pkttype.c).

    A packet over lo counts as multicast where its destination is (IPv6: always), else as broadcast.
    """

    name = "pkttype"

    type: Annotated[
        Maybe[int],
        option(
            "--pkt-type", type=PacketType(_PKTTYPES, also={"bcast": 1, "mcast": 2, "host": 0}, fold=True),
            field=PKTTYPE, mandatory=True, says="{}", says_not="not {}",
        ),
    ] = None  # fmt: skip


# -- physdev ----------------------------------------------------------------------------------------------

_ANY_NAME = Names(("+",))
_HAS_IN = In(PHYSDEV_IN, _ANY_NAME, text="that came in through a bridge port")
_HAS_OUT = In(PHYSDEV_OUT, _ANY_NAME, text="that goes out through a bridge port")
_NOT_BRIDGED = AnyOf((_HAS_IN, _HAS_OUT), negated=True, text="not over a bridge")


class BridgePort(Interface):
    """A bridge port's name; a trailing ``+`` stands for any ending."""

    def say(self, value: str) -> str:
        return f"a bridge port named {value[:-1]}…" if value.endswith("+") else f"bridge port {value}"


class Physdev(Match, frozen=True, gc=False):
    """The bridge ports of a bridged packet (physdev_mt, net/netfilter/xt_physdev.c).

    A packet that is not bridged has no ports: then every option must be negated. Whether it goes out by a port
    is known in FORWARD and POSTROUTING only, and only where it is bridged, not routed.
    """

    name = "physdev"

    is_in: Annotated[
        Maybe[bool],
        option(
            "--physdev-is-in",
            says="that came in through a bridge port",
            says_not="that came in through no bridge port",
        ),
    ] = None
    port_in: Annotated[
        Maybe[str],
        option(
            "--physdev-in", type=BridgePort(), field=PHYSDEV_IN,
            says="arriving through {}", says_not="not arriving through {}",
        ),
    ] = None  # fmt: skip
    is_out: Annotated[
        Maybe[bool],
        option(
            "--physdev-is-out",
            says="that goes out through a bridge port",
            says_not="that goes out through no bridge port",
        ),
    ] = None
    port_out: Annotated[
        Maybe[str],
        option(
            "--physdev-out", type=BridgePort(), field=PHYSDEV_OUT,
            says="leaving through {}", says_not="not leaving through {}",
        ),
    ] = None  # fmt: skip
    bridged: Annotated[
        Maybe[bool],
        option("--physdev-is-bridged", says="that is bridged, not routed", says_not="that is not bridged"),
    ] = None

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:  # noqa: ARG003
        """An option is needed."""
        if not values:
            raise Unreadable("physdev needs an option", "write --physdev-is-bridged, say")

    def conditions(self) -> tuple[Condition, ...]:
        """Each option on the port it is about; a missing port meets what is negated."""
        ports = {"is_in": _HAS_IN, "is_out": _HAS_OUT, "bridged": _HAS_OUT}
        conditions: list[Condition] = []
        for row, value in self.given():
            text, negated = row.say(value), isinstance(value, Not)
            if row.attr in ports:
                conditions.append(AllOf((ports[row.attr],), negated, text))
            elif negated:
                conditions.append(AnyOf((_NOT_BRIDGED, row.condition(value)), text=text))
            else:
                conditions.append(row.condition(value))
        return tuple(conditions)


# -- devgroup ---------------------------------------------------------------------------------------------


class DeviceGroup(HexMasked):
    """``group[/mask]``; group 0 is called default (/etc/iproute2/group as it is shipped)."""

    def read_word(self, word: str, family: int) -> MaskedValue:
        return super().read_word("0" if word == "default" else word, family)

    def show(self, value: MaskedValue) -> str:
        return "default" if value == MaskedValue(0, self.full) else super().show(value)

    def say(self, value: MaskedValue) -> str:
        return "default" if value == MaskedValue(0, self.full) else super().say(value)

    def values(self, value: MaskedValue) -> Values | None:
        return Masked(value.value & value.mask, value.mask)  # ((group ^ value) & mask) == 0


class Devgroup(Match, frozen=True, gc=False):
    """The groups of the interfaces (devgroup_mt, net/netfilter/xt_devgroup.c)."""

    name = "devgroup"

    source_group: Annotated[
        Maybe[MaskedValue],
        option(
            "--src-group", type=DeviceGroup(), field=NFMARK_IN_GROUP,
            says="arriving on an interface of group {}", says_not="arriving on an interface not of group {}",
        ),
    ] = None  # fmt: skip
    destination_group: Annotated[
        Maybe[MaskedValue],
        option(
            "--dst-group", type=DeviceGroup(), field=OUT_GROUP,
            says="leaving by an interface of group {}", says_not="leaving by an interface not of group {}",
        ),
    ] = None  # fmt: skip

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:  # noqa: ARG003
        """A group is needed."""
        if not values:
            raise Unreadable("devgroup needs --src-group or --dst-group")
