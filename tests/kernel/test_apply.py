"""Putting a declaration on a host and taking it away: nothing foreign changes, and at each moment there is a way back."""

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from applied_host import AppliedHost, applied_host, changed, declared, in_process
from namespaces import namespaces, shell

from ruleflow.kernel.apply import ApplyFailedError, Hook, RollbackFailedError, apply, rollback, write_rules
from ruleflow.kernel.backend import Backend
from ruleflow.kernel.journal import BusyError, JournalError
from ruleflow.kernel.links import within
from ruleflow.kernel.owned import Owned, OwnedTable, Placed, standing
from ruleflow.kernel.plan import PlanRefusedError
from ruleflow.kernel.session import enter
from ruleflow.kernel.status import status

pytestmark = pytest.mark.root
BACKENDS = ("nft", "legacy")


def roll_back(host: AppliedHost) -> None:
    session = host.session()
    with session.store.locked():
        within(host.name, lambda: rollback(session.store, Backend(host.backend)))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("foreign", [True, False])
def test_apply_apply_destroy(tmp_path: Path, backend: str, foreign: bool) -> None:
    with applied_host(backend, tmp_path, foreign=foreign) as host:
        before = host.state()
        host.apply(declared(host.inner))
        applied, journal = host.state(), written(host)
        assert "--dport 8080" in applied
        steps: list[str] = []
        host.apply(declared(host.inner), steps.append)
        assert steps == []
        assert host.state() == applied
        assert written(host) == journal
        host.destroy()
        assert host.state() == before


def written(host: AppliedHost) -> tuple[int, int]:
    """Which file the journal is, and when it was written."""
    found = host.session().store.path.stat()
    return found.st_ino, found.st_mtime_ns


@pytest.mark.parametrize("backend", BACKENDS)
def test_rules_added_by_others_between_stay(tmp_path: Path, backend: str) -> None:
    with applied_host(backend, tmp_path) as host:
        host.apply(declared(host.inner))
        host.tables("-I FORWARD 1 -s 192.0.2.66 -j DROP")
        host.tables("-I FORWARD 3 -d 192.0.2.67 -j DROP")
        host.tables("-t nat -A PREROUTING -d 192.0.2.68 -j DNAT --to-destination 192.0.2.69")
        steps: list[str] = []
        host.apply(declared(host.inner), steps.append)
        assert steps == []
        host.apply(changed(host.inner))
        assert "-d 192.0.2.67/32 -j DROP" in host.state()
        host.destroy()
        after = host.tables("-S FORWARD").splitlines()
        assert [line for line in after if "192.0.2.6" in line] == [
            "-A FORWARD -s 192.0.2.66/32 -j DROP", "-A FORWARD -d 192.0.2.67/32 -j DROP",
        ]  # fmt: skip
        assert after.index("-A FORWARD -d 192.0.2.67/32 -j DROP") < next(
            i for i, line in enumerate(after) if "MINE" in line
        )
        assert "192.0.2.68/32 -j DNAT" in host.state()
        assert "RF-" not in host.state()


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("what", ["apply", "change", "destroy"])
def test_a_failing_call_at_every_step_is_undone(tmp_path: Path, backend: str, what: str) -> None:
    with applied_host(backend, tmp_path) as host:
        work = prepared_work(host, what)
        before, journal = host.state(), host.session().journal()
        count = 0
        while count < 60:
            failing = failing_at(count)
            try:
                work(failing)
                break
            except ApplyFailedError as error:
                assert "cannot (step" in str(error)
            assert host.state() == before, failing.__name__
            assert host.session().journal().own == journal.own
            count += 1
        assert count > 8
        assert host.state() != before


def prepared_work(host: AppliedHost, what: str) -> Callable[[Hook], object]:
    """Apply, a change of what was applied, or destroy."""
    if what == "apply":
        return lambda hook: host.apply(declared(host.inner), hook)
    host.apply(declared(host.inner))
    host.tables("-I FORWARD 1 -s 192.0.2.66 -j DROP")
    if what == "change":
        return lambda hook: host.apply(changed(host.inner), hook)
    return host.destroy


def failing_at(count: int) -> Hook:
    left = [count]

    def hook(step: str) -> None:
        if left[0] == 0:
            left[0] -= 1
            raise OSError(f"cannot (step {step})")
        left[0] -= 1

    hook.__name__ = f"at {count}"
    return hook


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("what", ["apply", "change", "destroy"])
def test_kill_at_every_step_then_rollback(tmp_path: Path, backend: str, what: str) -> None:
    with applied_host(backend, tmp_path) as host:
        work = prepared_work(host, what)
        before, count = host.state(), 0
        while in_process(lambda: work(killing_at(count))) == -signal.SIGKILL:  # noqa: B023 - called at once
            with pytest.raises(JournalError, match="cut off"):
                host.apply(declared(host.inner))
            roll_back(host)
            assert host.state() == before, count
            count += 1
        assert count > 8
        assert host.state() != before


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_kill_of_the_rollback_at_every_step(tmp_path: Path, backend: str) -> None:
    with applied_host(backend, tmp_path) as host:
        work = prepared_work(host, "change")
        before, count = host.state(), 0
        while True:
            assert in_process(lambda: work(killing_at_name("verify"))) == -signal.SIGKILL
            ended = in_process(lambda: roll_back_killed(host, count))  # noqa: B023 - called at once
            if ended == 0:
                break
            assert ended == -signal.SIGKILL
            roll_back(host)
            assert host.state() == before, count
            count += 1
        assert count > 8
        assert host.state() == before


def roll_back_killed(host: AppliedHost, count: int) -> None:
    enter(host.name)
    session = host.session()
    with session.store.locked():
        rollback(session.store, Backend(host.backend), hook=killing_at(count))


def killing_at(count: int) -> Hook:
    left = [count]

    def hook(_step: str) -> None:
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1

    return hook


def killing_at_name(name: str) -> Hook:
    def hook(step: str) -> None:
        if step == name:
            os.kill(os.getpid(), signal.SIGKILL)

    return hook


def test_a_journal_that_cannot_be_written_any_more(tmp_path: Path) -> None:
    with applied_host("nft", tmp_path) as host:
        before, directory = host.state(), host.session().store.directory

        def lose(step: str) -> None:
            if step == "settle":
                directory.rename(tmp_path / "away")
                directory.write_text("in the way")

        with pytest.raises(RollbackFailedError, match="cannot"):
            host.apply(declared(host.inner), lose)
        directory.unlink()
        (tmp_path / "away").rename(directory)
        roll_back(host)
        assert host.state() == before


def test_two_at_once_one_wins(tmp_path: Path) -> None:
    with applied_host("nft", tmp_path) as host:
        lost: list[str] = []

        def second(step: str) -> None:
            if step.startswith("write"):
                with pytest.raises(BusyError, match=f"process {os.getpid()}"):
                    host.apply(declared(host.inner))
                lost.append(step)

        host.apply(declared(host.inner), second)
        assert lost
        assert within(host.name, lambda: status(host.session().journal(), Backend("nft"))).state == "in sync"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_world_that_changed_since_the_plan_is_not_written_to(tmp_path: Path, backend: str) -> None:
    with applied_host(backend, tmp_path) as host:
        host.apply(declared(host.inner))

        def meanwhile(step: str) -> None:
            if step == "armed":
                host.tables("-t nat -F RF-PUBLISH")

        with pytest.raises(ApplyFailedError, match="changed since the plan"):
            host.apply(declared(host.inner, ports='"9090:90"'), meanwhile)
        found = within(host.name, lambda: status(host.session().journal(), Backend(backend)))
        assert found.state in ("drifted", "in sync")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_chain_somebody_made_meanwhile_stops_it(tmp_path: Path, backend: str) -> None:
    with applied_host(backend, tmp_path) as host:

        def meanwhile(step: str) -> None:
            if step == "armed":
                host.tables("-t nat -N RF-SOURCE")

        before = host.state()
        with pytest.raises(ApplyFailedError, match="RF-SOURCE"):
            host.apply(declared(host.inner), meanwhile)
        assert host.state() == before
        host.tables("-t nat -N RF-SOURCE")
        with pytest.raises(PlanRefusedError, match="RF-SOURCE is there already"):
            host.apply(declared(host.inner))


def test_drift_is_told_and_repaired(tmp_path: Path) -> None:
    with applied_host("nft", tmp_path) as host:
        host.apply(declared(host.inner))
        fine = host.state()
        host.tables("-D FORWARD 1")
        host.tables("-t nat -A RF-PUBLISH -j RETURN")
        host.tables("-I FORWARD 1 -j DROP")
        host.shell("sysctl -qw net.ipv4.ip_forward=0; ip addr del 172.30.0.1/24 dev rf-app")
        found = within(host.name, lambda: status(host.session().journal(), Backend("nft")))
        assert found.state == "drifted"
        assert {(one.code, one.text.split(" ")[0]) for one in found.drift} >= {
            ("missing", "-A"), ("changed", "not"), ("missing", "172.30.0.1/24"), ("changed", "net.ipv4.ip_forward"),
        }  # fmt: skip
        host.tables("-D FORWARD 1")
        host.apply(declared(host.inner))
        assert host.state() == fine


def test_the_operators_chain_is_kept(tmp_path: Path) -> None:
    with applied_host("nft", tmp_path) as host:
        host.apply(declared(host.inner))
        host.tables("-A RF-USER -s 192.0.2.5 -j DROP")
        host.apply(changed(host.inner))
        host.destroy()
        assert "-A RF-USER -s 192.0.2.5/32 -j DROP" in host.state()
        host.apply(declared(host.inner))
        assert "-A RF-USER -s 192.0.2.5/32 -j DROP" in host.state()


def test_a_foreign_layout_is_refused_beside_its_owner(tmp_path: Path) -> None:
    with applied_host("nft", tmp_path) as host:
        host.tables("-N DOCKER")
        with pytest.raises(PlanRefusedError, match="Docker, which is at work here"):
            host.apply("layout: docker-classic\n" + declared(host.inner))


def test_a_link_somebody_made_meanwhile_is_theirs(tmp_path: Path) -> None:
    with applied_host("nft", tmp_path) as host:

        def meanwhile(step: str) -> None:
            if step.startswith("make bridge"):
                host.shell("ip link add rf-app type bridge")

        with pytest.raises(ApplyFailedError, match="cannot make bridge rf-app: File exists"):
            host.apply(declared(host.inner), meanwhile)
        assert "rf-app" in host.shell("ip -br link")
        assert "RF-" not in host.state()


def test_settings_that_are_only_checked(tmp_path: Path) -> None:
    with applied_host("nft", tmp_path) as host:
        text = declared(host.inner) + "apply: {sysctls: check}\n"
        with pytest.raises(PlanRefusedError, match="ip_forward must be 1"):
            host.apply(text)
        host.shell("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
        before = host.state()
        host.apply(text)
        host.destroy()
        assert host.state() == before


def test_a_setting_that_was_right_already_is_not_ours(tmp_path: Path) -> None:
    with applied_host("nft", tmp_path) as host:
        host.shell("sysctl -qw net.ipv4.ip_forward=1")
        host.apply(declared(host.inner))
        host.destroy()
        assert host.shell("cat /proc/sys/net/ipv4/ip_forward") == "1\n"


def test_udp_conversations_of_a_changed_port_are_forgotten(tmp_path: Path) -> None:
    with applied_host("nft", tmp_path) as host:
        host.shell("ip link set lo up")
        for port in (5353, 5454):
            within(host.name, lambda: send(port))  # noqa: B023 - called at once
        assert sorted(conversations(host)) == [5353, 5454]
        host.apply(declared(host.inner, ports='"5353:53/udp"'))
        assert conversations(host) == [5454]
        within(host.name, lambda: send(5353))
        assert sorted(conversations(host)) == [5353, 5454]
        host.destroy()
        assert conversations(host) == [5454]


def send(port: int) -> None:
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"?", ("127.0.0.1", port))


def conversations(host: AppliedHost) -> list[int]:
    lines = host.shell("cat /proc/net/nf_conntrack | grep -w udp; true").splitlines()
    return [int(line.split("dport=")[1].split()[0]) for line in lines if "ipv4" in line]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_lost_journal_is_replaced_by_our_marks(tmp_path: Path, backend: str) -> None:
    with applied_host(backend, tmp_path) as host:
        rules = rules_of(host)
        host.apply(declared(host.inner))
        host.session().store.path.unlink()
        session = host.session()
        with session.store.locked():
            plan = within(host.name, lambda: session.plan_destroy(scan=True))
            within(host.name, lambda: apply(session.store, plan, session.backend()))
        assert rules_of(host) == rules


def rules_of(host: AppliedHost) -> list[str]:
    """Rules and chains of somebody: which chains of hooks nft has besides, nobody can say without the journal."""
    return [line for line in host.state().splitlines() if line.startswith("-A") or re.match(r":\S+ -", line)]


@pytest.mark.parametrize("how", ["name", "path", "pid"])
def test_a_namespace_that_is_there_is_plugged_in_and_stays(tmp_path: Path, how: str) -> None:
    with applied_host("nft", tmp_path) as host, namespaces("guest") as (guest,):
        shell(
            guest,
            "ip link add own0 type veth peer name own1; ip addr add 10.8.0.1/24 dev own0; ip link set own0 up",
        )
        with subprocess.Popen(["ip", "netns", "exec", guest, "sleep", "60"]) as inside:
            wait_for_entry(inside.pid, guest)
            netns = {"name": guest, "path": f"/run/netns/{guest}", "pid": f"pid:{inside.pid}"}[how]
            before = host.state(), shell(guest, "ip -o addr; ip route")
            host.apply(declared(netns))
            assert "172.30.0.2/24" in shell(guest, "ip -o addr show dev eth0")
            assert "default via 172.30.0.1" in shell(guest, "ip route")
            steps: list[str] = []
            host.apply(declared(netns), steps.append)
            assert steps == []
            host.destroy()
            assert (host.state(), shell(guest, "ip -o addr; ip route")) == before
            inside.kill()


def wait_for_entry(pid: int, guest: str) -> None:
    """Until the process is in the namespace: ip enters it after it was started."""
    for _ in range(100):
        if Path(f"/proc/{pid}/ns/net").stat().st_ino == Path(f"/run/netns/{guest}").stat().st_ino:
            return
        time.sleep(0.02)
    raise AssertionError("it did not enter")


RULES = tuple(f"-A FORWARD -s 192.0.2.{number}/32 -j DROP" for number in range(1, 9))


@pytest.mark.parametrize("backend", BACKENDS)
def test_any_edit_in_the_kernel_reaches_what_is_wanted_and_goes_back(tmp_path: Path, backend: str) -> None:
    chance = random.Random(5)  # the same lists each time
    everything = OwnedTable(4, "filter", (), tuple(Placed("FORWARD", rule) for rule in RULES[:5]))
    kernel = Backend(backend)
    with applied_host(backend, tmp_path, foreign=False) as host:
        for _ in range(12):
            live = chance.sample(RULES, chance.randint(0, 8))
            wanted = [rule for rule in chance.sample(RULES, chance.randint(0, 8)) if rule in RULES[:5]]
            host.shell(
                f"{{ echo '*filter'; echo '{chr(10).join(live)}'; echo COMMIT; }} | iptables-{backend}-restore -w 5"
            )
            target = OwnedTable(4, "filter", (), tuple(Placed("FORWARD", rule) for rule in wanted))
            earlier = within(host.name, lambda: standing(kernel.table(4, "filter"), everything))
            within(host.name, lambda: write_rules(kernel, Owned((everything,)), target))  # noqa: B023 - called at once
            now = within(host.name, lambda: kernel.table(4, "filter")["FORWARD"].rules)
            assert [rule for rule in now if rule in RULES[:5]] == wanted
            assert [rule for rule in now if rule in RULES[5:]] == [rule for rule in live if rule in RULES[5:]]
            within(host.name, lambda: write_rules(kernel, Owned((everything,)), earlier, exact=True))  # noqa: B023
            assert list(within(host.name, lambda: kernel.table(4, "filter")["FORWARD"].rules)) == live


@pytest.mark.parametrize("backend", BACKENDS)
def test_after_a_flush_by_others_it_is_put_back(tmp_path: Path, backend: str) -> None:
    with applied_host(backend, tmp_path, foreign=False) as host:
        before = host.state()
        host.apply(declared(host.inner))
        applied = host.state()
        if backend == "nft":
            host.shell("nft flush ruleset")
        else:
            host.shell(
                "for t in raw filter nat; do for p in iptables ip6tables; do $p-legacy -t $t -F; $p-legacy -t $t -X; done; done"
            )
        subprocess.run(["ip", "netns", "del", host.inner], check=True)
        found = within(host.name, lambda: status(host.session().journal(), Backend(backend)))
        assert found.state == "drifted"
        assert {one.code for one in found.drift} == {"missing"}
        host.apply(declared(host.inner))
        assert host.state() == applied
        host.destroy()
        assert host.state() == before
