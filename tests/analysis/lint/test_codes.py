"""Every code on a rule set that has the fault, and on the nearest one that has not."""

import pytest

from ruleflow.analysis.findings import Finding
from ruleflow.analysis.lint import CODES, gather, lint
from ruleflow.ruleset.parse import parse

LONG = "\n".join(f"-A INPUT -p tcp -m tcp --dport {port} -j ACCEPT" for port in range(1000, 1041))
KNOWN = "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
SOURCES = "\n".join(f"-A INPUT -s 192.0.2.{n}/32 -j DROP" for n in range(1, 51))
PUBLISHED = "-A PREROUTING -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80"
SSH = "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT"


def filter_table(*lines: str, policy: str = "DROP") -> str:
    chains = sorted(
        {line.split()[1] for line in lines if line.startswith("-A")} - {"INPUT", "FORWARD", "OUTPUT"}
    )
    head = ("*filter", f":INPUT {policy} [0:0]", f":FORWARD {policy} [0:0]", ":OUTPUT ACCEPT [0:0]")
    return "\n".join((*head, *(f":{name} - [0:0]" for name in chains), *lines, "COMMIT", ""))


def nat(*lines: str) -> str:
    return "\n".join(
        (
            "*nat",
            *(f":{c} ACCEPT [0:0]" for c in ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")),
            *lines,
            "COMMIT",
            "",
        )
    )


CASES = {
    "RF001": (filter_table('-A INPUT -m comment --comment "a\nb" -j DROP'), filter_table('-A INPUT -m comment --comment "a b" -j DROP')),
    "RF002": (filter_table("-A INPUT -p tcp -m tcp --dprot 22 -j ACCEPT"), filter_table(SSH)),
    "RF003": (filter_table("-A INPUT -p tcp -m tcp --dport -j ACCEPT"), filter_table(SSH)),
    "RF004": (filter_table(SSH).replace("COMMIT", ""), filter_table(SSH)),
    "RF005": (filter_table(SSH) + "*nat\nCOMMIT\n" + filter_table(SSH), filter_table(SSH)),
    "RF007": (SSH + "\n", filter_table(SSH)),
    "RF008": (filter_table("-A INPUT -j LATER"), filter_table("-A INPUT -j LATER", "-A LATER -j DROP")),
    "RF009": (filter_table("-D INPUT -j DROP"), filter_table("-A INPUT -j DROP", "-D INPUT -j DROP")),
    "RF101": (filter_table("-A A -j B", "-A B -j A"), filter_table("-A A -j B", "-A B -j RETURN")),
    "RF103": (
        nat("-A POSTROUTING -o eth0 -m conntrack --ctstate ESTABLISHED -j MASQUERADE"),
        nat("-A POSTROUTING -o eth0 -m conntrack --ctstate NEW -j MASQUERADE"),
    ),
    "RF104": (
        "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A PREROUTING -i eth0 -m conntrack --ctstate NEW -j DROP\nCOMMIT\n",
        "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -i eth0 -m conntrack --ctstate NEW -j DROP\nCOMMIT\n",
    ),
    "RF105": (filter_table("-A INPUT -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -j ACCEPT"), filter_table(KNOWN, SSH)),
    "RF106": (filter_table(SSH, f"[3:180] {SSH}"), filter_table(f"[3:180] {SSH}", SSH)),
    "RF201": (
        filter_table("-A INPUT -s 10.0.0.0/9 -j ACCEPT", "-A INPUT -s 10.128.0.0/9 -j DROP", "-A INPUT -s 10.1.0.0/8 -p tcp -j DROP"),
        filter_table("-A INPUT -s 10.0.0.0/9 -j ACCEPT", "-A INPUT -s 10.128.0.0/10 -j DROP", "-A INPUT -s 10.1.0.0/8 -p tcp -j DROP"),
    ),
    "RF202": (filter_table("-A INPUT -s 10.0.0.1/32 -j ACCEPT", "-A INPUT -s 10.0.0.0/8 -j ACCEPT"), filter_table("-A INPUT -s 10.0.0.1/32 -j DROP", "-A INPUT -s 10.0.0.0/8 -j ACCEPT")),
    "RF203": (filter_table("-A OLD -s 10.0.0.1/32 -j ACCEPT"), filter_table("-A INPUT -j OLD", "-A OLD -s 10.0.0.1/32 -j ACCEPT")),
    "RF204": (filter_table("-A INPUT -p tcp -j ACCEPT", "-A INPUT -j DROP"), filter_table("-A INPUT -p tcp -j ACCEPT", "-A INPUT -p udp -j DROP")),
    "RF205": (filter_table("-A INPUT -j A", SSH, "-A A -j RETURN"), filter_table("-A INPUT -j A", SSH, "-A A -s 10.0.0.1/32 -j DROP")),
    "RF206": (
        filter_table("-A INPUT -s 10.0.0.7/32 -p tcp -j DROP", "-A INPUT -s 10.0.0.0/8 -p tcp -j ACCEPT"),
        filter_table("-A INPUT -s 10.0.0.7/32 -p tcp -j DROP", "-A INPUT -s 10.1.0.0/16 -p tcp -j ACCEPT"),
    ),
    "RF207": (filter_table("-A INPUT -s 10.0.0.0/8 -j DROP", SSH), filter_table("-A INPUT -s 10.0.0.0/8 -j DROP", f"{SSH[:8]} ! -s 10.0.0.0/8{SSH[8:]}")),
    "RF301": (filter_table(policy="ACCEPT"), filter_table("-A INPUT -p tcp -m tcp --dport 22 -j DROP", policy="ACCEPT")),
    "RF303": (
        nat("-A PREROUTING -d 127.0.0.1/32 ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80"),
        nat("-A PREROUTING -d 192.0.2.1/32 ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80"),
    ),
    "RF304": (filter_table("-A INPUT -p tcp -m tcp --dport 2375 -j ACCEPT"), filter_table("-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 2375 -j ACCEPT")),
    "RF401": (nat(PUBLISHED) + filter_table("-A INPUT -p tcp -m tcp --dport 8080 -j DROP"), nat(PUBLISHED) + filter_table("-A INPUT -p tcp -m tcp --dport 8081 -j DROP")),
    "RF402": (
        nat(PUBLISHED) + filter_table("-A FORWARD -j DOCKER-USER", "-A DOCKER-USER -p tcp -m tcp --dport 8080 -j DROP"),
        nat(PUBLISHED) + filter_table("-A FORWARD -j DOCKER-USER", "-A DOCKER-USER -p tcp -m conntrack --ctorigdstport 8080 -j DROP"),
    ),
    "RF403": (
        nat(PUBLISHED) + filter_table("-A FORWARD -d 172.17.0.2/32 -p tcp -m tcp --dport 8080 -j ACCEPT"),
        nat(PUBLISHED) + filter_table("-A FORWARD -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j ACCEPT"),
    ),
    "RF404": (nat("-A POSTROUTING -j MASQUERADE"), nat("-A POSTROUTING -o eth0 -j MASQUERADE")),
    "RF405": (filter_table("-A FORWARD -j DOCKER", "-A DOCKER -s 192.0.2.0/24 -j DROP"), filter_table("-A FORWARD -j DOCKER-USER", "-A DOCKER-USER -s 192.0.2.0/24 -j DROP")),
    "RF501": (filter_table(LONG, "-A INPUT -m conntrack --ctstate INVALID -j DROP"), filter_table(KNOWN, LONG)),
    "RF502": (filter_table(LONG, KNOWN), filter_table(KNOWN, LONG)),
    "RF503": (filter_table('-A INPUT -j LOG --log-prefix "in "'), filter_table('-A INPUT -m limit --limit 5/min -j LOG --log-prefix "in "')),
    "RF504": (filter_table(SOURCES), filter_table(*SOURCES.split("\n")[:20], SSH, *SOURCES.split("\n")[20:])),
    "RF601": (filter_table("-A INPUT -m state --state NEW -j ACCEPT"), filter_table("-A INPUT -m conntrack --ctstate NEW -j ACCEPT")),
    "RF602": (filter_table("-A INPUT -p tcp -m tcp --dport 22"), filter_table(SSH)),
}  # fmt: skip
ELSEWHERE = {"RF006", "RF302", "RF406", "RF407"}
"""Codes that a single dump cannot have; tests of their own below, or (RF006) no rule set at all."""


def found(dump: str, family: int | None = None) -> list[Finding]:
    return [
        one
        for case in gather.of_document(parse(dump, lenient=True, family=family))
        for one in lint(case, conflicts=True)
    ]


@pytest.mark.parametrize("code", sorted(CASES))
def test_a_code_is_found_and_not_found(code: str) -> None:
    fault, sound = CASES[code]
    assert code in {one.code for one in found(fault)}
    assert code not in {one.code for one in found(sound)}


def test_every_code_has_a_case_and_an_explanation() -> None:
    assert set(CODES) == set(CASES) | ELSEWHERE
    for code in CODES.values():
        assert code.what.rstrip(")").endswith(".")
        assert code.why.rstrip(")").endswith(".")
        assert code.before


def test_a_port_open_in_one_family_only() -> None:
    four, six = filter_table(KNOWN, SSH), filter_table(KNOWN, SSH, SSH.replace("22", "3306"))
    both = parse(four).rulesets[0], parse(six, family=6).rulesets[0]
    from ruleflow.analysis.lint.case import Case

    told = [
        one
        for rules, other in (both, both[::-1])
        for one in lint(Case(rules, others=(other,)))
        if one.code == "RF302"
    ]
    assert [one.message for one in told] == ["open over IPv6 and closed over IPv4: tcp 3306 (mysql)"]
    same = parse(four, family=6).rulesets[0]
    assert not [one for one in lint(Case(same, others=(both[0],))) if one.code == "RF302"]


def test_both_backends_and_native_rules() -> None:
    from ruleflow.analysis.lint.case import Case

    rules = parse(filter_table(SSH)).rulesets[0]
    told = {
        one.code
        for one in lint(Case(rules, legacy=(rules,), native=(("filter INPUT", "tcp dport {80} accept"),)))
    }
    assert {"RF406", "RF407"} <= told
    empty = parse(filter_table()).rulesets[0]
    assert not {"RF406", "RF407"} & {one.code for one in lint(Case(rules, legacy=(empty,)))}
