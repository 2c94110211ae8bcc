"""Networks, options and published ports in words."""

from ruleflow.analysis.declared.reading import ReadNetwork, Run
from ruleflow.ruleset.addresses import address_text
from ruleflow.ruleset.protocols import protocol_name


def network_name(network: ReadNetwork) -> str:
    """A network by its name, bridge or subnet, as far as rules tell: ``app (br-app)``."""
    names = [name for name in (network.name, network.bridge) if name is not None]
    if not names:
        return str(network.subnet)
    return names[0] if len(names) == 1 else f"{names[0]} ({names[1]})"


def value_words(value: object) -> str:
    """The value of an option: ``on``, ``none``, ``eth0, wg0``."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ", ".join(value)
    return "none" if value is None else str(value)


def ports_words(run: Run) -> str:
    """The ports of the host, where there are any, else those of the container: ``tcp 8080-8081``."""
    return f"{protocol_name(run.protocol)} {_numbers(run.target if run.low is None else run.low, run.count)}"


def host_words(run: Run) -> str:
    """The address of the host that ports are published on."""
    return "every address of this host" if run.host is None else address_text(run.host, run.family)


def target_words(run: Run) -> str:
    """Where ports are sent to: ``172.18.0.2:80-81``."""
    return f"{_before_a_port(run.address, run.family)}:{_numbers(run.target, run.count)}"


def port_map_words(run: Run) -> str:
    """Ports as they are declared, and where: ``127.0.0.1:8080-8081:80-81/tcp at 172.18.0.2``."""
    host = "" if run.host is None else f"{_before_a_port(run.host, run.family)}:"
    low = "" if run.low is None else f"{_numbers(run.low, run.count)}:"
    end = f"{_numbers(run.target, run.count)}/{protocol_name(run.protocol)}"
    return f"{host}{low}{end} at {address_text(run.address, run.family)}"


def port_sentence(run: Run, sign: str) -> str:
    """What is published (``+``) or no longer (``-``)."""
    no_longer = "" if sign == "+" else "no longer "
    if run.low is None:
        return f"{no_longer}opens {ports_words(run)} of {address_text(run.address, run.family)}"
    where = "" if run.host is None else f" (on {host_words(run)})"
    return f"{no_longer}publishes {ports_words(run)} to {target_words(run)}{where}"


def _numbers(low: int, count: int) -> str:
    return str(low) if count == 1 else f"{low}-{low + count - 1}"


def _before_a_port(address: int, family: int) -> str:
    text = address_text(address, family)
    return f"[{text}]" if family == 6 else text
