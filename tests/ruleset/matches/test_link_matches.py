"""What mac, pkttype, devgroup and physdev say of a frame is what the kernel's counters say of it."""

import json
import subprocess
import sys
from typing import NamedTuple

import pytest

from ruleflow.ruleset.condition import Decision, Derived, No, Unknown, Yes
from ruleflow.ruleset.fields import Field
from ruleflow.ruleset.shape import reader

SENDER = """
import json, socket, struct, subprocess, sys, time
job = json.load(sys.stdin)
def ip(words): subprocess.run(["ip", *words.split()], check=True)
for near, far in (("pa", "va"), ("pb", "vb"), ("vr", "vs")):
    ip(f"link add {near} type veth peer name {far}")
    ip(f"link set {far} up")
ip("link add br0 address 02:00:00:00:00:b0 type bridge forward_delay 0")
for port in ("pa", "pb"):
    ip(f"link set {port} master br0")
    ip(f"link set {port} up")
ip("link set vr address 02:00:00:00:00:10 group 5 up")
ip("link set br0 up")
ip("addr add 192.0.2.1/24 dev br0")
ip("addr add 198.51.100.1/24 dev vr")
for name, value in (("net/bridge/bridge-nf-call-iptables", "1"), ("net/ipv4/ip_forward", "1")):
    open(f"/proc/sys/{name}", "w").write(value)
rules = "".join(f"-A {job['chain']} -p udp {rule}\\n" for rule in job["rules"])
subprocess.run(["iptables-nft-restore"], input=f"*filter\\n{rules}COMMIT\\n", text=True, check=True)
time.sleep(0.2)
mac = lambda text: bytes.fromhex(text.replace(":", ""))
if job["teach"]:
    other = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    other.bind(("vb", 0))
    other.send(mac(job["to"]) + mac(job["to"]) + b"\\x88\\xb5" + bytes(50))
sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sender.bind((job["by"], 0))
header = struct.pack("!BBHHHBBH", 0x45, 0, 36, 7, 0, 64, 17, 0) + socket.inet_aton("192.0.2.77") + socket.inet_aton(job["address"])
total = sum(struct.unpack("!10H", header))
total = (total & 0xffff) + (total >> 16)
checksum = ~((total & 0xffff) + (total >> 16)) & 0xffff
header = header[:10] + struct.pack("!H", checksum) + header[12:]
sender.send(mac(job["to"]) + mac("02:00:00:00:00:77") + b"\\x08\\x00" + header + struct.pack("!HHHH", 9, 9, 16, 0) + bytes(8))
time.sleep(0.1)
saved = subprocess.run(["iptables-nft-save", "-c"], capture_output=True, text=True, check=True).stdout
print(json.dumps([int(line[1:].split(":")[0]) for line in saved.splitlines() if f"-A {job['chain']}" in line]))
"""
COMMON = """
-m mac --mac-source 02:00:00:00:00:77
-m mac ! --mac-source 02:00:00:00:00:77
-m mac --mac-source 02:00:00:00:00:78
-m pkttype --pkt-type unicast
-m pkttype --pkt-type broadcast
-m pkttype ! --pkt-type broadcast
-m pkttype --pkt-type otherhost
-m devgroup --src-group 5
-m devgroup ! --src-group 5
-m devgroup --src-group 4/6
-m devgroup --src-group 7/5
-m physdev --physdev-is-in
-m physdev ! --physdev-is-in
-m physdev --physdev-in pa
-m physdev ! --physdev-in pa
-m physdev --physdev-in p+
-m physdev ! --physdev-in v+
-m physdev --physdev-is-bridged
-m physdev ! --physdev-is-bridged
-m physdev ! --physdev-is-bridged --physdev-in pa
-m physdev ! --physdev-is-bridged ! --physdev-in pa
"""
FORWARD = """
-m physdev --physdev-is-out --physdev-is-bridged
-m physdev --physdev-is-bridged --physdev-out pb
-m physdev --physdev-is-bridged ! --physdev-out pb
-m physdev --physdev-is-bridged --physdev-in pa --physdev-out p+
-m physdev --physdev-is-bridged ! --physdev-in pa ! --physdev-out va
-m physdev ! --physdev-out pb
-m physdev ! --physdev-out va
-m physdev ! --physdev-is-out
"""


class Frame(NamedTuple):
    """A frame that comes in, the chain where it is looked at, and what is known of it there."""

    chain: str
    by: str
    to: str
    address: str
    facts: dict[str, int | str]


HERE = {"protocol": 17, "mac": 0x020000000077}
FRAMES = {
    "routed, for this host": Frame(
        "INPUT", "vs", "02:00:00:00:00:10", "198.51.100.1", {**HERE, "pkttype": 0, "in_group": 5}
    ),
    "broadcast": Frame("INPUT", "vs", "ff:ff:ff:ff:ff:ff", "198.51.100.255", {**HERE, "pkttype": 1, "in_group": 5}),
    "through a port, for this host": Frame(
        "INPUT", "va", "02:00:00:00:00:b0", "192.0.2.1", {**HERE, "pkttype": 0, "in_group": 0, "physdev_in": "pa"}
    ),
    "bridged": Frame(
        "FORWARD", "va", "02:00:00:00:00:99", "192.0.2.99",
        {**HERE, "pkttype": 0, "in_group": 0, "physdev_in": "pa", "physdev_out": "pb"},
    ),
    "through a port, routed": Frame(
        "FORWARD", "va", "02:00:00:00:00:b0", "198.51.100.9",
        {**HERE, "pkttype": 0, "in_group": 0, "physdev_in": "pa"},
    ),
}  # fmt: skip


class Known:
    """The facts of one frame; what is not listed is not there."""

    def __init__(self, facts: dict[str, int | str]) -> None:
        self.facts = facts

    def value(self, field: Field) -> int | str | None:
        return self.facts.get(field.name)

    def absent(self, field: Field) -> bool:
        return field.name not in self.facts

    def derived(self, condition: Derived) -> Decision:
        return Unknown((condition,), "not computed here")


@pytest.mark.root
@pytest.mark.parametrize("name", list(FRAMES))
def test_the_kernel_agrees(name: str) -> None:
    frame = FRAMES[name]
    rules = [
        *COMMON.strip().splitlines(),
        *(FORWARD.strip().splitlines() if frame.chain == "FORWARD" else []),
    ]
    job = {
        "rules": rules, "chain": frame.chain, "by": frame.by, "to": frame.to, "address": frame.address,
        "teach": name == "bridged",
    }  # fmt: skip
    command = ["unshare", "-n", sys.executable, "-c", SENDER]
    ran = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, check=False)
    assert not ran.returncode, ran.stderr
    wrong = []
    for text, count in zip(rules, json.loads(ran.stdout), strict=True):
        (line,) = reader(4).read(f"-A {frame.chain} -p udp {text}")
        assert line.rule is not None
        answer = line.rule.decide(Known(frame.facts))
        if not isinstance(answer, Yes if count else No):
            wrong.append(f"{text}: the kernel counted {count}, we say {answer}")
    assert not wrong, "\n".join(wrong)
