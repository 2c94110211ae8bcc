"""Nobody confirms: the earlier state comes back by itself, whatever became of the terminal and of who applied."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from applied_host import AppliedHost, applied_host, declared

from ruleflow.kernel.journal import Deadline, Journal
from ruleflow.kernel.watchdog import roll_back_expired
from ruleflow.views.schemas import schema_of

pytestmark = pytest.mark.root
RULEFLOW = (sys.executable, "-m", "ruleflow")


@contextmanager
def host_and_file(backend: str, place: Path) -> Iterator[tuple[AppliedHost, str]]:
    with applied_host(backend, place / "state") as host:
        file = place / "app.yaml"
        file.write_text(declared(host.inner))
        yield host, str(file)


def command(host: AppliedHost, verb: str, file: str, *more: str) -> tuple[str, ...]:
    return (*RULEFLOW, verb, file, "--state", str(host.directory), "--namespace", host.name, *more)


def call(host: AppliedHost, verb: str, file: str, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(host, verb, file, *more), capture_output=True, text=True, check=False)


def settled(host: AppliedHost, seconds: float) -> Journal:
    """The journal when nothing is pending any more."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        journal = host.session().journal()
        if journal.pending is None:
            return journal
        time.sleep(0.05)
    raise AssertionError("still pending")


@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_nobody_confirms(tmp_path: Path, backend: str) -> None:
    with host_and_file(backend, tmp_path) as (host, file):
        before = host.state()
        done = call(host, "apply", file, "--yes", "--confirm", "3s")
        assert done.returncode == 0, done.stderr
        assert host.session().journal().pending is not None
        assert settled(host, 15).outcome == "rolled back: nobody confirmed in time"
        assert host.state() == before
        assert call(host, "confirm", file).returncode == 2


def test_confirmed_in_time_it_stays(tmp_path: Path) -> None:
    with host_and_file("nft", tmp_path) as (host, file):
        assert call(host, "apply", file, "--yes", "--confirm", "4s").returncode == 0
        applied = host.state()
        assert call(host, "confirm", file).returncode == 0
        time.sleep(4.5)
        assert host.state() == applied
        assert call(host, "status", file).stdout.startswith("app in ")


def test_the_terminal_is_closed(tmp_path: Path) -> None:
    with host_and_file("nft", tmp_path) as (host, file):
        before = host.state()
        child, terminal = pty.fork()
        if child == 0:
            os.execv(sys.executable, command(host, "apply", file, "--yes", "--confirm", "5s"))
        wait_for_pending(host)
        os.close(terminal)  # the kernel sends HUP to the session
        os.waitpid(child, 0)
        settled(host, 20)
        assert host.state() == before


def wait_for_pending(host: AppliedHost) -> None:
    for _ in range(400):
        if host.session().journal().pending is not None:
            return
        time.sleep(0.02)
    raise AssertionError("nothing was begun")


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3])
def test_who_applies_is_killed(tmp_path: Path, delay: float) -> None:
    with host_and_file("nft", tmp_path) as (host, file):
        before = host.state()
        running = subprocess.Popen(
            command(host, "apply", file, "--yes", "--confirm", "6s"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for_pending(host)
        time.sleep(delay + 0.1)  # the watchdog is armed right after
        running.send_signal(signal.SIGKILL)
        running.wait()
        settled(host, 20)
        assert host.state() == before


def test_the_watchdog_is_killed_too_and_the_unit_at_boot_completes_it(tmp_path: Path) -> None:
    with host_and_file("nft", tmp_path) as (host, file):
        before = host.state()
        assert call(host, "apply", file, "--yes", "--confirm", "3s").returncode == 0
        for watchdog in watchdogs(file):
            os.kill(watchdog, signal.SIGKILL)
        time.sleep(3.2)
        assert host.state() != before
        done = subprocess.run(
            (*RULEFLOW, "rollback", "--expired", "--state", str(host.directory)),
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == f"app@{host.name}: rolled back\n"
        assert host.state() == before


def watchdogs(file: str) -> list[int]:
    """The processes that were started for this file and are detached."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if file.encode() in words and int(path.parent.name) != os.getpid():
            found.append(int(path.parent.name))
    assert found
    return found


def test_exit_codes(tmp_path: Path) -> None:
    with host_and_file("nft", tmp_path) as (host, file):
        assert call(host, "plan", file).returncode == 1
        assert call(host, "apply", file).returncode == 2  # nobody there to ask
        assert not list(tmp_path.glob("state/*/journal.json"))
        assert call(host, "apply", file, "--dry-run").returncode == 1
        assert call(host, "apply", file, "--yes").returncode == 0
        assert call(host, "plan", file).returncode == 0
        assert call(host, "status", file).returncode == 0
        host.tables("-t nat -F RF-PUBLISH")
        assert call(host, "status", file).returncode == 1
        assert call(host, "rollback", file).returncode == 2
        assert call(host, "destroy", file, "--yes").returncode == 0
        assert call(host, "destroy", file, "--yes").returncode == 0


def test_for_other_tools_everything_is_json(tmp_path: Path) -> None:
    with host_and_file("nft", tmp_path) as (host, file):
        plan = json.loads(call(host, "plan", file, "--json").stdout)
        assert plan["schema"] == "ruleflow.plan/1"
        assert {"name", "action", "backend", "changes", "steps", "notes", "behaviour"} <= plan.keys()
        assert {"verb", "kind", "where", "text", "before", "family"} == plan["changes"][0].keys()
        assert plan["behaviour"]["schema"].startswith("ruleflow.diff/")
        done = json.loads(call(host, "apply", file, "--yes", "--json").stdout)
        assert (done["schema"], done["outcome"], done["steps"]) == ("ruleflow.plan/1", "done", plan["steps"])
        status = json.loads(call(host, "status", file, "--json").stdout)
        assert (status["schema"], status["state"], status["drift"]) == ("ruleflow.status/1", "in sync", [])
        gone = json.loads(call(host, "destroy", file, "--yes", "--json").stdout)
        assert gone["outcome"] == "done"
        for value in (plan, done, status, gone):
            as_published(value)


def as_published(value: dict[str, Any]) -> None:
    """Held against the schema of its name, which may name no field that is not there, nor leave one out."""
    jsonschema = pytest.importorskip("jsonschema", reason="pip install jsonschema: schemas are not tried")
    schema = schema_of(value["schema"].split("/")[0].removeprefix("ruleflow."))
    jsonschema.Draft202012Validator(schema).validate(value)
    top = schema["$defs"][schema["$ref"].rsplit("/", maxsplit=1)[-1]]
    assert value.keys() == top["properties"].keys()


def test_one_apply_at_a_time_on_the_command_line(tmp_path: Path) -> None:
    with host_and_file("nft", tmp_path) as (host, file):
        both = [
            subprocess.Popen(
                command(host, "apply", file, "--yes"),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        said = [one.communicate()[1] for one in both]
        codes = sorted(one.returncode for one in both)
        assert codes in ([0, 2], [0, 0])  # [0, 0]: the first was done before the second looked
        assert codes == [0, 0] or any("another ruleflow" in text for text in said)
        assert call(host, "status", file).returncode == 0


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("delay", [0.0, 0.15])
def test_who_applies_is_asked_to_stop(tmp_path: Path, name: signal.Signals, delay: float) -> None:
    with host_and_file("nft", tmp_path) as (host, file):
        before = host.state()
        running = subprocess.Popen(
            command(host, "apply", file, "--yes"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for_pending(host)
        time.sleep(delay)
        running.send_signal(name)
        said = running.communicate()[1]
        if running.returncode == 4:
            assert "interrupted; everything was undone" in said
            assert host.state() == before
        else:  # it was done already, and perhaps on its way out, where TERM ends it as any process
            assert running.returncode in (0, 130, -name)
            assert host.session().journal().outcome == "applied"
            assert call(host, "status", file).returncode == 0


def test_after_a_reboot_a_namespace_and_its_rules_are_gone(tmp_path: Path) -> None:
    with host_and_file("nft", tmp_path) as (host, _):
        deadline = Deadline("another boot", 10.0**9, 0.0)
        host.apply(declared(host.inner), deadline=deadline)
        assert list(roll_back_expired(host.directory)) == [f"app@{host.name}"]
        journal = host.session().journal()
        assert (journal.pending, journal.outcome) == (None, "the namespace is gone")
        assert list(roll_back_expired(host.directory)) == []


@pytest.mark.parametrize("delay", [0.1, 1.0])
def test_the_whole_process_group_is_killed_with_its_terminal(tmp_path: Path, delay: float) -> None:
    with host_and_file("nft", tmp_path) as (host, file):
        before = host.state()
        child, terminal = pty.fork()  # its own session and process group
        if child == 0:
            os.execv(sys.executable, command(host, "apply", file, "--yes", "--confirm", "6s"))
        wait_for_pending(host)
        time.sleep(delay)
        os.killpg(child, signal.SIGKILL)
        os.close(terminal)
        os.waitpid(child, 0)
        settled(host, 20)
        assert host.state() == before


def test_a_damaged_journal_is_set_aside_by_a_scan(tmp_path: Path) -> None:
    with host_and_file("nft", tmp_path) as (host, file):
        foreign = host.tables("-S")
        assert call(host, "apply", file, "--yes", "--no-probe").returncode == 0
        path = host.session().store.path
        path.write_text("not one word of JSON")
        for verb, *more in (("status",), ("apply", "--yes"), ("destroy", "--yes")):
            done = call(host, verb, file, *more)
            assert (done.returncode, "destroy app --scan" in done.stderr) == (2, True)
        assert call(host, "destroy", file, "--scan", "--dry-run").returncode == 1
        assert path.exists()
        assert call(host, "destroy", file, "--scan", "--yes").returncode == 0
        assert host.tables("-S") == foreign
        assert path.with_suffix(".damaged").read_text() == "not one word of JSON"
        assert call(host, "status", file).returncode == 0


@pytest.mark.parametrize("how", ["pid", "name"])
def test_in_a_namespace_by_process_or_name(tmp_path: Path, how: str) -> None:
    with host_and_file("nft", tmp_path) as (host, file), sleeping(host.name) as process:
        before = host.state()
        where = str(process) if how == "pid" else host.name
        words = ("--state", str(host.directory), "--namespace", where)
        for verb, more, code in (
            ("plan", (), 1), ("apply", ("--yes", "--confirm", "3s"), 0), ("status", (), 1), ("rollback", (), 0),
            ("apply", ("--yes", "--no-probe"), 0), ("status", (), 0), ("destroy", ("--yes",), 0),
        ):  # fmt: skip
            done = subprocess.run(
                (*RULEFLOW, verb, file, *words, *more), capture_output=True, text=True, check=False
            )
            assert done.returncode == code, (verb, done.stdout, done.stderr)
        assert host.state() == before


@contextmanager
def sleeping(namespace: str) -> Iterator[int]:
    """A process that lives in a namespace."""
    process = subprocess.Popen(("ip", "netns", "exec", namespace, "sleep", "300"))
    try:
        while Path("/proc", str(process.pid), "comm").read_text().strip() != "sleep":
            time.sleep(0.01)
        yield process.pid
    finally:
        process.kill()
        process.wait()
