"""The files that ship with the package: grammars and samples, found in a checkout and in a wheel."""

import os
from pathlib import Path

from ruleflow import __version__
from ruleflow.errors import RuleflowError

_HERE = Path(__file__).parent


def grammar(name: str) -> str:
    """The text of a grammar file (``save.lark``)."""
    return (_folder("grammar") / name).read_text(encoding="utf-8")


def cache_file(name: str) -> str | None:
    """Where the tables made from a grammar are kept between runs (they cost 30 ms), or None where nothing can be kept.

    It lies in the user's own cache (XDG Base Directory Specification), never in a place others can write to:
    the tables are read back with pickle.
    """
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "ruleflow"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        safe = folder.stat().st_uid == os.geteuid() and os.access(folder, os.W_OK)
    except (OSError, RuntimeError):  # no such place, or no home at all
        return None
    return str(folder / f"{name}-{__version__}") if safe else None


def sample(name: str) -> Path:
    """The file or directory of a sample (``docker-port-80``). Raises `RuleflowError` for an unknown one."""
    found = samples().get(name)
    if found is None:
        raise RuleflowError(f"there is no sample {name!r}", help=f"there are: {', '.join(samples())}")
    return found


def samples() -> dict[str, Path]:
    """Every sample by name, in order: a rules file, a declaration, or the directory of a host."""
    folder = _folder("samples")
    found = {path.stem: path for ending in ("*.rules", "*.yaml") for path in folder.glob(ending)}
    found |= {path.name: path for path in folder.iterdir() if (path / "iptables.save").is_file()}
    return dict(sorted(found.items()))


def _folder(name: str) -> Path:
    shipped = _HERE / "_data" / name
    return shipped if shipped.is_dir() else _HERE.parent / name
