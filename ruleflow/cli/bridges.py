"""The commands about declarations that touch no host: generate and import."""

import click

from ruleflow.cli.inputs import read_bytes, read_declared
from ruleflow.cli.outputs import formats, write


@click.command()
@click.argument("declaration")
@click.option("--layout", help="Whose rules: native, docker-classic, docker-28, docker-29 or cni-portmap.")
@click.option("-4", "family", flag_value=4, type=int, default=4, help="The IPv4 rules (default).")
@click.option("-6", "family", flag_value=6, type=int, help="The IPv6 rules.")
@click.option(
    "--userland-proxy/--no-userland-proxy", "proxy", default=None, help="As Docker's option of that name."
)
@click.option(
    "--needs", "beside", is_flag=True, help="What is needed beside rules: sysctls, port flags, proxies."
)
@formats("text", "json")
def generate(
    declaration: str, layout: str | None, family: int, proxy: bool | None, beside: bool, form: str
) -> None:
    """Print the rules of the bridges and port maps in DECLARATION (YAML or JSON), as iptables-restore reads them."""
    from ruleflow.bridge.generate import generate as rules_of
    from ruleflow.views import generated

    declared = read_declared(declaration, layout, proxy)
    if form == "json":
        write(generated.as_json(declared, family))
    elif beside:
        write(generated.needs_as_text(declared))
    else:
        write(str(rules_of(declared, family=family)))
        if family == 4 and 6 in declared.families():
            click.echo("note: there are IPv6 rules too: give -6", err=True)


@click.command("import")
@click.argument("kind", type=click.Choice(["compose", "docker", "cni", "podman"]))
@click.argument("file", required=False)
def import_(kind: str, file: str | None) -> None:
    """Print a declaration made from a compose file, docker inspect, a CNI configuration or a Podman network.

    Try: docker network inspect app | ruleflow import docker
    """
    from ruleflow.bridge.importers import import_declaration
    from ruleflow.ruleset.parse import decode

    source, data = read_bytes(file)
    imported = import_declaration(kind, decode(data), source)
    write(imported.text)
    for note in imported.notes:
        click.echo(f"note: {note}", err=True)
