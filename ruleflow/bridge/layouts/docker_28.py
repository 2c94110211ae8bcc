"""Docker 28.2.2 to 28.5: as 29, but bridges are kept apart in two stages and containers are left to the userland proxy.

Earlier releases of 28 have a RETURN in DOCKER-USER, and before 28.2 a rule in raw for every port instead of every container.
"""

from ruleflow.bridge.declaration import Declaration, Network
from ruleflow.bridge.layouts.docker_29 import (
    connect_network,
    keep_internal,
    let_containers_talk,
    start_container,
    start_daemon,
)
from ruleflow.bridge.layouts.docker_classic import skip_translation_from_containers
from ruleflow.bridge.layouts.writing import Writing


def write(declaration: Declaration, family: int) -> Writing:
    """The rules that Docker makes for ``declaration``."""
    writing = Writing(family)
    start_daemon(writing, declaration, "DOCKER-ISOLATION-STAGE-1", "DOCKER-ISOLATION-STAGE-2")
    for network in declaration.networks:
        if network.subnet(family) is not None:
            create_network(writing, network, declaration)
    for endpoint in declaration.endpoints:
        start_container(writing, declaration.network(endpoint.network), endpoint, declaration)
    return writing


def create_network(writing: Writing, network: Network, declaration: Declaration) -> None:
    """What `docker network create` adds."""
    if network.internal:
        keep_internal(writing, network, "DOCKER-ISOLATION-STAGE-1")
        let_containers_talk(writing, network)
        return
    connect_network(writing, network, declaration)
    if network.ip_masq and declaration.userland_proxy:
        skip_translation_from_containers(writing, network)
    if network.gateway_mode(writing.family) == "routed":
        let_others_reach_a_routed_network(writing, network)
    isolate_from_other_bridges(writing, network)


def let_others_reach_a_routed_network(writing: Writing, network: Network) -> None:
    """A routed network is reached from other bridges too, where its open ports are asked, and answers them."""
    writing.insert("filter", f"-A DOCKER-ISOLATION-STAGE-1 -o {network.bridge} -j RETURN")
    writing.insert(
        "filter",
        f"-A DOCKER-ISOLATION-STAGE-1 -i {network.bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    )


def isolate_from_other_bridges(writing: Writing, network: Network) -> None:
    """Containers of one bridge do not reach those of another: out of one bridge (stage 1), into another (stage 2)."""
    bridge = network.bridge
    writing.append(
        "filter", f"-A DOCKER-ISOLATION-STAGE-1 -i {bridge} ! -o {bridge} -j DOCKER-ISOLATION-STAGE-2"
    )
    writing.insert("filter", f"-A DOCKER-ISOLATION-STAGE-2 -o {bridge} -j DROP")
