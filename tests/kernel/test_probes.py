"""Packets really sent after an apply go as the model foretold; where they do not, everything is undone."""

import os
import signal
from pathlib import Path

import pytest
from applied_host import AppliedHost, applied_host, declared, in_process

from ruleflow.bridge.declaration import Declaration
from ruleflow.kernel.apply import ApplyFailedError, apply, rollback
from ruleflow.kernel.backend import Backend
from ruleflow.kernel.journal import Deadline, deadline_in
from ruleflow.kernel.links import within
from ruleflow.kernel.probes import Tried, probe, proof, why_unasked
from ruleflow.kernel.session import enter

pytestmark = pytest.mark.root


def tried(host: AppliedHost, text: str) -> tuple[Tried, ...]:
    host.apply(text)
    return within(host.name, lambda: probe(host.session().declaration(text, "app.yaml")))


@pytest.mark.parametrize("backend", ["nft", "legacy"])
@pytest.mark.parametrize("ports", ['"8080:80", "127.0.0.1:8081:80"', '"5353:53/udp", "8000-8002:80-82"'])
def test_as_foretold(tmp_path: Path, backend: str, ports: str) -> None:
    with applied_host(backend, tmp_path) as host:
        host.shell("ip link set lo up")
        before = host.state()
        found = tried(host, declared(host.inner, ports=ports))
        assert len(found) >= 8
        assert [one for one in found if not one.agrees] == []
        assert any(one.happened.startswith("reached") and one.probe.from_ == "outside" for one in found)
        assert any(one.happened == "no-answer" for one in found)
        host.destroy()
        assert host.state() == before


def test_a_disagreement_undoes_everything(tmp_path: Path) -> None:
    with applied_host("nft", tmp_path) as host:
        before = host.state()
        text = declared(host.inner)

        def spoiled(step: str) -> None:
            if step == "verify":  # rules of nft's own, which the model does not walk
                chain = "{ type filter hook input priority 0; policy drop; }"
                host.shell(
                    f"ip netns exec {host.inner} sh -c \"nft add table inet x; nft 'add chain inet x in {chain}'\""
                )

        def run() -> None:
            session = host.session()
            declaration: Declaration = session.declaration(text, "app.yaml")
            with session.store.locked():
                apply(
                    session.store,
                    session.plan(declaration),
                    session.backend(),
                    hook=spoiled,
                    proof=proof(declaration),
                )

        with pytest.raises(ApplyFailedError, match="packets go another way"):
            within(host.name, run)
        assert host.state() == before


@pytest.mark.parametrize(("layout", "result"), [("native", "no-answer"), ("docker-classic", "reached")])
def test_a_neighbour_and_a_port_that_is_for_this_host_alone(tmp_path: Path, layout: str, result: str) -> None:
    with applied_host("nft", tmp_path, foreign=False) as host:
        host.shell("ip link set lo up")
        text = declared(host.inner, ports='"127.0.0.1:8081:80"', more=f"layout: {layout}\n")
        found = tried(host, text)
        assert [one for one in found if not one.agrees] == []
        (leak,) = [one for one in found if (one.probe.from_, one.probe.to) == ("outside", "127.0.0.1")]
        assert leak.happened.startswith(result)


def test_pings(tmp_path: Path) -> None:
    with applied_host("nft", tmp_path, foreign=False) as host:
        found = [one for one in tried(host, declared(host.inner)) if one.probe.protocol == "icmp"]
        assert {(one.probe.from_, one.foretold, one.happened) for one in found} == {
            (host.inner, "reached", "reached"),
            ("outside", "no-answer", "no-answer"),
        }
        assert {":" in one.probe.to for one in found} == {True, False}


def test_when_nobody_asked_packets_are_sent_only_where_they_are_harmless(tmp_path: Path) -> None:
    with applied_host("nft", tmp_path) as host:
        session = host.session()

        def reason(text: str, deadline: Deadline | None = None) -> str | None:
            declaration = session.declaration(text, "app.yaml")
            return why_unasked(session.plan(declaration), declaration, deadline)

        text = declared(host.inner)
        assert within(host.name, lambda: reason(text)) is None
        assert within(host.name, lambda: reason(text, deadline_in(60))) is None
        assert "time" in str(within(host.name, lambda: reason(text, deadline_in(3))))
        host.shell("nft add table inet x; nft 'add chain inet x f { type filter hook forward priority 0; }'")
        assert "others decide" in str(within(host.name, lambda: reason(text)))
        host.shell("nft delete table inet x")
        host.apply(text)
        assert "somebody may live in it" in str(within(host.name, lambda: reason(text)))


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["nft", "legacy"])
@pytest.mark.parametrize("layout", ["native", "docker-classic", "docker-28", "docker-29", "cni-portmap"])
@pytest.mark.parametrize("proxy", [True, False])
def test_every_layout_as_foretold_and_gone_again(
    tmp_path: Path, backend: str, layout: str, proxy: bool
) -> None:
    with applied_host(backend, tmp_path) as host:
        host.shell("ip link set lo up; test -e /proc/sys/net/bridge || modprobe br_netfilter || true")
        before = host.state()
        more = f"layout: {layout}\n" + (
            "" if layout in ("native", "cni-portmap") else f"userland_proxy: {str(proxy).lower()}\n"
        )
        ports = '"8080:80", "127.0.0.1:8081:80", "5353:53/udp"'
        found = tried(host, declared(host.inner, ports=ports, more=more))
        assert [one for one in found if not one.agrees] == []
        steps: list[str] = []
        host.apply(declared(host.inner, ports=ports, more=more), steps.append)
        assert steps == []
        host.destroy()
        assert host.state() == before


SIBLINGS = """networks:
  app: {{bridge: rf-app, icc: {icc}, icc_enforcement: port_isolation, ipam: {{config: [{{subnet: 172.30.0.0/24}}, {{subnet: "fd00:30::/64"}}]}}}}
  db: {{bridge: rf-db, internal: {internal}, ipam: {{config: [{{subnet: 172.31.0.0/24}}]}}}}
endpoints:
  web: {{network: app, netns: {netns}, ports: ["8080:80"]}}
  api: {{network: app, netns: {netns}-api, ports: ["8081:80", "5353:53/udp"]}}
  store: {{network: db, netns: {netns}-db, ports: [{store}]}}
"""


@pytest.mark.parametrize(("icc", "internal"), [("true", "false"), ("false", "true")])
def test_siblings_other_bridges_and_the_way_out(tmp_path: Path, icc: str, internal: str) -> None:
    with applied_host("nft", tmp_path) as host:
        host.shell("ip link set lo up")
        before = host.state()
        store = '"5432:5432"' if internal == "false" else ""
        found = tried(host, SIBLINGS.format(netns=host.inner, icc=icc, internal=internal, store=store))
        assert [one for one in found if not one.agrees] == []
        sibling = next(one for one in found if one.probe.from_ == host.inner and one.probe.to == "172.30.0.3")
        assert sibling.happened.startswith("reached") == (icc == "true")
        out = next(
            one for one in found if one.probe.from_ == f"{host.inner}-db" and one.probe.to == "198.18.77.2"
        )
        assert out.happened.startswith("reached") == (internal == "false")
        host.destroy()
        assert host.state() == before


def test_what_a_killed_probe_left_is_taken_away(tmp_path: Path) -> None:
    with applied_host("nft", tmp_path) as host:
        before = host.state()

        def killed() -> None:
            enter(host.name)
            session = host.session()
            with session.store.locked():
                declaration = session.declaration(declared(host.inner), "app.yaml")
                prepared = session.plan(declaration)
                apply(
                    session.store, prepared, session.backend(), proof=lambda: die_while_probing(declaration)
                )

        assert in_process(killed) == -signal.SIGKILL
        assert "rf-probe" in host.shell("ip -br link")
        session = host.session()
        within(host.name, lambda: rollback(session.store, Backend("nft")))
        assert "rf-probe" not in host.shell("ip -br link")
        assert host.state() == before


def die_while_probing(declaration: Declaration) -> None:
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    while True:
        probe(declaration)
