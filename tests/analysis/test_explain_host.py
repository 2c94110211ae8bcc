"""A host told from its files: interfaces, bridges, routes and switches before its rules."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ruleflow.analysis.explain_host import explain_host
from ruleflow.data import sample
from ruleflow.netfilter.world import World, read_world
from ruleflow.views import markdown, text


@pytest.fixture
def world() -> World:
    return read_world(sample("docker-host"))


def lines(world: World, title: str) -> dict[str, str]:
    part = next(part for part in explain_host(world, "host").host if part.title == title)
    return {line.what.strip(): line.says for line in part.lines}


def test_the_explanation_of_a_host(world: World, golden: Callable[[str, str], None]) -> None:
    page = text.explanation(explain_host(world, "sample:docker-host"), text.Paper(80))
    golden("explain/docker-host.txt", "".join(f"{line}\n" for line in page))


def test_which_end_of_a_cable_belongs_to_whom(world: World) -> None:
    interfaces = lines(world, "Interfaces")
    assert interfaces["9: veth7e1be54@if8"] == (
        "one end of a virtual cable; the other is eth0 in the namespace web (172.17.0.4), plugged into docker0"
    )
    assert lines(world, "Bridges")["veth7e1be54"].startswith(
        "eth0 in the namespace web (172.17.0.4), hairpin"
    )
    assert lines(world, "Namespaces")["web  8: eth0@if9"] == "172.17.0.4/16"


def test_what_counts_as_this_host_and_where_the_rest_goes(world: World) -> None:
    assert lines(world, "LOCAL table")["docker0"] == "172.17.0.1; broadcast 172.17.255.255"
    assert lines(world, "MAIN table") == {
        "192.0.2.0/24": "directly on eth0; from here with the address 192.0.2.10",
        "172.17.0.0/16": "directly on docker0; from here with the address 172.17.0.1",
        "everything else": "by the gateway 192.0.2.1 on eth0",
        "2001:db8::/64": "directly on eth0",
        "everything else (IPv6)": "by the gateway 2001:db8::1 on eth0",
    }


def test_the_rules_follow_with_the_files_they_stand_in(world: World) -> None:
    told = explain_host(world, "dir/", family=4)
    assert [one.source for one in told.rulesets] == ["dir/iptables.save"]
    assert told.rulesets[0].chains


def test_a_host_in_markdown(world: World) -> None:
    page = "\n".join(markdown.explanation(explain_host(world, "host")))
    assert "## LOCAL table" in page
    assert page.index("## MAIN table") < page.index("## In short")


@pytest.mark.shared
def test_every_host_of_the_truth_is_told(shared: Path) -> None:
    for stage in sorted((shared / "truth").glob("*/*")):
        told = explain_host(read_world(stage), stage.name)
        assert [part.title for part in told.host][:2] == ["Interfaces", "Namespaces"]
        assert list(text.explanation(told, text.Paper(80)))
