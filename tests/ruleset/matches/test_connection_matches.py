"""What the matches on ports, connections, sockets and marks say of a packet is what the kernel's counters say of it."""

import json
import subprocess
import sys
from typing import NamedTuple

import pytest

from ruleflow.ruleset.condition import Decision, Derived, No, Unknown, Yes
from ruleflow.ruleset.fields import STATES, Field
from ruleflow.ruleset.shape import reader

SENDER = """
import json, socket, subprocess, sys
job = json.load(sys.stdin)
rules = "".join(f"-A OUTPUT {rule}\\n" for rule in job["rules"])
raw = "-A OUTPUT -j CT --notrack\\n" if job["untracked"] else ""
before = "".join(f"-A OUTPUT {rule} -j ACCEPT\\n" for rule in job["passed_over"])
mark = f"-A OUTPUT -j CONNMARK --set-mark {job['connmark']}\\n"
text = f"*raw\\n{raw}COMMIT\\n*mangle\\n{mark}COMMIT\\n*filter\\n{before}{rules}-A OUTPUT -j DROP\\nCOMMIT\\n"
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["iptables-nft-restore"], input=text, text=True, check=True)
if job["protocol"] == 17:
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.bind(("127.0.0.1", 4000))
else:
    sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, job["protocol"])
    sender.bind(("127.0.0.1", 0))
sender.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 0x2001)
try:
    sender.sendto(bytes.fromhex(job["payload"]), ("127.0.0.1", 53 if job["protocol"] == 17 else 0))
except PermissionError:
    pass
saved = subprocess.run(["iptables-nft-save", "-c", "-t", "filter"], capture_output=True, text=True, check=True).stdout
lines = [line for line in saved.splitlines() if "-A OUTPUT" in line][len(job["passed_over"]):-1]
print(json.dumps([int(line[1:].split(":")[0]) for line in lines]))
"""

HERE = 0x7F000001


class Sent(NamedTuple):
    """A packet sent over the loopback interface, what is known of it, and which packets are let pass before it."""

    protocol: int
    facts: dict[str, int]
    payload: str = "00"
    untracked: bool = False
    passed_over: tuple[str, ...] = ()


class Known:
    """The facts of one packet; what is not listed is not there."""

    def __init__(self, facts: dict[str, int]) -> None:
        self.facts = facts

    def value(self, field: Field) -> int | str | None:
        return self.facts.get(field.name)

    def absent(self, field: Field) -> bool:
        return field.name not in self.facts

    def derived(self, condition: Derived) -> Decision:
        return Unknown((condition,), "not computed here")


BASE = {
    "source": HERE,
    "destination": HERE,
    "mark": 0x2001,
    "fragment": 0,
    "uid": 0,
    "gid": 0,
    "cgroup": 0,
    "socket_exists": 1,
}
TUPLE = {
    "ct_orig_source": HERE, "ct_orig_destination": HERE, "ct_reply_source": HERE, "ct_reply_destination": HERE,
    "ct_status": 0, "ct_direction": 0, "connmark": 0x30,
}  # fmt: skip
UDP = {**BASE, "protocol": 17, "source_port": 4000, "destination_port": 53}
UDP_TUPLE = {
    **TUPLE, "ct_protocol": 17, "ct_orig_source_port": 4000, "ct_orig_destination_port": 53,
    "ct_reply_source_port": 53, "ct_reply_destination_port": 4000,
}  # fmt: skip
TCP = {**BASE, "protocol": 6, "source_port": 40000, "destination_port": 80}
TCP_TUPLE = {
    **TUPLE, "ct_protocol": 6, "ct_orig_source_port": 40000, "ct_orig_destination_port": 80,
    "ct_reply_source_port": 80, "ct_reply_destination_port": 40000,
}  # fmt: skip
ICMP = {**BASE, "protocol": 1, "icmp_code": 0}
ECHO_TUPLE = {  # where others have ports, a connection of ICMP has its id, and type and code together
    **TUPLE, "ct_protocol": 1, "ct_orig_source_port": 1, "ct_orig_destination_port": 8 << 8, "ct_reply_source_port": 1,
    "ct_reply_destination_port": 0,
}  # fmt: skip


def segment(flags: int) -> str:
    return f"9c400050{1:08x}{0:08x}60{flags:02x}ffff00000000020405b4"


PACKETS = {
    "udp": Sent(17, {**UDP, **UDP_TUPLE, "state": STATES["NEW"]}),
    "udp untracked": Sent(17, {**UDP, "state": STATES["UNTRACKED"]}, untracked=True),
    "syn": Sent(6, {**TCP, **TCP_TUPLE, "state": STATES["NEW"], "tcp_flags": 2, "tcp_options": 4}, segment(2)),
    "syn and fin": Sent(6, {**TCP, "state": STATES["INVALID"], "tcp_flags": 3, "tcp_options": 4}, segment(3)),
    "ping": Sent(
        1, {**ICMP, **ECHO_TUPLE, "icmp_type": 8, "state": STATES["NEW"]}, "0800f7fd00010001"
    ),
    # the answer comes from a socket of the kernel, which no process has
    "pong": Sent(
        1,
        {
            **{name: value for name, value in ICMP.items() if name not in ("uid", "gid")}, **ECHO_TUPLE, "mark": 0,
            "icmp_type": 0, "state": STATES["ESTABLISHED"], "ct_direction": 1, "ct_status": 10,
        },
        "0800f7fd00010001",
        passed_over=("-p icmp -m icmp --icmp-type 8",),
    ),
}  # fmt: skip

COMMON = """
-m conntrack --ctstate NEW
-m conntrack ! --ctstate NEW
-m conntrack --ctstate INVALID
-m conntrack ! --ctstate INVALID
-m conntrack --ctstate UNTRACKED
-m conntrack ! --ctstate INVALID,UNTRACKED
-m conntrack --ctstate NEW,SNAT,DNAT
-m conntrack ! --ctstate DNAT
-m conntrack --ctstate DNAT
-m conntrack --ctproto 17
-m conntrack ! --ctproto 17
-m conntrack --ctstate INVALID,UNTRACKED,NEW --ctproto 99
-m conntrack ! --ctstate ESTABLISHED --ctproto 99
-m conntrack ! --ctstate ESTABLISHED --ctorigdst 127.0.0.9/8
-m conntrack --ctorigdst 127.9.9.9/8
-m conntrack ! --ctorigdst 127.0.0.1
-m conntrack --ctorigsrc 127.0.0.1 --ctreplsrc 127.0.0.1 ! --ctrepldst 10.0.0.1
-m conntrack --ctorigdstport 53
-m conntrack ! --ctorigdstport 53
-m conntrack --ctorigsrcport 4000:40000
-m conntrack --ctreplsrcport 53:80
-m conntrack ! --ctrepldstport 4000
-m conntrack --ctstatus NONE
-m conntrack ! --ctstatus NONE
-m conntrack --ctstatus SEEN_REPLY
-m conntrack ! --ctstatus SEEN_REPLY,CONFIRMED
-m conntrack --ctdir ORIGINAL
-m conntrack --ctdir REPLY
-m state --state NEW
-m state ! --state NEW,ESTABLISHED
-m connmark --mark 0x30
-m connmark ! --mark 0x30
-m connmark --mark 0x10/0x11
-m connmark ! --mark 0x1/0xf
-m mark --mark 0x2001
-m mark ! --mark 0x2000/0x2000
-m mark --mark 0x0/0x2
-m mark --mark 0x5/0x3
-m mark ! --mark 0x5/0x3
-m owner --uid-owner 0
-m owner ! --uid-owner 0
-m owner --uid-owner 1-1000
-m owner ! --uid-owner 1-1000
-m owner --gid-owner 0
-m owner ! --gid-owner 0
-m owner ! --gid-owner 5 ! --uid-owner 5
-m owner ! --gid-owner 0 ! --uid-owner 5
-m owner --socket-exists
-m owner ! --socket-exists
-m owner --socket-exists ! --uid-owner 7
-m owner ! --socket-exists ! --uid-owner 7
-m owner ! --socket-exists --uid-owner 0
-m cgroup ! --cgroup 7
-m iprange --src-range 127.0.0.0-127.0.0.2
-m iprange ! --dst-range 127.0.0.0-127.0.0.2
-m iprange --dst-range 127.0.0.2-127.0.0.0
-m helper --helper ftp
-m helper ! --helper ftp
-m helper --helper ""
-m physdev ! --physdev-is-in
-m physdev ! --physdev-in eth0
-m physdev --physdev-is-in
-m physdev --physdev-in lo
-m comment --comment anything
""".strip().splitlines()
PORTS = """
-m {0} --dport 53
-m {0} ! --dport 53
-m {0} --sport 4000:40000
-m {0} ! --sport 4000:4000 --dport 1:
-m {0}
-m multiport --dports 1,53,80:90
-m multiport ! --dports 1,53,80:90
-m multiport --sports 40000
-m multiport --ports 53,40000
-m multiport ! --ports 53,40000
-m multiport ! --ports 1:9
""".strip().splitlines()
FLAGS = """
-m tcp --syn
-m tcp ! --syn
-m tcp --tcp-flags SYN,FIN SYN
-m tcp --tcp-flags ALL FIN,SYN
-m tcp ! --tcp-flags ALL NONE
-m tcp --tcp-flags ACK SYN
-m tcp ! --tcp-flags ACK SYN
-m tcp --tcp-option 2
-m tcp ! --tcp-option 2
-m tcp --tcp-option 3
-m tcp ! --tcp-option 3 --dport 80
""".strip().splitlines()
KINDS = """
-m icmp --icmp-type any
-m icmp ! --icmp-type any
-m icmp --icmp-type 8
-m icmp ! --icmp-type 8
-m icmp --icmp-type 8/0
-m icmp ! --icmp-type 8/0
-m icmp --icmp-type 8/1
-m icmp ! --icmp-type 8/1
-m icmp --icmp-type 0
""".strip().splitlines()


def rules_for(sent: Sent) -> list[str]:
    if sent.protocol == 1:
        return [*COMMON, *(f"-p icmp {rule}" for rule in KINDS)]
    name = "udp" if sent.protocol == 17 else "tcp"
    own = [rule.format(name) for rule in PORTS] + (FLAGS if sent.protocol == 6 else [])
    return [*COMMON, *(f"-p {name} {rule}" for rule in own)]


def kernel_says(sent: Sent, rules: list[str]) -> list[int]:
    job = {
        "rules": rules, "protocol": sent.protocol, "payload": sent.payload, "untracked": sent.untracked,
        "passed_over": sent.passed_over, "connmark": 0x30,
    }  # fmt: skip
    command = ["unshare", "-n", sys.executable, "-c", SENDER]
    ran = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, check=False)
    assert not ran.returncode, ran.stderr
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
        (line,) = reader(4).read(f"-A OUTPUT {text}")
        assert line.rule is not None
        answer = line.rule.decide(Known(sent.facts))
        if not isinstance(answer, Yes if count else No):
            wrong.append(f"{text}: the kernel counted {count}, we say {answer}")
    assert not wrong, "\n".join(wrong)
