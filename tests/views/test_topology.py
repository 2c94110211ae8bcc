"""The picture of a host: who is plugged where, nothing over anything, hostile names as text, the same bytes."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hostile import NAMES
from mermaid_reader import real_mermaid

from ruleflow.analysis.plan import Place, Plan, Plug, plan
from ruleflow.errors import visible
from ruleflow.netfilter.connect import connect
from ruleflow.netfilter.world import read_world
from ruleflow.views.topology import FORMATS, topology
from ruleflow.views.topology_layout import Card, layout

ROOT = Path(__file__).parents[2]
HOST = ROOT / "samples" / "docker-host"
SVG = "{http://www.w3.org/2000/svg}"


def overlapping(drawn: Plan) -> list[tuple[str, str]]:
    """Cards that share room, but for what stands in the host's, on its edge or a bridge's."""
    cards = [card for card in layout(drawn).cards if card.style not in ("host", "bridge")]
    return [
        (a.tooltip, b.tooltip) for index, a in enumerate(cards) for b in cards[index + 1 :] if _share(a, b)
    ]


def _share(a: Card, b: Card) -> bool:
    return a.x < b.x + b.width and b.x < a.x + a.width and a.y < b.y + b.height and b.y < a.y + a.height


def test_who_is_plugged_where() -> None:
    found = plan(read_world(HOST))
    assert [(plug.name, plug.over) for plug in found.uplinks] == [("eth0", ("outside", "o0"))]
    assert [port.over for port in found.bridges[0].ports] == [
        ("test", "eth0"),
        ("test1", "eth0"),
        ("web", "eth0"),
    ]
    assert [(each.who, each.to, each.place) for each in found.published] == [
        ("tcp to port 80 (http)", "172.17.0.4:80", "web")
    ]


def test_a_connection_with_the_address_at_each_step() -> None:
    world = read_world(HOST)
    way = plan(world, connection=connect(world, "web", "192.0.2.10", 80)).way
    assert way is not None
    assert [(hop.host, hop.back, hop.after) for hop in way.hops if hop.changed] == [
        ("host", False, "tcp 172.17.0.1:40000 → 172.17.0.4:80"),
        ("host", True, "tcp 192.0.2.10:80 → 172.17.0.4:40000"),
    ]


def stages() -> Iterator[Path]:
    yield HOST
    yield from sorted(path for path in (ROOT.parent / "shared" / "truth").glob("*/*") if path.is_dir())


@pytest.mark.parametrize("directory", list(stages()), ids=lambda path: f"{path.parent.name}/{path.name}")
@pytest.mark.parametrize("family", [4, 6])
def test_nothing_overlaps(directory: Path, family: int) -> None:
    drawn = plan(read_world(directory), family)
    assert overlapping(drawn) == []
    ET.fromstring(topology(drawn, "svg"))


@pytest.mark.parametrize("form", FORMATS)
def test_the_same_world_gives_the_same_bytes(form: str) -> None:
    assert topology(plan(read_world(HOST)), form) == topology(plan(read_world(HOST)), form)


def hostile_plan() -> Plan:
    places = tuple(Place(name, (Plug(name),)) for name in NAMES)
    return msgspec.structs.replace(plan(read_world(HOST)), places=places, notes=NAMES, source=NAMES[2])


def test_hostile_names_stay_text() -> None:
    read = ET.fromstring(topology(hostile_plan(), "svg"))
    shown = " ".join(element.text or "" for element in read.iter(f"{SVG}text"))
    assert all(visible(name) in shown for name in NAMES)
    assert not [element for element in read.iter() if element.tag.endswith("script")]


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz's dot is not installed")
def test_dot_reads_it() -> None:
    done = subprocess.run(
        ["dot", "-Tcanon"], input=topology(hostile_plan(), "dot").encode(), capture_output=True, check=True
    )
    assert done.stderr == b""


def test_mermaid_reads_it() -> None:
    assert all(
        "error" not in read
        for read in real_mermaid(
            [topology(hostile_plan(), "mermaid"), topology(plan(read_world(HOST)), "mermaid")]
        )
    )
