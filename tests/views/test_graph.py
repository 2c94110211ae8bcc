"""Pictures of the samples: nothing overlaps, nothing is cut, the same bytes each time, within the limits."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mermaid_reader import real_mermaid

from ruleflow.analysis.ends import ends_of
from ruleflow.analysis.outline import Outline
from ruleflow.analysis.outlining import outline
from ruleflow.analysis.selection import Wanted
from ruleflow.analysis.subject import of_directory
from ruleflow.errors import RuleflowError
from ruleflow.ruleset.ir import Chain, Goto, Jump, Rule, Ruleset, Table
from ruleflow.ruleset.parse import parse
from ruleflow.views.box_size import STEP, TEXT, TITLE
from ruleflow.views.own_layout import layout
from ruleflow.views.paper import text_width, wrap
from ruleflow.views.picture import picture

ROOT = Path(__file__).parents[2]
SAMPLES = sorted(path.name for path in (ROOT / "samples").glob("*.rules"))
Rectangle = tuple[float, float, float, float]


def rules_of(path: Path) -> tuple[Ruleset, ...]:
    return parse(path.read_bytes(), source=path.name).rulesets


def drawn(name: str, **wanted: object) -> Outline:
    rules = rules_of(ROOT / "samples" / name)[0]
    return outline(rules, Wanted(**wanted), ends=ends_of(rules), source=name)  # type: ignore[arg-type]


def rectangles(outlined: Outline, room: float = 250.0) -> Iterator[tuple[str, Rectangle]]:
    placed = layout(outlined, room)
    for x, y, size in placed.boxes:
        more = 6 if size.box.members > 1 else 0
        yield size.box.id, (x, y, x + size.width + more, y + size.height + more)
    for place in placed.places:
        yield place.lines[0], (place.x, place.y, place.x + place.width, place.y + place.height)
    for text in placed.texts:
        width = max(text_width(line, 11) for line in text.lines)
        yield text.lines[0], (text.x, text.y - 9, text.x + width, text.y + STEP * (len(text.lines) - 1) + 2)


def overlapping(outlined: Outline, room: float = 250.0) -> list[tuple[str, str]]:
    found = sorted(rectangles(outlined, room), key=lambda each: each[1][1])
    clashes = []
    for index, (name, (left, _, right, bottom)) in enumerate(found):
        for other, (left2, top2, right2, _) in found[index + 1 :]:
            if top2 >= bottom:
                break
            if left < right2 and left2 < right:
                clashes.append((name, other))
    return clashes


def all_text_fits(outlined: Outline, room: float = 250.0) -> bool:
    return all(
        max([text_width(size.title[0], TITLE, bold=True), *(row.badge + size.numbers + text_width(text, TEXT) for row in size.rows for text in row.texts)])
        <= size.width
        for _, _, size in layout(outlined, room).boxes
    )  # fmt: skip


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("level", ["hooks", "chains", "rules"])
def test_nothing_overlaps_and_nothing_is_cut(name: str, level: str) -> None:
    outlined = drawn(name, level=level)
    assert overlapping(outlined) == []
    assert all_text_fits(outlined)


@pytest.mark.parametrize("name", ["docker-port-80.rules", "ufw.rules"])
def test_the_dot_text_is_as_it_was(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"graph/{name}.dot", picture(drawn(name), "dot")[0])


def test_mermaid_is_as_it_was(golden: Callable[[str, str], None]) -> None:
    golden("graph/docker-port-80.mmd", picture(drawn("docker-port-80.rules"), "mermaid")[0])


def test_the_port_map_shows_as_three_rules() -> None:
    before, after = (
        rules_of(ROOT / "samples" / f"docker-{name}.rules")[0] for name in ("no-port", "port-80")
    )
    marked = [
        (box.table, box.chain, line.word)
        for box in outline(before, after=after).boxes
        for line in box.lines
        if line.mark
    ]
    assert marked == [
        ("nat", "DOCKER", "DNAT"),
        ("filter", "DOCKER", "ACCEPT"),
        ("nat", "POSTROUTING", "MASQUERADE"),
    ]


def test_a_walk_is_bold_from_eth0_to_the_container() -> None:
    subject = of_directory(ROOT / "samples" / "docker-host", 4, "docker-host")
    walked = subject.walked("tcp 203.0.113.9:40000 192.0.2.10:80 in eth0")
    outlined = outline(subject.rules, walk=walked, ends=subject.ends)
    assert outlined.way == ("arrive", "PREROUTING", "route", "FORWARD", "POSTROUTING", "leave")
    assert outlined.ends.enter == ("This packet arrives by eth0", "tcp 203.0.113.9:40000 → 192.0.2.10:80")
    assert outlined.ends.leave == ("It leaves by docker0", "tcp 203.0.113.9:40000 → 172.17.0.4:80", "to web")
    assert [
        line.word
        for box in outlined.boxes
        for line in box.lines
        if line.mark and line.kind in ("rewrite", "accept")
    ] == ["DNAT", "ACCEPT"]


def test_a_walk_that_is_dropped_ends_there() -> None:
    text = "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\nCOMMIT\n"
    from ruleflow.analysis.subject import of_rulesets

    subject = of_rulesets(parse(text).rulesets, "x", None)
    walked = subject.walked("tcp 203.0.113.9:40000 192.0.2.1:22 in eth0")
    assert walked.way in (
        ("arrive", "PREROUTING", "route", "INPUT"),
        ("arrive", "PREROUTING", "route", "FORWARD", "POSTROUTING", "leave"),
    )


@pytest.mark.parametrize("form", ["svg", "dot", "mermaid", "html", "json"])
def test_the_same_bytes_across_processes(form: str, samples: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "ruleflow",
        "graph",
        str(samples / "docker-port-80.rules"),
        "--format",
        form,
        "-o",
        "-",
    ]
    runs = {
        subprocess.run(
            command, capture_output=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed}, cwd=ROOT
        ).stdout
        for seed in ("0", "1")
    }
    assert len(runs) == 1
    assert runs.pop()


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.booleans()), max_size=40))
@settings(max_examples=60, deadline=None)
def test_any_calls_are_drawn_circles_too(calls: list[tuple[int, int, bool]]) -> None:
    names = ["INPUT", *(f"chain{number}" for number in range(1, 10))]
    rules = {
        name: [
            Rule(name, (), (Goto if goto else Jump)(names[to])) for at, to, goto in calls if names[at] == name
        ]
        for name in names
    }
    chains = tuple(Chain(name, "ACCEPT" if name == "INPUT" else None, tuple(rules[name])) for name in names)
    for level in ("chains", "rules"):
        outlined = outline(Ruleset(4, (Table("filter", chains),)), Wanted(level=level))
        assert overlapping(outlined) == []
        ET.fromstring(picture(outlined, "svg")[0])


@pytest.mark.parametrize(("text", "room"), [("a bb ccc dddd", 20.0), ("x" * 300, 40.0), ("", 10.0)])
def test_wrapping_loses_nothing_and_keeps_to_its_room(text: str, room: float) -> None:
    lines = wrap(text, room, 11)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(text_width(line, 11) <= room or len(line) == 1 for line in lines)


@pytest.mark.shared
@pytest.mark.slow
def test_every_dump_is_drawn_within_the_limits(shared: Path) -> None:
    mermaids = []
    for path in sorted((shared / "dumps").glob("*/*")):
        try:
            rulesets = rules_of(path)
        except RuleflowError:
            continue
        for rules in rulesets:
            outlined = outline(rules, ends=ends_of(rules), source=path.name)
            assert overlapping(outlined) == [], path.name
            assert all_text_fits(outlined), path.name
            for form in ("svg", "dot", "mermaid"):
                text = picture(outlined, form)[0]
                assert len(text.encode()) < 2_000_000, (path.name, form)
                mermaids += [text] if form == "mermaid" else []
    assert all("error" not in read for read in real_mermaid(mermaids))
