"""Rule sets told in sentences: goldens of whole explanations, and what each part promises."""

import json
from collections.abc import Callable

import msgspec
import pytest

from ruleflow.analysis.explain import explain, narrowed
from ruleflow.analysis.explanation import ChainSaid, Explained, RuleSaid
from ruleflow.analysis.spans import Spans
from ruleflow.data import sample
from ruleflow.ruleset.parse import parse
from ruleflow.views import markdown, text

Golden = Callable[[str, str], None]


def told(rules: str, *, spans: bool = False) -> Explained:
    (explained,) = explain(parse(rules), spans=spans).rulesets
    return explained


def chain(rules: str, name: str) -> ChainSaid:
    return next(said for said in told(rules).chains if said.name == name)


def filter_table(
    *rules: str, heads: str = ":INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
) -> str:
    return f"*filter\n{heads}" + "".join(f"{rule}\n" for rule in rules) + "COMMIT\n"


def shown(rules: str, width: int | None = 80, *, colour: bool = False) -> str:
    return "".join(f"{line}\n" for line in text.explanation(explain(parse(rules)), text.Paper(width, colour)))


# -- goldens ----------------------------------------------------------------------------------------------

SAMPLES = (
    "docker-port-80", "docker-port-80-proxy", "docker-ipv6", "docker-ufw", "cni", "netavark", "libvirt", "ufw", "fail2ban",
    "firewalld", "shorewall", "ferm",
)  # fmt: skip


@pytest.mark.parametrize("name", SAMPLES)
def test_the_explanation_of_a_sample(name: str, golden: Golden) -> None:
    document = parse(sample(name).read_text(), source=f"sample:{name}")
    lines = text.explanation(explain(document), text.Paper(80))
    golden(f"explain/{name}.txt", "".join(f"{line}\n" for line in lines))


def test_the_explanation_in_markdown(golden: Golden) -> None:
    document = parse(sample("docker-port-80").read_text(), source="sample:docker-port-80")
    golden(
        "explain/docker-port-80.md", "".join(f"{line}\n" for line in markdown.explanation(explain(document)))
    )


def test_the_explanation_as_json(golden: Golden) -> None:
    document = parse(sample("docker-port-80").read_text(), source="sample:docker-port-80")
    data = json.loads(msgspec.json.encode(explain(document, spans=True)))
    assert data["schema"] == "ruleflow.explain/1"
    data["ruleflow"] = "VERSION"
    golden("explain/docker-port-80.json", json.dumps(data, indent=1, sort_keys=True) + "\n")


def test_the_source_with_carets(golden: Golden) -> None:
    document = parse(sample("docker-port-80").read_text(), source="sample:docker-port-80")
    lines = text.explanation(
        explain(document, spans=True), text.Paper(80), {document.source: Spans(document.text)}
    )
    golden("explain/docker-port-80.spans.txt", "".join(f"{line}\n" for line in lines))


# -- sentences --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "who", "does"),
    [
        ("-A INPUT -j DROP", "everything", "drop"),
        ("-A INPUT -i lo -j ACCEPT", "everything arriving on lo", "let in"),
        ("-A OUTPUT -o lo -j ACCEPT", "everything leaving by lo", "let out"),
        ("-A FORWARD -i br0 -o br0 -j ACCEPT", "everything arriving on br0 and leaving by it again", "let through"),
        ("-A FORWARD -i br0 ! -o br0 -j ACCEPT", "everything arriving on br0 and leaving by another interface", "let through"),
        ("-A FORWARD ! -i br0 -o br0 -j DROP", "everything leaving by br0 and arriving on another interface", "drop"),
        ("-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT", "tcp to port 22 (ssh)", "let in"),
        (
            "-A INPUT -s 10.0.0.0/8 -d 192.0.2.1/32 -p tcp -m tcp --dport 443 -j ACCEPT",
            "tcp from 10.0.0.0/8 to 192.0.2.1, port 443 (https)", "let in",
        ),
        ("-A INPUT -s 10.0.0.1/32 -d 10.0.0.1/32 -j DROP", "everything from 10.0.0.1 to itself", "drop"),
        ("-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "any packet of a known connection or related to one", "let in"),
        ("-A INPUT -p tcp -m conntrack --ctstate INVALID -j DROP", "any tcp packet that fits no connection (invalid)", "drop"),
        (
            "-A INPUT -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -j ACCEPT",
            "tcp to port 22 (ssh), in a new connection", "let in",
        ),
        ("-A INPUT -p udp -m multiport --dports 53,123 -j ACCEPT", "udp to port 53 (dns) or 123 (ntp)", "let in"),
        ("-A INPUT -p icmp -m icmp --icmp-type 8 -j ACCEPT", "icmp echo request (ping)", "let in"),
        ("-A INPUT -p tcp -j REJECT --reject-with tcp-reset", "tcp", "refuse with a tcp reset"),
        ("-A INPUT -j RETURN", "everything", "leave it to the policy"),
        ("-A INPUT -p tcp -m colour --hue 3 -j ACCEPT", "tcp, and only when -m colour --hue 3 says so", "let in"),
        ("-A INPUT -p tcp", "tcp", "only count"),
        ("-A INPUT -m statistic --mode random --probability 0.25 -j DROP", "everything, but only 25% of the packets, at random", "drop"),
        (
            '-A INPUT -j LOG --log-prefix "x " --log-level 7 --log-tcp-options', "everything",
            'log it with the prefix "x " at level debug, with tcp options',
        ),
        ("-A INPUT -m conntrack ! --ctstate NEW -j ACCEPT", "everything, but no packet in a new connection", "let in"),
    ],
)  # fmt: skip
def test_one_line_a_rule(rule: str, who: str, does: str) -> None:
    said = next(said for part in told(filter_table(rule)).chains for said in part.rules)
    assert (said.who, said.does) == (who, does)


def test_a_chain_for_two_hooks_lets_in_or_through() -> None:
    rules = filter_table(
        "-A INPUT -j mine",
        "-A FORWARD -g mine",
        "-A mine -j ACCEPT",
        heads=":INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:mine - [0:0]\n",
    )
    assert chain(rules, "mine").rules[0].does == "let in or through"
    assert chain(rules, "FORWARD").rules[0].does == "go to mine (no way back)"


def test_a_single_rule_on_the_command_line_has_no_summary() -> None:
    explained = told("iptables -t nat -A POSTROUTING -s 10.0.0.0/24 -o eth0 -j MASQUERADE")
    (only,) = explained.chains
    assert (only.table, only.name, only.rest, explained.short, explained.notes) == (
        "nat",
        "POSTROUTING",
        "",
        (),
        (),
    )
    assert only.rules[0].why is not None


# -- order and reach --------------------------------------------------------------------------------------


def test_chains_stand_in_the_order_a_packet_meets_them() -> None:
    rules = sample("docker-port-80").read_text()
    names = [(said.table, said.name) for said in told(rules).chains if said.policy is not None]
    assert names == [("nat", "PREROUTING"), ("filter", "FORWARD"), ("nat", "OUTPUT"), ("nat", "POSTROUTING")]


def notes_of(rules: str, name: str) -> list[str]:
    return [said.note for said in chain(rules, name).rules]


def test_rules_behind_an_unconditional_decision_are_never_reached() -> None:
    rules = filter_table("-A INPUT -p tcp -j ACCEPT", "-A INPUT -j DROP", "-A INPUT -p udp -j ACCEPT")
    assert notes_of(rules, "INPUT") == ["", "", "never reached: line 6 takes everything"]
    assert chain(rules, "INPUT").rest == ""


def test_a_jump_to_a_chain_that_decides_everything_ends_the_chain_too() -> None:
    heads = ":INPUT ACCEPT [0:0]\n:all - [0:0]\n:some - [0:0]\n"
    rules = filter_table(
        "-A INPUT -j some", "-A INPUT -j all", "-A INPUT -j ACCEPT", "-A all -p tcp -j ACCEPT", "-A all -j DROP",
        "-A some -p tcp -j RETURN", "-A some -p udp -j DROP", heads=heads,
    )  # fmt: skip
    assert notes_of(rules, "INPUT") == ["", "", "never reached: line 6 takes everything"]


@pytest.mark.parametrize(
    ("rules", "decided"),
    [
        (["-A sub -p tcp -g away", "-A away -p udp -j DROP"], True),  # what comes back goes on in INPUT
        (["-A INPUT -p tcp -g away", "-A away -p udp -j DROP"], False),  # what away leaves meets the policy
        (["-A INPUT -p tcp -g away", "-A away -j DROP"], True),
        (["-A INPUT -p tcp -j RETURN"], False),
    ],
)
def test_whether_the_policy_is_ever_asked(rules: list[str], decided: bool) -> None:
    heads = ":INPUT ACCEPT [0:0]\n:away - [0:0]\n:sub - [0:0]\n"
    told = chain(filter_table("-A INPUT -j sub", *rules, "-A INPUT -j DROP", heads=heads), "INPUT")
    assert (told.rest == "") is decided


def test_the_same_rule_again_decides_nothing_but_not_where_there_is_memory() -> None:
    limited = "-A INPUT -p tcp -m limit --limit 3/sec -j ACCEPT"
    rules = filter_table("-A INPUT -p tcp -j ACCEPT", limited, limited, "-A INPUT -p tcp -j DROP")
    assert notes_of(rules, "INPUT") == [
        "",
        "",
        "",
        "never decides anything: line 5 takes these packets first",
    ]


def test_chains_that_nothing_reaches_are_said() -> None:
    heads = ":INPUT DROP [0:0]\n:alone - [0:0]\n:behind - [0:0]\n"
    explained = told(
        filter_table(
            "-A INPUT -j DROP", "-A INPUT -j behind", "-A behind -j ACCEPT", "-A alone -j ACCEPT", heads=heads
        )
    )
    assert "filter: nothing jumps to alone, so no packet meets it" in explained.notes
    assert "filter: no packet reaches behind: what jumps there is itself never asked" in explained.notes


def test_a_chain_that_calls_itself_is_told_once() -> None:
    heads = ":INPUT DROP [0:0]\n:loop - [0:0]\n"
    assert (
        shown(filter_table("-A INPUT -j loop", "-A loop -j loop", "-A loop -j ACCEPT", heads=heads)).count(
            "filter loop"
        )
        == 1
    )


def test_deep_nesting_is_told_without_a_traceback() -> None:
    count = 3000
    heads = ":INPUT DROP [0:0]\n" + "".join(f":c{n} - [0:0]\n" for n in range(count))
    rules = [
        "-A INPUT -j c0",
        *(f"-A c{n} -j c{n + 1}" for n in range(count - 1)),
        f"-A c{count - 1} -j ACCEPT",
    ]
    assert len(told(filter_table(*rules, heads=heads)).chains) == count + 1
    assert "c2999" in shown(filter_table(*rules, heads=heads))


# -- in short ---------------------------------------------------------------------------------------------


def short(rules: str, where: str) -> tuple[str, ...]:
    return next(part.lines for part in told(rules).short if part.where == where)


def test_in_short_keeps_the_order_of_decisions() -> None:
    rules = filter_table(
        "-A INPUT -i lo -j ACCEPT", "-A INPUT -s 203.0.113.66/32 -j DROP", "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT",
        heads=":INPUT DROP [0:0]\n",
    )  # fmt: skip
    assert short(rules, "Into this host") == (
        "let in:", "  everything arriving on lo", "drop:", "  everything from 203.0.113.66", "let in:", "  tcp to port 22 (ssh)",
        "all else is dropped",
    )  # fmt: skip


def test_in_short_takes_called_chains_apart() -> None:
    heads = ":FORWARD DROP [0:0]\n:web - [0:0]\n"
    rules = filter_table(
        "-A FORWARD -o br0 -j web", "-A web -s 10.0.0.0/8 -j RETURN", "-A web -i br0 -o br1 -j ACCEPT",
        "-A web -d 10.1.0.0/16 -p tcp -m tcp --dport 80 -j ACCEPT", heads=heads,
    )  # fmt: skip
    assert short(rules, "Through this host") == (
        "let through:",
        "  tcp to 10.1.0.0/16, port 80 (http), leaving by br0 (except from 10.0.0.0/8 leaving by br0)",
        "all else is dropped",
    )  # fmt: skip


def test_translations_say_who_was_taken_out_before() -> None:
    rules = (
        "*nat\n:POSTROUTING ACCEPT [0:0]\n:out - [0:0]\n-A POSTROUTING -s 10.0.1.0/24 -j ACCEPT\n-A POSTROUTING -j out\n"
        "-A out -m mark ! --mark 0x1/0x1 -j RETURN\n-A out -o eth0 -j MASQUERADE\n"
        "-A POSTROUTING -s 10.0.2.0/24 -j SNAT --to-source 192.0.2.1\nCOMMIT\n"
    )
    assert short(rules, "With another source") == (
        "everything leaving by eth0 (except without mark bit 0x1 set, from 10.0.1.0/24): masquerade as the outgoing interface",
        "everything from 10.0.2.0/24: rewrite the source to 192.0.2.1",
    )


def test_in_short_says_where_ruleflow_does_not_know() -> None:
    rules = filter_table("-A INPUT -p tcp -j TARPIT --reset", heads=":INPUT DROP [0:0]\n")
    assert (
        short(rules, "Into this host")[0] == "approximately, for ruleflow does not know what decides about:"
    )


def test_the_surprise_of_a_published_port() -> None:
    rules = (
        sample("docker-port-80")
        .read_text()
        .replace("*filter", "*filter\n-A INPUT -p tcp -m tcp --dport 80 -j DROP", 1)
    )
    (line,) = short(rules, "Surprise")
    assert line.startswith(
        "the drop of tcp port 80 in INPUT (line 3) does not close the published port 80 (line 37)"
    )


# -- spans ------------------------------------------------------------------------------------------------


def phrases(rule: str) -> dict[str, str]:
    said: RuleSaid = told(filter_table(rule), spans=True).chains[0].rules[0]
    return {
        phrase.text: rule[phrase.span[1] - 1 : phrase.span[2] - 1]
        for phrase in (*said.who_phrases, *said.does_phrases)
        if phrase.span is not None
    }


def test_each_phrase_knows_its_words() -> None:
    found = phrases(
        '-A INPUT -s 10.0.0.0/8 ! -i eth0 -p tcp -m comment --comment "--dport 1" -m tcp --dport 22 -j REJECT --reject-with tcp-reset'
    )
    assert found == {
        "tcp": "-p tcp", "from 10.0.0.0/8": "-s 10.0.0.0/8", "to port 22 (ssh)": "--dport 22",
        "arriving on any interface but eth0": "! -i eth0", "refuse with a tcp reset": "--reject-with tcp-reset",
    }  # fmt: skip


def test_spans_of_what_people_type() -> None:
    found = phrases("-A INPUT --protocol tcp -d ! 10.0.0.0/8 --destination-por ssh -j ACCEPT")
    assert found["to anywhere but 10.0.0.0/8"] == "-d ! 10.0.0.0/8"
    assert found["let in"] == "-j ACCEPT"


# -- other people's text ----------------------------------------------------------------------------------

HOSTILE = filter_table(
    '-A INPUT -m comment --comment "[bold]x[/bold] \x1b[31mred <b>*z*\u202e" -j <i>&c\x1b',
    '-A INPUT -j LOG --log-prefix "`rm` |a|\x07"',
    "-A <i>&c\x1b -j ACCEPT",
    heads=":INPUT DROP [0:0]\n:<i>&c\x1b - [0:0]\n",
)


@pytest.mark.parametrize("width", [None, 80])
def test_control_characters_never_reach_the_terminal(width: int | None) -> None:
    page = shown(HOSTILE, width)
    assert page.isascii()
    assert all(line.isprintable() for line in page.splitlines())
    assert "[bold]x[/bold]" in " ".join(page.split())


def test_markdown_shows_foreign_text_and_nothing_else() -> None:
    page = "\n".join(markdown.explanation(explain(parse(HOSTILE))))
    assert "<" not in page
    assert "\\*z\\*" in page
    assert all(line.isprintable() for line in page.splitlines())


# -- views ------------------------------------------------------------------------------------------------


def test_nothing_is_wrapped_into_a_pipe() -> None:
    page = shown(sample("docker-port-80").read_text(), None)
    assert any(len(line) > 300 for line in page.splitlines())


def test_eighty_columns_hold() -> None:
    for name in SAMPLES:
        long = [line for line in shown(sample(name).read_text(), 80).splitlines() if len(line) > 80]
        assert long == [], name


def test_colour_only_adds_codes() -> None:
    rules = sample("docker-port-80").read_text()
    plain, coloured = shown(rules), shown(rules, colour=True)
    assert "\x1b[31m" in coloured
    import re

    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain


def test_counters_are_a_hint_in_the_last_column() -> None:
    page = shown(filter_table("[12:840] -A INPUT -p tcp -j ACCEPT"))
    assert (
        next(line for line in page.splitlines() if "tcp" in line).endswith("line 5  12 packets")
        or "12 packets" in page
    )


def test_only_some_chains() -> None:
    whole = explain(parse(sample("docker-port-80").read_text()))
    names = [
        said.name for said in narrowed(whole, table="filter", chain="FORWARD", depth=1).rulesets[0].chains
    ]
    assert names == ["FORWARD", "DOCKER-USER", "DOCKER-ISOLATION-STAGE-1", "DOCKER"]
    assert [said.name for said in narrowed(whole, chain="DOCKER", depth=0).rulesets[0].chains] == [
        "DOCKER",
        "DOCKER",
    ]


def test_a_chain_that_is_not_there_is_said() -> None:
    from ruleflow.errors import RuleflowError

    whole = explain(parse(sample("docker-port-80").read_text()))
    with pytest.raises(RuleflowError, match="there is no chain 'DOKER' with rules"):
        narrowed(whole, chain="DOKER")
    with pytest.raises(RuleflowError, match="there is no table 'security' with rules"):
        narrowed(whole, table="security")


# -- real rule sets ---------------------------------------------------------------------------------------


@pytest.mark.shared
def test_every_shared_dump_is_told(shared) -> None:  # type: ignore[no-untyped-def]
    from ruleflow.errors import RuleflowError

    count = 0
    for path in sorted((shared / "dumps").glob("*/*")):
        try:
            document = parse(path.read_bytes(), source=path.name, lenient=True)
        except RuleflowError:
            continue
        explanation = explain(document, spans=True)
        rules = sum(len(part.rules) for one in document.rulesets for table in one for part in table)
        assert sum(len(part.rules) for one in explanation.rulesets for part in one.chains) == rules
        assert "".join(text.explanation(explanation, text.Paper(80)))
        count += 1
    assert count > 100
