"""What every test may ask for: the shared dumps and truth, root, tools. What is absent is skipped, aloud."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--renew", action="store_true", help="write the goldens anew instead of comparing with them"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("root") and not can_use_kernel():
            item.add_marker(
                pytest.mark.skip(reason="needs root and iptables: run as root, apt-get install iptables")
            )
        if item.get_closest_marker("shared") and not SHARED.is_dir():
            item.add_marker(pytest.mark.skip(reason="needs ../shared beside the project"))
        if item.get_closest_marker("docker") and not (shutil.which("dockerd") and can_use_kernel()):
            item.add_marker(pytest.mark.skip(reason="needs root and dockerd: apt-get install docker.io"))


def can_use_kernel() -> bool:
    return os.geteuid() == 0 and shutil.which("iptables-restore") is not None


@pytest.fixture
def shared() -> Path:
    """The directory with dumps, truth and oracle."""
    return SHARED


@pytest.fixture
def samples() -> Path:
    return ROOT / "samples"


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compares a text with the file ``tests/goldens/NAME``; ``--renew`` writes it."""

    def compare(name: str, text: str) -> None:
        path = ROOT / "tests" / "goldens" / name
        if request.config.getoption("--renew"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"no golden {name}: make it with --renew and read it"
        assert text == path.read_text(encoding="utf-8")

    return compare
