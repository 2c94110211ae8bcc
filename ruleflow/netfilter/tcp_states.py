"""How conntrack follows a TCP connection: its state machine as a table (net/netfilter/nf_conntrack_proto_tcp.c).

The table is the kernel's ``tcp_conntracks``; sequence numbers and windows are not part of a packet here, so
packets are taken to be inside the window (nf_conntrack_tcp_be_liberal).
"""

import msgspec

NONE, SYN_SENT, SYN_RECV, ESTABLISHED, FIN_WAIT, CLOSE_WAIT, LAST_ACK, TIME_WAIT, CLOSE, SYN_SENT2 = range(10)
IGNORED, REFUSED = -1, -2
"""The packet changes nothing; the packet is INVALID."""

_WORDS = {
    "NO": NONE, "SS": SYN_SENT, "SR": SYN_RECV, "ES": ESTABLISHED, "FW": FIN_WAIT, "CW": CLOSE_WAIT, "LA": LAST_ACK,
    "TW": TIME_WAIT, "CL": CLOSE, "S2": SYN_SENT2, "IG": IGNORED, "IV": REFUSED,
}  # fmt: skip

_TABLE = """
       NO SS SR ES FW CW LA TW CL S2
0 syn  SS SS IG IG IG IG IG SS SS S2
0 sack IV IV SR IV IV IV IV IV IV SR
0 fin  IV IV FW FW LA LA LA TW CL IV
0 ack  ES IV ES ES CW CW TW TW CL IV
0 rst  IV CL CL CL CL CL CL CL CL CL
0 none IV IV IV IV IV IV IV IV IV IV
1 syn  IV S2 IV IV IV IV IV SS IV S2
1 sack IV SR IG IG IG IG IG IG IG SR
1 fin  IV IV FW FW LA LA LA TW CL IV
1 ack  IV IG SR ES CW CW TW TW CL IG
1 rst  IV CL CL CL CL CL CL CL CL CL
1 none IV IV IV IV IV IV IV IV IV IV
"""
"""Rows: direction (0 original, 1 reply) and kind of packet; columns: the state before."""

_NEXT = {
    (int(words[0]), words[1]): tuple(_WORDS[word] for word in words[2:])
    for words in (line.split() for line in _TABLE.strip().splitlines()[1:])
}

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def kind_of(flags: int) -> str:
    """What a packet counts as (get_conntrack_index)."""
    if flags & RST:
        return "rst"
    if flags & SYN:
        return "sack" if flags & ACK else "syn"
    return "fin" if flags & FIN else "ack" if flags & ACK else "none"


class Tcp(msgspec.Struct, frozen=True):
    """How far a connection is: its state, whether a FIN began its end, and the last packet's direction and kind."""

    state: int = NONE
    closing: bool = False
    last: tuple[int, str] | None = None

    def after(self, direction: int, flags: int) -> "Tcp | None":
        """After a packet with these flags; None where that makes the packet INVALID."""
        kind = kind_of(flags)
        following = _NEXT[direction, kind][self.state]
        if following == REFUSED:
            return None
        if following == IGNORED or (following == SYN_SENT and self.state in _ENDED):
            following = self.state
        return Tcp(following, self.closing or following == FIN_WAIT, (direction, kind))

    def is_assured(self, before: "Tcp") -> bool:
        """Whether an acknowledgement makes the connection one to keep when the table is full (IPS_ASSURED)."""
        return self.state == ESTABLISHED and before.state in (SYN_RECV, ESTABLISHED)

    def begins_anew(self, direction: int, flags: int) -> bool:
        """Whether a SYN may open the ended connection again: a FIN ended it, or a reset from the same side."""
        if self.state not in _ENDED or _NEXT[direction, kind_of(flags)][self.state] != SYN_SENT:
            return False
        return self.closing or self.last == (direction, "rst")


_ENDED = (TIME_WAIT, CLOSE, SYN_SENT2)
UNBEGUN = Tcp()
PICKED_UP = Tcp(ESTABLISHED)
RESET = Tcp(CLOSE)
"""What REJECT ``--reject-with tcp-reset`` leaves behind (nf_ct_set_closing)."""
