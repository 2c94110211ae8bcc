"""The sctp match: ports and chunks."""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from ruleflow.ruleset.condition import Condition, Derived
from ruleflow.ruleset.extension import Maybe, option
from ruleflow.ruleset.fields import DESTINATION_PORT, SOURCE_PORT
from ruleflow.ruleset.matches.ports import NO_LATER_FRAGMENT, Transport
from ruleflow.ruleset.ports import Ports
from ruleflow.ruleset.values import Not, Range, Unreadable, ValueType, either

_CHUNKS = {
    "DATA": 0, "INIT": 1, "INIT_ACK": 2, "SACK": 3, "HEARTBEAT": 4, "HEARTBEAT_ACK": 5, "ABORT": 6,
    "SHUTDOWN": 7, "SHUTDOWN_ACK": 8, "ERROR": 9, "COOKIE_ECHO": 10, "COOKIE_ACK": 11, "ECN_ECNE": 12,
    "ECN_CWR": 13, "SHUTDOWN_COMPLETE": 14, "I_DATA": 64, "ASCONF_ACK": 128, "RE_CONFIG": 130, "PAD": 132,
    "FORWARD_TSN": 192, "ASCONF": 193, "I_FORWARD_TSN": 194,
}  # fmt: skip
_CHUNK_NAMES = {number: name for name, number in _CHUNKS.items()}
_CHUNK_FLAGS = {0: "----IUBE", 6: "-------T", 14: "-------T", 64: "----IUBE"}


class Chunk(msgspec.Struct, frozen=True, order=True):
    """A type of SCTP chunk, and which of its flag bits must be as in ``flags``."""

    type: int
    mask: int = 0
    flags: int = 0


class Chunks(msgspec.Struct, frozen=True):
    """``how`` is any, all or only; ``chunks`` in rising order; ``every`` stands for ALL types."""

    how: str
    chunks: tuple[Chunk, ...] = ()
    every: bool = False


class ChunkTypes(ValueType[Chunks]):
    """``any|all|only LIST``, a list of types, each with flags behind a colon (extensions/libxt_sctp.c).

    A capital stands for a flag that is set, a small letter for one that is not. iptables loses the flags of
    I_DATA (it files them under another number, and the kernel never asks them), and so do we.
    """

    words = 2

    def read(self, words: Sequence[str], family: int) -> Chunks:  # noqa: ARG002
        how, text = words[0].lower(), words[1]
        if how not in ("any", "all", "only"):
            raise Unreadable(f"{words[0]!r} is none of any, all, only", "write --chunk-types any DATA,INIT")
        if text[:1] in ("-", "!"):
            raise Unreadable("--chunk-types needs a list of chunk types behind any, all or only")
        if text.upper() == "ALL":
            return Chunks(how, every=True)
        chunks: dict[int, Chunk] = {}
        for part in [] if text.upper() == "NONE" else filter(None, text.split(",")):
            chunk = _chunk(part)
            old = chunks.get(chunk.type, Chunk(chunk.type))
            chunks[chunk.type] = Chunk(chunk.type, old.mask | chunk.mask, old.flags | chunk.flags)
        if sum(chunk.mask != 0 for chunk in chunks.values()) > 4:
            raise Unreadable("at most 4 chunk types can have flags")
        return Chunks(how, tuple(sorted(chunks.values())))

    def show(self, value: Chunks) -> str:
        if value.every:
            return f"{value.how} ALL"
        return f"{value.how} {','.join(map(_show_chunk, value.chunks)) or 'NONE'}"

    def say(self, value: Chunks) -> str:
        names = list(map(_show_chunk, value.chunks))
        if value.how == "any":
            return "a chunk of any type" if value.every else f"{either(names) or 'no'} chunk"
        chunks = "chunks of every type" if value.every else f"{' and '.join(names) or 'no'} chunks"
        return f"{chunks} only" if value.how == "only" else chunks


def _chunk(text: str) -> Chunk:
    name, _, letters = text.partition(":")
    number = _CHUNKS.get(name.upper())
    if number is None:
        raise Unreadable(f"{name!r} is no sctp chunk type", f"write one of {', '.join(_CHUNKS)}")
    names = _CHUNK_FLAGS.get(number, "--------")
    mask = flags = 0
    for letter in letters:
        if letter.upper() not in names:
            raise Unreadable(f"an sctp chunk {name} has no flag {letter!r}")
        bit = 1 << 7 - names.index(letter.upper())
        mask |= bit
        flags |= bit if letter.isupper() else 0
    return Chunk(number, mask, flags) if number < 15 else Chunk(number)


def _show_chunk(chunk: Chunk) -> str:
    name = _CHUNK_NAMES[chunk.type]
    if not chunk.mask:
        return name
    letters = _CHUNK_FLAGS.get(chunk.type, "--------")
    shown = [
        letters[7 - bit] if chunk.flags & 1 << bit else letters[7 - bit].lower()
        for bit in range(7, -1, -1)
        if chunk.mask & 1 << bit
    ]
    return f"{name}:{''.join(shown)}"


class Sctp(Transport, frozen=True, gc=False):
    """Ports and chunks of an SCTP packet (sctp_mt and match_packet, net/netfilter/xt_sctp.c).

    Chunks are the fact ``sctp_chunks`` with the arguments ``match`` (any: one of the packet's chunks is
    listed; all: every type listed occurs; only: no other type occurs) and ``chunks`` as (type, mask, flags)
    triples, ALL being all 256 types.
    """

    name = "sctp"
    protocol = ("sctp",)
    number = 132

    source_port: Annotated[
        Maybe[Range],
        option(
            "--sport", "--source-port", type=Ports("sctp", ordered=True), field=SOURCE_PORT,
            says="from {}", says_not="not from {}",
        ),
    ] = None  # fmt: skip
    destination_port: Annotated[
        Maybe[Range],
        option(
            "--dport", "--destination-port", type=Ports("sctp", ordered=True), field=DESTINATION_PORT,
            says="to {}", says_not="not to {}",
        ),
    ] = None  # fmt: skip
    chunk_types: Annotated[
        Maybe[Chunks],
        option("--chunk-types", type=ChunkTypes(), says="with {}", says_not="but no packet with {}"),
    ] = None

    def conditions(self) -> tuple[Condition, ...]:
        """The ports as the rows say; the chunks are derived."""
        found: list[Condition] = [
            row.condition(value) for row, value in self.given() if row.attr != "chunk_types"
        ]
        given = self.chunk_types
        if given is not None:
            chunks = given.value if isinstance(given, Not) else given
            listed = map(Chunk, range(256)) if chunks.every else chunks.chunks
            triples = tuple((chunk.type, chunk.mask, chunk.flags) for chunk in listed)
            arguments = (("match", chunks.how), ("chunks", triples))
            text = self.row("chunk_types").say(given)
            found.append(Derived("sctp_chunks", arguments, isinstance(given, Not), text))
        return (*found, NO_LATER_FRAGMENT)
