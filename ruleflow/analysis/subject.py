"""What a picture or report is about: one rule set, of a dump or of a host whose files lie in a directory."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from ruleflow.analysis.ends import ends_in, ends_of
from ruleflow.analysis.outline import Ends
from ruleflow.analysis.walked import Walked, walked
from ruleflow.errors import ReadError
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.walk import walk
from ruleflow.netfilter.world import World, read_world
from ruleflow.ruleset.ir import Ruleset

_FILES = {4: "iptables.save", 6: "ip6tables.save"}


class Subject(msgspec.Struct, frozen=True):
    """``rules`` from ``source``; ``world`` where it is a host's; ``others`` counts the rule sets left out."""

    rules: Ruleset
    source: str
    """What it is called, as it was asked for."""
    file: str = ""
    """The dump itself, where it is a file."""
    world: World | None = None
    others: int = 0
    text: str = ""
    """The dump as it stood."""

    @property
    def ends(self) -> Ends:
        """Where its packets come from and go to."""
        return ends_of(self.rules) if self.world is None else ends_in(self.world, self.rules.family)

    @property
    def machine(self) -> Machine:
        """What its packets are walked through."""
        family = self.rules.family
        return (
            Machine.inferred_from(self.rules) if self.world is None else Machine.of(self.world.main, family)
        )

    def walked(self, packet: str) -> Walked:
        """The way of a packet through it, as marks. Raises `ReadError` for words that are no packet."""
        found = Packet.parse(packet)
        if found.family != self.rules.family:
            raise ReadError(
                f"this is an IPv{found.family} packet, and these are IPv{self.rules.family} rules",
                help=f"draw with -{found.family}",
            )
        way = walk(self.machine, found)
        marks = walked(way)
        to = way.end.packet.destination
        owners = self.world.owners(to, found.family) if self.world is not None and to is not None else ()
        names = [host.name for host, _ in owners if self.world is not None and host is not self.world.main]
        return msgspec.structs.replace(marks, leave=(*marks.leave, f"to {names[0]}")) if names else marks


def of_rulesets(rulesets: Iterable[Ruleset], source: str, family: int | None, text: str = "") -> Subject:
    """The rule set to show: the first of ``family``, or the first of all.

    Raises `ReadError` where there is none.
    """
    found = [rules for rules in rulesets if family in (None, rules.family)]
    if not found:
        raise ReadError(f"there are no rules in {source}", help="give a file that iptables-save wrote")
    return Subject(found[0], source, source if Path(source).is_file() else "", None, len(found) - 1, text)


def of_directory(directory: Path, family: int | None, name: str = "") -> Subject:
    """The rule set of the host whose files lie in ``directory``, called ``name``. Raises `ReadError` where there is none."""
    world = read_world(directory)
    wanted = family or next((each for each in (4, 6) if any(world.main.rulesets(each))), 4)
    found = [rules for _, rules in world.main.rulesets(wanted)]
    if not found:
        raise ReadError(f"the host in {name or directory} has no rules for IPv{wanted}", help="give -4 or -6")
    file = directory / _FILES[wanted]
    text = next((dump.text for dump in world.main.dumps if dump.family == wanted), "")
    return Subject(
        found[0], name or str(directory), str(file) if file.is_file() else "", world, len(found) - 1, text
    )
