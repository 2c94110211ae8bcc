"""The journal: on disk before anything is done, one at a time, damaged ones told."""

import time
from pathlib import Path

import msgspec
import pytest
from applied_host import in_process
from hypothesis import given, settings
from hypothesis import strategies as st

from ruleflow.kernel.apply import confirm, refuse_unsettled
from ruleflow.kernel.journal import (
    BusyError,
    Deadline,
    Journal,
    JournalError,
    Pending,
    Store,
    boot_id,
    deadline_in,
    new_id,
)
from ruleflow.kernel.owned import Link, Netns, Owned, OwnedChain, OwnedTable, Placed, Setting, both

OWN = Owned(
    (OwnedTable(4, "nat", (OwnedChain("RF-X", ("-A RF-X -j DROP",)),), (Placed("OUTPUT", "-A OUTPUT -j RF-X", 2, 1),)),),
    (Netns("web"),), (Link("br-x", mtu=1400),), settings=(Setting("net.ipv4.ip_forward", "1", "0", (("a", "b"),)),),
    made=((4, "nat", ""),),
)  # fmt: skip


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    store = Store(tmp_path, "app", "ns")
    journal = Journal(
        "app", "ns", "nft", OWN, Pending(new_id(), "apply", Owned(), OWN, deadline=deadline_in(60))
    )
    store.write(journal)
    assert store.read() == journal
    assert store.path == tmp_path / "app@ns" / "journal.json"
    assert not store.path.with_suffix(".new").exists()


def test_none_is_an_empty_one_and_reading_writes_nothing(tmp_path: Path) -> None:
    assert Store(tmp_path / "none", "app").read() == Journal("app")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("damage", ["", "{", '{"name": 3}', '{"name": "app", "own": {"links": 7}}'])
def test_a_damaged_one_is_told(tmp_path: Path, damage: str) -> None:
    store = Store(tmp_path, "app")
    store.write(Journal("app"))
    store.path.write_text(damage)
    with pytest.raises(JournalError, match="is damaged"):
        store.read()


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 101, "a\n"])
def test_names_stay_in_their_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(JournalError, match="cannot be called"):
        Store(tmp_path, name)


def test_one_at_a_time(tmp_path: Path) -> None:
    store = Store(tmp_path, "app")
    with store.locked():
        with pytest.raises(BusyError, match="another ruleflow"), store.locked():
            pass
        assert in_process(lambda: _lock(store)) == 1
    assert in_process(lambda: _lock(store)) == 0


def _lock(store: Store) -> None:
    with store.locked():
        pass


def test_a_deadline_is_over_in_time_and_after_a_reboot() -> None:
    soon = deadline_in(0.05)
    assert not soon.passed
    time.sleep(0.06)
    assert soon.passed
    assert soon.left == 0
    assert deadline_in(60).left > 59
    assert Deadline("another boot", deadline_in(60).seconds, 0).passed
    assert len(boot_id()) == 36


def test_confirming(tmp_path: Path) -> None:
    store = Store(tmp_path, "app")
    with pytest.raises(JournalError, match="nothing of app waits"):
        confirm(store)
    pending = Pending(new_id(), "apply", Owned(), OWN, deadline=deadline_in(60))
    store.write(Journal("app", pending=pending))
    with pytest.raises(JournalError, match="cut off before it was done"):
        confirm(store)
    done = msgspec.structs.replace(pending, done=True)
    store.write(Journal("app", pending=msgspec.structs.replace(done, deadline=deadline_in(-1))))
    with pytest.raises(JournalError, match="is over"):
        confirm(store)
    store.write(Journal("app", pending=done))
    with pytest.raises(JournalError, match="waits for its confirmation"):
        refuse_unsettled(store.read())
    assert confirm(store).own == OWN
    assert store.read() == Journal("app", own=OWN, outcome="confirmed")


def test_both_holds_everything_once() -> None:
    other = Owned(
        (OwnedTable(4, "nat", (OwnedChain("RF-Y"),), (Placed("OUTPUT", "-A OUTPUT -j RF-X"),)),),
        links=(Link("br-x"),),
    )
    found = both(OWN, other)
    assert [chain.name for chain in found.table(4, "nat").chains] == ["RF-X", "RF-Y"]
    assert len(found.table(4, "nat").placed) == 1
    assert both(OWN, OWN) == OWN


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_journal_or_told(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        store = Store(Path(place), "app")
        store.directory.mkdir()
        store.path.write_bytes(data)
        with pytest.raises(JournalError):
            store.read()
