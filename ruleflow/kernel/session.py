"""One declaration on one host: which namespace, which journal, which backend; the questions of the command line.

Everything here works in the network namespace of the calling thread; `enter` brings a process into another.
"""

from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import msgspec

from ruleflow.bridge.declaration import Declaration
from ruleflow.bridge.needs import needs
from ruleflow.bridge.read_declaration import read_declaration
from ruleflow.kernel import links, namespaces
from ruleflow.kernel.apply import refuse_unsettled
from ruleflow.kernel.backend import Backend, find_backend
from ruleflow.kernel.given import as_declaration, given_out
from ruleflow.kernel.heard import Heard, hear
from ruleflow.kernel.heirs import bequeath, neighbours
from ruleflow.kernel.journal import DEFAULT_STATE, DamagedJournalError, Journal, Store
from ruleflow.kernel.marked import marked
from ruleflow.kernel.misprints import refuse_misprints
from ruleflow.kernel.notes import listener_notes, need_notes
from ruleflow.kernel.owned import NOTHING, Owned, both
from ruleflow.kernel.plan import PlanRefusedError, Prepared, plan_apply, plan_destroy
from ruleflow.kernel.wanted import wanted
from ruleflow.netfilter.host import Host, Nexthop, Route

OWNERS = {
    "docker-classic": ("DOCKER", "Docker"), "docker-28": ("DOCKER", "Docker"), "docker-29": ("DOCKER", "Docker"),
    "cni-portmap": ("CNI-HOSTPORT-DNAT", "CNI"),
}  # fmt: skip
"""The chain that shows that a foreign layout's owner is at work here."""


def enter(namespace: str) -> None:
    """Bring this process (it must have one thread) into a network namespace: a name, a path or ``pid:1234``.

    :raises RuleflowError: where it is not there or may not be entered.
    """
    namespaces.enter(links.netns_path(f"pid:{namespace}" if namespace.isdigit() else namespace))


class Session:
    """A declaration's journal and backend on this host."""

    def __init__(
        self, name: str, *, state: Path = DEFAULT_STATE, namespace: str = "", backend: str = "auto"
    ) -> None:
        """``name`` is the state's, ``backend`` auto, nft or legacy. Nothing is asked of the host yet."""
        self.store = Store(state, name, namespace)
        self.asked = backend

    def journal(self) -> Journal:
        """What is written down. Raises `JournalError`."""
        return self.store.read()

    def backend(self, declared: str = "auto") -> Backend:
        """The backend: as asked, as declared, as before, or the one in use here. Raises `BackendError`."""
        asked = self.asked if self.asked != "auto" else declared
        return find_backend(asked, self.journal().backend or None)

    def declaration(self, content: str, source: str, *, layout: str | None = None) -> Declaration:
        """The declaration, completed for this host: subnets that are free here, addresses given out before kept.

        :raises DeclarationError: with all that is wrong in it.
        """
        before = as_declaration(self.journal().given)
        return read_declaration(content, source, layout=layout, host=routes_here(), before=before)

    def plan(self, declaration: Declaration, *, at_once: bool = False) -> Prepared:
        """What applying it would do. Nothing is changed. ``at_once``: it is to be applied right after.

        :raises PlanRefusedError: where it must not be applied here.
        :raises JournalError: where an earlier change is not settled.
        """
        journal = self.journal()
        refuse_unsettled(journal)
        backend = self.backend(declaration.apply.backend)
        if journal.backend and journal.backend != backend.kind:
            raise PlanRefusedError(
                f"{journal.name} stands in {journal.backend} tables", help="destroy it there first"
            )
        refuse_wrong_settings(declaration)
        makes_links = at_once and not journal.own.links
        want, heard = _tried_and_heard(declaration, backend, links.get_ready if makes_links else None)
        refuse_foreign_owner(declaration, heard, journal.own)
        refuse_misprints(backend, want, heard)
        own, gifts = bequeath(self.store, journal.own, want)
        refuse_links_of_others(self.store, want)
        prepared = plan_apply(journal.name, backend, own, want, heard, namespace=journal.namespace)
        notes = (*prepared.plan.notes, *listener_notes(declaration), *need_notes(declaration))
        return msgspec.structs.replace(
            prepared,
            plan=msgspec.structs.replace(prepared.plan, notes=notes),
            given=given_out(declaration),
            gifts=gifts,
        )

    def _journal_or_none(self) -> Journal:
        """The journal, an empty one also where it is damaged."""
        try:
            return self.journal()
        except DamagedJournalError:
            return Journal(self.store.name, self.store.namespace)

    def plan_destroy(self, *, scan: bool = False) -> Prepared:
        """What taking it away would do; with ``scan`` everything that carries our mark. Nothing is changed.

        :raises JournalError: where an earlier change is not settled.
        """
        journal = self._journal_or_none() if scan else self.journal()
        backend = find_backend(self.asked, journal.backend or None)
        refuse_unsettled(journal)
        own, gifts = bequeath(self.store, journal.own, NOTHING)
        present = both(own, marked(backend)) if scan else own
        prepared = plan_destroy(journal.name, backend, present, hear(backend), namespace=journal.namespace)
        return msgspec.structs.replace(prepared, gifts=gifts)


def _tried_and_heard(
    declaration: Declaration, backend: Backend, beside: Callable[[], None] | None
) -> tuple[Owned, Heard]:
    """What is wanted, tried in a scratch namespace, and meanwhile what stands here; ``beside`` is done while we wait."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as threads:
        heard = threads.submit(hear, backend)
        if beside is not None:
            threads.submit(beside)
        return wanted(declaration, backend), heard.result()


def refuse_links_of_others(store: Store, want: Owned) -> None:
    """A bridge belongs to one declaration: it goes when that goes. Raises `PlanRefusedError`."""
    names = {one.name for one in want.links}
    for other, journal in neighbours(store):
        for link in journal.own.links:
            if link.name in names:
                raise PlanRefusedError(
                    f"{link.kind} {link.name} belongs to the declaration {other.name}",
                    help="declare both in one file, or choose another name: bridge: …",
                )


def refuse_foreign_owner(declaration: Declaration, heard: Heard, own: Owned) -> None:
    """A foreign layout is not put where its owner is at work: they would undo each other's rules.

    Chains of ``own`` are ours, whatever they are called. Raises `PlanRefusedError`.
    """
    chain, owner = OWNERS.get(declaration.layout, ("", ""))
    ours = {one.name for table in own.tables for one in table.chains}
    if not chain or chain in ours:
        return
    if any(chain in table for tables in heard.rules.values() for table in tables.values()):
        raise PlanRefusedError(
            f"{declaration.layout} is a layout of {owner}, which is at work here (chain {chain})",
            help="layout: native stands beside it",
        )


def refuse_wrong_settings(declaration: Declaration) -> None:
    """With ``sysctls: check`` the sysctls must be right already. Raises `PlanRefusedError` with those that are not."""
    if declaration.apply.sysctls != "check":
        return
    wrong = [one for one in needs(declaration).sysctls if links.setting(one.name) not in (one.value, None)]
    if wrong:
        said = "; ".join(f"{one.name} must be {one.value}, {one.why}" for one in wrong)
        raise PlanRefusedError(
            f"sysctls are to be checked only, and are not as needed: {said}",
            help="set them, or write sysctls: manage",
        )


def routes_here() -> Host:
    """The host, as far as choosing subnets asks: its routes."""
    made = []
    for route in links.see().routes:
        if route.destination != "default":
            net = ip_network(route.destination, strict=False)
            hop = Nexthop(interface=route.link)
            made.append(
                Route(
                    family=net.version,
                    destination=int(net.network_address),
                    length=net.prefixlen,
                    nexthops=(hop,),
                )
            )
    return Host(routes=tuple(made))
