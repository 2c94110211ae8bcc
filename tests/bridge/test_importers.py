"""Declarations made from other tools' files: each is read again, and says what the file said."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ruleflow.bridge.declaration import Declaration
from ruleflow.bridge.generate import generate
from ruleflow.bridge.importers import KINDS, import_declaration
from ruleflow.bridge.read_declaration import read_declaration
from ruleflow.data import samples
from ruleflow.errors import ReadError, RuleflowError

COMPOSE = """
name: shop
x-common: &common {restart: always}
services:
  web:
    <<: *common
    image: nginx
    networks:
      front: {ipv4_address: 172.18.0.10}
      back: {}
    ports:
      - "80:8080"
      - "127.0.0.1:${PORT:-8443}:443"
      - {target: 53, published: "53", protocol: udp, mode: host}
  db:
    networks: [back]
  old: {network_mode: host}
  api: {networks: [open], ports: ["8443:443"]}
  far: {networks: [over]}
networks:
  front:
    driver_opts: {com.docker.network.bridge.name: br-front, com.docker.network.bridge.enable_icc: "false", com.docker.network.bridge.inhibit_ipv4: "true"}
    ipam: {config: [{subnet: 172.18.0.0/16, gateway: 172.18.0.1}]}
  back: {internal: true}
  open: {driver_opts: {com.docker.network.bridge.gateway_mode_ipv4: routed}}
  over: {driver: overlay}
"""


def imported(kind: str, text: str) -> tuple[Declaration, tuple[str, ...]]:
    found = import_declaration(kind, text)
    return read_declaration(found.text), found.notes


def said(declaration: Declaration) -> dict[str, tuple[str, str, list[str]]]:
    return {
        one.name: (one.network, str(one.address4), [str(port) for port in one.ports])
        for one in declaration.endpoints
    }


def test_compose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PORT", raising=False)
    declaration, notes = imported("compose", COMPOSE)
    assert said(declaration) == {
        "web": ("front", "172.18.0.10", ["80:8080/tcp", "127.0.0.1:8443:443/tcp", "53:53/udp"]),
        "web-back": ("back", "172.19.0.2", []),
        "db": ("back", "172.19.0.3", []),
        "api": ("open", "172.20.0.2", ["443/tcp"]),
    }
    front, back, open_ = declaration.networks
    assert (front.bridge, front.icc, back.internal, open_.gateway_mode4) == (
        "br-front",
        False,
        True,
        "routed",
    )
    assert notes == (
        "the option com.docker.network.bridge.inhibit_ipv4 of the network front is left out",
        "the service web is on several networks; its ports are published on the first",
        "the service old has network_mode host, and no bridge",
        "the network over has the driver overlay, and no bridge",
    )


NETWORK = {
    "Name": "app", "Id": "403e3b9302201234", "Driver": "bridge", "EnableIPv6": False, "Internal": False,
    "IPAM": {"Driver": "default", "Config": [{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}]},
    "Containers": {"1": {"Name": "w2", "IPv4Address": "172.18.0.2/16", "IPv6Address": ""}},
    "Options": {"com.docker.network.bridge.enable_icc": "true", "com.docker.network.driver.mtu": "1400"},
}  # fmt: skip
CONTAINER = {
    "Name": "/w2",
    "HostConfig": {
        "PortBindings": {
            "80/tcp": [{"HostIp": "", "HostPort": "8080"}, {"HostIp": "127.0.0.1", "HostPort": "8081"}],
            "53/udp": [{"HostIp": "", "HostPort": ""}],
        }
    },
    "NetworkSettings": {
        "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "53/udp": [{"HostIp": "0.0.0.0", "HostPort": "32768"}]},
        "Networks": {
            "app": {"IPAddress": "172.18.0.2", "IPPrefixLen": 16, "Gateway": "172.18.0.1", "GlobalIPv6Address": ""}
        },
    },
}  # fmt: skip


def test_docker_network_and_container() -> None:
    declaration, notes = imported("docker", json.dumps([NETWORK, CONTAINER]))
    assert said(declaration) == {
        "w2": ("app", "172.18.0.2", ["8080:80/tcp", "127.0.0.1:8081:80/tcp", "32768:53/udp"])
    }
    assert (declaration.networks[0].bridge, declaration.networks[0].mtu) == ("br-403e3b930220", 1400)
    assert notes == ("w2: Docker chose port 32768 of the host for 53/udp; it is fixed here",)


def test_docker_network_alone_and_container_alone() -> None:
    declaration, notes = imported("docker", json.dumps([NETWORK]))
    assert said(declaration) == {"w2": ("app", "172.18.0.2", [])}
    assert notes == ("the ports of w2 are not in a network's inspection: inspect the container too",)
    declaration, notes = imported("docker", json.dumps([CONTAINER]))
    assert str(declaration.networks[0].subnet4) == "172.18.0.0/16"
    assert (
        notes[1]
        == "the network app is known by its containers only: inspect it too, for its bridge and its options"
    )


def test_cni() -> None:
    config = {
        "cniVersion": "1.0.0", "name": "pods",
        "plugins": [
            {
                "type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": True, "mtu": 1450, "portIsolation": True, "vlan": 5,
                "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.22.0.0/16", "gateway": "10.22.0.1"}], [{"subnet": "fd00:22::/64"}]]},
            },
            {
                "type": "portmap",
                "runtimeConfig": {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "TCP"}, {"hostPort": 53, "containerPort": 53, "protocol": "udp", "hostIP": "192.0.2.10"}]},
                "prevResult": {"ips": [{"address": "10.22.0.7/16"}]},
            },
            {"type": "tuning"},
        ],
    }  # fmt: skip
    declaration, notes = imported("cni", json.dumps(config))
    assert said(declaration) == {"container": ("pods", "10.22.0.7", ["8080:80/tcp", "192.0.2.10:53:53/udp"])}
    network = declaration.networks[0]
    assert (network.bridge, network.mtu, network.icc, network.icc_enforcement) == (
        "cni0",
        1450,
        False,
        "port_isolation",
    )
    assert (str(network.subnet4), str(network.subnet6)) == ("10.22.0.0/16", "fd00:22::/64")
    assert notes == ("vlan of the bridge plugin is left out", "the plugin tuning is left out")


PODMAN = {
    "name": "web", "driver": "bridge", "network_interface": "podman1", "ipv6_enabled": False, "internal": False, "dns_enabled": True,
    "subnets": [{"subnet": "10.89.0.0/24", "gateway": "10.89.0.1"}], "options": {"mtu": "1400", "isolate": "true"},
}  # fmt: skip


def test_podman() -> None:
    declaration, notes = imported("podman", json.dumps([PODMAN]))
    network = declaration.networks[0]
    assert (network.bridge, network.mtu, str(network.gateway4)) == ("podman1", 1400, "10.89.0.1")
    assert notes == ("the option isolate of the network web is left out",)
    given_to_netavark = {
        "container_name": "w", "network_info": {"web": PODMAN}, "networks": {"web": {"static_ips": ["10.89.0.5"]}},
        "port_mappings": [
            {"host_ip": "", "host_port": 8080, "container_port": 80, "protocol": "tcp,udp", "range": 1},
            {"host_ip": "", "host_port": 9000, "container_port": 80, "protocol": "tcp", "range": 4},
        ],
    }  # fmt: skip
    declaration, _ = imported("podman", json.dumps(given_to_netavark))
    assert said(declaration) == {
        "w": ("web", "10.89.0.5", ["8080:80/tcp", "8080:80/udp", "9000-9003:80-83/tcp"])
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"services": 1}', "\x00"])
def test_what_is_no_such_file(kind: str, text: str) -> None:
    with pytest.raises(ReadError):
        import_declaration(kind, text)


def test_another_kind() -> None:
    with pytest.raises(RuleflowError, match="I cannot import 'netplan'"):
        import_declaration("netplan", "")


WORDS = st.sampled_from(
    [
        "services", "networks", "ports", "web", "Name", "IPAM", "Config", "Driver", "bridge", "NetworkSettings", "Networks", "plugins",
        "type", "ipam", "ranges", "subnet", "172.18.0.0/16", "runtimeConfig", "portMappings", "HostConfig", "PortBindings", "80/tcp",
        "subnets", "network_info", "port_mappings", "options", "driver_opts", "name", "Options", "Containers", "\x1b[1m\n- x",
    ]
)  # fmt: skip
TREES = st.recursive(
    WORDS | st.integers() | st.none() | st.booleans() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5), max_leaves=25,
)  # fmt: skip


@settings(deadline=None)
@given(st.sampled_from(KINDS), TREES)
def test_whatever_a_file_holds_is_imported_or_reported(kind: str, tree: object) -> None:
    try:
        found = import_declaration(kind, json.dumps(tree))
    except ReadError:
        return
    assert all(line.isprintable() for line in found.text.split("\n"))


def test_samples_are_in_order() -> None:
    found = {name: path for name, path in samples().items() if path.suffix == ".yaml"}
    assert len(found) >= 4
    declared = {name: read_declaration(path.read_text(), name) for name, path in found.items()}
    made = str(generate(declared["net-docker-second-bridge"]))
    dump = samples()["docker-second-bridge"]
    assert made == without_comments(dump)


def without_comments(path: Path) -> str:
    return "".join(line for line in path.read_text().splitlines(keepends=True) if not line.startswith("#"))
