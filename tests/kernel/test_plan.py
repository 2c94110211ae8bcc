"""Plans: what is edited in a table, what is refused, what is told; on values, and in namespaces where the kernel decides."""

import socket
from pathlib import Path

import msgspec
import pytest
from applied_host import applied_host, changed, declared
from hypothesis import given, settings
from hypothesis import strategies as st

from ruleflow.kernel.backend import Backend, BackendError, RestoreRefusedError, find_backend, legacy_chains
from ruleflow.kernel.links import within
from ruleflow.kernel.owned import OwnedChain, OwnedTable, Placed, standing
from ruleflow.kernel.plan import PlanRefusedError
from ruleflow.kernel.saved import SavedTable, of_ruleset, saved
from ruleflow.kernel.session import Session
from ruleflow.kernel.table_edit import table_edit
from ruleflow.kernel.wanted import UnsafeTextError, check_text, wanted_rules
from ruleflow.ruleset.ir import Chain, Ruleset, Table
from ruleflow.ruleset.parse import parse_one
from ruleflow.views.plan_text import plan_lines

FOREIGN = tuple(f"-A FORWARD -s 192.0.2.{number}/32 -j DROP" for number in range(1, 4))
OURS = tuple(f"-A FORWARD -i rf{number} -j ACCEPT" for number in range(1, 6))


def table_of(rules: list[str], chains: str = "") -> SavedTable:
    text = "*filter\n:FORWARD ACCEPT [0:0]\n" + chains + "".join(f"{rule}\n" for rule in rules) + "COMMIT\n"
    return of_ruleset(parse_one(text, family=4))["filter"]


def owned(rules: tuple[str, ...], chains: tuple[OwnedChain, ...] = ()) -> OwnedTable:
    return OwnedTable(4, "filter", chains, tuple(Placed("FORWARD", rule) for rule in rules))


def carried_out(live: SavedTable, text: str) -> SavedTable:
    """The table after a restore without flush, by the reader of restore files (`parse` follows iptables-restore)."""
    plain = [line for line in text.splitlines() if not line.startswith(("*", "-C", "COMMIT"))]
    now = [
        "*filter",
        *(f":{chain.name} {chain.policy or '-'} [0:0]" for chain in live),
        *(rule for chain in live for rule in chain.rules),
    ]
    return of_ruleset(parse_one("\n".join([*now, *plain, "COMMIT", ""]), family=4))["filter"]


def lines(table: SavedTable) -> list[str]:
    return list(table["FORWARD"].rules)


def test_new_rules_go_on_top() -> None:
    edit = table_edit(table_of([*FOREIGN]), owned(()), owned(OURS[:2]))
    assert edit.text.splitlines() == [
        "*filter", "-I FORWARD 1 -i rf1 -j ACCEPT", "-I FORWARD 2 -i rf2 -j ACCEPT", "COMMIT",
    ]  # fmt: skip


def test_what_is_in_order_is_left_alone_whatever_stands_between() -> None:
    live = table_of([FOREIGN[0], OURS[0], FOREIGN[1], OURS[1]])
    assert table_edit(live, owned(OURS[:2]), owned(OURS[:2])).text == ""


def test_rules_that_stay_are_asked_for_before_anything_is_done() -> None:
    live = table_of([OURS[0], FOREIGN[0], OURS[1]])
    edit = table_edit(live, owned(OURS[:2]), owned((OURS[0], OURS[2], OURS[1])))
    assert edit.text.splitlines() == [
        "*filter", "-C FORWARD -i rf1 -j ACCEPT", "-C FORWARD -i rf2 -j ACCEPT", "-I FORWARD 2 -i rf3 -j ACCEPT", "COMMIT",
    ]  # fmt: skip


def test_a_new_chain_must_not_be_there_and_one_of_ours_is_emptied_alone() -> None:
    live = table_of([], ":RF-A - [0:0]\n-A RF-A -j DROP\n:RF-OLD - [0:0]\n")
    before = owned((), (OwnedChain("RF-A", ("-A RF-A -j DROP",)), OwnedChain("RF-OLD")))
    after = owned((), (OwnedChain("RF-A", ("-A RF-A -j RF-B",)), OwnedChain("RF-B")))
    assert table_edit(live, before, after).text.splitlines() == [
        "*filter", ":RF-A - [0:0]", ":RF-OLD - [0:0]", "-N RF-B", "-A RF-A -j RF-B", "-X RF-OLD", "COMMIT",
    ]  # fmt: skip


places = st.lists(st.sampled_from((*FOREIGN, *OURS)), unique=True, max_size=8)


@settings(deadline=None)
@given(live=places, wanted=st.lists(st.sampled_from(OURS), unique=True))
def test_any_edit_reaches_what_is_wanted_and_no_foreign_rule_moves(
    live: list[str], wanted: list[str]
) -> None:
    before = table_of(live)
    after = carried_out(before, table_edit(before, owned(OURS), owned(tuple(wanted))).text)
    assert [rule for rule in lines(after) if rule in OURS] == wanted
    assert [rule for rule in lines(after) if rule in FOREIGN] == [rule for rule in live if rule in FOREIGN]
    assert table_edit(after, owned(OURS), owned(tuple(wanted))).text == ""


@settings(deadline=None)
@given(live=places, wanted=st.lists(st.sampled_from(OURS), unique=True))
def test_going_back_is_exact(live: list[str], wanted: list[str]) -> None:
    before = table_of(live)
    earlier = standing(before, owned(OURS))
    after = carried_out(before, table_edit(before, owned(OURS), owned(tuple(wanted))).text)
    back = carried_out(after, table_edit(after, owned(OURS), earlier, exact=True).text)
    assert lines(back) == live


def test_somebody_elses_equal_rule_is_not_ours() -> None:
    live = table_of([FOREIGN[0], OURS[0]])
    with_ours = table_of([OURS[0], FOREIGN[0], OURS[0]])
    target = OwnedTable(4, "filter", (), (Placed("FORWARD", OURS[0], twins=1),))
    assert "-I FORWARD 1" in table_edit(live, owned(()), target).text
    assert standing(live, target).placed == ()
    assert len(standing(with_ours, target).placed) == 1


@pytest.mark.parametrize(
    "comment", ["plain", '"of two words"', '"a \\"quoted\\" one"', '"over\n-A INPUT -j ACCEPT\nlines"']
)
def test_a_save_is_split_as_the_parser_reads_it(comment: str) -> None:
    text = f"*filter\n:INPUT DROP [1:2]\n:X - [0:0]\n-A INPUT -m comment --comment {comment} -j X\n-A X -j DROP\nCOMMIT\n"
    table = saved(text)["filter"]
    assert len(table["INPUT"].rules) == 1
    assert table["INPUT"].policy == "DROP"
    assert table["X"].rules == ("-A X -j DROP",)


@pytest.mark.parametrize("text", ["two\nlines", "bell\a", "\x1b[31m", "\x85"])
def test_control_characters_do_not_reach_a_rule(text: str) -> None:
    from ruleflow.ruleset.ir import Rule
    from ruleflow.ruleset.matches.comment import Comment

    rule = Rule("INPUT", (Comment(comment=text),))
    with pytest.raises(UnsafeTextError, match="control characters"):
        check_text(of_ruleset(Ruleset(4, (Table("filter", (Chain("INPUT", "ACCEPT", (rule,)),)),))))


@pytest.mark.parametrize("name", ["RF A", "RF\n", "-RF", "R" * 29, "RF;x"])
def test_odd_chain_names_are_refused(name: str) -> None:
    with pytest.raises(UnsafeTextError, match="cannot be called"):
        check_text(of_ruleset(Ruleset(4, (Table("filter", (Chain(name),)),))))


@pytest.mark.root
@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_wanted_rules_come_back_as_the_kernel_prints_them(backend: str) -> None:
    text = (
        "*filter\n:INPUT DROP [0:0]\n:RF-X - [0:0]\n-A INPUT -p tcp --dport 80 -s 10.0.0.1 -j RF-X\nCOMMIT\n"
    )
    (table,) = wanted_rules({4: saved(text)}, Backend(backend))
    assert table.placed == (Placed("INPUT", "-A INPUT -s 10.0.0.1/32 -p tcp -m tcp --dport 80 -j RF-X"),)
    assert [chain.name for chain in table.chains] == ["RF-X"]


@pytest.mark.root
@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_planning_changes_nothing(tmp_path: Path, backend: str) -> None:
    with applied_host(backend, tmp_path) as host:
        before = (
            host.state(),
            host.shell("cat /proc/net/ip_tables_names; nft list ruleset"),
            sorted(tmp_path.rglob("*")),
        )
        plan = within(host.name, lambda: _plan(host.session(), declared(host.inner)))
        assert not plan.empty
        assert plan.schema == "ruleflow.plan/1"
        assert (
            host.state(),
            host.shell("cat /proc/net/ip_tables_names; nft list ruleset"),
            sorted(tmp_path.rglob("*")),
        ) == before


def _plan(session: Session, text: str):  # type: ignore[no-untyped-def]
    return session.plan(session.declaration(text, "app.yaml")).plan


@pytest.mark.root
def test_a_plan_says_what_it_does_and_what_decides_before(tmp_path: Path) -> None:
    with applied_host("nft", tmp_path) as host:
        host.apply(declared(host.inner))
        host.tables("-I FORWARD 1 -s 192.0.2.66 -j DROP")
        host.shell(
            "nft add table inet mine; nft 'add chain inet mine fw { type filter hook forward priority 5; policy drop; }'"
        )
        plan = within(host.name, lambda: _plan(host.session(), changed(host.inner)))
        codes = {note.code for note in plan.notes}
        assert codes >= {"foreign-first", "nft-chain", "policy"}
        text = "\n".join(plan_lines(plan))
        assert "  + veth rf-" in text
        assert "IPv4 nat RF-PUBLISH\n  - -A RF-PUBLISH -p tcp -m tcp --dport 8080 " in text
        assert "inet mine fw (hook forward, policy drop)" in text
        assert "  - tcp 8080 on every address of this host, for everybody, leads to 172.30.0.2:80" in text
        assert (
            "  + tcp 8080-8083 on every address of this host, for everybody, leads to 172.30.0.2:80-83/8080"
            in text
        )
        assert "  - tcp 8081 on 127.0.0.1, for this host alone, leads to 172.30.0.2:80" in text
        assert msgspec.json.decode(msgspec.json.encode(plan))["changes"][0]["verb"] in (
            "add",
            "remove",
            "change",
            "move",
        )


@pytest.mark.root
def test_a_program_that_listens_on_a_port_to_be_published_is_named(tmp_path: Path) -> None:
    with applied_host("nft", tmp_path) as host:
        with within(host.name, lambda: socket.create_server(("0.0.0.0", 8080))):
            plan = within(host.name, lambda: _plan(host.session(), declared(host.inner)))
        (note,) = [note for note in plan.notes if note.code == "listener"]
        assert "0.0.0.0:8080 (tcp)" in note.text
        assert "web" in note.text


@pytest.mark.root
def test_what_a_layout_leaves_to_others_is_told(tmp_path: Path) -> None:
    with applied_host("nft", tmp_path) as host:
        plan = within(host.name, lambda: _plan(host.session(), declared(host.inner, ports='"[::1]:8080:80"')))
        assert any(note.code == "unserved" and "[::1]" in note.text for note in plan.notes)
        plan = within(host.name, lambda: _plan(host.session(), "layout: docker-29\n" + declared(host.inner)))
        assert any(note.code == "proxy" for note in plan.notes)


@pytest.mark.root
@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_a_rule_the_kernel_refuses_is_named(backend: str) -> None:
    text = "*nat\n:RF-X - [0:0]\n-A RF-X -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.1\n-A RF-X -j NOWHERE\nCOMMIT\n"
    with pytest.raises(RestoreRefusedError, match="NOWHERE"):
        wanted_rules({4: saved(text)}, Backend(backend))


@pytest.mark.root
def test_rules_of_nft_that_are_misprinted_are_refused(tmp_path: Path) -> None:
    with applied_host("nft", tmp_path) as host:
        host.shell("nft insert rule ip filter FORWARD tcp dport '{ 80, 443 }' accept")
        with pytest.raises(BackendError, match="ip filter FORWARD holds a rule of nft"):
            host.apply(declared(host.inner))


@pytest.mark.root
def test_tables_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with applied_host("nft", tmp_path) as host:
        host.shell("nft add rule ip filter FORWARD numgen inc mod 2 0 accept")
        with pytest.raises(BackendError, match="ip filter holds rules of nft that iptables-save cannot read"):
            host.apply(declared(host.inner))


@pytest.mark.root
def test_plain_rules_of_nft_are_no_reason_to_refuse(tmp_path: Path) -> None:
    with applied_host("nft", tmp_path) as host:
        host.shell("nft add rule ip filter FORWARD ip saddr 192.0.2.7 counter drop")
        before = host.state()
        host.apply(declared(host.inner))
        host.destroy()
        assert host.state() == before


@pytest.mark.root
def test_both_backends_in_use_are_refused(tmp_path: Path) -> None:
    with applied_host("nft", tmp_path) as host:
        host.shell("iptables-legacy -A INPUT -s 192.0.2.1 -j DROP")
        with pytest.raises(BackendError, match="both iptables backends hold rules"):
            within(host.name, find_backend)
        assert within(host.name, lambda: find_backend("legacy")) == Backend("legacy")


@pytest.mark.root
@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_the_backend_with_rules_is_the_one(tmp_path: Path, backend: str) -> None:
    with applied_host(backend, tmp_path) as host:
        assert within(host.name, find_backend) == Backend(backend)


@pytest.mark.root
def test_what_is_in_the_way_is_refused(tmp_path: Path) -> None:
    with applied_host("nft", tmp_path) as host:
        host.shell("ip link add rf-app type veth peer name rfx0")
        with pytest.raises(PlanRefusedError, match="there is a link rf-app already"):
            host.apply(declared(host.inner))
        host.shell(
            "ip link del rf-app; ip link add rf-other type bridge; ip addr add 172.30.0.1/24 dev rf-other; ip link set rf-other up"
        )
        with pytest.raises(Exception, match=r"172\.30\.0"):
            host.apply(declared(host.inner))


@pytest.mark.root
def test_a_bridge_that_is_there_is_used_and_stays(tmp_path: Path) -> None:
    with applied_host("nft", tmp_path) as host:
        host.shell(
            "ip link add rf-app type bridge; ip addr add 172.30.0.1/24 dev rf-app; ip link set rf-app up"
        )
        before = host.state()
        host.apply(declared(host.inner))
        host.destroy()
        assert host.state() == before


@pytest.mark.root
def test_python_iptables_reads_only_what_is_there(tmp_path: Path) -> None:
    pytest.importorskip("iptc", reason="the extra [legacy] is not installed")
    with applied_host("legacy", tmp_path) as host:
        assert within(host.name, lambda: legacy_chains("raw", 4)) == {}
        assert within(host.name, lambda: legacy_chains("filter", 4))["MINE"] == ("RETURN",)
        plan = within(host.name, lambda: _plan(host.session(), declared(host.inner)))
        assert "legacy-reader" not in {note.code for note in plan.notes}
