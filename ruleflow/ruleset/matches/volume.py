"""Matches that count over connections: connbytes and connlimit; and cluster, which shares connections out."""

from collections.abc import Iterator
from typing import Annotated

import msgspec

from ruleflow.ruleset.addresses import address_number, mask_length
from ruleflow.ruleset.condition import Condition, Undecided
from ruleflow.ruleset.extension import Match, Maybe, Option, option
from ruleflow.ruleset.matches.connection import TRACKED
from ruleflow.ruleset.values import Choice, Not, Number, NumberRange, Range, Unreadable, ValueType, number

_MOST = 2**64 - 1

# -- connbytes --------------------------------------------------------------------------------------------


class Amounts(NumberRange):
    """``from[:to]`` in 64 bits; an open end is not printed (print_from_to, extensions/libxt_connbytes.c)."""

    def __init__(self) -> None:
        super().__init__(0, _MOST)

    def read_word(self, word: str, family: int) -> Range:
        return super().read_word(word if ":" in word else f"{word}:", family)

    def show(self, value: Range) -> str:
        return str(value.low) if value.high == _MOST else f"{value.low}:{value.high}"

    def say(self, value: Range) -> str:
        if value.high == _MOST:
            return f"{value.low} or more"
        return f"{value.low} to {value.high}" if value.low != value.high else f"exactly {value.low}"


_MODES = {"packets": 0, "bytes": 1, "avgpkt": 2}
_SAID_MODES = ("packets", "bytes", "bytes a packet")
_WAYS = {"original": 0, "reply": 1, "both": 2}
_SAID_WAYS = ("from the side that opened it", "from the side that answers", "both ways")


class Connbytes(Match, frozen=True, gc=False):
    """How much a connection has carried (connbytes_mt, net/netfilter/xt_connbytes.c).

    The sums are kept between packets, and only where nf_conntrack_acct is on. A negated range of one number
    is the range itself: iptables writes a negation as a range whose ends are swapped.
    """

    name = "connbytes"

    amount: Annotated[Maybe[Range], option("--connbytes", type=Amounts(), mandatory=True)] = None
    mode: Annotated[
        int | None, option("--connbytes-mode", type=Choice(_MODES), negatable=False, mandatory=True)
    ] = None
    way: Annotated[
        int | None, option("--connbytes-dir", type=Choice(_WAYS), negatable=False, mandatory=True)
    ] = None

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:
        """All its options are needed."""
        super().check(values, family)
        amount = values["amount"]
        if isinstance(amount, Not) and amount.value.low == amount.value.high:
            values["amount"] = amount.value

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        """One sentence for all three options."""
        row = self.row("amount")
        negated = isinstance(self.amount, Not)
        amount = row.type.say(self.amount.value if isinstance(self.amount, Not) else self.amount)
        has = "has not carried" if negated else "has carried"
        return (
            (
                row,
                f"whose connection {has} {amount} {_SAID_MODES[self.mode or 0]} {_SAID_WAYS[self.way or 0]}",
            ),
        )

    def conditions(self) -> tuple[Condition, ...]:
        return (Undecided(self.phrases()[0][1], memory=True), TRACKED)


# -- connlimit --------------------------------------------------------------------------------------------


class NetworkSize(msgspec.Struct, frozen=True):
    """A prefix length, and that of one address."""

    length: int
    whole: int


class MaskLength(ValueType[NetworkSize]):
    """A prefix length, or the mask in full (xtopt_parse_plenmask)."""

    def read_word(self, word: str, family: int) -> NetworkSize:
        whole = 32 if family == 4 else 128
        if word.isascii() and word.isdigit():
            return NetworkSize(number(word, 0, whole), whole)
        length = mask_length(address_number(word, family), family)
        if length is None:
            raise Unreadable(f"{word} is no mask", "write a prefix length")
        return NetworkSize(length, whole)

    def show(self, value: NetworkSize) -> str:
        return str(value.length)


class Connlimit(Match, frozen=True, gc=False):
    """How many connections a network has at this moment (connlimit_mt, net/netfilter/xt_connlimit.c).

    Canonical are ``--connlimit-above`` or ``-upto`` without ``!``, the mask and the side, all of them.
    """

    name = "connlimit"

    up_to: Annotated[Maybe[int], option("--connlimit-upto", type=Number(), excludes=("above",))] = None
    above: Annotated[Maybe[int], option("--connlimit-above", type=Number(), excludes=("up_to",))] = None
    mask: Annotated[NetworkSize | None, option("--connlimit-mask", type=MaskLength(), negatable=False)] = None
    of_source: Annotated[
        bool | None, option("--connlimit-saddr", negatable=False, excludes=("of_destination",))
    ] = None
    of_destination: Annotated[
        bool | None, option("--connlimit-daddr", negatable=False, excludes=("of_source",))
    ] = None

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:
        """Turn ``!`` into the other limit, and fill in what is not given."""
        super().check(values, family)
        if "up_to" not in values and "above" not in values:
            raise Unreadable("connlimit needs --connlimit-above or --connlimit-upto")
        for attr, other in (("up_to", "above"), ("above", "up_to")):
            value = values.get(attr)
            if isinstance(value, Not):
                del values[attr]
                values[other] = value.value
                break
        values.setdefault("mask", NetworkSize(32, 32) if family == 4 else NetworkSize(128, 128))
        if "of_destination" not in values:
            values["of_source"] = True

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        """One sentence for all its options."""
        side = "to its destination" if self.of_destination else "from its source"
        size = self.mask
        if size is None or size.length == size.whole:
            network = side
        else:
            network = f"{side}'s /{size.length} network" if size.length else "in all"
        if self.up_to is not None:
            return ((self.row("up_to"), f"while there are at most {self.up_to} connections {network}"),)
        return ((self.row("above"), f"while there are more than {self.above} connections {network}"),)

    def conditions(self) -> tuple[Condition, ...]:
        return (Undecided(self.phrases()[0][1], memory=True),)


# -- cluster ----------------------------------------------------------------------------------------------


class Node(Number):
    """The number of a node, kept as its bit."""

    def read_word(self, word: str, family: int) -> int:
        return int(1 << super().read_word(word, family) - 1)


class Cluster(Match, frozen=True, gc=False):
    """Whether the connection is this node's share (xt_cluster_mt, net/netfilter/xt_cluster.c).

    A hash over the first source address with the seed chooses the node, so the answer is the same for all
    packets of a connection; it is not computed here. iptables takes no mask above 32, though with
    ``--cluster-local-node`` it prints greater ones; they are taken.
    """

    name = "cluster"
    spellings = (option("--cluster-local-node", into="nodes", type=Node(1, 32)),)

    nodes: Annotated[Maybe[int], option("--cluster-local-nodemask", type=Number(1, form="0x{:08x}"))] = None
    total: Annotated[
        int | None, option("--cluster-total-nodes", type=Number(1, 32), negatable=False, mandatory=True)
    ] = None
    seed: Annotated[
        int | None,
        option("--cluster-hash-seed", type=Number(form="0x{:08x}"), negatable=False, mandatory=True),
    ] = None

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:
        """The nodes must be among those there are (cluster_check, extensions/libxt_cluster.c)."""
        super().check(values, family)
        nodes, total = values.get("nodes"), values["total"]
        if nodes is None:
            raise Unreadable("cluster needs --cluster-local-node or --cluster-local-nodemask")
        mask = nodes.value if isinstance(nodes, Not) else nodes
        if isinstance(mask, int) and isinstance(total, int) and mask >= 1 << total:
            raise Unreadable(f"there are {total} nodes only", "raise --cluster-total-nodes")

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        """One sentence for all its options."""
        mask = (self.nodes.value if isinstance(self.nodes, Not) else self.nodes) or 0
        numbers = [str(node) for node in _nodes(mask)]
        nodes = f"node {numbers[0]}" if len(numbers) == 1 else f"nodes {' and '.join(numbers)}"
        where = "outside" if isinstance(self.nodes, Not) else "in"
        return ((self.row("nodes"), f"{where} the share of {nodes} of {self.total}"),)

    def conditions(self) -> tuple[Condition, ...]:
        mask = (self.nodes.value if isinstance(self.nodes, Not) else self.nodes) or 0
        share = mask.bit_count() / (self.total or 1)
        chance = 1 - share if isinstance(self.nodes, Not) else share
        return (Undecided(self.phrases()[0][1], probability=chance), TRACKED)


def _nodes(mask: int) -> Iterator[int]:
    return (node + 1 for node in range(32) if mask & 1 << node)
