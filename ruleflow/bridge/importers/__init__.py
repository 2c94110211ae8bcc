"""Declarations from what people already have: compose files, `docker inspect`, CNI configurations, Podman networks."""

from importlib import import_module

from ruleflow.bridge.importers.draft import Imported
from ruleflow.errors import RuleflowError

KINDS = ("compose", "docker", "cni", "podman")


def import_declaration(kind: str, text: str, source: str = "<text>") -> Imported:
    """The declaration, as YAML text, of a file of one of `KINDS`, with what could not be taken over.

    Raises `ReadError` where it cannot be read, `RuleflowError` for a kind that is not known.
    """
    if kind not in KINDS:
        raise RuleflowError(f"I cannot import {kind!r}", help=f"there are: {', '.join(KINDS)}")
    imported: Imported = import_module(f"ruleflow.bridge.importers.{kind}").read(text, source)
    return imported
