"""Connections through the sample host, there and back, and through the same host with one thing changed."""

from pathlib import Path

import msgspec
import pytest

from ruleflow.errors import ReadError
from ruleflow.netfilter.connect import Connection, connect, connect_all
from ruleflow.netfilter.endpoints import everybody
from ruleflow.netfilter.host import Host, Listener, RulesText, Sysctls
from ruleflow.netfilter.world import World, read_world
from ruleflow.views.connect_text import answer_line
from ruleflow.views.text import Paper
from ruleflow.views.walk_json import connection_value

WORLD = read_world(Path(__file__).parent.parent.parent / "samples" / "docker-host")


def changed(**facts: object) -> World:
    """The sample's world, its own host with other facts."""
    host = msgspec.structs.replace(WORLD.main, **facts)
    return msgspec.structs.replace(WORLD, hosts=(host, *WORLD.hosts[1:]))


def with_setting(name: str, value: str) -> World:
    settings = WORLD.main.sysctls
    assert settings is not None
    return changed(sysctls=Sysctls.of(dict(settings.values) | {name: value}))


def with_rules(edit: "tuple[str, str]") -> World:
    dumps = tuple(RulesText(one.family, one.backend, one.text.replace(*edit)) for one in WORLD.main.dumps)
    return changed(dumps=dumps)


def short(found: Connection) -> tuple[str, str | None, str | None]:
    return found.result, found.by, found.sees


def test_the_published_port_from_everywhere() -> None:
    assert short(connect(WORLD, "outside", "192.0.2.10", 80)) == ("reached", "web", "192.0.2.1")
    assert short(connect(WORLD, "host", "127.0.0.1", 80)) == ("reached", "web", "172.17.0.1")
    assert short(connect(WORLD, "test", "192.0.2.10", 80)) == ("reached", "web", "172.17.0.2")
    assert short(connect(WORLD, "web", "192.0.2.10", 80)) == ("reached", "web", "172.17.0.1")


def test_places_have_names_and_addresses() -> None:
    assert short(connect(WORLD, "172.17.0.2", "web", 80)) == ("reached", "web", "172.17.0.2")
    with pytest.raises(ReadError, match="no place called"):
        connect(WORLD, "nobody", "web", 80)


def test_no_socket_is_a_refusal_that_comes_back() -> None:
    found = connect(WORLD, "outside", "192.0.2.10", 81)
    assert short(found) == ("refused", "host", None)
    assert connect(WORLD, "outside", "192.0.2.10", 81, "udp").result == "refused"


def test_who_shares_the_hosts_network_is_named_where_it_is_recorded() -> None:
    socket = Listener(protocol="tcp", port=8080, process="nginx", container="web-on-host")
    for one, by, because in (
        (socket, "web-on-host", "web-on-host answers, which shares the network of host"),
        (
            msgspec.structs.replace(socket, container=""),
            "host",
            "host answers, or web-on-host, which shares its network: whose socket it is was not recorded",
        ),
    ):
        world = msgspec.structs.replace(changed(listeners=(one,)), aliases=(("web-on-host", "host"),))
        found = connect(world, "outside", "192.0.2.10", 8080)
        assert (found.result, found.by, found.because) == ("reached", by, because)


def test_no_route_is_unreachable() -> None:
    found = connect(WORLD, "outside", "172.17.0.4", 80)
    assert found.result == "unreachable"
    assert found.remedy == "a route at outside to 172.17.0.4"


def test_nobody_answers_for_an_address_without_owner() -> None:
    assert connect(WORLD, "test", "172.17.0.99", 80).result == "no-answer"


def test_without_br_netfilter_a_sibling_gets_the_answer_from_the_wrong_address() -> None:
    """Known for years (moby issue 48664): the answer is bridged and nobody translates it back."""
    found = connect(with_setting("net.bridge.bridge-nf-call-iptables", "0"), "test", "192.0.2.10", 80)
    assert found.result == "no-answer"
    assert "not from the address that was asked" in found.because


def test_without_its_own_masquerade_the_container_does_not_reach_itself() -> None:
    rule = "-A POSTROUTING -s 172.17.0.4/32 -d 172.17.0.4/32 -p tcp -m tcp --dport 80 -j MASQUERADE\n"
    found = connect(with_rules((rule, "")), "web", "192.0.2.10", 80)
    assert found.result == "no-answer"
    assert "accept_local" in found.because


def test_without_hairpin_mode_the_container_does_not_reach_itself() -> None:
    ports = tuple(msgspec.structs.replace(port, hairpin=False) for port in WORLD.main.ports)
    assert connect(changed(ports=ports), "web", "192.0.2.10", 80).result == "no-answer"
    assert connect(changed(ports=ports), "test", "192.0.2.10", 80).result == "reached"


def test_without_route_localnet_loopback_does_not_reach_the_container() -> None:
    world = with_setting("net.ipv4.conf.docker0.route_localnet", "0")
    assert connect(world, "host", "127.0.0.1", 80).result != "reached"
    assert connect(world, "host", "192.0.2.10", 80).result == "reached"


def test_isolated_ports_do_not_talk() -> None:
    ports = tuple(msgspec.structs.replace(port, isolated=True) for port in WORLD.main.ports)
    assert connect(changed(ports=ports), "test", "172.17.0.3", 80).result == "no-answer"
    assert connect(changed(ports=ports), "host", "172.17.0.3", 80).result == "reached"


def test_isolated_ports_do_not_even_find_each_other() -> None:
    """So a rule that would redirect the packet never sees it: ARP's question is not passed on (tried)."""
    rule = (
        "-A PREROUTING -m addrtype",
        "-A PREROUTING -p tcp -m tcp --dport 81 -j REDIRECT --to-ports 80\n-A PREROUTING -m addrtype",
    )
    world = with_rules(rule)
    assert "isolated" not in connect(world, "test", "172.17.0.4", 81).because
    ports = tuple(msgspec.structs.replace(port, isolated=True) for port in world.main.ports)
    host = msgspec.structs.replace(world.main, ports=ports)
    guests = tuple(msgspec.structs.replace(guest, neighbours=()) for guest in world.hosts[1:])
    found = connect(msgspec.structs.replace(world, hosts=(host, *guests)), "test", "172.17.0.4", 81)
    assert found.result == "no-answer"
    assert "isolated from each other" in found.because


def test_a_refusing_rule_is_heard_by_tcp_and_by_udp_in_their_ways() -> None:
    world = with_rules(
        (
            ":DOCKER-USER - [0:0]\n",
            ":DOCKER-USER - [0:0]\n-A DOCKER-USER -j REJECT --reject-with icmp-host-unreachable\n",
        )
    )
    assert connect(world, "test", "198.51.100.7", 80).result == "unreachable"
    assert connect(world, "test", "198.51.100.7", 80, "udp").result == "no-answer"
    ping = connect(world, "test", "198.51.100.7", protocol="icmp")
    assert ping.result == "no-answer"
    assert "DOCKER-USER 1" in ping.because


@pytest.mark.parametrize(
    ("from_", "to", "chain"), [("test", "198.51.100.7", "DOCKER-USER"), ("host", "172.17.0.3", "OUTPUT")]
)
def test_a_reset_comes_from_the_address_that_was_asked(from_: str, to: str, chain: str) -> None:
    """Its source is not the host's own: ip_route_me_harder lets such a packet out (tried beside a real Docker)."""
    text = WORLD.main.dumps[0].text.replace(
        "-A FORWARD -j DOCKER-USER\n", f"-A FORWARD -j DOCKER-USER\n-A {chain} {RESET}\n"
    )
    world = changed(dumps=(RulesText(4, "nf_tables", text),))
    assert connect(world, from_, to, 80).result == "refused"


def test_a_reset_for_a_frame_is_not_translated_back() -> None:
    """It leaves by the frame's port past all rules (nf_send_reset), so after a REDIRECT its port is a wrong one (tried)."""
    edits = (
        ("-A PREROUTING -m addrtype", "-A PREROUTING -p tcp -m tcp --dport 81 -j REDIRECT --to-ports 99\n-A PREROUTING -m addrtype"),
        (":DOCKER-USER - [0:0]\n", ":DOCKER-USER - [0:0]\n-A INPUT -p tcp -m tcp --dport 99 -j REJECT --reject-with tcp-reset\n"),
    )  # fmt: skip
    world = with_rules(edits[0])
    dumps = tuple(RulesText(d.family, d.backend, d.text.replace(*edits[1])) for d in world.main.dumps)
    host = msgspec.structs.replace(world.main, dumps=dumps)
    world = msgspec.structs.replace(world, hosts=(host, *world.hosts[1:]))
    assert connect(world, "outside", "192.0.2.10", 81).result == "refused"
    assert connect(world, "test", "172.17.0.1", 81).result == "no-answer"
    settings = dict(host.sysctls.values if host.sysctls else ()) | {"net.bridge.bridge-nf-call-iptables": "0"}
    host = msgspec.structs.replace(host, sysctls=Sysctls.of(settings))
    world = msgspec.structs.replace(world, hosts=(host, *world.hosts[1:]))
    assert connect(world, "test", "172.17.0.1", 81).result == "refused"


def test_a_ping_takes_an_answer_from_whatever_address() -> None:
    """Where tcp does not: bridged, so that nobody translates the answer back (tried)."""
    rule = (
        "-A PREROUTING -m addrtype",
        "-A PREROUTING -d 203.0.113.5/32 -j DNAT --to-destination 172.17.0.4\n-A PREROUTING -m addrtype",
    )
    world = with_rules(rule)
    settings = dict(world.main.sysctls.values if world.main.sysctls else ())
    quiet = Sysctls.of(settings | {"net.bridge.bridge-nf-call-iptables": "0"})
    host = msgspec.structs.replace(world.main, sysctls=quiet)
    world = msgspec.structs.replace(world, hosts=(host, *world.hosts[1:]))
    assert connect(world, "test", "203.0.113.5", 80).result == "no-answer"
    assert connect(world, "test", "203.0.113.5", protocol="icmp").result == "reached"


RESET = "-p tcp -m tcp --dport 80 -j REJECT --reject-with tcp-reset"


def test_a_masqueraded_frame_goes_on_leaving_by_its_bridge() -> None:
    """What is bridged has no route, yet its way is the bridge's (firewalld's masquerade on a zone of docker0, tried)."""
    world = with_rules(
        (
            "-A POSTROUTING -o docker0 -m",
            "-A POSTROUTING -o docker0 -j MASQUERADE\n-A POSTROUTING -o docker0 -m",
        )
    )
    assert short(connect(world, "test", "172.17.0.4", 80)) == ("reached", "web", "172.17.0.1")


def test_an_address_outlives_its_interface() -> None:
    """A local route is not dead when the interface goes down (fib_sync_down_dev; tried)."""
    down = tuple(
        msgspec.structs.replace(link, flags=("BROADCAST",), state="DOWN") if link.name == "docker0" else link
        for link in WORLD.main.interfaces
    )
    routes = tuple(
        one
        for one in WORLD.main.routes or ()
        if one.nexthops[0].interface != "docker0" or one.kind == "local"
    )
    assert connect(changed(interfaces=down, routes=routes), "host", "172.17.0.1", 8080).result == "refused"


def test_tcp_is_not_told_that_no_way_leads_on_after_dnat() -> None:
    world = with_setting("net.ipv4.conf.docker0.route_localnet", "0")
    assert connect(world, "host", "127.0.0.1", 80).result == "no-answer"


def test_without_forwarding_nothing_passes() -> None:
    world = with_setting("net.ipv4.conf.docker0.forwarding", "0")
    found = connect(world, "test", "198.51.100.7", 80)
    assert found.result == "no-answer"
    assert "does not forward" in found.because


def test_a_host_that_drops_in_input_does_not_answer_but_still_publishes() -> None:
    world = with_rules((":INPUT ACCEPT [0:0]", ":INPUT DROP [0:0]"))
    assert connect(world, "outside", "192.0.2.10", 81).result == "no-answer"
    assert connect(world, "outside", "192.0.2.10", 80).result == "reached"


def test_a_ping_has_no_port() -> None:
    assert connect(WORLD, "test", "192.0.2.10", protocol="icmp").result == "reached"
    with pytest.raises(ReadError, match="needs a port"):
        connect(WORLD, "test", "192.0.2.10")


def test_the_matrix_has_everybody() -> None:
    found = list(connect_all(WORLD, everybody(WORLD)))
    assert {one.from_ for one in found} == {host.name for host in WORLD.hosts}
    assert all(one.result in ("reached", "refused", "unreachable", "no-answer") for one in found)


def test_the_answer_in_a_line_and_in_json() -> None:
    found = connect(WORLD, "web", "192.0.2.10", 80)
    assert answer_line(found, Paper()) == "web to 192.0.2.10:80 tcp   reached web, which sees 172.17.0.1"
    value = msgspec.json.decode(msgspec.json.encode(connection_value(found)))
    assert value["schema"] == "ruleflow.connect/1"
    assert [leg["host"] for leg in value["walks"]][:3] == ["web", "host", "web"]
    assert value["sees"] == "172.17.0.1"


def test_hosts_without_sockets_known_are_not_guessed_about() -> None:
    hosts: list[Host] = [msgspec.structs.replace(host, listeners=None) for host in WORLD.hosts]
    world = msgspec.structs.replace(WORLD, hosts=tuple(hosts))
    assert connect(world, "test", "172.17.0.3", 80).result == "unknown"


def test_what_would_make_it_a_yes_is_tried_until_it_is_one() -> None:
    """Two rules are needed: one for the question, one for the answer, which the closed host drops as well."""
    world = with_rules(("-A FORWARD -j DOCKER-USER\n", "-A FORWARD -j DROP\n-A FORWARD -j DOCKER-USER\n"))
    found = connect(world, "outside", "192.0.2.10", 80)
    assert found.result == "no-answer"
    assert found.remedy is not None
    question, answer = found.remedy.split("; and ")
    assert question.endswith("iptables -I FORWARD -s 192.0.2.1 -d 172.17.0.4 -p tcp --dport 80 -j ACCEPT")
    assert answer.endswith("iptables -I FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")


def test_what_would_make_it_a_yes_where_no_rule_is_at_fault() -> None:
    world = with_setting("net.ipv4.conf.docker0.forwarding", "0")
    assert connect(world, "test", "198.51.100.7", 80).remedy == "net.ipv4.ip_forward = 1 at host"
    assert (
        connect(WORLD, "outside", "192.0.2.10", 81).remedy == "a program at host that listens on tcp port 81"
    )


def test_a_stranger_comes_in_at_the_machines_own_host() -> None:
    """An address that nobody here has: it is beyond the interface by which it would be answered."""
    assert short(connect(WORLD, "203.0.113.9", "192.0.2.10", 80)) == ("reached", "web", "203.0.113.9")
    assert short(connect(WORLD, "203.0.113.9", "192.0.2.10", 81)) == ("refused", "host", None)
    assert connect(WORLD, "203.0.113.9", "172.17.0.3", 80).result == "no-answer"
    with pytest.raises(ReadError, match="cannot talk to each other"):
        connect(WORLD, "203.0.113.9", "2001:db8::10", 80)


def test_what_is_beyond_the_machine_is_not_guessed() -> None:
    alone = msgspec.structs.replace(WORLD, hosts=tuple(host for host in WORLD.hosts if host.name != "outside"), links=tuple(
        link for link in WORLD.links if "outside" not in (link.a[0], link.b[0])
    ))  # fmt: skip
    found = connect(alone, "test", "198.51.100.7", 80)
    assert found.result == "unknown"
    assert found.because == "host: it leaves by eth0 for 192.0.2.1, and what is there is not known"
