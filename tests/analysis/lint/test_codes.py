"""Every code on a rule set that has the fault, and on the nearest one that has not."""

import pytest
from click.testing import CliRunner

from ruleflow.analysis.findings import Finding
from ruleflow.analysis.lint import CODES, gather, lint
from ruleflow.analysis.lint.case import Case
from ruleflow.cli import cli
from ruleflow.errors import ReadError
from ruleflow.ruleset.ir import Ruleset
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
    "RF006": ("Chain INPUT (policy ACCEPT)\ntarget     prot opt source               destination\n", filter_table(SSH)),
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


def rules(*lines: str, family: int = 4) -> Ruleset:
    return parse(filter_table(*lines), family=family).rulesets[0]


OPEN, MORE = rules(KNOWN, SSH), rules(KNOWN, SSH, SSH.replace("22", "3306"), family=6)
NATIVE = (("filter INPUT", "tcp dport {80} accept"),)
HOSTS = {
    "RF302": (Case(MORE, others=(OPEN,)), Case(rules(KNOWN, SSH, family=6), others=(OPEN,))),
    "RF406": (Case(OPEN, legacy=(OPEN,)), Case(OPEN, legacy=(rules(),))),
    "RF407": (Case(OPEN, native=NATIVE), Case(OPEN)),
}
"""What takes more of a host than one dump."""


def found(dump: str, family: int | None = None) -> list[Finding]:
    return [
        one
        for case in gather.of_document(parse(dump, lenient=True, family=family))
        for one in lint(case, conflicts=True)
    ]


def codes(of: str | Case) -> set[str | None]:
    """The codes of all findings; where the text is not read at all, that of the error."""
    if isinstance(of, Case):
        return {one.code for one in lint(of, conflicts=True)}
    try:
        return {one.code for one in found(of)}
    except ReadError as error:
        return {error.code}


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_code_is_found_and_not_found(code: str) -> None:
    fault, sound = (CASES | HOSTS)[code]
    assert code in codes(fault)
    assert code not in codes(sound)


def test_every_code_has_cases_and_an_explanation() -> None:
    assert set(CODES) == CASES.keys() | HOSTS.keys()
    assert not CASES.keys() & HOSTS.keys()
    for code in CODES.values():
        assert code.what.rstrip(")").endswith(".")
        assert code.why.rstrip(")").endswith(".")
        assert code.before


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_is_explained_by_the_command(code: str) -> None:
    told = CliRunner().invoke(cli, ["rule", code])
    assert told.exit_code == 0
    assert told.output.startswith(f"{code}: {CODES[code].name} ({CODES[code].severity})")


def test_a_port_open_in_one_family_only() -> None:
    told = [
        one
        for case in (Case(OPEN, others=(MORE,)), Case(MORE, others=(OPEN,)))
        for one in lint(case)
        if one.code == "RF302"
    ]
    assert [one.message for one in told] == ["open over IPv6 and closed over IPv4: tcp 3306 (mysql)"]
