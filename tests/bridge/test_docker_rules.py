"""A real daemon is started in a namespace and told what is declared here; the rules must be the same, order included."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ruleflow.bridge.generate import generate
from ruleflow.bridge.read_declaration import read_declaration

HERE = Path(__file__).parent
CAPTURE = HERE.parents[2] / "shared" / "capture" / "capture.sh"
SIX_OPTIONS = ("--ipv6", "--ip6tables", "--experimental", "--fixed-cidr-v6", "2001:db8:17::/64")
MODES = {
    "proxy": ((), True, ""), "no-proxy": (("--userland-proxy=false",), False, ""),
    "six": (SIX_OPTIONS, True, ', {subnet: "2001:db8:17::/64"}'),
}  # fmt: skip
NETWORKS = (
    (1, "bridge", "bridge: docker0", "172.17.0.0/16"), (3, "br-app", "", "172.18.0.0/16"),
    (4, "br-inner", "internal: true", "172.19.0.0/16"), (5, "br-quiet", "icc: false", "172.20.0.0/16"),
    (6, "br-inq", "internal: true, icc: false", "172.21.0.0/16"), (7, "br-plain", "ip_masq: false", "172.22.0.0/16"),
    (8, "br-snat", "outbound_addr4: 192.0.2.10", "172.23.0.0/16"), (9, "br-bind", "host_binding: 192.0.2.10", "172.24.0.0/16"),
)  # fmt: skip
CONTAINERS = (
    (2, "first", "bridge", '"80:80", "443:443", "8443:8080"'),
    (3, "web", "br-app", '"8080:80", "8080:80/udp", "127.0.0.1:8081:80", "192.0.2.10:8082:80"'),
    (4, "in1", "br-inner", '"7000:80"'), (5, "qq", "br-quiet", '"5353:53/udp", "5353:53/tcp"'),
    (7, "pl", "br-plain", '"6000:80"'), (8, "ss", "br-snat", '"6001:80"'), (9, "bb", "br-bind", '"6002:80"'),
)  # fmt: skip


def declared(stage: int, proxy: bool, six: str) -> str:
    lines = ["layout: docker-classic", f"userland_proxy: {str(proxy).lower()}", "networks:"]
    for since, name, options, subnet in NETWORKS:
        more = six if name == "bridge" else ', {subnet: "fd00:18::/64"}' if name == "br-app" and six else ""
        keys = ", ".join(
            filter(None, (options if "bridge:" in options else f"bridge: {name}, {options}".rstrip(", "),))
        )
        if since <= stage:
            lines.append(f"  {name}: {{{keys}, ipam: {{config: [{{subnet: {subnet}}}{more}]}}}}")
    started = [one for one in CONTAINERS if one[0] <= stage and not (stage == 10 and one[1] == "first")]
    lines += ["endpoints:"] if started else []
    lines += [f"  {name}: {{network: {network}, ports: [{ports}]}}" for _, name, network, ports in started]
    return "\n".join(lines)


@pytest.mark.docker
@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.skipif(
    not (shutil.which("gcc") and shutil.which("busybox")),
    reason="needs gcc and busybox-static: apt-get install them",
)
@pytest.mark.parametrize("mode", MODES)
def test_every_stage(mode: str, tmp_path: Path) -> None:
    options, proxy, six = MODES[mode]
    done = subprocess.run(
        [str(CAPTURE), str(tmp_path), *options], env={**os.environ, "STAGES": str(HERE / "stages.sh")}, capture_output=True,
        text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    stages = sorted(path for path in tmp_path.iterdir() if path.is_dir())
    assert len(stages) == 10
    for stage in stages:
        declaration = read_declaration(declared(int(stage.name[0], 16), proxy, six))
        for family, name in ((4, "iptables.save"), (6, "ip6tables.save")):
            made = [line for line in (stage / name).read_text().splitlines() if not line.startswith("#")]
            assert str(generate(declaration, family=family)).splitlines() == made, (stage.name, family)
