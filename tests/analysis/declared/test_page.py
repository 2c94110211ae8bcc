"""The declarations and the difference that docs/diff.md shows are real."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from ruleflow.cli import cli

PAGE = Path(__file__).parents[3] / "docs" / "diff.md"


def test_the_example_is_what_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = PAGE.read_text()
    monkeypatch.chdir(tmp_path)
    for name, text in re.findall(r"```yaml\n# (\S+)\n(.*?)```", page, re.DOTALL):
        Path(name).write_text(text)
    command, _, shown = re.findall(r"```\n\$ (ruleflow diff before\.yaml .*?)```", page, re.DOTALL)[
        0
    ].partition("\n")
    result = CliRunner().invoke(cli, command.split()[1:])
    assert result.exit_code == 1
    assert result.output.startswith(shown)


def test_a_declaration_is_compared_with_a_dump_and_with_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text('networks: {app: {}}\nendpoints: {web: {ports: ["8080:80"]}}\n')
    runner = CliRunner()
    Path("a.rules").write_text(
        runner.invoke(cli, ["generate", "a.yaml", "--layout", "docker-classic"]).output
    )
    assert runner.invoke(cli, ["diff", "a.yaml", "a.yaml"]).output == "no difference\n"
    assert (
        runner.invoke(cli, ["diff", "a.yaml", "a.rules", "--layout", "docker-classic"]).output
        == "no difference\n"
    )
    other = runner.invoke(cli, ["diff", "a.rules", "a.yaml"]).output
    assert other.startswith("The same is declared (docker-classic before, native now)")


def test_free_addresses_stay_where_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint that is new at the top takes nobody's address."""
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text('networks: {app: {}}\nendpoints: {web: {ports: ["8080:80"]}}\n')
    Path("b.yaml").write_text(
        'networks: {app: {}}\nendpoints: {new: {ports: ["81:81"]}, web: {ports: ["8080:80"]}}\n'
    )
    output = CliRunner().invoke(cli, ["diff", "a.yaml", "b.yaml", "--all"]).output
    assert "published port: 81/tcp on every address of this host to 172.18.0.3:81" in output
    assert "8080" not in output.partition("undecided")[0]


def test_every_format_names_it_and_none_is_taken_in_by_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text("networks: {app: {}}\nendpoints: {web: {}}\n")
    runner = CliRunner()
    text = runner.invoke(cli, ["generate", "a.yaml"]).output.replace("ruleflow:app", "ruleflow:\x1b[31m|<b>")
    Path("a.rules").write_text(text)
    Path("b.rules").write_text(text.replace("! -i br-app -o br-app", "-o br-app"))
    for form, told in (
        ("text", "  ~ network "), ("md", "- \\~ network "), ("github", "::notice file=b.rules,title=ruleflow: declared::~ network "),
        ("json", '"sentence": "network '),
    ):  # fmt: skip
        output = runner.invoke(cli, ["diff", "a.rules", "b.rules", "--format", form]).output
        assert told in output
        assert "icc was on, now off" in output
        assert "\x1b" not in output
    assert '"Declared"' in runner.invoke(cli, ["schema", "diff"]).output
