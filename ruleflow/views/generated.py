"""A generated rule set and what it needs beside, as text and as JSON."""

from collections.abc import Iterator
from typing import Any

import msgspec

from ruleflow import __version__
from ruleflow.bridge.declaration import Declaration
from ruleflow.bridge.generate import generate
from ruleflow.bridge.needs import Needs, needs


class Generated(msgspec.Struct, frozen=True):
    """The result of `ruleflow generate`: the rules as iptables-restore text, and what they need beside."""

    schema: str
    ruleflow: str
    layout: str
    family: int
    rules: str
    needs: Needs
    declaration: dict[str, Any]
    """The declaration, complete: what was left out has been given."""


def as_json(declaration: Declaration, family: int) -> str:
    """The rules and what they need as JSON (``ruleflow.generate/1``)."""
    rules = str(generate(declaration, family=family))
    declared = msgspec.to_builtins(declaration, enc_hook=str)
    found = Generated(
        "ruleflow.generate/1", __version__, declaration.layout, family, rules, needs(declaration), declared
    )
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n"


def needs_as_text(declaration: Declaration) -> str:
    """What is needed beside rules, a line each."""
    return "".join(f"{line}\n" for line in _lines(needs(declaration))) or "nothing beside the rules\n"


def _lines(found: Needs) -> Iterator[str]:
    width = max([len(f"{one.name}={one.value}") for one in found.sysctls], default=0)
    for module in found.modules:
        yield f"module  {module}"
    for switch in found.sysctls:
        yield f"sysctl  {f'{switch.name}={switch.value}':<{width}}  {switch.why}"
    for flag in found.port_flags:
        yield f"port    {flag.endpoint}: {flag.flag} on  {flag.why}"
    for proxy in found.proxies:
        listens = f"{_bracketed(proxy.host_ip)}:{proxy.host_port}/{proxy.protocol}"
        yield f"proxy   {listens} relayed to {_bracketed(proxy.address)}:{proxy.port} ({proxy.endpoint})"
    for sentence in found.unserved:
        yield f"not served: {sentence}"


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
