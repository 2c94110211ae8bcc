"""What rules are for: each idiom on its own rules, and no claim about rules that only look like it."""

import pytest
from docker_layouts import (
    CLASSIC_NO_PROXY,
    CLASSIC_PROXY,
    DOCKER_29,
    DOCKER_29_LOOPBACK,
    DOCKER_29_NO_PROXY,
    LAYOUTS,
)

import ruleflow
from ruleflow.analysis import idioms
from ruleflow.analysis.explanation import Claim
from ruleflow.analysis.idioms import kubernetes
from ruleflow.analysis.idioms.shape import Shapes
from ruleflow.ruleset.ir import Ruleset


def told(rules: Ruleset) -> dict[str, Claim]:
    """The first claim about each rule, by the rule's text and table."""
    found: dict[str, Claim] = {}
    for claim in idioms.recognise(rules).claims:
        for ref in claim.about:
            if ref.index:
                found.setdefault(f"{ref.table} {rules.rule(ref)}", claim)
    return found


def rule_set(table: str, *rules: str, chains: str = "") -> Ruleset:
    heads = "".join(f":{chain} - [0:0]\n" for chain in chains.split())
    return ruleflow.parse(f"*{table}\n{heads}" + "".join(f"{rule}\n" for rule in rules) + "COMMIT\n")


# -- Docker -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_rule_of_every_docker_layout_has_its_reason(name: str) -> None:
    rules = ruleflow.parse(LAYOUTS[name])
    claims = told(rules)
    without = [f"{ref.table} {rule}" for ref, rule in rules.rules() if f"{ref.table} {rule}" not in claims]
    assert without == []
    assert {claim.owner for claim in claims.values()} == {"Docker"}
    assert all(claim.evidence and claim.reason.endswith(".") for claim in claims.values())


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("classic-proxy", "Docker 18.06 to 27, with its userland proxy"),
        ("classic-no-proxy", "Docker 18.06 to 27, without its userland proxy"),
        ("28", "Docker 28 (28.0.1 or later), with its userland proxy"),
        ("28.0.0", "Docker 28.0.0, with its userland proxy"),
        ("29-no-proxy", "Docker 29 or later, without its userland proxy"),
    ],
)
def test_the_owner_is_a_guess_with_its_evidence(name: str, made: str) -> None:
    (sentence,) = idioms.recognise(ruleflow.parse(LAYOUTS[name])).made
    assert sentence.startswith(f"{made}: a guess, by the names of its chains and the jumps to them (line")


@pytest.mark.parametrize(
    ("text", "address"), [(CLASSIC_NO_PROXY, "172.18.0.2"), (DOCKER_29_NO_PROXY, "192.0.2.2")]
)
def test_the_self_masquerade(text: str, address: str) -> None:
    rules = ruleflow.parse(text)
    claim = told(rules)[
        f"nat -A POSTROUTING -s {address}/32 -d {address}/32 -p tcp -m tcp --dport 80 -j MASQUERADE"
    ]
    dnat = next(rule for _, rule in rules.rules() if "DNAT" in str(rule))
    assert claim.code == "docker-self-masquerade"
    assert claim.purpose == "for the published port 8080"
    assert [rules.rule(ref) for ref in claim.seen] == [dnat]
    assert f"line {dnat.line} turns the packet round to {address}, port 80" in claim.reason
    for word in ("still as its source", "martian", "loopback", "never pass this host", "comes back here"):
        assert word in claim.reason
    assert "spare" not in claim.reason


def test_with_the_proxy_the_self_masquerade_is_a_spare() -> None:
    claim = told(ruleflow.parse(CLASSIC_PROXY))[
        "nat -A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE"
    ]
    assert "does not translate what comes from docker0" in claim.reason
    assert "no packet meets this rule" in claim.reason


def test_a_self_masquerade_alone_names_no_owner() -> None:
    rules = ruleflow.parse(
        "iptables -t nat -A POSTROUTING -s 10.0.0.5 -d 10.0.0.5 -p tcp --dport 443 -j MASQUERADE"
    )
    (claim,) = told(rules).values()
    assert claim.owner == ""
    assert claim.reason.startswith(
        "It is needed where a DNAT publishes that port and 10.0.0.5 opens it itself"
    )


def test_a_self_masquerade_without_its_dnat_is_called_left_over() -> None:
    rules = rule_set(
        "nat",
        "-A DOCKER -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
        "-A POSTROUTING -s 172.17.0.9/32 -d 172.17.0.9/32 -p tcp -m tcp --dport 80 -j MASQUERADE",
        chains="DOCKER",
    )
    claim = told(rules)[
        "nat -A POSTROUTING -s 172.17.0.9/32 -d 172.17.0.9/32 -p tcp -m tcp --dport 80 -j MASQUERADE"
    ]
    assert claim.reason.startswith(
        "No rule here sends anything to 172.17.0.9, port 80, so it may be left over"
    )


@pytest.mark.parametrize(
    "rule",
    [
        "-A POSTROUTING -s 172.18.0.0/16 -d 172.18.0.0/16 -p tcp -m tcp --dport 80 -j MASQUERADE",  # a whole network
        "-A POSTROUTING -s 172.18.0.2/32 -d 172.18.0.3/32 -p tcp -m tcp --dport 80 -j MASQUERADE",  # two containers
        "-A POSTROUTING -s 172.18.0.2/32 -d 172.18.0.2/32 -o eth0 -p tcp -m tcp --dport 80 -j MASQUERADE",  # asks more
        "-A POSTROUTING -s 172.18.0.2/32 ! -d 172.18.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE",
        "-A POSTROUTING -s 172.18.0.2/32 -d 172.18.0.2/32 -p tcp -m tcp --dport 80 -j ACCEPT",
        "-A POSTROUTING -s 172.18.0.2/32 -d 172.18.0.2/32 -p tcp -m tcp --dport 80 -m foo --bar -j MASQUERADE",
    ],
)
def test_what_only_looks_like_a_self_masquerade(rule: str) -> None:
    claims = told(rule_set("nat", rule))
    assert all(claim.code != "docker-self-masquerade" for claim in claims.values())


def test_a_chain_named_docker_made_by_a_person() -> None:
    rules = ruleflow.parse(
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:DOCKER - [0:0]\n:DOCKER-USER - [0:0]\n"
        "-A INPUT -p tcp -m tcp --dport 2375 -j DOCKER\n-A FORWARD -j DOCKER-USER\n"
        "-A DOCKER -s 10.0.0.0/8 -j ACCEPT\n-A DOCKER -j DROP\n-A DOCKER-USER -i eth0 -o br0 -j ACCEPT\nCOMMIT\n"
    )
    assert all(claim.owner != "Docker" for claim in told(rules).values())
    assert idioms.recognise(rules).made == ()
    assert idioms.recognise(rules).owners == {}


def test_rules_that_a_person_put_into_dockers_chains_get_no_reason_of_dockers() -> None:
    rules = ruleflow.parse(
        DOCKER_29.replace("-A DOCKER-BRIDGE -o docker0 -j DOCKER\n", "-A DOCKER-BRIDGE -o docker0 -j DOCKER\n"
        "-A DOCKER -s 198.51.100.0/24 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT\n-A DOCKER-USER -i eth0 -j DROP\n"
        "-A FORWARD -i eth1 ! -o eth1 -j ACCEPT\n")
    )  # fmt: skip
    claims = told(rules)
    assert "filter -A DOCKER -s 198.51.100.0/24 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT" not in claims
    assert "filter -A DOCKER-USER -i eth0 -j DROP" not in claims
    assert "filter -A FORWARD -i eth1 ! -o eth1 -j ACCEPT" not in claims


def test_another_network_behind_dockers_bridge_is_not_dockers() -> None:
    """A VPN that leaves docker0 alone has the same shape; the containers' addresses tell them apart."""
    vpn = "-A POSTROUTING -s 10.8.0.0/24 ! -o docker0 -j MASQUERADE"
    own = "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE"
    for text in (
        CLASSIC_PROXY.replace(own, f"{vpn}\n{own}"),
        LAYOUTS["28.0.0"].replace(own, f"{own}\n{vpn}"),
    ):
        claims = told(ruleflow.parse(text))
        assert claims[f"nat {own}"].owner == "Docker"
        assert (claims[f"nat {vpn}"].code, claims[f"nat {vpn}"].owner) == ("masquerade", "")


def test_what_a_person_forwards_by_dockers_chain_is_not_dockers() -> None:
    mine = "-A DOCKER -p tcp -m tcp --dport 9000 -j DNAT --to-destination 10.0.0.5:9000"
    loop = "-A POSTROUTING -s 10.0.0.5/32 -d 10.0.0.5/32 -p tcp -m tcp --dport 9000 -j MASQUERADE"
    claims = told(
        ruleflow.parse(
            CLASSIC_PROXY.replace(
                "-A DOCKER -i docker0 -j RETURN", f"-A DOCKER -i docker0 -j RETURN\n{mine}\n{loop}"
            )
        )
    )
    assert (claims[f"nat {mine}"].code, claims[f"nat {mine}"].owner) == ("forward-port", "")
    assert (claims[f"nat {loop}"].code, claims[f"nat {loop}"].owner) == ("docker-self-masquerade", "")


def test_a_port_published_on_loopback_and_what_stops_the_neighbours() -> None:
    claims = told(ruleflow.parse(DOCKER_29_LOOPBACK))
    dnat = claims[
        "nat -A DOCKER -d 127.0.0.1/32 ! -i bridge1 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 192.0.2.2:80"
    ]
    assert "a neighbour on the same link who routes 127.0.0.1 to this host would get in; line" in dnat.reason
    drop = claims["raw -A PREROUTING -d 127.0.0.1/32 ! -i lo -p tcp -m tcp --dport 8080 -j DROP"]
    assert "nat PREROUTING comes before the kernel refuses 127.0.0.1 from outside" in drop.reason
    assert claims["raw -A PREROUTING -d 192.0.2.2/32 -i eth1 -j ACCEPT"].code == "docker-trusted"


def test_a_port_published_on_one_address_is_open_behind_it() -> None:
    claims = told(ruleflow.parse(LAYOUTS["classic-host-address"]))
    accept = claims["filter -A DOCKER -d 172.18.0.2/32 ! -i br-1 -o br-1 -p tcp -m tcp --dport 80 -j ACCEPT"]
    assert "Careful: the port is published on 192.0.2.10 alone" in accept.reason


def test_the_policy_of_forward_is_perhaps_dockers() -> None:
    dropping = LAYOUTS["classic-proxy"].replace(":FORWARD ACCEPT", ":FORWARD DROP")
    found = [
        claim for claim in idioms.recognise(ruleflow.parse(dropping)).claims if claim.code == "docker-policy"
    ]
    assert [(claim.owner, claim.about[0].index) for claim in found] == [("perhaps Docker", 0)]
    accepting = idioms.recognise(ruleflow.parse(LAYOUTS["classic-proxy"])).claims
    assert all(claim.code != "docker-policy" for claim in accepting)


# -- Kubernetes -------------------------------------------------------------------------------------------

KUBE = """*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:KUBE-FIREWALL - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-SERVICES - [0:0]
-A INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS
-A INPUT -j KUBE-FIREWALL
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A KUBE-NODEPORTS -p tcp -m tcp --dport 31000 -j ACCEPT
-A KUBE-SERVICES -d 10.96.0.77/32 -p tcp -m comment --comment "shop/empty:http has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:KUBE-EXT-SHOP - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-SEP-A - [0:0]
:KUBE-SEP-B - [0:0]
:KUBE-SEP-C - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-SHOP - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-EXT-SHOP -m comment --comment "masquerade traffic" -j KUBE-MARK-MASQ
-A KUBE-EXT-SHOP -j KUBE-SVC-SHOP
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-NODEPORTS -p tcp -m comment --comment shop/web:http -m tcp --dport 30080 -j KUBE-EXT-SHOP
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
-A KUBE-SEP-A -s 10.244.0.5/32 -j KUBE-MARK-MASQ
-A KUBE-SEP-A -p tcp -m tcp -j DNAT --to-destination 10.244.0.5:8080
-A KUBE-SEP-B -s 10.244.0.6/32 -j KUBE-MARK-MASQ
-A KUBE-SEP-B -p tcp -m tcp -j DNAT --to-destination 10.244.0.6:8080
-A KUBE-SEP-C -s 10.244.1.7/32 -j KUBE-MARK-MASQ
-A KUBE-SEP-C -p tcp -m tcp -j DNAT --to-destination 10.244.1.7:8080
-A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -m comment --comment "shop/web:http cluster IP" -m tcp --dport 80 -j KUBE-SVC-SHOP
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-SVC-SHOP ! -s 10.244.0.0/16 -d 10.96.0.10/32 -p tcp -m comment --comment "shop/web:http cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ
-A KUBE-SVC-SHOP -m comment --comment "shop/web:http" -m statistic --mode random --probability 0.33333333349 -j KUBE-SEP-A
-A KUBE-SVC-SHOP -m comment --comment "shop/web:http" -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-B
-A KUBE-SVC-SHOP -m comment --comment "shop/web:http" -j KUBE-SEP-C
COMMIT
"""


def test_every_rule_of_a_kubernetes_node_has_its_reason() -> None:
    rules = ruleflow.parse(KUBE)
    claims = told(rules)
    assert [str(rule) for ref, rule in rules.rules() if f"{ref.table} {rule}" not in claims] == []
    assert {claim.owner for claim in claims.values()} == {"kube-proxy"}


def test_the_shares_of_endpoints_are_those_of_all_connections() -> None:
    shapes = Shapes(ruleflow.parse(KUBE))
    jumps = [one for one in shapes.chain("nat", "KUBE-SVC-SHOP") if (one.calls or "").startswith("KUBE-SEP-")]
    assert kubernetes.shares(jumps) == pytest.approx([1 / 3, 1 / 3, 1 / 3], abs=1e-6)
    second = told(ruleflow.parse(KUBE))[
        'nat -A KUBE-SVC-SHOP -m comment --comment "shop/web:http" -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-B'
    ]
    assert second.reason.startswith(
        "Endpoint 2 of 3 takes 50 % of what the 1 before left, which makes 33.33 % of all new connections."
    )


def test_shares_are_not_told_where_something_else_than_chance_decides() -> None:
    text = KUBE.replace("--mode random --probability 0.33333333349", "--mode nth --every 3 --packet 0")
    claims = told(ruleflow.parse(text))
    assert not [rule for rule, claim in claims.items() if claim.code == "kube-proxy-choose"]


def test_the_hairpin_of_a_pod() -> None:
    claim = told(ruleflow.parse(KUBE))["nat -A KUBE-SEP-A -s 10.244.0.5/32 -j KUBE-MARK-MASQ"]
    assert claim.code == "kube-proxy-hairpin"
    assert "opens its own service and is chosen itself" in claim.reason


def test_another_source_in_an_endpoint_chain_is_no_hairpin() -> None:
    claims = told(
        ruleflow.parse(KUBE.replace("-A KUBE-SEP-A -s 10.244.0.5/32", "-A KUBE-SEP-A -s 10.244.0.99/32"))
    )
    assert "nat -A KUBE-SEP-A -s 10.244.0.99/32 -j KUBE-MARK-MASQ" not in claims


# -- other owners -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sample", "owner", "least"),
    [
        ("cni", "CNI", 1.0), ("netavark", "netavark (Podman)", 1.0), ("libvirt", "libvirt", 1.0), ("libvirt-ipv6", "libvirt", 1.0),
        ("fail2ban", "fail2ban", 1.0), ("fail2ban-ipset", "fail2ban", 1.0), ("ufw", "ufw", 0.9), ("firewalld", "firewalld", 0.95),
        ("shorewall", "Shorewall", 0.6), ("docker-ufw", "ufw", 0.95),
    ],
)  # fmt: skip
def test_samples_of_tools_are_recognised(sample: str, owner: str, least: float) -> None:
    from ruleflow.data import sample as find

    rules = ruleflow.parse(find(sample).read_text())
    claims = told(rules)
    assert owner in {claim.owner for claim in claims.values()}
    assert any(sentence.startswith(owner) for sentence in idioms.recognise(rules).made)
    count = sum(len(chain.rules) for table in rules for chain in table)
    assert sum(f"{ref.table} {rule}" in claims for ref, rule in rules.rules()) >= least * count


CALICO = """*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:cali-FORWARD - [0:0]
:cali-INPUT - [0:0]
:cali-from-wl-dispatch - [0:0]
:cali-fw-cali0a1b - [0:0]
:cali-pi-web - [0:0]
:cali-pro-kns.shop - [0:0]
:cali-to-wl-dispatch - [0:0]
:cali-tw-cali0a1b - [0:0]
:cali-wl-to-host - [0:0]
-A INPUT -j cali-INPUT
-A FORWARD -j cali-FORWARD
-A FORWARD -m mark --mark 0x10000/0x10000 -j ACCEPT
-A FORWARD -j MARK --set-xmark 0x10000/0x10000
-A cali-FORWARD -j MARK --set-xmark 0x0/0xe0000
-A cali-FORWARD -i cali+ -j cali-from-wl-dispatch
-A cali-FORWARD -o cali+ -j cali-to-wl-dispatch
-A cali-INPUT -i cali+ -g cali-wl-to-host
-A cali-INPUT -m mark --mark 0x10000/0x10000 -j ACCEPT
-A cali-from-wl-dispatch -i cali0a1b -g cali-fw-cali0a1b
-A cali-from-wl-dispatch -m comment --comment "Unknown interface" -j DROP
-A cali-fw-cali0a1b -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A cali-fw-cali0a1b -m conntrack --ctstate INVALID -j DROP
-A cali-fw-cali0a1b -j MARK --set-xmark 0x0/0x10000
-A cali-fw-cali0a1b -p udp -m multiport --dports 4789 -j DROP
-A cali-fw-cali0a1b -p ipencap -j DROP
-A cali-fw-cali0a1b -j cali-pro-kns.shop
-A cali-fw-cali0a1b -m mark --mark 0x10000/0x10000 -j RETURN
-A cali-fw-cali0a1b -j DROP
-A cali-pi-web -s 10.244.0.0/16 -j MARK --set-xmark 0x10000/0x10000
-A cali-pi-web -m mark --mark 0x10000/0x10000 -j RETURN
-A cali-pro-kns.shop -j MARK --set-xmark 0x10000/0x10000
-A cali-to-wl-dispatch -o cali0a1b -g cali-tw-cali0a1b
-A cali-tw-cali0a1b -j MARK --set-xmark 0x0/0x20000
-A cali-tw-cali0a1b -m mark --mark 0x0/0x20000 -j cali-pi-web
-A cali-tw-cali0a1b -m mark --mark 0x10000/0x10000 -j RETURN
-A cali-tw-cali0a1b -m mark --mark 0x0/0x20000 -j DROP
-A cali-wl-to-host -j cali-from-wl-dispatch
-A cali-wl-to-host -j ACCEPT
COMMIT
"""
TAILSCALE = """*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:ts-forward - [0:0]
:ts-input - [0:0]
-A INPUT -j ts-input
-A FORWARD -j ts-forward
-A ts-forward -i tailscale0 -j MARK --set-xmark 0x40000/0xff0000
-A ts-forward -m mark --mark 0x40000/0xff0000 -j ACCEPT
-A ts-forward -s 100.64.0.0/10 -o tailscale0 -j DROP
-A ts-forward -o tailscale0 -j ACCEPT
-A ts-input -s 100.100.1.2/32 -i lo -j ACCEPT
-A ts-input -s 100.115.92.0/23 ! -i tailscale0 -j RETURN
-A ts-input -s 100.64.0.0/10 ! -i tailscale0 -j DROP
-A ts-input -i tailscale0 -j ACCEPT
COMMIT
"""
UFW_DOCKER = """*filter
:FORWARD DROP [0:0]
:DOCKER-USER - [0:0]
:ufw-docker-logging-deny - [0:0]
:ufw-user-forward - [0:0]
-A FORWARD -j DOCKER-USER
-A DOCKER-USER -j ufw-user-forward
-A DOCKER-USER -s 10.0.0.0/8 -j RETURN
-A DOCKER-USER -p udp -m udp --sport 53 --dport 1024:65535 -j RETURN
-A DOCKER-USER -d 10.0.0.0/8 -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j ufw-docker-logging-deny
-A DOCKER-USER -d 10.0.0.0/8 -p udp -m udp --dport 0:32767 -j ufw-docker-logging-deny
-A DOCKER-USER -j RETURN
-A ufw-docker-logging-deny -m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix "[UFW DOCKER BLOCK] "
-A ufw-docker-logging-deny -j DROP
COMMIT
"""


@pytest.mark.parametrize(
    ("text", "owner", "without"),
    [(CALICO, "Calico", 0), (TAILSCALE, "Tailscale", 0), (UFW_DOCKER, "ufw-docker", 1)],
)
def test_other_programs_are_recognised(text: str, owner: str, without: int) -> None:
    rules = ruleflow.parse(text)
    claims = told(rules)
    assert owner in {claim.owner for claim in claims.values()}
    assert sum(f"{ref.table} {rule}" not in claims for ref, rule in rules.rules()) == without


@pytest.mark.parametrize("sample", ["apf", "ferm", "lxc", "strongswan", "firehol", "arno"])
def test_no_owner_is_invented(sample: str) -> None:
    from ruleflow.data import sample as find

    assert idioms.recognise(ruleflow.parse(find(sample).read_text())).made == ()


@pytest.mark.parametrize(
    "rules",
    [
        ["-A INPUT -j f2b-sshd", "-A f2b-sshd -s 203.0.113.0/24 -p tcp -j ACCEPT"],  # no jail accepts
        ["-A INPUT -j KUBE-MINE", "-A KUBE-MINE -j DROP"],
        ["-A FORWARD -j LIBVIRT_FWX", "-A LIBVIRT_FWX -s 10.0.0.1/32 -j ACCEPT"],
        ["-A INPUT -j ufw-mine", "-A ufw-mine -p tcp -j ACCEPT"],
        ["-A INPUT -i eth0 -j cali-INPUT2", "-A cali-INPUT2 -j ACCEPT"],
        [
            "-A INPUT -i eth0 -j net-fw",
            "-A net-fw -p tcp -j ACCEPT",
            "-A INPUT -p tcp -j tcpflags",
            "-A tcpflags -j RETURN",
        ],
    ],
)
def test_names_alone_make_no_owner(rules: list[str]) -> None:
    chains = " ".join({rule.split()[1] for rule in rules} - {"INPUT", "FORWARD"})
    read = rule_set("filter", *rules, chains=chains)
    assert idioms.recognise(read).made == ()
    assert {claim.owner for claim in told(read).values()} <= {""}


# -- what everybody writes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "rule", "code"),
    [
        ("filter", "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "known"),
        ("filter", "-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT", "known"),
        ("filter", "-A INPUT -i lo -j ACCEPT", "loopback"),
        ("filter", "-A INPUT -m conntrack --ctstate INVALID -j DROP", "invalid"),
        ("filter", "-A INPUT -s 127.0.0.0/8 ! -i lo -j DROP", "forged-loopback"),
        ("filter", "-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN FIN,SYN -j DROP", "odd-flags"),
        (
            "filter",
            "-A INPUT -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate NEW -j DROP",
            "not-syn",
        ),
        ("filter", "-A INPUT -p tcp -m tcp --dport 113 -j REJECT --reject-with tcp-reset", "ident"),
        ("raw", "-A PREROUTING -m rpfilter --invert -j DROP", "rpfilter"),
        ("mangle", "-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu", "clamp"),
        ("nat", "-A POSTROUTING -o eth0 -j MASQUERADE", "masquerade"),
        (
            "nat",
            "-A POSTROUTING -s 192.168.1.0/24 ! -d 192.168.1.0/24 -j SNAT --to-source 192.0.2.1",
            "masquerade",
        ),
        (
            "nat",
            "-A PREROUTING -i eth0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.2",
            "forward-port",
        ),
    ],
)
def test_what_everybody_writes(table: str, rule: str, code: str) -> None:
    (claim,) = told(rule_set(table, rule)).values()
    assert (claim.code, claim.owner) == (code, "")


@pytest.mark.parametrize(
    ("table", "rule"),
    [
        ("filter", "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT"),
        ("filter", "-A INPUT -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT"),
        ("filter", "-A INPUT ! -i lo -j ACCEPT"),
        ("filter", "-A INPUT -s 127.0.0.0/8 -j DROP"),
        ("filter", "-A INPUT -p tcp -m tcp --tcp-flags SYN,ACK SYN -j DROP"),
        ("filter", "-A INPUT -s 10.0.0.0/8 -i eth0 -j DROP"),
        ("nat", "-A POSTROUTING -s 192.168.1.0/24 -d 192.168.1.0/24 -j MASQUERADE"),
        ("nat", "-A POSTROUTING -s 192.168.1.0/24 -d 10.0.0.0/8 -j ACCEPT"),
        ("mangle", "-A PREROUTING -i eth0 -j MARK --set-xmark 0x1/0xffffffff"),
    ],
)
def test_what_is_not_recognised_gets_no_reason(table: str, rule: str) -> None:
    assert told(rule_set(table, rule)) == {}


def test_guessing_of_passwords_is_about_both_rules() -> None:
    rules = rule_set(
        "filter",
        "-A INPUT -p tcp -m tcp --dport 22 -m recent --set --name ssh --mask 255.255.255.255 --rsource",
        "-A INPUT -p tcp -m tcp --dport 22 -m recent --update --seconds 60 --hitcount 4 --name ssh --mask 255.255.255.255 --rsource -j DROP",
    )
    claims = list(told(rules).values())
    assert [claim.code for claim in claims] == ["guessing", "guessing"]
    assert "whoever comes 4 times within 60 seconds is turned away by line 3" in claims[0].reason
