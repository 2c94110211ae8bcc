"""Packets really sent after an apply go as the model foretold; where they do not, everything is undone."""

from pathlib import Path

import pytest
from applied_host import AppliedHost, applied_host, declared

from ruleflow.bridge.declaration import Declaration
from ruleflow.kernel.apply import ApplyFailedError, apply
from ruleflow.kernel.links import within
from ruleflow.kernel.probes import Tried, probe, proof

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
