"""Several declarations on one host: whichever goes first, the others go on working, and in the end all is as before."""

from pathlib import Path

import pytest
from applied_host import AppliedHost, applied_host

from ruleflow.kernel.apply import apply
from ruleflow.kernel.links import within
from ruleflow.kernel.plan import PlanRefusedError
from ruleflow.kernel.session import Session
from ruleflow.kernel.status import Status, status

pytestmark = pytest.mark.root
BACKENDS = ["nft", "legacy"]


def text(number: int, netns: str = "") -> str:
    """The declaration ``number``, its endpoint in ``netns`` or by address alone."""
    inside = f"netns: {netns}, " if netns else ""
    return f"""apply: {{prefix: RF{number}}}
networks: {{app: {{bridge: rf-app{number}, ipam: {{config: [{{subnet: 172.30.{number}.0/24}}]}}}}}}
endpoints: {{web: {{network: app, {inside}ports: ["808{number}:80"]}}}}
"""


class Declarations:
    """Declarations by number on one host."""

    def __init__(self, host: AppliedHost) -> None:
        self.host = host

    def session(self, number: int) -> Session:
        host = self.host
        return Session(f"app{number}", state=host.directory, namespace=host.name, backend=host.backend)

    def apply(self, number: int, netns: str = "") -> None:
        def work() -> None:
            session = self.session(number)
            with session.store.locked():
                prepared = session.plan(session.declaration(text(number, netns), "app.yaml"))
                apply(session.store, prepared, session.backend())

        within(self.host.name, work)

    def destroy(self, number: int) -> None:
        def work() -> None:
            session = self.session(number)
            with session.store.locked():
                apply(session.store, session.plan_destroy(), session.backend())

        within(self.host.name, work)

    def status(self, number: int) -> Status:
        session = self.session(number)
        return within(self.host.name, lambda: status(session.journal(), session.backend()))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
def test_what_another_uses_stays_until_the_last_goes(
    tmp_path: Path, backend: str, order: tuple[int, ...]
) -> None:
    with applied_host(backend, tmp_path) as host:
        before = host.state()
        there = Declarations(host)
        for number in (1, 2, 3):
            there.apply(number)
        left = [1, 2, 3]
        for number in order:
            there.destroy(number)
            left.remove(number)
            assert [there.status(one).state for one in left] == ["in sync"] * len(left)
            assert not left or host.shell("cat /proc/sys/net/ipv4/ip_forward").strip() == "1"
        assert host.state() == before


def test_a_link_of_that_name_in_the_namespace_is_refused(tmp_path: Path) -> None:
    with applied_host("nft", tmp_path) as host:
        there = Declarations(host)
        there.apply(1, host.inner)
        applied = host.state()
        with pytest.raises(PlanRefusedError, match="there is a link eth0 in the namespace"):
            there.apply(2, host.inner)
        assert host.state() == applied
        there.apply(2, f"{host.inner}-db")  # the same names of network and endpoint, another bridge
        assert there.status(1).state == there.status(2).state == "in sync"


def test_a_bridge_of_another_declaration_is_refused(tmp_path: Path) -> None:
    with applied_host("nft", tmp_path) as host:
        there = Declarations(host)
        there.apply(1)
        session = there.session(2)
        same = text(2).replace("rf-app2", "rf-app1")
        with pytest.raises(PlanRefusedError, match="rf-app1 belongs to the declaration app1"):
            within(host.name, lambda: session.plan(session.declaration(same, "app.yaml")))


def test_a_setting_that_was_so_already_is_watched(tmp_path: Path) -> None:
    with applied_host("nft", tmp_path) as host:
        host.shell("echo 1 > /proc/sys/net/ipv4/ip_forward")
        there = Declarations(host)
        there.apply(1)
        host.shell("echo 0 > /proc/sys/net/ipv4/ip_forward")
        found = there.status(1)
        assert [note.text for note in found.drift if note.code == "changed"] == ["net.ipv4.ip_forward = 1"]
        there.apply(1)
        there.destroy(1)
        assert host.shell("cat /proc/sys/net/ipv4/ip_forward").strip() == "1"
