"""What targets do to a packet, as values, and what they say of it."""

import pytest

from ruleflow.ruleset.effect import (
    ACCEPT,
    CONTINUE,
    DROP,
    Adjust,
    Change,
    Copy,
    CopyBits,
    Fork,
    Log,
    Note,
    Rewrite,
    SetBits,
    SetUnknown,
    Stop,
    Then,
    Untrack,
)  # fmt: skip
from ruleflow.ruleset.extension import Target
from ruleflow.ruleset.fields import (
    CONNMARK,
    DESTINATION,
    MARK,
    MSS,
    PRIORITY,
    TCP_FLAGS,
    TCP_OPTIONS,
    TOS,
    TTL,
)
from ruleflow.ruleset.shape import reader
from ruleflow.ruleset.values import Unreadable

FULL = 0xFFFFFFFF
V6 = 0x20010DB8 << 96


def target(words: str, family: int = 4, before: str = "-p tcp") -> Target:
    (line,) = reader(family).read(f"-A X {before} -j {words}")
    assert line.rule is not None
    assert isinstance(line.rule.target, Target)
    return line.rule.target


REWRITES: list[tuple[int, str, Rewrite]] = [
    (4, "DNAT --to-destination 10.0.0.1", Rewrite("destination", 0x0A000001, 0x0A000001)),
    (4, "DNAT --to-destination 10.0.0.1-10.0.0.9:80", Rewrite("destination", 0x0A000001, 0x0A000009, 80, 80)),
    (4, "DNAT --to-destination 10.0.0.1:80-82/8000", Rewrite("destination", 0x0A000001, 0x0A000001, 80, 82, 8000)),
    (4, "DNAT --to-destination :80-82 --random", Rewrite("destination", None, None, 80, 82, random=True)),
    # a destination without ports keeps its port, but a ping's identifier is chosen by chance (tried: lab, seed 20261124)
    (4, "DNAT --to-destination 10.0.0.1 --random --persistent",
     Rewrite("destination", 0x0A000001, 0x0A000001, random=True, persistent=True)),
    (6, "DNAT --to-destination [2001:db8::1]:80", Rewrite("destination", V6 | 1, V6 | 1, 80, 80)),
    (4, "SNAT --to-source 10.0.0.1 --random", Rewrite("source", 0x0A000001, 0x0A000001, random=True)),
    (4, "SNAT --to-source 10.0.0.1:1-9 --random-fully",
     Rewrite("source", 0x0A000001, 0x0A000001, 1, 9, fully_random=True)),
    (4, "MASQUERADE", Rewrite("source", address_of_interface=True)),
    (6, "MASQUERADE --to-ports 1024-2048 --random-fully",
     Rewrite("source", None, None, 1024, 2048, address_of_interface=True, fully_random=True)),
    (4, "REDIRECT --to-ports 8080", Rewrite("destination", None, None, 8080, 8080, address_of_interface=True)),
    (4, "REDIRECT --random", Rewrite("destination", address_of_interface=True)),
    (4, "NETMAP --to 10.1.0.0/16", Rewrite("hook", 0x0A010000, 0x0A01FFFF, netmask=0xFFFF0000)),
    (6, "NETMAP --to 2001:db8::/96", Rewrite("hook", V6, V6 | FULL, netmask=(1 << 128) - (1 << 32))),
]  # fmt: skip


@pytest.mark.parametrize(("family", "words", "rewrite"), REWRITES, ids=[words for _, words, _ in REWRITES])
def test_nat_rewrites_and_accepts(family: int, words: str, rewrite: Rewrite) -> None:
    effects = target(words, family).effects()
    assert effects.changes == (rewrite,)
    assert effects.then == ACCEPT


CHANGES: list[tuple[int, str, tuple[Change, ...]]] = [
    (4, "MARK --set-mark 0x3/0x1", (SetBits(MARK, 3, 3),)),
    (4, "MARK --set-xmark 0x3/0x1", (SetBits(MARK, 1, 3),)),
    (4, "MARK --and-mark 0xff", (SetBits(MARK, 0xFFFFFF00, 0),)),
    (4, "MARK --xor-mark 0xff", (SetBits(MARK, 0, 0xFF),)),
    (4, "CONNMARK --or-mark 1", (SetBits(CONNMARK, 1, 1),)),
    (4, "CONNMARK --save-mark --nfmask 0xf0 --ctmask 0xf", (CopyBits(CONNMARK, MARK, 0xF, 0xF0),)),
    (4, "CONNMARK --restore-mark --nfmask 0xf0 --ctmask 0xf", (CopyBits(MARK, CONNMARK, 0xF0, 0xF),)),
    (4, "CONNMARK --restore-mark", (CopyBits(MARK, CONNMARK, FULL, FULL),)),
    (4, "CONNMARK --save-mark --left-shift-mark 4", (SetUnknown(CONNMARK, "the connection mark is shifted"),)),
    (4, "CLASSIFY --set-class 1:10", (SetBits(PRIORITY, FULL, 0x10010),)),
    (4, "HMARK --hmark-tuple ct --hmark-rnd 1 --hmark-mod 10 --hmark-offset 5",
     (SetUnknown(MARK, "HMARK's hash is the kernel's", 5, 14),)),
    (4, "TOS --set-tos Minimize-Delay", (SetBits(TOS, 0x3F, 0x10),)),
    (6, "DSCP --set-dscp-class EF", (SetBits(TOS, 0xFC, 0xB8),)),
    (4, "ECN --ecn-tcp-remove", (SetBits(TCP_FLAGS, 0x40, 0), SetBits(TCP_FLAGS, 0x80, 0))),
    (4, "ECN --ecn-tcp-cwr 1 --ecn-ip-ect 2", (SetBits(TCP_FLAGS, 0x80, 0x80), SetBits(TOS, 3, 2))),
    (4, "TTL --ttl-set 9", (SetBits(TTL, 0xFF, 9),)),
    (4, "TTL --ttl-dec 1", (Adjust(TTL, -1),)),
    (6, "HL --hl-inc 3", (Adjust(TTL, 3),)),
    (4, "TCPMSS --set-mss 1400", (SetUnknown(MSS, "the lower of the old and the new segment size", 0, 1400),)),
    (4, "TCPOPTSTRIP --strip-options mss,8", (SetBits(TCP_OPTIONS, 0x104, 0),)),
    (6, "DNPT --src-pfx 2001:db8::/32 --dst-pfx fd00::/16",
     (SetUnknown(DESTINATION, "the host part is adjusted to keep checksums right", 0xFD00 << 112,
                 (0xFD00 << 112) | ((1 << 96) - 1)),)),
    (4, "CT --notrack", (Untrack(),)),
    (4, "NOTRACK", (Untrack(),)),
    (4, "CT --zone 5", (Note("track it in zone 5"),)),
    (4, "LOG --log-prefix x", (Log("LOG", "x"),)),
    (4, "NFLOG --nflog-range 100", (Log("NFLOG"),)),
    (4, "ULOG", (Log("ULOG"),)),
    (4, "AUDIT --type drop", (Log("AUDIT"),)),
    (4, "TRACE", (Log("TRACE"),)),
    (6, "TEE --gateway 2001:db8::1", (Copy("2001:db8::1"),)),
    (4, "SET --add-set banned src", (Note("add its source to the set banned"),)),
    (4, "SET --map-set m dst --map-mark", (SetUnknown(MARK, "the set m says it"),)),
]  # fmt: skip


@pytest.mark.parametrize(("family", "words", "changes"), CHANGES, ids=[words for _, words, _ in CHANGES])
def test_the_others_change_and_go_on(family: int, words: str, changes: tuple[Change, ...]) -> None:
    effects = target(words, family).effects()
    assert effects.changes == changes
    assert effects.then == CONTINUE


ENDS: list[tuple[int, str, Then]] = [
    (4, "REJECT", Stop("REJECT", "icmp-port-unreachable")),
    (6, "REJECT", Stop("REJECT", "icmp6-port-unreachable")),
    (4, "REJECT --reject-with tcp-reset", Stop("REJECT", "tcp-reset")),
    (4, "NFQUEUE --queue-num 3", Stop("QUEUE")),
    (4, "NFQUEUE --queue-bypass", Fork("whether a program listens on the queue", (Stop("QUEUE"), ACCEPT))),
    (4, "TPROXY --on-port 80", Fork("whether a transparent socket listens on port 80", (ACCEPT, DROP))),
    (4, "CLUSTERIP", Fork("which node of the cluster is chosen", (CONTINUE, DROP))),
]


@pytest.mark.parametrize(
    ("family", "words", "then"), ENDS, ids=[f"{words} v{family}" for family, words, _ in ENDS]
)
def test_ends(family: int, words: str, then: Then) -> None:
    assert target(words, family).effects().then == then


def test_a_range_that_nft_forgets_and_legacy_keeps_is_printed() -> None:
    assert str(target("NFLOG --nflog-range 100")) == "-j NFLOG --nflog-range 100"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("DNAT --to-destination 172.17.0.2:80", "rewrite the destination to 172.17.0.2:80"),
        ("SNAT --to-source 10.0.0.1-10.0.0.9", "rewrite the source to one of 10.0.0.1 to 10.0.0.9"),
        ("REJECT --reject-with tcp-reset", "refuse with a tcp reset"),
        ("REDIRECT --to-ports 22", "redirect to this host, port 22 (ssh)"),
        ("MARK --set-mark 0x2000/0x2000", "set the bits 0x2000 of the mark"),
        ("TTL --ttl-set 64", "set the ttl to 64"),
    ],
)
def test_says_what_happens(words: str, sentence: str) -> None:
    assert target(words).phrases()[0][1] == sentence


def test_a_port_needs_a_protocol_with_ports_and_the_error_points_at_the_target() -> None:
    with pytest.raises(Unreadable, match="-p tcp") as caught:
        reader(4).read("-A X -p gre -j DNAT --to-destination 10.0.0.1:80")
    assert caught.value.index == 4  # type: ignore[attr-defined]
