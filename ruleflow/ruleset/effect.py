"""What a target does to a packet, as values: changes first, then whether the walk goes on."""

import msgspec

from ruleflow.ruleset.fields import Field


class Rewrite(msgspec.Struct, frozen=True):
    """A NAT rewriting, asked once per connection by its first packet.

    ``what`` is ``destination`` or ``source``, or ``hook``: the destination in PREROUTING and OUTPUT, the source
    in INPUT and POSTROUTING (NETMAP). ``low``/``high`` bound the new address (None: unchanged),
    ``port_low``/``port_high`` the new port (None: unchanged where possible); ``port_base`` shifts it
    (``80-82/8000``): the new port is ``port_low + (port - port_base) % 65536 % (port_high - port_low + 1)``,
    tried on Linux 6.18. ``address_of_interface`` is for MASQUERADE and REDIRECT, whose address only the host
    knows; ``netmap`` keeps the host bits of the old address under ``netmask``.
    """

    what: str
    low: int | None = None
    high: int | None = None
    port_low: int | None = None
    port_high: int | None = None
    port_base: int | None = None
    address_of_interface: bool = False
    netmask: int | None = None
    random: bool = False
    fully_random: bool = False
    persistent: bool = False


class SetBits(msgspec.Struct, frozen=True):
    """``field = (field & ~clear) ^ xor`` (MARK, CONNMARK, TOS, DSCP and ECN are all of this form)."""

    field: Field
    clear: int
    xor: int


class CopyBits(msgspec.Struct, frozen=True):
    """``to = (to & ~to_mask) ^ (from_ & from_mask)``: CONNMARK ``--save-mark`` and ``--restore-mark``."""

    to: Field
    from_: Field
    to_mask: int
    from_mask: int


class Adjust(msgspec.Struct, frozen=True):
    """``field`` grows by ``by`` (TTL and HL ``--ttl-inc``/``--ttl-dec``), not beyond 0 and 255."""

    field: Field
    by: int


class SetUnknown(msgspec.Struct, frozen=True):
    """``field`` gets a value that packet and host do not tell, one of ``low`` to ``high`` where they are given.

    HMARK's hash, SET ``--map-set``, NPT's checksum-neutral prefix, TCPMSS, CONNMARK with a shift; ``why`` says which.
    """

    field: Field
    why: str
    low: int | None = None
    high: int | None = None


class Untrack(msgspec.Struct, frozen=True):
    """Conntrack passes the packet over (NOTRACK, CT ``--notrack``)."""


class Log(msgspec.Struct, frozen=True):
    """The packet is reported: ``by`` LOG, NFLOG, ULOG, AUDIT, TRACE; ``prefix`` of the line."""

    by: str
    prefix: str = ""


class Copy(msgspec.Struct, frozen=True):
    """A copy of the packet goes to ``gateway`` (TEE)."""

    gateway: str


class Note(msgspec.Struct, frozen=True):
    """A change that no later rule and no route can see, said in words (CLASSIFY, SECMARK, CHECKSUM)."""

    text: str


Change = Rewrite | SetBits | CopyBits | Adjust | SetUnknown | Untrack | Log | Copy | Note


class Continue(msgspec.Struct, frozen=True):
    """The next rule is asked."""


class Stop(msgspec.Struct, frozen=True):
    """The table is done with the packet: ``verdict`` ACCEPT, DROP, REJECT or QUEUE (``reply`` what REJECT sends)."""

    verdict: str
    reply: str | None = None


class Back(msgspec.Struct, frozen=True):
    """RETURN: back to the calling chain, or the policy."""


class Fork(msgspec.Struct, frozen=True):
    """What follows is not decided by packet and host: each of ``ways`` may happen, ``why`` says on what it depends."""

    why: str
    ways: tuple["Then", ...]


Then = Continue | Stop | Back | Fork
CONTINUE = Continue()
ACCEPT = Stop("ACCEPT")
DROP = Stop("DROP")


class Effects(msgspec.Struct, frozen=True):
    """All that a target does: ``changes`` in order, then ``then``."""

    changes: tuple[Change, ...] = ()
    then: Then = CONTINUE
