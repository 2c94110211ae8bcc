"""Rule sets as large hosts have them, made here: kube-proxy's, Docker's, and a copy that is not canonical."""

import random
from collections.abc import Iterator


def kubernetes(rules: int, seed: int = 1) -> Iterator[str]:
    """A node's nat table: services, endpoints, load balancing; about ``rules`` rules."""
    rng = random.Random(seed)
    services = rules // 11
    yield from (
        "*nat",
        ":PREROUTING ACCEPT [0:0]",
        ":INPUT ACCEPT [0:0]",
        ":OUTPUT ACCEPT [0:0]",
        ":POSTROUTING ACCEPT [0:0]",
    )
    made = sorted({_name(rng) for _ in range(services)})
    chains = ["KUBE-MARK-MASQ", "KUBE-SERVICES"]
    chains += [f"KUBE-SEP-{name}{end}" for name in made for end in "ABC"] + [
        f"KUBE-SVC-{name}A" for name in made
    ]
    for chain in chains:
        yield f":{chain} - [0:0]"
    yield '-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES'
    yield "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000"
    bodies: dict[str, list[str]] = {chain: [] for chain in chains}
    for number, name in enumerate(made):
        _service(bodies, number, name)
    for chain in chains:
        yield from bodies[chain]
    yield "COMMIT"


def _service(bodies: dict[str, list[str]], number: int, name: str) -> None:
    title = f"ns{number % 40}/svc{number}:http"
    address = f"10.{96 + number // 65536}.{number // 256 % 256}.{number % 256}"
    svc = f"KUBE-SVC-{name}A"
    bodies["KUBE-SERVICES"].append(
        f'-A KUBE-SERVICES -d {address}/32 -p tcp -m comment --comment "{title} cluster IP" -m tcp --dport 80 -j {svc}'
    )
    bodies[svc].append(
        f'-A {svc} ! -s 10.244.0.0/16 -d {address}/32 -p tcp -m comment --comment "{title} cluster IP" -m tcp --dport 80 -j KUBE-MARK-MASQ'
    )
    for end, chance in (("A", " -m statistic --mode random --probability 0.33333333349"), ("B", " -m statistic --mode random --probability 0.50000000000"), ("C", "")):  # fmt: skip
        pod = f"10.244.{number % 256}.{number // 256 % 80 * 3 + ord(end) - 64}"
        sep = f"KUBE-SEP-{name}{end}"
        bodies[svc].append(f'-A {svc} -m comment --comment "{title} -> {pod}:8080"{chance} -j {sep}')
        bodies[sep].append(f'-A {sep} -s {pod}/32 -m comment --comment "{title}" -j KUBE-MARK-MASQ')
        bodies[sep].append(
            f'-A {sep} -p tcp -m comment --comment "{title}" -m tcp -j DNAT --to-destination {pod}:8080'
        )


def _name(rng: random.Random) -> str:
    return "".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=15))


def docker(rules: int) -> Iterator[str]:
    """A Docker host with very many published ports; about ``rules`` rules in filter and nat."""
    ports = rules // 3
    yield from (
        "*filter",
        ":INPUT ACCEPT [0:0]",
        ":FORWARD DROP [0:0]",
        ":OUTPUT ACCEPT [0:0]",
        ":DOCKER - [0:0]",
        ":DOCKER-USER - [0:0]",
    )
    yield "-A FORWARD -j DOCKER-USER"
    yield "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    yield "-A FORWARD -o docker0 -j DOCKER"
    yield "-A FORWARD -i docker0 ! -o docker0 -j ACCEPT"
    for number in range(ports):
        yield f"-A DOCKER -d {_container(number)}/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport {_port(number)} -j ACCEPT"
    yield "-A DOCKER-USER -j RETURN"
    yield from (
        "COMMIT",
        "*nat",
        ":PREROUTING ACCEPT [0:0]",
        ":INPUT ACCEPT [0:0]",
        ":OUTPUT ACCEPT [0:0]",
        ":POSTROUTING ACCEPT [0:0]",
        ":DOCKER - [0:0]",
    )
    yield "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER"
    yield "-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER"
    yield "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE"
    for number in range(ports):
        c, p = _container(number), _port(number)
        yield f"-A POSTROUTING -s {c}/32 -d {c}/32 -p tcp -m tcp --dport {p} -j MASQUERADE"
    yield "-A DOCKER -i docker0 -j RETURN"
    for number in range(ports):
        c, p = _container(number), _port(number)
        yield f"-A DOCKER ! -i docker0 -p tcp -m tcp --dport {10000 + number % 50000} -j DNAT --to-destination {c}:{p}"
    yield "COMMIT"


def _container(number: int) -> str:
    return f"172.17.{number // 250 % 256}.{number % 250 + 2}"


def _port(number: int) -> int:
    return (80, 443, 8080, 5432, 3000 + number % 977)[number % 5]


def spoil(lines: Iterator[str], share: float = 0.05, seed: int = 2) -> Iterator[str]:
    """``share`` of the rules written as people write them: long options, no mask, another order."""
    rng = random.Random(seed)
    for line in lines:
        if line.startswith("-A") and rng.random() < share:
            way = rng.randrange(4)
            if way == 0:
                line = line.replace("/32", "")
            elif way == 1:
                line = line.replace(" -s ", " --source ").replace(" -j ", " --jump ")
            elif way == 2:
                line = line.replace(" -m tcp --dport", " --dport")
            else:
                line = line.replace(" -p tcp", " -p TCP").replace(" -A ", "  ")
        yield line


def text(lines: Iterator[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
