"""What ah, esp, ipcomp and the ICMP matches say of a packet is what the kernel's counters say of it."""

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
sender = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_RAW, job["protocol"])
try:
    sender.sendto(bytes.fromhex(job["payload"]), ("::1" if six else "127.0.0.1", 0))
except PermissionError:
    pass
saved = subprocess.run([f"ip{six}tables-nft-save", "-c"], capture_output=True, text=True, check=True).stdout
lines = [line for line in saved.splitlines() if "-A OUTPUT" in line][1:-1]
print(json.dumps([int(line[1:].split(":")[0]) for line in lines]))
"""


class Sent(NamedTuple):
    """A packet that is sent over the loopback interface, and what is known of it."""

    family: int
    protocol: int
    payload: str
    facts: dict[str, int]
    rules: str


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


AUTH = f"1104{0:04x}{500:08x}{1:08x}{0:024x}" + f"{1000:04x}{53:04x}{8:04x}{0:04x}"
"""An authentication header with SPI 500, and a UDP header behind it."""
PACKETS = {
    "ah": Sent(4, 51, AUTH, {"protocol": 51, "spi": 500, "fragment": 0}, """
-p ah
-p ah -m ah
-p ah -m ah --ahspi 500
-p ah -m ah ! --ahspi 500
-p ah -m ah --ahspi 501:
-p ah -m ah ! --ahspi 501:
-p ah -m ah --ahspi 600:400
-p ah -m ah ! --ahspi 600:400
"""),
    "ah over ipv6": Sent(6, 51, AUTH, {"protocol": 17, "spi": 500, "extension_headers": 8}, """
-m ah
-m ah --ahspi 500
-m ah ! --ahspi 500
-m ah --ahspi 501:
-m ah ! --ahlen 0
"""),
    "udp over ipv6": Sent(6, 17, AUTH[-16:], {"protocol": 17, "extension_headers": 0}, """
-m ah
-m ah ! --ahspi 500
"""),
    "esp": Sent(4, 50, f"{500:08x}{1:08x}{0:032x}", {"protocol": 50, "spi": 500, "fragment": 0}, """
-p esp -m esp --espspi 500
-p esp -m esp ! --espspi 500
-p esp -m esp --espspi 0:499
"""),
    "ipcomp": Sent(4, 108, f"0400{500:04x}{0:032x}", {"protocol": 108, "spi": 500, "fragment": 0}, """
-p ipcomp -m ipcomp
-p ipcomp -m ipcomp --ipcompspi 500
-p ipcomp -m ipcomp ! --ipcompspi 500
-p ipcomp -m ipcomp --ipcompspi 1:600 --compres
"""),
    "ping over ipv6": Sent(6, 58, "8000000000010001", {"protocol": 58, "icmp_type": 128, "icmp_code": 0, "fragment": 0}, """
-p ipv6-icmp -m icmp6 --icmpv6-type 128
-p ipv6-icmp -m icmp6 ! --icmpv6-type 128
-p ipv6-icmp -m icmp6 --icmpv6-type 128/0
-p ipv6-icmp -m icmp6 --icmpv6-type 128/1
-p ipv6-icmp -m icmp6 ! --icmpv6-type 128/1
-p ipv6-icmp -m icmp6 --icmpv6-type 255
"""),
}  # fmt: skip


@pytest.mark.root
@pytest.mark.parametrize("name", list(PACKETS))
def test_the_kernel_agrees(name: str) -> None:
    sent = PACKETS[name]
    rules = sent.rules.strip().splitlines()
    job = {"family": sent.family, "protocol": sent.protocol, "payload": sent.payload, "rules": rules}
    command = ["unshare", "-n", sys.executable, "-c", SENDER]
    ran = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, check=False)
    assert not ran.returncode, ran.stderr
    for text, count in zip(rules, json.loads(ran.stdout), strict=True):
        (line,) = reader(sent.family).read(f"-A OUTPUT {text}")
        assert line.rule is not None
        answer = line.rule.decide(Known(sent.facts))
        assert isinstance(answer, Yes if count else No), f"{text}: counted {count}, we say {answer}"
