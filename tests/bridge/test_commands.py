"""`ruleflow generate` and `ruleflow import` as one types them."""

import json
import subprocess
import sys


def ruleflow(*arguments: str, text: str = "") -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "ruleflow", *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_sample_in_two_layouts() -> None:
    code, native, said = ruleflow("generate", "sample:net-two-bridges")
    assert (code, said) == (0, "note: there are IPv6 rules too: give -6\n")
    assert "--to-destination 172.18.0.10:80-83/9000" in native
    code, docker, _ = ruleflow(
        "generate", "sample:net-two-bridges", "-6", "--layout", "docker-29", "--no-userland-proxy"
    )
    assert code == 0
    assert "-A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER" in docker


def test_what_is_needed_and_json() -> None:
    code, text, _ = ruleflow("generate", "sample:net-one-port", "--needs")
    assert code == 0
    assert text.splitlines()[:2] == [
        "sysctl  net.ipv4.ip_forward=1                  or this host passes nothing on between a bridge and the outside",
        "sysctl  net.ipv4.conf.br-app.route_localnet=1  so that a connection to 127.0.0.1 may be sent on to the bridge",
    ]
    _, printed, _ = ruleflow("generate", "sample:net-one-port", "--json")
    found = json.loads(printed)
    assert (found["schema"], found["layout"], found["family"]) == ("ruleflow.generate/1", "native", 4)
    assert found["declaration"]["networks"][0]["subnet4"] == "172.18.0.0/16"
    assert found["rules"].startswith("*raw\n")


def test_faults_go_to_standard_error() -> None:
    code, printed, said = ruleflow("generate", "-", text="networks: {app: {brigde: br0, mtu: 1}}")
    assert (code, printed) == (2, "")
    assert said.count("error: ") == 2
    assert "did you mean bridge?" in said


def test_a_layout_that_is_not_there() -> None:
    code, _, said = ruleflow("generate", "sample:net-one-port", "--layout", "docker29")
    assert (code, said) == (2, "error: there is no layout 'docker29'\n   = help: did you mean docker-29?\n")


def test_what_is_imported_can_be_generated() -> None:
    compose = 'services: {web: {image: nginx, ports: ["8080:80"]}, old: {network_mode: host}}\n'
    code, declared, said = ruleflow("import", "compose", "-", text=compose)
    assert (code, said) == (0, "note: the service old has network_mode host, and no bridge\n")
    code, rules, _ = ruleflow("generate", "-", text=declared)
    assert code == 0
    assert (
        '--dport 8080 -m comment --comment "ruleflow:default/web" -j DNAT --to-destination 172.18.0.2:80'
        in rules
    )
