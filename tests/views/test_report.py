"""The report in a real browser: clicked, typed at, without script, in the dark, on paper, and with hostile dumps."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from browser import PROGRAM, Browser, chromium
from hostile import NAMES, hostile

from ruleflow.analysis.reporting import gathered
from ruleflow.analysis.subject import Subject, of_directory, of_rulesets
from ruleflow.errors import visible
from ruleflow.ruleset.parse import parse
from ruleflow.views.report import report

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed: apt-get install chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the sample host."""
    subject = of_directory(ROOT / "samples" / "docker-host", 4, "docker-host")
    return written(subject, tmp_path_factory.mktemp("report"))


def written(subject: Subject, folder: Path) -> Path:
    path = folder / "report.html"
    path.write_text(report(gathered(subject)), encoding="utf-8")
    return path


def test_it_asks_for_nothing_and_complains_of_nothing(browser: Browser, page: Path) -> None:
    browser.requests.clear()
    browser.messages.clear()
    browser.open(page)
    assert browser.requests == [page.as_uri()]
    assert browser.messages == []
    assert "default-src 'none'" in browser.ask("document.querySelector('meta[http-equiv]').content")


def test_a_packet_is_walked_by_click(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert browser.ask("document.forms.packet.elements.dst.value") == "192.0.2.10"
    browser.click("#packet button")
    answer = browser.ask("document.getElementById('answer').textContent")
    assert answer.startswith("ACCEPT\n")
    assert "destination now 172.17.0.4:80" in answer
    assert "leaves by docker0" in answer
    assert "ruleflow walk docker-host tcp 203.0.113.9:40000 192.0.2.10:80 in eth0" in answer


def test_a_packet_is_walked_by_keys(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.ask("document.forms.packet.elements.dst.select(), document.forms.packet.elements.dst.focus()")
    browser.type("172.17.0.3")
    browser.press("Enter", 13)
    assert browser.ask("document.getElementById('answer').textContent").startswith("DROP\n")


def test_what_is_no_address_is_said(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.ask("document.forms.packet.elements.src.select(), document.forms.packet.elements.src.focus()")
    browser.type("nobody")
    browser.press("Enter", 13)
    assert browser.ask("document.getElementById('answer').textContent") == "This is no IPv4 address: nobody"


def test_hovering_lights_up_the_same_rule_elsewhere(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.hover("#chains tr[data-rule]")
    lit = browser.ask("[...document.querySelectorAll('.lit')].map(e => e.dataset.rule)")
    assert len(lit) >= 2
    assert len(set(lit)) == 1
    assert browser.ask("!!document.querySelector('#source .lit')")


def test_hovering_the_picture_lights_up_the_explanation(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.hover("#picture svg .row[data-rule] .said")
    assert browser.ask("!!document.querySelector('#chains .lit')")


def test_a_slash_searches_and_the_rest_is_hidden(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.type("/")
    assert browser.ask("document.activeElement.id") == "search"
    browser.type("masquerade")
    shown = browser.ask(
        "[...document.querySelectorAll('#chains tbody tr:not(.hide)')].map(e => e.textContent)"
    )
    assert len(shown) >= 3
    assert all("masquerade" in text.lower() for text in shown)
    assert browser.ask("document.getElementById('found').textContent") == f"{len(shown)} rules found"


def test_tab_reaches_the_sections_and_folds_them(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.press("Tab", 9)
    assert browser.ask("document.activeElement.getAttribute('href')") == "#short"
    browser.ask("document.querySelector('#chains summary').focus()")
    before = browser.ask("document.querySelector('#chains details').open")
    browser.press("Enter", 13)
    assert browser.ask("document.querySelector('#chains details').open") is not before


def test_a_line_in_the_address_is_opened(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.ask("document.querySelector('#source details').open = false, location.hash = '#L5'")
    browser.ask("0")
    assert (
        browser.ask(
            "new Promise(done => setTimeout(() => done(document.querySelector('#source details').open), 50))"
        )
        is not False
    )


def test_without_script_all_can_be_read(browser: Browser, page: Path) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(page)
        shown = browser.ask("document.body.innerText")
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert "DOCKER-ISOLATION-STAGE-1" in shown
    assert "The form needs script" in shown
    assert "Search rules" not in shown


def test_dark_and_paper(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    assert browser.ask("getComputedStyle(document.body).backgroundColor") == "rgb(13, 17, 23)"
    browser.call("Emulation.setEmulatedMedia", media="print", features=[])
    assert browser.ask("getComputedStyle(document.getElementById('packet')).display") == "none"
    assert len(browser.call("Page.printToPDF")["data"]) > 10_000
    browser.call("Emulation.setEmulatedMedia", media="", features=[])


SCRIPTS = (
    "<script>window.hacked=1</script>", "<img src=x onerror=window.hacked=1>", "</script><script>window.hacked=1</script>",
    "</title><svg onload=window.hacked=1>", "' onmouseover='window.hacked=1", "javascript:window.hacked=1", "</pre></details><b>",
)  # fmt: skip


@pytest.mark.parametrize(
    "names", [list(SCRIPTS), pytest.param([*NAMES, *SCRIPTS], marks=pytest.mark.slow)], ids=["scripts", "all"]
)
def test_no_script_of_a_dump_runs(browser: Browser, tmp_path: Path, names: list[str]) -> None:
    subject = Subject(hostile(names), SCRIPTS[0], text="".join(f"# {name}\n" for name in names))
    browser.dialogs.clear()
    browser.requests.clear()
    path = written(subject, tmp_path)
    browser.open(path)
    browser.hover("#chains tr[data-rule], #chains tr")
    assert browser.ask("window.hacked === undefined")
    assert (
        browser.ask("document.querySelectorAll('#chains b b, img, svg [onload], [onmouseover]').length") == 0
    )
    assert browser.dialogs == []
    assert browser.requests == [path.as_uri()]
    shown = browser.ask("document.body.textContent")
    assert all(visible(name) in shown for name in names)


@pytest.mark.slow
def test_a_large_report_opens_in_two_seconds(browser: Browser, tmp_path: Path) -> None:
    import made

    text = "\n".join((*made.docker(5000), ""))
    subject = of_rulesets(parse(text).rulesets, "large", None, text)
    assert browser.open(written(subject, tmp_path)) < 2.0
    assert browser.ask("document.querySelectorAll('#chains tbody tr').length") > 4900
    browser.click("#packet button")
    assert browser.ask("document.getElementById('answer').textContent") != ""


def test_the_same_bytes_across_processes(samples: Path) -> None:
    command = [sys.executable, "-m", "ruleflow", "report", str(samples / "docker-host"), "-o", "-"]
    runs = {
        subprocess.run(
            command,
            capture_output=True,
            check=True,
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PATH": "/usr/bin:/bin"},
        ).stdout
        for seed in "12"
    }
    assert len(runs) == 1


def test_the_data_in_the_page_cannot_end_its_script(page: Path) -> None:
    found = re.search(r'<script type="application/json" id="classes">(.*?)</script>', page.read_text("utf-8"))
    assert found is not None
    assert "<" not in found[1]
    assert json.loads(found[1])["family"] == 4
    assert msgspec.json.decode(found[1])
