"""A later fragment has no ports: no match on them takes it, negated or not, and the kernel's counters agree.

Ports and flags of tcp and udp are an exception under iptables-nft (seen on Linux 6.18): it asks them without the
match, and then bytes of the payload are taken for ports. Where connections are tracked, no rule sees fragments.
"""

import json
import subprocess
import sys

import pytest

from ruleflow.ruleset.condition import Decision, Derived, No, Unknown, Yes
from ruleflow.ruleset.fields import Field
from ruleflow.ruleset.shape import reader

SENDER = """
import json, socket, struct, subprocess, sys
job = json.load(sys.stdin)
rules = "".join(f"-A OUTPUT {rule}\\n" for rule in job["rules"])
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run([f"iptables-{job['backend']}-restore"], input=f"*filter\\n{rules}COMMIT\\n", text=True, check=True)
sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
here = socket.inet_aton("127.0.0.1")
header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, 7, 185, 64, job["protocol"], 0, here, here)
sender.sendto(header + bytes(8), ("127.0.0.1", 0))
saved = subprocess.run([f"iptables-{job['backend']}-save", "-c"], capture_output=True, text=True, check=True).stdout
lines = [line for line in saved.splitlines() if "-A OUTPUT" in line]
print(json.dumps([int(line[1:].split(":")[0]) for line in lines]))
"""
NATIVE = ("--dport", "--sport", "--syn", "--tcp-flags")
RULES = {
    17: """
-p udp
-p udp -f
-p udp ! -f
-p udp -m udp
-p udp -m udp --dport 0
-p udp -m udp ! --dport 5
-p udp -m udp ! --sport 5 ! --dport 5
-p udp -m multiport --ports 0
-p udp -m multiport ! --ports 5
-p udp -m multiport ! --dports 5
""",
    6: """
-p tcp -m tcp
-p tcp -m tcp ! --dport 5
-p tcp -m tcp ! --syn
-p tcp -m tcp ! --tcp-option 5
""",
    1: """
-p icmp
-p icmp -m icmp --icmp-type any
-p icmp -m icmp ! --icmp-type 8
-p icmp -m icmp --icmp-type 0
""",
    50: """
-p esp -m esp
-p esp -m esp ! --espspi 5
""",
    132: """
-p sctp -m sctp
-p sctp -m sctp ! --dport 5
""",
}


class Fragment:
    """The facts of a later fragment: those of its IP header."""

    def __init__(self, protocol: int) -> None:
        self.facts = {"protocol": protocol, "fragment": 185}

    def value(self, field: Field) -> int | str | None:
        return self.facts.get(field.name)

    def absent(self, field: Field) -> bool:
        return field.name not in self.facts

    def derived(self, condition: Derived) -> Decision:
        return Unknown((condition,), "not computed here")


@pytest.mark.root
@pytest.mark.parametrize("backend", ["nft", "legacy"])
@pytest.mark.parametrize("protocol", list(RULES))
def test_the_kernel_agrees(protocol: int, backend: str) -> None:
    rules = RULES[protocol].strip().splitlines()
    if backend == "nft" and protocol in (6, 17):
        rules = [rule for rule in rules if not any(f" {option}" in rule for option in NATIVE)]
    job = json.dumps({"rules": rules, "protocol": protocol, "backend": backend})
    command = ["unshare", "-n", sys.executable, "-c", SENDER]
    ran = subprocess.run(command, input=job, capture_output=True, text=True, check=False)
    assert not ran.returncode, ran.stderr
    for text, count in zip(rules, json.loads(ran.stdout), strict=True):
        (line,) = reader(4).read(f"-A OUTPUT {text}")
        assert line.rule is not None
        answer = line.rule.decide(Fragment(protocol))
        assert isinstance(answer, Yes if count else No), f"{text}: counted {count}, we say {answer}"
