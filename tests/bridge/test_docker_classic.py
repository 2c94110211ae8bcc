"""The rules of Docker 20.10 are what a real daemon made, stage by stage: ../shared/truth, as ../shared/capture/stages.sh ran it."""

import json
import re
from pathlib import Path

import pytest

from ruleflow.bridge.declaration import Declaration
from ruleflow.bridge.generate import generate
from ruleflow.bridge.needs import Proxy, needs
from ruleflow.bridge.read_declaration import read_declaration
from ruleflow.ruleset.parse import parse

SHARED = Path(__file__).parents[3] / "shared"
STAGES = sorted(path.relative_to(SHARED / "truth") for path in SHARED.glob("truth/*/*") if path.is_dir())
RUN = """
networks:
  bridge: {ipam: {config: [{subnet: 172.17.0.0/16}SIX]}}
endpoints:
  test: {network: bridge}
  test1: {network: bridge}
  web: {network: bridge, ports: ["80:80"]}
  multi: {network: bridge, ports: ["192.0.2.10:8443:80", "9000-9003:80-83"]}
  w2: {network: app, ports: ["8080:80", "8080:80/udp"]}
layout: docker-classic
"""
STARTED = {1: (), 2: ("test", "test1"), 3: ("test", "test1", "web"), 4: ("test", "test1", "web", "multi")}


def run(stage: Path) -> Declaration:
    """What stages.sh had run at ``stage``."""
    six = ', {subnet: "2001:db8:17::/64"}' if "ipv6" in stage.parts[0] else ""
    lines = RUN.replace("SIX", six).splitlines()
    number = int(stage.name[0])
    left_out = {name for names in STARTED.values() for name in names} | {"w2"}
    left_out -= set(STARTED.get(number, (*STARTED[4], "w2")))
    kept = [line for line in lines if line.split(":")[0].strip() not in left_out]
    if number >= 5:  # `docker network create app` names its bridge after an id that is made up
        kept.insert(3, f"  app: {{bridge: {bridge_of(stage)}}}")
    kept.append(f"userland_proxy: {'true' if stage.parts[0].endswith('true') else 'false'}")
    return read_declaration("\n".join(kept))


def bridge_of(stage: Path) -> str:
    found = re.search(r"br-[0-9a-f]{12}", (SHARED / "truth" / stage / "iptables.save").read_text())
    assert found is not None
    return found[0]


@pytest.mark.shared
def test_there_is_truth() -> None:
    assert len(STAGES) >= 13


@pytest.mark.shared
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_equals_what_the_daemon_made(stage: Path, family: int) -> None:
    name = "iptables.save" if family == 4 else "ip6tables.save"
    document = parse((SHARED / "truth" / stage / name).read_text(), family=family)
    made = "".join(line for line in str(document).splitlines(keepends=True) if not line.startswith("#"))
    assert str(generate(run(stage), family=family)) == made


@pytest.mark.shared
@pytest.mark.parametrize("stage", [stage for stage in STAGES if "ipv6" not in stage.parts[0]], ids=str)
def test_needs_what_the_daemon_did_beside_its_rules(stage: Path) -> None:
    found, folder = needs(run(stage)), SHARED / "truth" / stage
    assert sorted(words(proxy) for proxy in found.proxies) == sorted(
        folder.joinpath("docker-proxy.txt").read_text().splitlines()
    )
    switches = dict(line.split(" = ") for line in folder.joinpath("sysctl.txt").read_text().splitlines())
    assert {one.name: one.value for one in found.sysctls}.items() <= switches.items()
    wanted = {name for name, value in switches.items() if name.endswith(".route_localnet") and value == "1"}
    assert {one.name for one in found.sysctls if one.name.endswith("route_localnet")} == wanted
    ports = json.loads(folder.joinpath("bridge.json").read_text() or "[]")
    assert len(found.port_flags) == sum(1 for port in ports if port.get("hairpin"))


def words(proxy: Proxy) -> str:
    return (
        f"/usr/sbin/docker-proxy -proto {proxy.protocol} -host-ip {proxy.host_ip} -host-port {proxy.host_port} "
        f"-container-ip {proxy.address} -container-port {proxy.port}"
    )


@pytest.mark.parametrize(
    ("ports", "order"),
    [
        (["80:80", "443:443", "8443:8080"], ["8443:8080", "443:443", "80:80"]),
        (["1000:3", "1000:1/udp", "2000:2/udp"], ["1000:3", "2000:2", "1000:1"]),
        (["53:53/udp", "53:53"], ["53:53", "53:53"]),
        (["1000:1", "900:2", "800:3"], ["800:3", "900:2", "1000:1"]),
    ],
)
def test_ports_come_in_the_order_in_which_a_real_daemon_took_them(ports: list[str], order: list[str]) -> None:
    text = f"networks: {{bridge: {{}}}}\nendpoints: {{web: {{ports: {json.dumps(ports)}}}}}\nlayout: docker-classic"
    rules = str(generate(read_declaration(text)))
    assert [":".join(found) for found in re.findall(r"--dport (\d+) -j DNAT .*:(\d+)", rules)] == order


def test_icc_off_internal_and_sctp() -> None:
    text = """
networks:
  quiet: {bridge: br-1, icc: false, outbound_addr4: 192.0.2.10, ipam: {config: [{subnet: 172.18.0.0/16}]}}
  inner: {bridge: br-2, internal: true, ipam: {config: [{subnet: 172.19.0.0/16}]}}
endpoints:
  web: {network: quiet, ports: ["3868:3868/sctp"]}
layout: docker-classic
"""
    rules = str(generate(read_declaration(text))).splitlines()
    assert [line for line in rules if line.startswith("-A FORWARD")] == [
        "-A FORWARD -j DOCKER-USER",
        "-A FORWARD -j DOCKER-ISOLATION-STAGE-1",
        "-A FORWARD -i br-2 -o br-2 -j ACCEPT",
        "-A FORWARD -o br-1 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A FORWARD -o br-1 -j DOCKER",
        "-A FORWARD -i br-1 ! -o br-1 -j ACCEPT",
        "-A FORWARD -i br-1 -o br-1 -j DROP",
    ]
    assert [line for line in rules if line.startswith("-A DOCKER-ISOLATION-STAGE-1")] == [
        "-A DOCKER-ISOLATION-STAGE-1 ! -s 172.19.0.0/16 -o br-2 -j DROP",
        "-A DOCKER-ISOLATION-STAGE-1 ! -d 172.19.0.0/16 -i br-2 -j DROP",
        "-A DOCKER-ISOLATION-STAGE-1 -i br-1 ! -o br-1 -j DOCKER-ISOLATION-STAGE-2",
        "-A DOCKER-ISOLATION-STAGE-1 -j RETURN",
    ]
    assert "-A POSTROUTING -p sctp -m sctp --sport 3868 -j CHECKSUM --checksum-fill" in rules
    assert "-A POSTROUTING -s 172.18.0.0/16 ! -o br-1 -j SNAT --to-source 192.0.2.10" in rules


def test_ports_are_published_as_their_containers_start_whatever_network_they_are_on() -> None:
    """Seen beside a real 20.10: the rules of a container on a later network come first where it was started first."""
    text = """
networks:
  bridge: {}
  app: {bridge: br-app, ipam: {config: [{subnet: 172.18.0.0/16}]}}
endpoints:
  first: {network: app, ports: ["8080:80"]}
  second: {network: bridge, ports: ["80:80"]}
layout: docker-classic
"""
    ports = re.findall(r"-A DOCKER .* --dport (\d+) -j DNAT", str(generate(read_declaration(text))))
    assert ports == ["8080", "80"]
