"""What somebody else wrote comes back from every format as it is shown, and is never read as anything but text."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from xml.etree import ElementTree as ET

import pytest
from hostile import NAMES, hostile, names, texts
from hypothesis import given, settings
from mermaid_reader import real_mermaid

from ruleflow.analysis.outline import Outline
from ruleflow.analysis.outlining import outline
from ruleflow.analysis.selection import Wanted
from ruleflow.errors import visible
from ruleflow.views.dot import dot, dot_text
from ruleflow.views.graph import svg
from ruleflow.views.mermaid import mermaid, mermaid_text
from ruleflow.views.paper import xml

SVG = "{http://www.w3.org/2000/svg}"


@given(texts)
def test_xml_comes_back_as_content_and_as_attribute(text: str) -> None:
    read = ET.fromstring(f'<a b="{xml(text)}">{xml(text)}</a>')
    assert (read.text or "", read.get("b")) == (visible(text), visible(text))


@given(texts)
def test_mermaid_text_is_plain_letters_and_entities(text: str) -> None:
    written = mermaid_text(text)
    assert re.fullmatch(r"(?:[A-Za-z0-9 .,/\-+_()=!?]|#\d+;)*", written)
    assert re.sub(r"#(\d+);", lambda entity: chr(int(entity[1])), written) == visible(text)


@given(texts)
def test_dot_text_has_nothing_that_dot_reads(text: str) -> None:
    assert not set(dot_text(text)) & set("<>\"'\\")


def _of(names: list[str], level: str = "rules") -> Outline:
    return outline(hostile(names), Wanted(level=level, fold=False))


def _texts(picture: str) -> Iterator[str]:
    for element in ET.fromstring(picture).iter(f"{SVG}text"):
        yield element.text or ""


@pytest.mark.parametrize("level", ["chains", "rules"])
def test_hostile_names_survive_in_svg(level: str) -> None:
    shown = " ".join(_texts(svg(_of(list(NAMES), level))))
    for name in NAMES:
        assert visible(name) in shown


def test_nothing_of_a_hostile_dump_becomes_an_element() -> None:
    root = ET.fromstring(svg(_of(list(NAMES))))
    ours = {"svg", "title", "desc", "style", "g", "rect", "text", "path", "polygon", "a"}
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= ours


@given(names)
@settings(max_examples=60, deadline=None)
def test_any_name_survives_in_svg(name: str) -> None:
    outlined = _of([name])
    assert visible(name) in " ".join(_texts(svg(outlined)))


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz's dot is not installed")
def test_dot_reads_hostile_names_back() -> None:
    text = dot(_of(list(NAMES)))
    done = subprocess.run(["dot", "-Tsvg"], input=text.encode(), capture_output=True, check=True)
    assert done.stderr == b""
    shown = " ".join(_texts(done.stdout.decode())).replace("\N{NO-BREAK SPACE}", " ").replace("\u200b", "")
    for name in NAMES:
        assert visible(name) in shown


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz's dot is not installed")
@given(names)
@settings(max_examples=25, deadline=None)
def test_dot_reads_any_name(name: str) -> None:
    done = subprocess.run(
        ["dot", "-Tcanon"], input=dot(_of([name])).encode(), capture_output=True, check=True
    )
    assert done.stderr == b""


def _decoded(label: str) -> str:
    """Mermaid keeps ``#35;`` as these letters until it writes HTML (encodeEntities, its utils.ts)."""
    return re.sub(r"ﬂ°°(\d+)¶ß", lambda entity: chr(int(entity[1])), label)


def test_mermaid_reads_hostile_names_back() -> None:
    outlined = _of(list(NAMES))
    (read,) = real_mermaid([mermaid(outlined)[0]])
    labels = read.get("labels")
    assert isinstance(labels, dict), read
    shown = " ".join(_decoded(label) for label in labels.values())
    for name in NAMES:
        assert visible(name) in shown
