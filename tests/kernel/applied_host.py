"""A host in a namespace of its own with somebody's rules on it, declarations to put there, and its whole state as text."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from namespaces import namespaces, shell

from ruleflow.kernel.apply import Hook, apply, quiet
from ruleflow.kernel.journal import Deadline, Journal
from ruleflow.kernel.links import within
from ruleflow.kernel.session import Session

FOREIGN = {
    "iptables": """*filter
:FORWARD DROP [0:0]
:MINE - [0:0]
-A FORWARD -s 198.51.100.0/24 -m comment --comment "a \\"quoted\\" one" -j MINE
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A MINE -j RETURN
COMMIT
*nat
-A POSTROUTING -s 10.9.0.0/24 -j MASQUERADE
COMMIT
""",
    "ip6tables": """*filter
-A FORWARD -s 2001:db8:9::/64 -j DROP
COMMIT
""",
}


def declared(netns: str, *, ports: str = '"8080:80", "127.0.0.1:8081:80"', more: str = "") -> str:
    return f"""networks:
  app:
    bridge: rf-app
    ipam: {{config: [{{subnet: 172.30.0.0/24}}, {{subnet: "fd00:30::/64"}}]}}
endpoints:
  web: {{network: app, netns: {netns}, ports: [{ports}]}}
{more}"""


def changed(netns: str) -> str:
    """Another network instead, another namespace, other ports."""
    return f"""networks:
  db:
    bridge: rf-db
    internal: true
    ipam: {{config: [{{subnet: 172.31.0.0/24}}]}}
  app:
    bridge: rf-app
    mtu: 1400
    ipam: {{config: [{{subnet: 172.30.0.0/24, gateway: 172.30.0.9}}]}}
endpoints:
  store: {{network: db, netns: {netns}-db}}
  web: {{network: app, netns: {netns}, ports: ["8080-8083:80-83", "8090:90/udp"]}}
"""


class AppliedHost:
    """The namespace, its journal directory and the backend whose tables are in use."""

    def __init__(self, name: str, backend: str, state: Path) -> None:
        self.name, self.backend, self.directory = name, backend, state
        self.inner = f"rf-{os.getpid()}-in"

    def session(self) -> Session:
        return Session("app", state=self.directory, namespace=self.name, backend=self.backend)

    def shell(self, script: str) -> str:
        return shell(self.name, script)

    def tables(self, words: str, family: str = "iptables") -> str:
        return self.shell(f"{family}-{self.backend} -w 5 {words}")

    def apply(self, text: str, hook: Hook = quiet, deadline: Deadline | None = None) -> Journal:
        return within(self.name, lambda: self.apply_here(text, hook, deadline))

    def apply_here(self, text: str, hook: Hook = quiet, deadline: Deadline | None = None) -> Journal:
        session = self.session()
        with session.store.locked():
            prepared = session.plan(session.declaration(text, "app.yaml"))
            return apply(session.store, prepared, session.backend(), hook=hook, deadline=deadline)

    def destroy(self, hook: Hook = quiet) -> Journal:
        return within(self.name, lambda: self.destroy_here(hook))

    def destroy_here(self, hook: Hook = quiet) -> Journal:
        session = self.session()
        with session.store.locked():
            return apply(session.store, session.plan_destroy(), session.backend(), hook=hook)

    def state(self) -> str:
        """Rules of both backends in normal form, links, addresses, routes, namespaces and settings."""
        parts = [self.shell(script) for script in STATE]
        spaces = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout.split()
        parts.append(" ".join(one for one in sorted(spaces) if one.startswith(self.inner)))
        return "\n".join(map(_normal, parts))


STATE = (
    "iptables-nft-save; ip6tables-nft-save; (nft list tables; nft list chains) | sort",
    "for f in ip ip6; do for t in $(cat /proc/net/${f}_tables_names); do ${f}tables-legacy-save -t $t; done; done",
    "ip -o link | sed 's/^[0-9]*: //; s/@if[0-9]*//'; ip -o addr | grep -v fe80 | sed 's/^[0-9]*: //'; ip route; ip -6 route | grep -v fe80; true",
    "cd /proc/sys/net; grep . ipv4/ip_forward ipv[46]/conf/*/forwarding ipv4/conf/*/*_redirects ipv4/conf/*/route_localnet",
)


def _normal(text: str) -> str:
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r" \[\d+:\d+\]$", "", text, flags=re.MULTILINE)
    text = re.sub(r"link/ether \S+ | state [A-Z]+|,LOWER_UP|NO-CARRIER,| linkdown", "", text)
    return re.sub(
        r"^\*\w+\n(:\w+ ACCEPT\n)*COMMIT\n", "", text, flags=re.MULTILINE
    )  # an emptied legacy table stays


@contextmanager
def applied_host(backend: str, state: Path, *, foreign: bool = True) -> Iterator[AppliedHost]:
    with namespaces("host") as (name,):
        host = AppliedHost(name, backend, state)
        try:
            for program, rules in FOREIGN.items() if foreign else ():
                host.shell(f"{program}-{backend}-restore <<'X'\n{rules}X\n")
            yield host
        finally:
            for each in (host.inner, f"{host.inner}-db", f"{host.inner}-api"):
                subprocess.run(["ip", "netns", "del", each], check=False, capture_output=True)


def in_process(work: Callable[[], object]) -> int:
    """The end of a process of its own that does ``work``: 0, or minus the signal that killed it."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - what a child raises must not run the tests a second time
            os.write(2, f"{error!r}\n".encode())
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
