"""What a walk tells beside the verdict: reasons, forks with their likelihood, assumptions, the reply, what is broken."""

from pathlib import Path

import pytest

import ruleflow
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.steps import RuleStep, Walk
from ruleflow.netfilter.walk import Around, walk, walk_many, with_reply
from ruleflow.ruleset.parse import parse

SAMPLES = Path(__file__).parent.parent.parent / "samples"
PLAIN = "tcp 203.0.113.9:40000 192.0.2.1:80 in eth0"


def rules_of(*lines: str, table: str = "filter", chains: str = "") -> Machine:
    text = f"*{table}\n{chains}" + "".join(f"{line}\n" for line in lines) + "COMMIT\n"
    return Machine.inferred_from(ruleflow.parse(text, family=4), local=("192.0.2.1",))


def verdict(machine: Machine, packet: str = PLAIN, **around: object) -> str:
    return walk(machine, Packet.parse(packet), Around(**around)).verdict  # type: ignore[arg-type]


def answers(found: Walk) -> list[tuple[str, int, str]]:
    return [
        (step.ref.chain, step.ref.index, step.answer) for step in found.steps if isinstance(step, RuleStep)
    ]


def test_a_rule_passed_over_says_its_first_failing_condition() -> None:
    found = walk(
        rules_of("-A INPUT -p tcp --dport 22 -j ACCEPT", "-A INPUT -p udp -j DROP"), Packet.parse(PLAIN)
    )
    first, second = (step for step in found.steps if isinstance(step, RuleStep))
    assert (first.why, first.actual) == ("to port 22 (ssh)", 80)
    assert second.actual == 6


def test_goto_leaves_to_the_callers_caller() -> None:
    machine = rules_of(
        "-A INPUT -j A", "-A INPUT -j DROP", "-A A -g B", "-A A -j ACCEPT", "-A B -p udp -j ACCEPT",
        chains=":A - [0:0]\n:B - [0:0]\n",
    )  # fmt: skip
    found = walk(machine, Packet.parse(PLAIN))
    assert found.verdict == "DROP"
    assert answers(found) == [("INPUT", 1, "match"), ("A", 1, "match"), ("B", 1, "no"), ("INPUT", 2, "match")]


def test_return_in_a_built_in_chain_is_its_policy() -> None:
    assert (
        verdict(rules_of("-A INPUT -j RETURN", "-A INPUT -j ACCEPT", chains=":INPUT DROP [0:0]\n")) == "DROP"
    )


def test_what_nobody_can_know_forks() -> None:
    found = walk(rules_of("-A INPUT -m recent --name bad --rcheck -j DROP"), Packet.parse(PLAIN))
    assert found.verdict == "UNKNOWN"
    assert {outcome.verdict for outcome in found.outcomes} == {"ACCEPT", "DROP"}
    assert len(found.forks) == 1


def test_the_caller_may_say_so() -> None:
    machine = rules_of("-A INPUT -m recent --name bad --rcheck -j DROP")
    assert verdict(machine, assumed=(("recent", True),)) == "DROP"
    assert verdict(machine, assumed=(("recent", False),)) == "ACCEPT"


def test_a_fork_that_changes_nothing_is_none() -> None:
    found = walk(rules_of("-A INPUT -m limit --limit 3/min -j LOG", "-A INPUT -j DROP"), Packet.parse(PLAIN))
    assert (found.verdict, found.forks) == ("DROP", ())


def test_chances_multiply() -> None:
    machine = Machine.inferred_from(ruleflow.parse(
        "*nat\n:S - [0:0]\n-A PREROUTING -d 192.0.2.1/32 -p tcp -m tcp --dport 80 -j S\n"
        "-A S -p tcp -m statistic --mode random --probability 0.33333333349 -j DNAT --to-destination 10.0.0.1:80\n"
        "-A S -p tcp -m statistic --mode random --probability 0.50000000000 -j DNAT --to-destination 10.0.0.2:80\n"
        "-A S -p tcp -j DNAT --to-destination 10.0.0.3:80\nCOMMIT\n"
    ), local=("192.0.2.1",), routes=(("10.0.0.0/8", "eth1"),))  # fmt: skip
    found = walk(machine, Packet.parse(PLAIN))
    assert found.verdict == "ACCEPT"
    ends = {outcome.packet.destination or 0: outcome.probability for outcome in found.outcomes}
    assert sorted(ends) == [0x0A000001, 0x0A000002, 0x0A000003]
    assert [ends[one] for one in sorted(ends)] == pytest.approx([1 / 3] * 3, abs=1e-6)


def test_chains_in_a_circle_are_said() -> None:
    machine = rules_of(
        "-A INPUT -j A", "-A A -j B", "-A B -j A", chains=":INPUT DROP [0:0]\n:A - [0:0]\n:B - [0:0]\n"
    )
    found = walk(machine, Packet.parse(PLAIN))
    assert any("A > B > A" in sentence for sentence in found.assumptions)


def test_an_unknown_target_may_do_anything() -> None:
    found = walk(rules_of("-A INPUT -j FROBNICATE --really", "-A INPUT -j DROP"), Packet.parse(PLAIN))
    assert "FROBNICATE" in " ".join((*found.assumptions, *(fork.text for fork in found.forks)))


def test_the_reply_is_translated_back() -> None:
    rules = ruleflow.parse((SAMPLES / "docker-port-80-proxy.rules").read_text())
    machine = Machine.inferred_from(rules, local=("192.0.2.1",))
    found = with_reply(machine, walk(machine, Packet.parse(PLAIN)))
    assert found.end.packet.destination == 0xAC110004
    assert found.reply is not None
    assert found.reply.end.packet.source == 0xC0000201
    assert found.reply.verdict == "ACCEPT"


def test_a_rule_in_input_for_a_published_port_is_not_asked_and_that_is_said() -> None:
    text = (SAMPLES / "docker-port-80-proxy.rules").read_text()
    rules = ruleflow.parse(
        text.replace(
            "-A FORWARD -j DOCKER-USER",
            "-A INPUT -p tcp -m tcp --dport 80 -j DROP\n-A FORWARD -j DOCKER-USER",
            1,
        )
    )
    found = walk(Machine.inferred_from(rules, local=("192.0.2.1",)), Packet.parse(PLAIN))
    assert found.verdict == "ACCEPT"
    assert found.beware[0].startswith("filter INPUT 1 (line ")


def test_notrack_hides_the_connection() -> None:
    text = (
        "*raw\n-A PREROUTING -p tcp -m tcp --dport 80 -j NOTRACK\nCOMMIT\n"
        "*filter\n-A INPUT -m conntrack --ctstate NEW -j DROP\n-A INPUT -m conntrack --ctstate UNTRACKED -j ACCEPT\n-A INPUT -j DROP\nCOMMIT\n"
    )
    machine = Machine.inferred_from(ruleflow.parse(text, family=4), local=("192.0.2.1",))
    assert walk(machine, Packet.parse(PLAIN)).verdict == "ACCEPT"


def test_the_filter_still_sees_the_old_interface_after_a_mark() -> None:
    """The out interface of OUTPUT is fixed when the hook is called; POSTROUTING sees the new one."""
    from ruleflow.netfilter.describe import parse_description

    host = parse_description(
        "interfaces:\n  eth0: {addresses: [192.0.2.1/24]}\n  eth1: {addresses: [198.51.100.1/24]}\n"
        "routes: [default via 192.0.2.254 dev eth0, default via 198.51.100.254 dev eth1 table 7]\n"
        "rules: [fwmark 0x1 lookup 7 priority 100]\n"
    )
    rules = ruleflow.parse(
        "*mangle\n-A OUTPUT -j MARK --set-mark 0x1\nCOMMIT\n"
        "*filter\n-A OUTPUT -o eth1 -j DROP\n-A OUTPUT -o eth0 -j ACCEPT\n-A OUTPUT -j DROP\nCOMMIT\n", family=4,
    )  # fmt: skip
    found = walk(Machine(host, (rules,), 4), Packet.parse("udp 192.0.2.1:40000 203.0.113.9:53"))
    assert (found.verdict, found.end.out_interface) == ("ACCEPT", "eth1")


DUMPS = sorted(SAMPLES.glob("*.rules"))
FULL = {
    4: "tcp 203.0.113.9:40000 192.0.2.1:22 in eth0 state new mark 0x0 ttl 64",
    6: "tcp [2001:db8:9::9]:40000 [2001:db8::1]:22 in eth0 state new mark 0x0 ttl 64",
}


@pytest.mark.parametrize("dump", DUMPS, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    "missing", ["source", "destination_port", "source_port", "state", "mark", "ttl", "tcp_flags", "protocol"]
)
def test_a_fact_that_is_missing_is_assumed_or_forks_or_was_not_asked(dump: Path, missing: str) -> None:
    """Nothing is guessed silently: without a fact the walk ends as before, or says that the fact was missing."""
    for rules in parse(dump.read_text()).rulesets:
        whole = Packet.parse(FULL[rules.family])
        part = whole.with_(**{missing: None}) if missing != "protocol" else Packet(
            family=whole.family, source=whole.source, destination=whole.destination, in_interface="eth0", state=whole.state,
        )  # fmt: skip
        before, after = walk(rules, whole), walk(rules, part)
        told = len(after.assumptions) > len(before.assumptions) or len(after.forks) > len(before.forks)
        same = before.verdict == after.verdict and before.end.by == after.end.by
        assert told or same


@pytest.mark.parametrize("dump", DUMPS, ids=lambda path: path.stem)
def test_the_quick_walk_agrees_on_samples(dump: Path) -> None:
    for rules in parse(dump.read_text()).rulesets:
        for port in (22, 53, 80, 443, 8080):
            for entry in ("in eth0", "in docker0", ""):
                text = FULL[rules.family].replace(":22 in eth0 state new mark 0x0", f":{port} {entry}")
                packet = Packet.parse(text)
                slow = walk(rules, packet)
                (quick,) = walk_many(rules, [packet])
                assert quick.verdict == slow.verdict
                if slow.verdict != "UNKNOWN":
                    assert (quick.by, quick.packet) == (slow.by, slow.end.packet)


HOST_PACKETS = (
    "tcp 192.0.2.1:40000 192.0.2.10:80 in eth0",
    "tcp 192.0.2.1:40000 192.0.2.10:22 in eth0",
    "tcp 172.17.0.2:40000 198.51.100.7:80 in docker0",
    "tcp 172.17.0.4:40000 192.0.2.10:80 in docker0 physin vethd2f3ac4",
    "udp 192.0.2.10:40000 198.51.100.7:53",
    "tcp 127.0.0.1:40000 127.0.0.1:80",
)


@pytest.mark.parametrize("missing", ["routes", "rules", "sysctls", "listeners", "ports"])
@pytest.mark.parametrize("packet", HOST_PACKETS)
def test_a_fact_of_the_host_that_is_missing_is_told(missing: str, packet: str) -> None:
    import msgspec

    from ruleflow.netfilter.world import read_world

    host = read_world(SAMPLES / "docker-host").main
    empty = () if missing == "ports" else None
    before = walk(host, Packet.parse(packet))
    after = walk(msgspec.structs.replace(host, **{missing: empty}), Packet.parse(packet))
    more = set(after.assumptions) - set(before.assumptions) or len(after.forks) > len(before.forks)
    notes = {step.sentence for step in after.steps if hasattr(step, "sentence")}
    told = more or any("not known" in sentence for sentence in notes)
    same = (before.verdict, before.end.by, before.end.packet) == (
        after.verdict,
        after.end.by,
        after.end.packet,
    )
    assert told or same, (after.verdict, after.assumptions)
