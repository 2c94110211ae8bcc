"""docs/layouts.md says what each layout does; every cell of its table is tried with real packets."""

import re
from pathlib import Path

import pytest
from namespaces import shell
from room import HOST4, OUTSIDE4, Room, room
from test_traffic import route_loopback

from ruleflow.bridge.read_declaration import read_declaration

PAGE = (Path(__file__).parents[2] / "docs" / "layouts.md").read_text()
DECLARED = PAGE.split("```yaml\n")[1].split("```")[0]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ")
]
LAYOUTS = ROWS[0][1:]
QUESTIONS = {
    "outside to published port": ("outside", HOST4, 8080),
    "host to published port": ("host", HOST4, 8080),
    "host to 127.0.0.1": ("host", "127.0.0.1", 8080),
    "web to its own published port": ("web", HOST4, 8080),
    "sibling to published port": ("sib", HOST4, 8080),
    "other bridge to published port": ("far", HOST4, 8080),
    "web to outside": ("web", OUTSIDE4, 80),
    "sibling to web directly": ("sib", "172.18.0.2", 80),
    "other bridge to web directly": ("far", "172.18.0.2", 80),
    "outside to web directly, published port": ("outside", "172.18.0.2", 80),
    "outside to web directly, another port": ("outside", "172.18.0.2", 81),
    "outside to port published on 127.0.0.1": ("outside", HOST4, 8081),
    "without ip_masq: container to outside": ("bare", OUTSIDE4, 80),
}
BY_ROUTE = "neighbour to 127.0.0.1 by a route"


def said(row: str, layout: str, *, bridge_netfilter: bool) -> str:
    """What the page says of a row and layout."""
    cells = next(cells for cells in ROWS if cells[0] == row)
    with_it, _, without = cells[1 + LAYOUTS.index(layout)].partition("; without br_netfilter ")
    return without if without and not bridge_netfilter else with_it


def in_its_words(answer: str) -> str:
    words = answer.split()
    return words[1] if len(words) == 3 else {"timeout": "no answer"}.get(answer, answer)


def neighbour(tried: Room) -> str:
    """Whether a neighbour's packet to 127.0.0.1:8081 is translated: its answer the neighbour itself would refuse."""
    route_loopback(tried.names["outside"])
    tried.ask("outside", ("tcp", "127.0.0.1", 8081))
    saved = shell(tried.names["host"], "iptables-save -c -t nat")
    counted = re.findall(r"^\[(\d+):\d+\] .*-d 127\.0\.0\.1/32 .*-j DNAT", saved, re.MULTILINE)
    assert counted
    return "let in" if any(int(count) for count in counted) else "dropped"


def test_the_page_has_every_row() -> None:
    assert [cells[0] for cells in ROWS[2:]] == [*QUESTIONS, BY_ROUTE]


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.parametrize("bridge_netfilter", [True, False], ids=["br_netfilter", "routed"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_cell(layout: str, bridge_netfilter: bool) -> None:
    with room(read_declaration(DECLARED, layout=layout), bridge_netfilter=bridge_netfilter) as tried:
        found = {
            row: in_its_words(tried.ask(place, ("tcp", address, port))[0])
            for row, (place, address, port) in QUESTIONS.items()
        }
        found[BY_ROUTE] = neighbour(tried)
    assert found == {row: said(row, layout, bridge_netfilter=bridge_netfilter) for row in found}
