"""Every rule of our own layout is explained, by the sentence of the function that writes it."""

import inspect

import pytest

from ruleflow.analysis import idioms
from ruleflow.bridge.generate import generate
from ruleflow.bridge.layouts.native import NativeLayout
from ruleflow.bridge.read_declaration import read_declaration

DECLARED = """
networks:
  app: {ipam: {config: [{subnet: 172.18.0.0/16}, {subnet: "fd00:18::/64"}]}}
  quiet: {icc: false, hairpin: docker, trusted_host_interfaces: [eth0], outbound_addr4: 192.0.2.10}
  free: {gateway_mode: nat-unprotected, hairpin: off, localhost: false}
  open: {gateway_mode: routed, enable_ipv6: true}
  inner: {internal: true}
endpoints:
  web: {network: app, ports: ["8080:80", "9000-9003:80-83/udp"]}
  db: {network: quiet, ports: ["127.0.0.1:5432:5432"]}
  any: {network: free, ports: ["6000:80"]}
  api: {network: open, ports: ["443"]}
"""


@pytest.mark.parametrize("family", [4, 6])
def test_every_rule_has_its_reason(family: int) -> None:
    rules = generate(read_declaration(DECLARED), "native", family)
    found = idioms.recognise(rules)
    told = {ref: claim for claim in reversed(found.claims) for ref in claim.about}
    without = [f"{ref} {rule}" for ref, rule in rules.rules() if ref not in told]
    assert without == []
    assert {claim.owner for claim in told.values()} == {"ruleflow"}
    assert len(found.made) == 1


def test_the_reason_is_that_of_the_function_that_wrote_it() -> None:
    found = idioms.recognise(generate(read_declaration(DECLARED), "native"))
    sentences = {
        " ".join((inspect.getdoc(one) or "").split())
        for _, one in inspect.getmembers(NativeLayout, inspect.isfunction)
    }
    assert {claim.reason for claim in found.claims if claim.owner == "ruleflow"} <= sentences
    codes = {claim.code for claim in found.claims}
    assert {
        "ruleflow-publish-port", "ruleflow-let-replies-and-published-in", "ruleflow-keep-internal", "ruleflow-trust-interface",
        "ruleflow-drop-direct-access", "ruleflow-let-everybody-in", "ruleflow-masquerade-to-itself", "ruleflow-masquerade-localhost",
        "ruleflow-open-routed-ports", "ruleflow-let-out", "ruleflow-masquerade-hairpin", "ruleflow-masquerade-outgoing",
    } <= codes  # fmt: skip
