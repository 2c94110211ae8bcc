"""What really happens between namespaces is what `connect` predicts from their files: every layout, everybody to everything."""

import threading
from pathlib import Path

import pytest
from room import HOST4, HOST6, OUTSIDE4, OUTSIDE6, Room, room

from ruleflow.bridge.read_declaration import read_declaration
from ruleflow.netfilter.connect import Connection, connect
from ruleflow.netfilter.world import World, read_world

pytestmark = [pytest.mark.root, pytest.mark.slow]

DECLARED = """
networks:
  app: {ipam: {config: [{subnet: 172.18.0.0/16}, {subnet: "fd00:18::/64"}]}}
  other: {icc: false, ipam: {config: [{subnet: 172.19.0.0/16}, {subnet: "fd00:19::/64"}]}}
  inner: {internal: true, ipam: {config: [{subnet: 172.20.0.0/16}]}}
endpoints:
  web: {network: app, ports: ["8080:80", "8080:80/udp", "127.0.0.1:8081:80", "9000-9001:80-81"]}
  sib: {network: app}
  far: {network: other, ports: ["7000:80"]}
  near: {network: other}
  in1: {network: inner}
userland_proxy: false
"""
ADDRESSES = (
    HOST4,
    "127.0.0.1",
    "172.18.0.2",
    "172.18.0.3",
    "172.19.0.2",
    "172.20.0.2",
    OUTSIDE4,
    HOST6,
    "fd00:18::2",
    "fd00:19::2",
    OUTSIDE6,
)
PORTS = {HOST4: (8080, 8081, 9001, 7000, 22), HOST6: (8080, 9000, 7000), "127.0.0.1": (8080, 8081, 7000)}


def questions() -> list[tuple[str, str, int]]:
    found = [
        (protocol, address, port)
        for address in ADDRESSES
        for port in PORTS.get(address, (80, 81))
        for protocol in ("tcp", "udp")
    ]
    return found + [("icmp", address, 0) for address in ADDRESSES]


def ask_everybody(tried: Room) -> dict[str, list[str]]:
    """Every place asks at the same time."""
    answers: dict[str, list[str]] = {}
    asked = questions()

    def ask(place: str) -> None:
        answers[place] = tried.ask(
            place, *asked, patience=2
        )  # before the kernel gives up looking for a neighbour (3 s)

    threads = [threading.Thread(target=ask, args=(place,)) for place in tried.names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def in_the_same_words(found: Connection) -> str:
    if found.result == "reached" and found.protocol != "icmp":
        return f"{found.by} {found.sees}"
    return {"no-answer": "timeout"}.get(found.result, found.result)


def as_predicted(answer: str) -> str:
    """NAME PEER without the port, and errno 101 and 113 as unreachable."""
    words = answer.split()
    if words[0] == "error":
        return "unreachable" if words[1] in ("101", "113") else answer
    return " ".join(words[:2])


def differences(world: World, answers: dict[str, list[str]]) -> list[str]:
    wrong = []
    for place, given in answers.items():
        for (protocol, address, port), answer in zip(questions(), given, strict=True):
            found = connect(world, place, address, port or None, protocol)
            if in_the_same_words(found) != as_predicted(answer):
                wrong.append(
                    f"{place} {protocol} {address} {port}: was {answer}, predicted {in_the_same_words(found)}: {found.because}"
                )
    return wrong


@pytest.mark.parametrize("bridge_netfilter", [False, True], ids=["routed", "br_netfilter"])
@pytest.mark.parametrize(
    ("layout", "backend"),
    [
        ("native", "nft"),
        ("native", "legacy"),
        ("docker-classic", "nft"),
        ("docker-28", "nft"),
        ("docker-29", "nft"),
        ("cni-portmap", "nft"),
    ],
)
def test_what_was_predicted_happens(
    layout: str, backend: str, bridge_netfilter: bool, tmp_path: Path
) -> None:
    with room(
        read_declaration(DECLARED, layout=layout), backend=backend, bridge_netfilter=bridge_netfilter
    ) as tried:
        answers = ask_everybody(tried)
        world = read_world(tried.record(tmp_path))
        wrong = differences(world, answers)
        assert not wrong, "\n".join(wrong)
