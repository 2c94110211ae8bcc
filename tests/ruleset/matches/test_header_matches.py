"""What the matches on headers say of a packet is what the kernel's counters say of it."""

import json
import subprocess
import sys
from typing import NamedTuple

import pytest

from ruleflow.ruleset.condition import Decision, Derived, No, Unknown, Yes
from ruleflow.ruleset.fields import Field
from ruleflow.ruleset.shape import reader

SENDER = """
import json, socket, subprocess, sys
job = json.load(sys.stdin)
six = "6" if job["family"] == 6 else ""
rules = "".join(f"-A OUTPUT {rule}\\n" for rule in job["rules"])
text = f"*filter\\n-A OUTPUT ! -o lo -j ACCEPT\\n{rules}-A OUTPUT -j DROP\\nCOMMIT\\n"
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run([f"ip{six}tables-nft-restore"], input=text, text=True, check=True)
family = socket.AF_INET6 if six else socket.AF_INET
if job["tcp"] is not None:
    sender = socket.socket(family, socket.SOCK_RAW, 6)
else:
    sender = socket.socket(family, socket.SOCK_DGRAM)
if six:
    sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, job["ttl"])
    sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, job["tos"])
else:
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, job["ttl"])
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, job["tos"])
payload = bytes.fromhex(job["tcp"]) if job["tcp"] is not None else b"x" * 50
try:
    sender.sendto(payload, ("::1" if six else "127.0.0.1", 0 if job["tcp"] is not None else 9))
except PermissionError:
    pass
saved = subprocess.run([f"ip{six}tables-nft-save", "-c"], capture_output=True, text=True, check=True).stdout
lines = [line for line in saved.splitlines() if "-A OUTPUT" in line][1:-1]
print(json.dumps([int(line[1:].split(":")[0]) for line in lines]))
"""


class Sent(NamedTuple):
    """A packet that is sent over the loopback interface, and what is known of it."""

    family: int
    facts: dict[str, int]
    tcp: str | None = None


class Known:
    """The facts of one packet; what is not listed is not there."""

    def __init__(self, sent: Sent) -> None:
        self.facts = sent.facts

    def value(self, field: Field) -> int | str | None:
        return self.facts.get(field.name)

    def absent(self, field: Field) -> bool:
        return field.name not in self.facts

    def derived(self, condition: Derived) -> Decision:
        return Unknown((condition,), "not computed here")


def tcp_segment(flags: int, options: str = "") -> str:
    offset = (20 + len(options) // 2) // 4 << 4
    return f"9c400050{1:08x}{0:08x}{offset:02x}{flags:02x}ffff00000000{options}"


UDP4 = Sent(4, {"protocol": 17, "ttl": 7, "tos": 0xB8, "length": 78})
UDP6 = Sent(6, {"protocol": 17, "ttl": 7, "tos": 0xB8, "length": 98, "extension_headers": 1})
SYN = {"protocol": 6, "ttl": 9, "tos": 0x28, "tcp_flags": 0xC2}
WITH_MSS = Sent(4, {**SYN, "length": 44, "mss": 1400}, tcp_segment(0xC2, "02040578"))
WITHOUT_MSS = Sent(4, {**SYN, "length": 40}, tcp_segment(0xC2))
PACKETS = {"udp4": UDP4, "udp6": UDP6, "with mss": WITH_MSS, "without mss": WITHOUT_MSS}

COMMON = """
-m tos --tos 0xb8
-m tos ! --tos 0xb8
-m tos --tos 0xbf/0xf8
-m tos ! --tos 0xbf/0xf8
-m tos --tos 0xb8/0xf8
-m tos --tos 0x38/0x3f
-m tos --tos 0x01/0x00
-m dscp --dscp 46
-m dscp ! --dscp 46
-m dscp --dscp 10
-m ecn --ecn-ip-ect 0
-m ecn ! --ecn-ip-ect 0
-m ecn --ecn-ip-ect 3
-m length --length 78
-m length --length 40:44
-m length ! --length 98:
-m length --length 98:78
-m length ! --length 98:78
-m quota --quota 0
-m quota ! --quota 0
-m recent --set
-m recent ! --set
-m statistic --mode nth --every 1 --packet 0
-m statistic --mode nth ! --every 1 --packet 0
-m statistic --mode random --probability 1
-m statistic --mode random ! --probability 1
-m statistic --mode random --probability 0
-m statistic --mode random ! --probability 0
-m time
""".strip().splitlines()
V4 = """
-m ttl --ttl-eq 7
-m ttl ! --ttl-eq 7
-m ttl --ttl-lt 7
-m ttl --ttl-lt 8
-m ttl --ttl-gt 6
-m ttl --ttl-gt 7
-m ttl --ttl-lt 0
-m ttl --ttl-gt 255
""".strip().splitlines()
V6 = """
-m hl --hl-eq 7
-m hl ! --hl-eq 7
-m hl --hl-lt 8
-m hl --hl-gt 6
-m frag
-m hbh
-m dst
-m rt
-m srh
-m ipv6header --header prot
-m ipv6header ! --header prot
-m ipv6header --header frag
-m ipv6header ! --header frag
-m ipv6header --header prot,frag
-m ipv6header ! --header prot,frag
-m ipv6header --header prot --soft
-m ipv6header ! --header prot --soft
-m ipv6header --header frag --soft
-m ipv6header ! --header frag --soft
-m ipv6header --header prot,frag --soft
-m ipv6header ! --header prot,frag --soft
""".strip().splitlines()
TCP = """
-p tcp -m ecn --ecn-tcp-cwr
-p tcp -m ecn ! --ecn-tcp-cwr
-p tcp -m ecn --ecn-tcp-ece ! --ecn-ip-ect 1
-p tcp -m tcpmss --mss 1400
-p tcp -m tcpmss ! --mss 1400
-p tcp -m tcpmss --mss 500:1399
-p tcp -m tcpmss ! --mss 500:1399
""".strip().splitlines()


def rules_for(sent: Sent) -> list[str]:
    return [*COMMON, *(V6 if sent.family == 6 else V4), *(TCP if sent.tcp is not None else [])]


def kernel_says(sent: Sent, rules: list[str]) -> list[int]:
    job = {
        "family": sent.family,
        "rules": rules,
        "ttl": sent.facts["ttl"],
        "tos": sent.facts["tos"],
        "tcp": sent.tcp,
    }
    command = ["unshare", "-n", sys.executable, "-c", SENDER]
    ran = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, check=True)
    counts = json.loads(ran.stdout)
    assert isinstance(counts, list)
    return counts


@pytest.mark.root
@pytest.mark.parametrize("name", list(PACKETS))
def test_the_kernel_agrees(name: str) -> None:
    sent = PACKETS[name]
    rules = rules_for(sent)
    wrong = []
    for text, count in zip(rules, kernel_says(sent, rules), strict=True):
        (line,) = reader(sent.family).read(f"-A OUTPUT {text}")
        assert line.rule is not None
        answer = line.rule.decide(Known(sent))
        if not isinstance(answer, Yes if count else No):
            wrong.append(f"{text}: the kernel counted {count}, we say {answer}")
    assert not wrong, "\n".join(wrong)
