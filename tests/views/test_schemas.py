"""Every JSON output is as its published schema says: nothing missing, nothing of another type, nothing beyond it."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ruleflow.cli import cli, shipped
from ruleflow.views import schemas

ROOT = Path(__file__).parent.parent.parent
WALK = "tcp 203.0.113.9:40000 192.0.2.1:8080 in eth0"
OUTPUTS: dict[str, tuple[str, ...]] = {
    "walk": (
        f"walk sample:docker-port-80 {WALK} --local 192.0.2.1 --route 172.17.0.0/16=docker0",
        f"walk sample:docker-ufw {WALK} --local 192.0.2.1 --route 172.17.0.0/16=docker0 --both",
        f"walk sample:docker-host {WALK}",
    ),
    "connect": (
        "connect sample:docker-host --from outside --to 192.0.2.77:80",
        "connect sample:docker-host --all",
    ),
    "explain": ("explain sample:fail2ban", "explain sample:firewalld-ipv6 -6", "explain sample:docker-host"),
    "diff": (
        "diff sample:docker-no-port sample:docker-port-80",
        "diff sample:docker-port-80 sample:docker-port-80-proxy",
        "diff samples/net-one-port.yaml samples/net-two-bridges.yaml",
    ),
    "reach": (
        "reach sample:docker-ufw",
        "reach sample:ufw-ipv6 -6 --partition --chain INPUT",
        "reach sample:libvirt --service-matrix 22,80",
        "reach sample:docker-port-80 --spoofing --net docker0=172.17.0.0/16",
        "reach sample:netavark --from 10.0.0.0/8 --port 53 --proto udp --state any",
    ),
    "lint": ("lint sample:docker-ufw", "lint sample:docker-host", "lint sample:apf --conflicts --all"),
    "graph": ("graph sample:docker-ufw -o -", "graph sample:fail2ban --level rules --chain INPUT -o -"),
    "topology": ("topology sample:docker-host -o -",),
    "generate": ("generate sample:net-one-port", "generate sample:net-two-bridges --layout docker-28"),
}
"""Commands whose JSON is tried here; what apply prints is tried where a host is made for it (tests/kernel)."""
ELSEWHERE = {"plan", "status", "result", "lint-line", "baseline", "declaration"}


def validator(name: str, *, strict: bool = True) -> Any:
    jsonschema = pytest.importorskip("jsonschema", reason="pip install jsonschema: schemas are not tried")
    schema = json.loads(printed("schema", name))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(closed(schema) if strict else schema)


def closed(schema: Any) -> Any:
    """The schema with no keys but the named: a field that is printed and not published is found."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if found.get("type") == "object" and "properties" in found and "additionalProperties" not in found:
        found["additionalProperties"] = False
    return found


def printed(*words: str) -> str:
    run = CliRunner().invoke(cli, list(words))
    assert run.exit_code in (0, 1), run.output
    return run.stdout


def test_every_schema_has_outputs_that_are_tried() -> None:
    assert set(shipped.SCHEMAS) == OUTPUTS.keys() | ELSEWHERE
    assert set(shipped.SCHEMAS) == schemas._TYPES.keys() | {"declaration"}


@pytest.mark.parametrize("name", shipped.SCHEMAS)
def test_a_schema_is_one(name: str) -> None:
    assert validator(name, strict=False).schema["$id"] == f"ruleflow.{name}/1"


@pytest.mark.parametrize(
    ("name", "command"), [(name, command) for name, commands in OUTPUTS.items() for command in commands]
)
def test_an_output_is_as_its_schema_says(name: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    check = validator(name)
    text = printed(*command.split(), "--format", "json")
    values = (
        [json.loads(text)] if text.startswith("{\n") else [json.loads(line) for line in text.splitlines()]
    )
    assert values
    for value in values:
        check.validate(value)
        assert value["schema"] == f"ruleflow.{name}/1"


def test_findings_a_line_each_and_a_baseline(tmp_path: Path) -> None:
    check = validator("lint-line")
    lines = printed("lint", "sample:docker-ufw", "--format", "jsonl").splitlines()
    assert lines
    for line in lines:
        check.validate(json.loads(line))
    old = tmp_path / "old.json"
    printed("lint", "sample:docker-ufw", "--write-baseline", str(old))
    validator("baseline").validate(json.loads(old.read_text()))


def test_declarations_of_the_samples_fit_their_schema() -> None:
    from ruamel.yaml import YAML

    from ruleflow.data import samples

    found = [path for path in samples().values() if path.suffix == ".yaml"]
    assert found
    for path in found:
        validator("declaration", strict=False).validate(YAML(typ="safe").load(path))


def test_the_schema_is_held_against_what_it_must_refuse() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="pip install jsonschema: schemas are not tried")
    value = json.loads(printed("lint", "sample:docker-ufw", "--json"))
    value["files"][0]["findings"][0]["severity"] = "terrible"
    with pytest.raises(jsonschema.ValidationError):
        validator("lint").validate(value)


@pytest.mark.parametrize(
    "command",
    ["explain {}", "reach {}", "lint {}", "diff {} sample:ufw", "graph {} -o -"],
    ids=lambda c: c.split()[0],
)
def test_bytes_that_are_no_utf8_are_json_all_the_same(command: str, tmp_path: Path) -> None:
    rules = b'*filter\n:INPUT DROP [0:0]\n:a\xff - [0:0]\n-A INPUT -p tcp -m comment --comment "\xff" -j a\xff\n-A a\xff -j ACCEPT\nCOMMIT\n'
    (tmp_path / "rules").write_bytes(rules)
    text = printed(*command.format(tmp_path / "rules").split(), "--format", "json")
    validator(command.split(maxsplit=1)[0]).validate(
        json.loads(text.encode("utf-8", "surrogateescape").decode("utf-8"))
    )
