"""Matches on the connection a packet is part of: conntrack and its old spelling state, helper and connlabel."""

from typing import Annotated

from ruleflow.ruleset.addresses import (
    Network,
    Prefix,
    address_number,
    address_text,
    full_mask,
    mask_length,
    mask_of,
)
from ruleflow.ruleset.condition import (
    AllOf,
    AnyBit,
    AnyOf,
    Condition,
    In,
    Masked,
    Names,
    Undecided,
    Values,
)
from ruleflow.ruleset.extension import Match, Maybe, Option, option
from ruleflow.ruleset.fields import (
    CT_DIRECTION,
    CT_EXPIRE,
    CT_ORIG_DESTINATION,
    CT_ORIG_DESTINATION_PORT,
    CT_ORIG_SOURCE,
    CT_ORIG_SOURCE_PORT,
    CT_PROTOCOL,
    CT_REPLY_DESTINATION,
    CT_REPLY_DESTINATION_PORT,
    CT_REPLY_SOURCE,
    CT_REPLY_SOURCE_PORT,
    CT_STATUS,
    HELPER,
    STATE,
    STATES,
    STATUSES,
)
from ruleflow.ruleset.ports import Ports
from ruleflow.ruleset.protocols import protocol_name
from ruleflow.ruleset.values import (
    BitNames,
    Choice,
    Not,
    NumberRange,
    ProtocolNumber,
    Range,
    Text,
    Unreadable,
    ValueType,
    either,
    number,
)
from ruleflow.ruleset.words import quote

TRACKED = In(
    STATE, AnyBit(STATES["NEW"] | STATES["ESTABLISHED"] | STATES["RELATED"]), text="in a tracked connection"
)
"""The packet is part of a connection: nf_ct_get gives one, which it does not for invalid and untracked packets."""
_NO_CONNECTION = STATES["INVALID"] | STATES["UNTRACKED"]
NOT_TRACKED = In(STATE, AnyBit(_NO_CONNECTION), text="in no tracked connection")

_STATES = {name: STATES[name] for name in ("INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED")}
_CT_STATES = {**_STATES, "SNAT": 32, "DNAT": 64}

# -- states -----------------------------------------------------------------------------------------------

_SAID_STATES = {
    ("NEW",): "in a new connection",
    ("ESTABLISHED",): "of a known connection",
    ("RELATED",): "related to a known connection",
    ("RELATED", "ESTABLISHED"): "of a known connection or related to one",
    ("NEW", "ESTABLISHED"): "of a new or known connection",
    ("NEW", "RELATED"): "in a new connection or related to a known one",
    ("NEW", "RELATED", "ESTABLISHED"): "of a new or known connection or related to one",
    ("INVALID",): "that fits no connection (invalid)",
    ("UNTRACKED",): "that is not tracked",
    ("SNAT",): "whose connection has its source rewritten",
    ("DNAT",): "whose connection has its destination rewritten",
    ("SNAT", "DNAT"): "whose connection is rewritten",
}


class States(BitNames):
    """A list of connection states, abbreviated at will (state_parse_states, extensions/libxt_conntrack.c)."""

    def say(self, value: int) -> str:
        names = self.listed(value)
        tracked = tuple(name for name in names if name in ("NEW", "RELATED", "ESTABLISHED"))
        rewritten = tuple(name for name in names if name in ("SNAT", "DNAT"))
        groups = [tracked, *((name,) for name in names if name in ("INVALID", "UNTRACKED")), rewritten]
        return either([_SAID_STATES[group] for group in groups if group])


class State(Match, frozen=True, gc=False):
    """The state of the packet's connection: an old spelling of conntrack, still printed as it was written."""

    name = "state"

    state: Annotated[
        Maybe[int],
        option(
            "--state", type=States(_STATES, abbreviated=True), field=STATE, mandatory=True,
            says="{}", says_not="but no packet {}",
        ),
    ] = None  # fmt: skip


# -- conntrack --------------------------------------------------------------------------------------------


class HostMask(Network):
    """``address[/length]``, printed as written: host bits stay, a full mask is left out (XTTYPE_HOSTMASK)."""

    def read_word(self, word: str, family: int) -> Prefix:
        address, slash, mask = word.partition("/")
        if family == 4 and address.count(".") != 3:
            raise Unreadable(f"{address!r} is not an IPv4 address", "write all four numbers")
        return Prefix(
            family, address_number(address, family), _mask(mask, family) if slash else full_mask(family)
        )

    def show(self, value: Prefix) -> str:
        text = address_text(value.address, value.family)
        return text if value.mask == full_mask(value.family) else f"{text}/{value.length}"

    def say(self, value: Prefix) -> str:
        return super().say(Prefix(value.family, value.address & value.mask, value.mask))

    def values(self, value: Prefix) -> Values | None:
        return Masked(value.address & value.mask, value.mask)


def _mask(text: str, family: int) -> int:
    if text.isascii() and text.isdigit():
        return mask_of(number(text, 0, full_mask(family).bit_length()), family)
    mask = address_number(text, family)
    if mask_length(mask, family) is None:
        raise Unreadable(f"{text} is no prefix", "write a prefix length")
    return mask


class NumberedProtocol(ProtocolNumber):
    """A protocol, printed as its number."""

    def show(self, value: int) -> str:
        return str(value)

    def say(self, value: int) -> str:
        return protocol_name(value)


class CtPorts(Ports):
    """A port or a range; where it ends in 0 only its beginning is printed (conntrack_dump_ports)."""

    def read_word(self, word: str, family: int) -> Range:
        read = super().read_word(word, family)
        return read if read.high else Range(read.low, read.low)


_SAID_STATUSES = {
    "EXPECTED": "was expected", "SEEN_REPLY": "has been answered", "ASSURED": "is assured",
    "CONFIRMED": "is confirmed",
}  # fmt: skip
_STATUSES = {name: STATUSES[name] for name in _SAID_STATUSES}


class Statuses(BitNames):
    """A list of connection statuses; NONE adds nothing, and alone it is never met."""

    def show(self, value: int) -> str:
        return super().show(value) or "NONE"

    def say(self, value: int) -> str:
        return either([_SAID_STATUSES[name] for name in self.listed(value)]) or "has no status (never so)"


class Seconds(NumberRange):
    """How long a connection is kept if nothing more comes."""

    def say(self, value: Range) -> str:
        return f"{value.low} seconds or more" if value.high == self.high else f"{super().say(value)} seconds"


class Conntrack(Match, frozen=True, gc=False):
    """The connection a packet is part of (conntrack_mt, net/netfilter/xt_conntrack.c).

    A packet without a connection (invalid or untracked) is asked for its state only: with ``--ctstate`` the
    other options are passed over, without it the match fails. SNAT and DNAT among the states are status bits.
    """

    name = "conntrack"

    state: Annotated[
        Maybe[int],
        option(
            "--ctstate", type=States(_CT_STATES, abbreviated=True), says="{}", says_not="but no packet {}"
        ),
    ] = None
    ct_protocol: Annotated[
        Maybe[int],
        option(
            "--ctproto", type=NumberedProtocol(), field=CT_PROTOCOL,
            says="in a {} connection", says_not="in a connection other than {}",
        ),
    ] = None  # fmt: skip
    orig_source: Annotated[
        Maybe[Prefix],
        option(
            "--ctorigsrc", type=HostMask(), field=CT_ORIG_SOURCE,
            says="originally from {}", says_not="originally from anywhere but {}",
        ),
    ] = None  # fmt: skip
    orig_destination: Annotated[
        Maybe[Prefix],
        option(
            "--ctorigdst", type=HostMask(), field=CT_ORIG_DESTINATION,
            says="originally to {}", says_not="originally to anywhere but {}",
        ),
    ] = None  # fmt: skip
    reply_source: Annotated[
        Maybe[Prefix],
        option(
            "--ctreplsrc", type=HostMask(), field=CT_REPLY_SOURCE,
            says="answered from {}", says_not="answered from anywhere but {}",
        ),
    ] = None  # fmt: skip
    reply_destination: Annotated[
        Maybe[Prefix],
        option(
            "--ctrepldst", type=HostMask(), field=CT_REPLY_DESTINATION,
            says="answered to {}", says_not="answered to anywhere but {}",
        ),
    ] = None  # fmt: skip
    orig_source_port: Annotated[
        Maybe[Range],
        option(
            "--ctorigsrcport", type=CtPorts(), field=CT_ORIG_SOURCE_PORT,
            says="originally from {}", says_not="originally not from {}",
        ),
    ] = None  # fmt: skip
    orig_destination_port: Annotated[
        Maybe[Range],
        option(
            "--ctorigdstport", type=CtPorts(), field=CT_ORIG_DESTINATION_PORT,
            says="originally to {}", says_not="originally not to {}",
        ),
    ] = None  # fmt: skip
    reply_source_port: Annotated[
        Maybe[Range],
        option(
            "--ctreplsrcport", type=CtPorts(), field=CT_REPLY_SOURCE_PORT,
            says="answered from {}", says_not="not answered from {}",
        ),
    ] = None  # fmt: skip
    reply_destination_port: Annotated[
        Maybe[Range],
        option(
            "--ctrepldstport", type=CtPorts(), field=CT_REPLY_DESTINATION_PORT,
            says="answered to {}", says_not="not answered to {}",
        ),
    ] = None  # fmt: skip
    status: Annotated[
        Maybe[int],
        option(
            "--ctstatus", type=Statuses(_STATUSES, also={"NONE": 0}, abbreviated=True), field=CT_STATUS,
            says="whose connection {}", says_not="but no packet whose connection {}",
        ),
    ] = None  # fmt: skip
    expire: Annotated[
        Maybe[Range],
        option(
            "--ctexpire", type=Seconds(ordered=False), field=CT_EXPIRE,
            says="whose connection expires in {}", says_not="whose connection does not expire in {}",
        ),
    ] = None  # fmt: skip
    direction: Annotated[
        int | None,
        option(
            "--ctdir", type=Choice({"ORIGINAL": 0, "REPLY": 1}, fold=True), field=CT_DIRECTION, negatable=False
        ),
    ] = None  # fmt: skip

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:  # noqa: ARG003
        """At least one option is needed."""
        if not values:
            raise Unreadable("conntrack needs at least one option", "write --ctstate NEW, say")

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        """As the rows say; the direction is said by who sends."""
        way = {0: "from the side that opened the connection", 1: "from the side that answers"}
        return tuple(
            (row, way[self.direction or 0] if row.attr == "direction" else row.say(value))
            for row, value in self.given()
        )

    def conditions(self) -> tuple[Condition, ...]:
        """The state first; the rest where there is a connection."""
        others = tuple(row.condition(value) for row, value in self.given() if row.attr != "state")
        if self.state is None:
            return (*others, TRACKED)
        negated = isinstance(self.state, Not)
        mask = self.state.value if isinstance(self.state, Not) else self.state
        state = _state_condition(mask, negated, self.row("state").say(self.state))
        if not others or not (~mask if negated else mask) & _NO_CONNECTION:
            return (state, *others)
        return (state, AnyOf((NOT_TRACKED, AllOf(others)), text="; ".join(_text(part) for part in others)))


def _state_condition(mask: int, negated: bool, text: str) -> Condition:
    rewritten = (STATUSES["SNAT"] if mask & 32 else 0) | (STATUSES["DNAT"] if mask & 64 else 0)
    if not rewritten:
        return In(STATE, AnyBit(mask), negated, text)
    parts = (In(STATE, AnyBit(mask & 31)), In(CT_STATUS, AnyBit(rewritten)))
    return AnyOf(parts if mask & 31 else parts[1:], negated, text)


def _text(condition: Condition) -> str:
    return condition.text


# -- helper and connlabel ---------------------------------------------------------------------------------


class HelperName(Text):
    """A helper's name, cut at 29 bytes as struct xt_helper_info does; empty stands for any helper."""

    def read_word(self, word: str, family: int) -> str:  # noqa: ARG002
        return word.encode("utf-8", "surrogateescape")[:29].decode("utf-8", "surrogateescape")

    def say(self, value: str) -> str:
        return f"the helper {value}" if value else "some helper"


class Helper(Match, frozen=True, gc=False):
    """Which helper expected the packet's connection (helper_mt, net/netfilter/xt_helper.c).

    Only the beginning of the name has to agree: ``ftp-2121`` is met by the helper ``ftp``. Without a
    connection, or one that no helper expected, the match is what its ``!`` says.
    """

    name = "helper"

    helper: Annotated[
        Maybe[str],
        option(
            "--helper", type=HelperName(), mandatory=True,
            says="in a connection expected by {}", says_not="not in a connection expected by {}",
        ),
    ] = None  # fmt: skip

    def conditions(self) -> tuple[Condition, ...]:
        """The helper's name is a beginning of the one given."""
        negated = isinstance(self.helper, Not)
        name = (self.helper.value if isinstance(self.helper, Not) else self.helper) or ""
        names = Names(tuple(name[:end] for end in range(1, len(name) + 1)) if name else ("+",))
        text = self.row("helper").say(self.helper)
        return (AllOf((In(HELPER, names, text=text),), negated, text),)


class Label(ValueType[str]):
    """A label's number, 0 to 127, or its name in connlabel.conf of the machine the rules are from."""

    def read_word(self, word: str, family: int) -> str:  # noqa: ARG002
        if not word:
            raise Unreadable("a connection label has a name or a number")
        try:
            return str(number(word, 0, 127))
        except Unreadable:
            if word[0].isdigit() or word[0] == "-":
                raise
            return word

    def show(self, value: str) -> str:
        quoted = quote(value)
        return quoted if quoted.startswith('"') else f'"{quoted}"'


class Connlabel(Match, frozen=True, gc=False):
    """A label of the connection, which may be set on the way (connlabel_mt, net/netfilter/xt_connlabel.c).

    Labels are kept between packets and shown nowhere, so whether one is set is not decided. ``--set`` sets
    it, and then the match holds.
    """

    name = "connlabel"

    label: Annotated[
        Maybe[str],
        option(
            "--label",
            type=Label(),
            mandatory=True,
            says="with the connection label {}",
            says_not="without the connection label {}",
        ),
    ] = None
    set_it: Annotated[bool | None, option("--set", negatable=False, says="setting it")] = None

    def conditions(self) -> tuple[Condition, ...]:
        return (Undecided(self.row("label").say(self.label), memory=True),)
