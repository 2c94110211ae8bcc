"""The JSON Schema of a declaration, for editors and for tools that write one."""

from typing import Any

from ruleflow.bridge.declaration import GATEWAY_MODES, HAIRPINS, LAYOUTS, PROTOCOLS

Schema = dict[str, Any]


def declaration_schema() -> Schema:
    """A declaration as draft 2020-12 describes it. What its parts mean together is checked when it is read."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "ruleflow.declaration/1",
        "title": "Bridges, their endpoints and published ports",
        **_mapping(
            version={"const": 1}, name={"type": "string"},
            networks=_named(_network(), "A bridge each"), endpoints=_named(_endpoint(), "An address each"),
            layout=_choice(LAYOUTS, "Whose rules are generated"),
            userland_proxy=_boolean("Docker's layouts: whether docker-proxy serves loopback"), apply=_apply(),
        ),
    }  # fmt: skip


def _network() -> Schema:
    address4, address6 = _address("IPv4", "ipv4"), _address("IPv6", "ipv6")
    mode = _choice(GATEWAY_MODES, "Translated, translated but open to everybody, or not translated")
    return _mapping(
        driver={"const": "bridge"}, driver_opts=_options("Options of Docker's bridge driver"), bridge=_interface(),
        internal=_boolean("Nothing enters or leaves the bridge"), icc=_boolean("Endpoints may talk to each other"),
        icc_enforcement=_choice(("br_netfilter", "port_isolation"), "By which means icc: false is kept"),
        gateway_mode={"anyOf": [mode, _mapping(ipv4=mode, ipv6=mode)]}, ip_masq=_boolean("What leaves takes the host's address"),
        outbound_addr4=address4, outbound_addr6=address6,
        host_binding={"anyOf": [_any_address(), {"type": "array", "items": _any_address(), "maxItems": 2}]},
        hairpin=_choice(HAIRPINS, "How endpoints reach what is published for themselves or a sibling"),
        localhost=_boolean("Published ports are reachable at 127.0.0.1 too"),
        trusted_host_interfaces={"type": "array", "items": _interface()}, mtu={"type": "integer", "minimum": 68, "maximum": 65535},
        ipam=_ipam(), enable_ipv4=_boolean("It has an IPv4 subnet"), enable_ipv6=_boolean("It has an IPv6 subnet"),
        labels=_options("Passed over"), attachable=_boolean("Passed over"),
    )  # fmt: skip


def _ipam() -> Schema:
    config = _mapping(
        subnet={"type": "string", "examples": ["172.18.0.0/16", "fd00:18::/64"]}, gateway=_any_address(),
        ip_range={"type": "string"}, aux_addresses={"type": "object", "additionalProperties": _any_address()},
    )  # fmt: skip
    config["required"] = ["subnet"]
    return _mapping(
        driver={"const": "default"},
        config={"type": "array", "items": config},
        options=_options("Passed over"),
    )


def _endpoint() -> Schema:
    return _mapping(
        network={"type": "string"}, netns={"type": "string", "description": "A name, a path or pid:NUMBER"},
        ipv4_address=_address("IPv4", "ipv4"), ipv6_address=_address("IPv6", "ipv6"),
        ports={"type": "array", "items": {"anyOf": [_short_port(), _long_port()]}},
    )  # fmt: skip


def _short_port() -> Schema:
    return {
        "type": ["string", "integer"],
        "examples": ["8080:80", "127.0.0.1:8080:80/tcp", "[::1]:53:53/udp", "8000-8002:80-82"],
    }


def _long_port() -> Schema:
    port = {"type": ["string", "integer"]}
    schema = _mapping(
        name={"type": "string"}, target=port, published=port, host_ip=_any_address(),
        protocol=_choice(PROTOCOLS, "By default tcp"), app_protocol={"type": "string"}, mode={"enum": ["host", "ingress"]},
    )  # fmt: skip
    schema["required"] = ["target"]
    return schema


def _apply() -> Schema:
    return _mapping(
        backend=_choice(("auto", "nft", "legacy"), "Which iptables writes"),
        confirm={"type": ["string", "integer"], "pattern": "^[0-9]+[smh]?$", "description": "Rolled back unless confirmed in time"},
        prefix={"type": "string", "pattern": "^[A-Za-z0-9]{1,12}$", "description": "How our chains' names begin"},
        comment=_boolean("Rules carry a marker as a comment"),
        sysctls=_choice(("manage", "check", "ignore"), "What is done about the kernel's switches"),
    )  # fmt: skip


def _mapping(**properties: Schema) -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _named(value: Schema, what: str) -> Schema:
    return {
        "type": "object", "description": what, "propertyNames": {"pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"},
        "additionalProperties": {"anyOf": [value, {"type": "null"}]},
    }  # fmt: skip


def _choice(words: tuple[str, ...], what: str) -> Schema:
    return {"enum": list(words), "description": what}


def _boolean(what: str) -> Schema:
    return {"type": "boolean", "description": what}


def _interface() -> Schema:
    return {"type": "string", "maxLength": 15, "pattern": "^[A-Za-z0-9_.][A-Za-z0-9_.@-]*$"}


def _address(family: str, form: str) -> Schema:
    return {"type": "string", "format": form, "description": f"An {family} address"}


def _any_address() -> Schema:
    return {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}


def _options(what: str) -> Schema:
    return {"type": "object", "description": what}
