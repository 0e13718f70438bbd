"""docs/kubectl.md tells every command and option of the program, which is installed as kubectl looks for it."""

from __future__ import annotations

import re
import tomllib

import pytest
import typer

from joulecast_operator.kubectl.application import app
from tests.harness.environment import ROOT

PAGE = (ROOT / "docs" / "kubectl.md").read_text()
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_and_its_options_are_told(name: str) -> None:
    assert f"kubectl joulecast {name}" in PAGE
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts if option.startswith("-")}
    assert "--output" in options
    assert [option for option in options if f"`{option}" not in PAGE and f"/`{option}`" not in PAGE] == []


def test_each_word_that_an_error_ends_with_is_told() -> None:
    package = ROOT / "operator" / "joulecast_operator" / "kubectl"
    given = {word for path in package.glob("*.py") for word in re.findall(r'reason="(\w+)"', path.read_text())}
    assert {"Unreachable", "NotFound"} <= given
    assert [word for word in given if f"`{word}`" not in PAGE] == []


def test_the_package_installs_the_program_and_an_extra_for_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"]["kubectl-joulecast"] == "joulecast_operator.kubectl:main"
    assert "pip install 'joulecast[kubectl]'" in PAGE
    assert {each.partition(">")[0] for each in project["optional-dependencies"]["kubectl"]} == {
        "kubernetes",
        "pydantic",
    }
