"""Who connects to whom: places by name or by address, and everything a machine offers."""

from ruleflow.errors import ReadError
from ruleflow.netfilter.host import Host
from ruleflow.netfilter.numbers import address_text, read_address
from ruleflow.netfilter.world import World


def everybody(
    world: World, port: int = 80, protocols: tuple[str, ...] = ("tcp",)
) -> tuple[tuple[str, int | None, str], ...]:
    """The targets that ``--all`` tries: each host's addresses, and each port published or listened on there."""
    found: dict[tuple[str, int | None, str], None] = {}
    for host in world.hosts:
        for _, own in ((link, one) for family in (4, 6) for link, one in host.addresses(family)):
            if own.scope != "global":
                continue
            text = address_text(own.address, own.family)
            ports = {one.port for one in host.listeners or () if one.family in (0, own.family)} or {port}
            found.update({(text, each, name): None for name in protocols for each in sorted(ports)})
    return tuple(found)


def source_of(world: World, name: str) -> tuple[Host, int | None]:
    """The host called ``name``, or that has the address ``name``: then it is the source.

    An address that nobody here has is a stranger's, whose packets come in at the machine's own host.
    """
    for host in world.hosts:
        if host.name == name:
            return host, None
    try:
        address, family = read_address(name)
    except ReadError:
        return world.host(name), None
    owners = world.owners(address, family)
    return (owners[0][0] if owners else world.main), address


def check_family(from_: str, family: int) -> None:
    """Raises `ReadError` where ``from_`` is an address of the other family."""
    try:
        asked = read_address(from_)[1]
    except ReadError:
        return
    if asked != family:
        raise ReadError(
            f"{from_} and an IPv{family} address cannot talk to each other", help="give both in one family"
        )


def destination_of(world: World, to: str) -> tuple[int, int]:
    """An address as written, or the first address of a place by name."""
    try:
        return read_address(to.strip("[]"))
    except ReadError:
        pass
    host = world.host(to)
    shared = (
        (own.address, own.family)
        for family in (4, 6)
        for _, own in host.addresses(family)
        if own.scope == "global"
    )
    found = next(shared, None)
    if found is None:
        raise ReadError(f"{to} has no address", help="give the address itself")
    return found
