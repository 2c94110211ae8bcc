"""Matches on how the host carries a packet: rpfilter, realm, policy (IPsec), ipvs, cpu."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from ruleflow.ruleset.addresses import HostMask, Prefix
from ruleflow.ruleset.condition import Condition, Derived, Undecided
from ruleflow.ruleset.extension import Extension, Match, Maybe, Option, option
from ruleflow.ruleset.fields import CPU, REALM
from ruleflow.ruleset.ports import resolved_port
from ruleflow.ruleset.protocols import protocol_name
from ruleflow.ruleset.values import (
    Choice,
    HexMasked,
    MaskedValue,
    Not,
    Number,
    ProtocolNumber,
    Unreadable,
    ValueType,
)

# -- rpfilter ---------------------------------------------------------------------------------------------


class Rpfilter(Match, frozen=True, gc=False):
    """The way back to the source (rpfilter_mt, net/ipv4/netfilter/ipt_rpfilter.c, net/ipv6/netfilter/ip6t_rpfilter.c).

    Its condition is the derived fact ``reverse_path`` with the arguments ``loose`` (any interface will do),
    ``valid_mark`` (the packet's mark takes part in the lookup) and ``accept_local`` (a source of this host's own
    is believed).
    """

    name = "rpfilter"
    tables = ("raw", "mangle")
    hooks = ("PREROUTING",)

    loose: Annotated[bool | None, option("--loose", negatable=False)] = None
    valid_mark: Annotated[bool | None, option("--validmark", negatable=False)] = None
    accept_local: Annotated[bool | None, option("--accept-local", negatable=False)] = None
    invert: Annotated[bool | None, option("--invert", negatable=False)] = None

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        """One phrase; its options only shade it."""
        given = [row for row, _ in self.given()]
        return ((given[0] if given else None, self._sentence()),)

    def _sentence(self) -> str:
        where = "any interface" if self.loose else "the interface it came by"
        mark = ", looked up with its mark" if self.valid_mark else ""
        local = ", this host's own addresses allowed" if self.accept_local else ""
        return f"whose source is {'not ' if self.invert else ''}reached through {where}{mark}{local}"

    def conditions(self) -> tuple[Condition, ...]:
        """One derived fact."""
        arguments = (
            ("loose", bool(self.loose)), ("valid_mark", bool(self.valid_mark)), ("accept_local", bool(self.accept_local)),
        )  # fmt: skip
        return (Derived("reverse_path", arguments, bool(self.invert), self._sentence()),)


# -- realm ------------------------------------------------------------------------------------------------


class RealmValue(HexMasked):
    """``value[/mask]``; iproute2 names the realm 0 ``cosmos``, and so does iptables-save."""

    def read_word(self, word: str, family: int) -> MaskedValue:
        return MaskedValue(0, self.full) if word == "cosmos" else super().read_word(word, family)

    def show(self, value: MaskedValue) -> str:
        return "cosmos" if value == MaskedValue(0, self.full) else super().show(value)


class Realm(Match, frozen=True, gc=False):
    """The realm of the route that was chosen (extensions/libipt_realm.c; realm_mt, net/netfilter/xt_realm.c).

    Names other than ``cosmos`` are those of one host's /etc/iproute2/rt_realms and not read.
    """

    name = "realm"
    families = (4,)
    hooks = ("INPUT", "FORWARD", "OUTPUT", "POSTROUTING")

    realm: Annotated[
        Maybe[MaskedValue],
        option(
            "--realm", type=RealmValue(), field=REALM, mandatory=True,
            says="by a route of realm {}", says_not="by a route of any realm but {}",
        ),
    ] = None  # fmt: skip


# -- policy -----------------------------------------------------------------------------------------------

_DIRECTIONS = {"in": 1, "out": 2}
_POLICIES = {"ipsec": 0, "none": 1}
_MODES = {"transport": 1, "tunnel": 2}
_DEEPEST = 4  # XT_POLICY_MAX_ELEM
_ESP, _AH, _COMP = 50, 51, 108


class Transform(msgspec.Struct, frozen=True):
    """What is asked of one step of IPsec; None asks nothing."""

    reqid: Maybe[int] = None
    spi: Maybe[int] = None
    proto: Maybe[int] = None
    mode: Maybe[int] = None
    tunnel_dst: Maybe[Prefix] = None
    tunnel_src: Maybe[Prefix] = None


_STEP: dict[str, Option] = {
    "reqid": option("--reqid", type=Number(), says="request {}", says_not="not request {}"),
    "spi": option("--spi", type=Number(form="0x{:x}"), says="spi {}", says_not="not spi {}"),
    "proto": option("--proto", type=ProtocolNumber(), says="{}", says_not="not {}"),
    "mode": option("--mode", type=Choice(_MODES), says="{} mode", says_not="not {} mode"),
    "tunnel_dst": option("--tunnel-dst", type=HostMask(), says="tunnel to {}", says_not="tunnel not to {}"),
    "tunnel_src": option(
        "--tunnel-src", type=HostMask(), says="tunnel from {}", says_not="tunnel not from {}"
    ),
}
_NEXT = option("--next", negatable=False)


class Policy(Match, frozen=True, gc=False):
    """Whether IPsec carried the packet here or will carry it on (extensions/libxt_policy.c; net/netfilter/xt_policy.c).

    Its condition is the derived fact ``policy``: IPsec handles the packet, with the arguments ``direction``
    (``in``, ``out``), ``strict`` and ``steps`` (a tuple of `Transform`; () asks nothing of them). ``--pol none``
    is the negation of that without steps.
    """

    name = "policy"
    spellings = (*_STEP.values(), _NEXT)

    direction: Annotated[
        int | None, option("--dir", type=Choice(_DIRECTIONS), negatable=False, mandatory=True)
    ] = None
    policy: Annotated[int | None, option("--pol", type=Choice(_POLICIES), negatable=False)] = None
    strict: Annotated[bool | None, option("--strict", negatable=False)] = None
    steps: tuple[Transform, ...] = ()

    @classmethod
    def read(cls, given: Sequence[tuple[Option, bool, tuple[str, ...]]], family: int) -> Extension:
        """The rows of steps follow one another, parted by ``--next``."""
        whole = [one for one in given if one[0].attr]
        values: dict[str, Any] = {}
        for row, _, words in whole:
            if row.attr in values:
                raise Unreadable(f"{row.flag} is given twice")
            values[row.attr] = row.type.read(words, family)
        cls.check(values, family)
        steps = _steps([one for one in given if not one[0].attr], family)
        values["steps"] = _checked(steps, none=values["policy"] == 1, strict="strict" in values)
        return cls(**values)

    @classmethod
    def check(cls, values: dict[str, Any], family: int) -> None:
        """Without ``--pol``, IPsec is meant."""
        super().check(values, family)
        if values.setdefault("policy", 0) == 1 and "strict" in values:
            raise Unreadable("--strict makes no sense with --pol none")

    def show(self) -> str:
        """The direction, then the steps."""
        steps = " --next ".join([" ".join(_shown(step)) for step in self.steps])
        return f"{super().show()} {steps}".rstrip()

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        """One phrase."""
        return ((self.row("direction"), self._sentence()),)

    def _sentence(self) -> str:
        came = "that came" if self.direction == 1 else "that will go"
        if self.policy == 1:
            return f"{came} without IPsec"
        steps = "; then ".join([", ".join(_said(step)) for step in self.steps if step != Transform()])
        return f"{came} through IPsec{f' ({steps})' if steps else ''}"

    def conditions(self) -> tuple[Condition, ...]:
        """One derived fact."""
        arguments = (
            ("direction", "in" if self.direction == 1 else "out"), ("strict", bool(self.strict)), ("steps", self.steps),
        )  # fmt: skip
        return (Derived("policy", arguments, self.policy == 1, self._sentence()),)


def _steps(given: Sequence[tuple[Option, bool, tuple[str, ...]]], family: int) -> tuple[Transform, ...]:
    attrs = {id(row): attr for attr, row in _STEP.items()}
    steps: list[dict[str, Any]] = [{}]
    for row, negated, words in given:
        if row is _NEXT:
            steps.append({})
            continue
        attr = attrs[id(row)]
        if attr in steps[-1]:
            raise Unreadable(f"{row.flag} is given twice", "write --next between the steps")
        value = row.type.read(words, family)
        steps[-1][attr] = Not(value) if negated else value
    return tuple(Transform(**step) for step in steps)


def _checked(steps: tuple[Transform, ...], *, none: bool, strict: bool) -> tuple[Transform, ...]:
    """The steps that are kept; what policy_check refuses is refused."""
    if len(steps) > 1 and not strict:
        raise Unreadable("--next needs --strict")
    if len(steps) > _DEEPEST:
        raise Unreadable(f"at most {_DEEPEST} steps can be asked for")
    for step in steps:
        proto = step.proto.value if isinstance(step.proto, Not) else step.proto
        if proto not in (None, _ESP, _AH, _COMP):
            raise Unreadable(
                f"{protocol_name(proto or 0)} is no protocol of IPsec", "write esp, ah or ipcomp"
            )
        if strict and step == Transform():
            raise Unreadable("--strict needs something to ask of every step")
        if step.mode not in (2, Not(1)) and (step.tunnel_src is not None or step.tunnel_dst is not None):
            raise Unreadable("--tunnel-src and --tunnel-dst are for tunnel mode only", "write --mode tunnel")
    return () if none else tuple(step for step in steps if strict or step != Transform())


def _shown(step: Transform) -> list[str]:
    return [row.show(value) for attr, row in _STEP.items() if (value := getattr(step, attr)) is not None]


def _said(step: Transform) -> list[str]:
    return [row.say(value) for attr, row in _STEP.items() if (value := getattr(step, attr)) is not None]


# -- ipvs -------------------------------------------------------------------------------------------------


class PortNumber(ValueType[int]):
    """One port, by number or service."""

    def read_word(self, word: str, family: int) -> int:  # noqa: ARG002
        return resolved_port(word)


class NumberedProtocol(ProtocolNumber):
    """A protocol, printed by number."""

    def show(self, value: int) -> str:
        return str(value)

    def say(self, value: int) -> str:
        return protocol_name(value)


class Ipvs(Match, frozen=True, gc=False):
    """The virtual server that the packet belongs to (extensions/libxt_ipvs.c; ipvs_mt, net/netfilter/xt_ipvs.c)."""

    name = "ipvs"

    ipvs: Annotated[
        Maybe[bool],
        option(
            "--ipvs", says="of a virtual server's connection", says_not="of no virtual server's connection"
        ),
    ] = None
    service: Annotated[
        Maybe[int], option("--vproto", type=NumberedProtocol(), says="of a virtual {} service")
    ] = None
    address: Annotated[
        Maybe[Prefix],
        option(
            "--vaddr",
            type=HostMask(),
            says="of the virtual address {}",
            says_not="of no virtual address in {}",
        ),
    ] = None
    port: Annotated[
        Maybe[int],
        option(
            "--vport",
            type=PortNumber(),
            says="of the virtual port {}",
            says_not="of a virtual port other than {}",
        ),
    ] = None
    direction: Annotated[
        int | None,
        option(
            "--vdir",
            type=Choice({"ORIGINAL": 0, "REPLY": 1}, fold=True),
            negatable=False,
            says="in direction {}",
        ),
    ] = None
    method: Annotated[
        Maybe[int],
        option(
            "--vmethod",
            type=Choice({"GATE": 3, "IPIP": 2, "MASQ": 0}, fold=True),
            says="forwarded by {}",
            says_not="not forwarded by {}",
        ),
    ] = None
    controlling_port: Annotated[
        Maybe[int], option("--vportctl", type=PortNumber(), says="controlled through virtual port {}")
    ] = None

    @classmethod
    def check(cls, values: dict[str, Any], family: int) -> None:
        """Something must be asked; beside anything else ``--ipvs`` goes without saying."""
        super().check(values, family)
        if not values:
            raise Unreadable("ipvs needs an option", "write --ipvs")
        if len(values) > 1 and values.pop("ipvs", None) == Not(True):
            raise Unreadable("! --ipvs cannot stand beside other options")

    def conditions(self) -> tuple[Condition, ...]:
        """The connections of the virtual servers are not known."""
        return (Undecided(str(self)),)


# -- cpu --------------------------------------------------------------------------------------------------


class Cpu(Match, frozen=True, gc=False):
    """The processor that handles the packet (extensions/libxt_cpu.c; cpu_mt, net/netfilter/xt_cpu.c)."""

    name = "cpu"

    cpu: Annotated[
        Maybe[int],
        option(
            "--cpu",
            type=Number(),
            field=CPU,
            mandatory=True,
            says="handled by cpu {}",
            says_not="not handled by cpu {}",
        ),
    ] = None
