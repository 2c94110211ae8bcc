"""``walk --verify``: the real kernel is asked about the very packet, and a model that is wrong is found out."""

from pathlib import Path

import msgspec
import pytest

import ruleflow
from ruleflow.errors import RuleflowError
from ruleflow.kernel.verify import verify
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.world import read_world

SAMPLES = Path(__file__).parent.parent.parent / "samples"

pytestmark = pytest.mark.root


@pytest.mark.parametrize(
    "packet",
    [
        "tcp 192.0.2.1:40000 192.0.2.10:80 in eth0",
        "tcp 172.17.0.2:40000 198.51.100.7:80 in docker0",
        "tcp 127.0.0.1:40000 127.0.0.1:80",
        "tcp 192.0.2.1:40000 172.17.0.4:22 in eth0",
        "tcp 192.0.2.1:40000 198.51.100.9:80 in eth0 ttl 1",
    ],
)
def test_the_kernel_agrees_on_a_whole_host(packet: str) -> None:
    machine = Machine.of(read_world(SAMPLES / "docker-host").main, 4)
    found = verify(machine, Packet.parse(packet))
    assert found.agrees, str(found)


def test_the_kernel_agrees_on_a_dump_alone() -> None:
    rules = ruleflow.parse((SAMPLES / "docker-port-80-proxy.rules").read_text())
    machine = Machine.inferred_from(rules, local=("192.0.2.1",))
    found = verify(machine, Packet.parse("tcp 203.0.113.9:40000 192.0.2.1:80 in eth0"))
    assert str(found) == "kernel agrees (8 of 8 steps)"


def test_a_wrong_model_is_told() -> None:
    """The machine walks other rules than it gives to the kernel: that must show."""
    machine = Machine.of(read_world(SAMPLES / "docker-host").main, 4)
    text = str(machine.rulesets[0]).replace("--dport 80 -j DNAT", "--dport 81 -j DNAT")
    machine.rulesets = (ruleflow.parse(text),)
    found = verify(machine, Packet.parse("tcp 192.0.2.1:40000 192.0.2.10:80 in eth0"))
    assert not found.agrees
    assert "the walk forwarded" in str(found)


def test_a_packet_of_a_known_connection_is_refused() -> None:
    machine = Machine.of(msgspec.structs.replace(read_world(SAMPLES / "docker-host").main, dumps=()), 4)
    with pytest.raises(RuleflowError, match="begins a connection"):
        verify(machine, Packet.parse("tcp 192.0.2.1:40000 192.0.2.10:80 in eth0 state established"))
