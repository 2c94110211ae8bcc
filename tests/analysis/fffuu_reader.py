"""Reads the service matrices in an output of fffuu."""

import re

from ruleflow.netfilter.intervals import Interval
from ruleflow.ruleset.addresses import address_number

_RANGE = re.compile(
    r"\{([0-9a-fA-F.:]+) \.\. ([0-9a-fA-F.:]+)\}|(?<![.:0-9a-fA-F])([0-9a-fA-F]+[.:][0-9a-fA-F.:]*|::[0-9a-fA-F.:]*)"
)
Read = tuple[dict[str, list[Interval]], set[tuple[str, str]]]


def matrices(text: str, family: int) -> dict[int, Read]:
    """By port: the classes by name, and who may reach whom."""
    found = {}
    for part in re.split(r"=+ TCP port 10000->", text)[1:]:
        port = int(part.split()[0])
        classes: dict[str, list[Interval]] = {}
        edges: set[tuple[str, str]] = set()
        for line in part.split("\n")[1:]:
            if "|->" in line:
                name, _, sets = line.partition(" |-> ")
                classes[name.strip()] = [
                    (address_number(low or one, family), address_number(high or one, family))
                    for low, high, one in _RANGE.findall(sets)
                ]
            elif line.startswith("("):
                one, two = line.strip("()\n ").split(",")
                edges.add((one.strip(), two.strip(" )")))
        found[port] = classes, edges
    return found
