"""Targets about connection tracking and local sockets: CT, NOTRACK, SYNPROXY, TPROXY."""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from ruleflow.ruleset.addresses import address_text
from ruleflow.ruleset.effect import ACCEPT, CONTINUE, DROP, Change, Effects, Fork, Note, SetBits, Untrack
from ruleflow.ruleset.extension import Match, Maybe, Option, Target, option
from ruleflow.ruleset.fields import MARK
from ruleflow.ruleset.ports import resolved_port, service_name
from ruleflow.ruleset.targets.nat import read_address
from ruleflow.ruleset.values import BitNames, MaskedValue, Number, ValueType, number

_TCP, _UDP = 6, 17
_EVENTS = (
    "new",
    "related",
    "destroy",
    "reply",
    "assured",
    "protoinfo",
    "helper",
    "mark",
    "natseqinfo",
    "secmark",
)


class Zone(msgspec.Struct, frozen=True):
    """A conntrack zone: ``number`` (None: the packet's mark) for the original, the reply, or both directions."""

    number: int | None
    original: bool = False
    reply: bool = False

    def __str__(self) -> str:
        suffix = "" if self.original == self.reply else "-orig" if self.original else "-reply"
        return f"--zone{suffix} {'mark' if self.number is None else self.number}"


class ZoneOf(ValueType[Zone]):
    """``ID`` or ``mark``."""

    def __init__(self, *, original: bool = False, reply: bool = False) -> None:
        self.original, self.reply = original, reply

    def read_word(self, word: str, family: int) -> Zone:  # noqa: ARG002
        zone = None if word.lower() == "mark" else number(word, 0, 0xFFFF)
        return Zone(zone, self.original, self.reply)

    def show(self, value: Zone) -> str:
        return "mark" if value.number is None else str(value.number)

    def say(self, value: Zone) -> str:
        zone = "the zone of its mark" if value.number is None else f"zone {value.number}"
        if value.original == value.reply:
            return zone
        return f"{zone} ({'original' if value.original else 'reply'} direction)"


class Events(BitNames):
    """A list of events, all of which are meant."""

    def say(self, value: int) -> str:
        return ", ".join(self.listed(value))


class Cut(ValueType[str]):
    """A name of which the real tool keeps ``room`` bytes, printed without quotes."""

    def __init__(self, room: int) -> None:
        self.room = room

    def read_word(self, word: str, family: int) -> str:  # noqa: ARG002
        return word.encode("utf-8", "surrogateescape")[: self.room].decode("utf-8", "surrogateescape")


class Ct(Target, frozen=True, gc=False):
    """How conntrack is to treat the packet's connection (CT; net/netfilter/xt_CT.c).

    A helper or a timeout needs ``-p`` (`xt_ct_set_helper`, `xt_ct_set_timeout`). Zone 0 is the ordinary one
    and is not printed. Of two zones the last counts, for the directions of both.
    """

    name = "CT"
    tables = ("raw",)
    picky = True

    notrack: Annotated[
        bool | None, option("--notrack", negatable=False, says="do not track the connection")
    ] = None
    helper: Annotated[
        str | None, option("--helper", type=Cut(15), negatable=False, says="track it with the helper {}")
    ] = None
    timeout: Annotated[
        str | None, option("--timeout", type=Cut(31), negatable=False, says="track it with the timeouts {}")
    ] = None
    events: Annotated[
        int | None,
        option(
            "--ctevents", type=Events({name: 1 << bit for bit, name in enumerate(_EVENTS)}), negatable=False,
            says="report only these of its events: {}",
        ),
    ] = None  # fmt: skip
    expectations: Annotated[
        int | None,
        option("--expevents", type=BitNames({"new": 1}), negatable=False, says="report its {} expectations"),
    ] = None
    zone: Annotated[Zone | None, option("--zone", type=ZoneOf(), negatable=False, says="track it in {}")] = (
        None
    )
    spellings = (
        option("--zone-orig", type=ZoneOf(original=True), negatable=False, into="zone"),
        option("--zone-reply", type=ZoneOf(reply=True), negatable=False, into="zone"),
    )

    @classmethod
    def merge(cls, row: Option, old: object, new: object) -> object:
        """The last zone for the directions of both."""
        if not isinstance(old, Zone) or not isinstance(new, Zone) or _same_direction(old, new):
            return super().merge(row, old, new)
        marked = old.number is None or new.number is None
        return Zone(None if marked else new.number, old.original or new.original, old.reply or new.reply)

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:
        super().check(values, family)
        zone = values.get("zone")
        if isinstance(zone, Zone) and zone.number == 0:
            del values["zone"]
        elif isinstance(zone, Zone) and zone.original and zone.reply:
            values["zone"] = Zone(zone.number)

    def misfit(self, protocol: Maybe[int], matches: Sequence[Match]) -> str | None:  # noqa: ARG002
        if (self.helper or self.timeout) and not isinstance(protocol, int):
            return "a helper or a timeout needs -p before it"
        return None

    def show(self) -> str:
        """As the rows say; the direction of the zone is in its option's name."""
        zone = "" if self.zone is None else str(self.zone)
        rest = " ".join(row.show(value) for row, value in self.given() if row.attr != "zone")
        return f"{rest} {zone}".strip()

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        return Target.phrases(self) or ((None, "track the connection as usual"),)

    def effects(self) -> Effects:
        """No tracking, or a note how, then the next rule."""
        changes: list[Change] = [Untrack()] if self.notrack else []
        changes += [
            Note(text) for row, text in Target.phrases(self) if row is not None and row.attr != "notrack"
        ]
        return Effects(tuple(changes))


def _same_direction(old: Zone, new: Zone) -> bool:
    if not (new.original or new.reply):
        return not (old.original or old.reply)
    return (new.original and old.original) or (new.reply and old.reply)


class Notrack(Target, frozen=True, gc=False):
    """The packet is not tracked (NOTRACK, an old name of CT ``--notrack`` that is printed as it was given)."""

    name = "NOTRACK"
    tables = ("raw",)

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        return ((None, "do not track the connection"),)

    def effects(self) -> Effects:
        """No tracking, then the next rule."""
        return Effects((Untrack(),))


# -- SYNPROXY ---------------------------------------------------------------------------------------------


class Modulo(Number):
    """A number of which the kernel's struct keeps the lower ``bits``."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits

    def read_word(self, word: str, family: int) -> int:
        return super().read_word(word, family) & ((1 << self.bits) - 1)


class Synproxy(Target, frozen=True, gc=False):
    """Handshakes are answered with syn cookies, and only finished ones reach the server (SYNPROXY; ipt_SYNPROXY.c).

    The client's SYN and its ACK are taken away; what is neither goes on (`synproxy_tg4`).
    """

    name = "SYNPROXY"
    hooks = ("INPUT", "FORWARD")
    picky = True

    sack: Annotated[bool | None, option("--sack-perm", negatable=False, says="with sack")] = None
    timestamp: Annotated[bool | None, option("--timestamp", negatable=False, says="with timestamps")] = None
    scale: Annotated[
        int | None, option("--wscale", type=Modulo(8), negatable=False, says="with window scale {}")
    ] = None
    mss: Annotated[
        int | None, option("--mss", type=Modulo(16), negatable=False, says="with segment size {}")
    ] = None
    ecn: Annotated[bool | None, option("--ecn", negatable=False, says="with ecn")] = None

    def misfit(self, protocol: Maybe[int], matches: Sequence[Match]) -> str | None:  # noqa: ARG002
        return "only tcp has handshakes: -p tcp is missing" if protocol != _TCP else None

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        return ((None, "answer the tcp handshake in the server's place"), *Target.phrases(self))

    def effects(self) -> Effects:
        """The packet is taken away, or the next rule is asked."""
        why = "SYNPROXY takes SYN packets and the ACK that answers its cookie, others go on"
        return Effects((), Fork(why, (DROP, CONTINUE)))


# -- TPROXY -----------------------------------------------------------------------------------------------


class Address(ValueType[tuple[int, int]]):
    """One address written in full, kept as family and number."""

    def read_word(self, word: str, family: int) -> tuple[int, int]:
        return family, read_address(word, family)

    def show(self, value: tuple[int, int]) -> str:
        return address_text(value[1], value[0])


class Port(ValueType[int]):
    """One port, by decimal number (getaddrinfo reads it) or service name."""

    def read_word(self, word: str, family: int) -> int:  # noqa: ARG002
        return resolved_port(word)

    def say(self, value: int) -> str:
        name = service_name(value)
        return f"port {value} ({name})" if name else f"port {value}"


class ProxyMark(ValueType[MaskedValue]):
    """``value[/mask]``, both printed always."""

    def read_word(self, word: str, family: int) -> MaskedValue:  # noqa: ARG002
        value, slash, mask = word.partition("/")
        return MaskedValue(number(value), number(mask) if slash else 0xFFFFFFFF)

    def show(self, value: MaskedValue) -> str:
        return f"0x{value.value:x}/0x{value.mask:x}"

    def say(self, value: MaskedValue) -> str:
        return f"0x{value.value:x}" if value.mask == 0xFFFFFFFF else self.show(value)


class Tproxy(Target, frozen=True, gc=False):
    """The packet is handed to a local transparent socket, unchanged (TPROXY; net/netfilter/xt_TPROXY.c).

    Where no socket of its connection exists and nobody listens there, it is dropped (`tproxy_tg4`). Without
    ``--on-ip`` it is the first address of the incoming interface.
    """

    name = "TPROXY"
    tables = ("mangle",)
    hooks = ("PREROUTING",)
    picky = True

    port: Annotated[
        int | None,
        option(
            "--on-port", type=Port(), negatable=False, mandatory=True, says="hand it to the local proxy on {}"
        ),
    ] = None
    address: Annotated[
        tuple[int, int] | None, option("--on-ip", type=Address(), negatable=False, says="at {}")
    ] = None
    mark: Annotated[
        MaskedValue | None,
        option("--tproxy-mark", type=ProxyMark(), negatable=False, says="with the mark {}"),
    ] = None

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:
        """All three are printed, given or not."""
        super().check(values, family)
        values.setdefault("address", (family, 0))
        values.setdefault("mark", MaskedValue(0, 0))

    def misfit(self, protocol: Maybe[int], matches: Sequence[Match]) -> str | None:  # noqa: ARG002
        return None if protocol in (_TCP, _UDP) else "only tcp and udp can be proxied: -p is missing"

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        """No word about an address or a mark that was not given."""
        dull = {(4, 0), (6, 0), MaskedValue(0, 0)}
        return tuple((row, row.say(value)) for row, value in self.given() if value not in dull)

    def effects(self) -> Effects:
        """The mark's bits and the socket, or the packet is dropped."""
        mark = self.mark or MaskedValue(0, 0)
        why = f"whether a transparent socket listens on port {self.port}"
        return Effects((SetBits(MARK, mark.mask, mark.value),), Fork(why, (ACCEPT, DROP)))
