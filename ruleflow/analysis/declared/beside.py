"""What two declarations differ in that no rule tells of: said where declarations themselves are compared."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from ruleflow.analysis.changes import Declared, DeclaredChange
from ruleflow.analysis.declared.words import value_words
from ruleflow.bridge.declaration import Declaration, Endpoint, Network

_KNOWN_BY = ("name", "bridge", "subnet4", "subnet6")
_SEEN_IN_PORTS = ("host_binding4", "host_binding6")
_IN_THE_TEXT = ("prefix", "comment")
"""What shows in names of chains and in comments, which mean nothing."""


def with_beside(told: Declared | None, one: Declaration, two: Declaration) -> Declared | None:
    """``told``, the differences of the rules, and those of the declarations that are not among them; None where there are none."""
    known = () if told is None else told.changes
    more = tuple(_beside(one, two, known))
    if not more:
        return told
    if told is None:
        return Declared((one.layout,), (two.layout,), more)
    return msgspec.structs.replace(told, changes=(*known, *more))


def _beside(one: Declaration, two: Declaration, known: Sequence[DeclaredChange]) -> Iterator[DeclaredChange]:
    before, after = ({each.name: each for each in side.networks} for side in (one, two))
    for name, network in after.items():
        if name in before:
            yield from _network(before[name], network, known)
    ends, others = ({each.name: each for each in side.endpoints} for side in (one, two))
    for sign, name in [
        *(("-", each) for each in ends if each not in others),
        *(("+", each) for each in others if each not in ends),
    ]:
        endpoint = (ends if sign == "-" else others)[name]
        if not _is_told(endpoint, known):
            text = f"endpoint {name}{' is gone' if sign == '-' else ''} (no rule tells of it)"
            yield DeclaredChange(sign, "endpoint", text, name)
    for name in ends.keys() & others.keys():
        yield from _fields(f"endpoint {name}", name, ends[name], others[name], ("netns",))
    yield from _fields("apply", "", one.apply, two.apply, type(one.apply).__struct_fields__)
    if one.userland_proxy != two.userland_proxy and not any(
        each.option == "userland_proxy" for each in known
    ):
        yield _change("", "", "userland_proxy", one.userland_proxy, two.userland_proxy)


def _network(one: Network, two: Network, known: Sequence[DeclaredChange]) -> Iterator[DeclaredChange]:
    told = {
        each.option for each in known
        if each.subject in (two.name, two.bridge, f"{two.name} ({two.bridge})") and each.kind == "option"
    }  # fmt: skip
    names = [
        name for name in Network.__struct_fields__
        if name not in (*_KNOWN_BY, *_SEEN_IN_PORTS) and not {_key(name), _key(name)[:-1]} & told
    ]  # fmt: skip
    yield from _fields(f"network {two.name}", two.name, one, two, names)


def _fields(what: str, subject: str, one: Any, two: Any, names: Sequence[str]) -> Iterator[DeclaredChange]:
    for name in names:
        was, now = getattr(one, name), getattr(two, name)
        if was != now:
            yield _change(what, subject, _key(name), was, now)


def _change(what: str, subject: str, option: str, was: object, now: object) -> DeclaredChange:
    words = value_words(was), value_words(now)
    where = f"{what}: " if what else ""
    note = "" if option in _IN_THE_TEXT else " (no rule tells of it)"
    text = f"{where}{option} was {words[0]}, now {words[1]}{note}"
    return DeclaredChange("~", "option", text, subject, option, *words)


def _key(name: str) -> str:
    """A field's name as the key of a declaration."""
    return name.replace("outbound", "outbound_addr") if name.startswith("outbound") else name


def _is_told(endpoint: Endpoint, known: Sequence[DeclaredChange]) -> bool:
    """Whether an endpoint's address is in one of the sentences."""
    addresses = [str(each) for each in (endpoint.address4, endpoint.address6) if each is not None]
    return any(
        address in (each.subject, each.subject.rpartition(" at ")[2])
        for address in addresses
        for each in known
    )
