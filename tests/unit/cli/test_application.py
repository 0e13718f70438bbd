"""How the command ends where something is missing: with a line to copy that works as it stands."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
import typer
from onnx import parser
from typer.testing import CliRunner

from joulecast.cli import application
from joulecast.errors import JoulecastError
from tests import small_models

OPEN = """
<ir_version: 8, opset_import: ["": 17]>
g (float[batch, length, 8] x, float[batch, 4] state, float[8, 4] w, float[4, 4] v) => (y) {
  p = MatMul (x, w)
  t = ReduceMax <axes = [0, 1, 2]> (p)
  c = Cast <to = 9> (t)
  q = MatMul (state, v)
  y = If (c) <then_branch = a () => (float[b, 4] r) { r = Add (q, q) }, else_branch = e () => (float[b, 4] s) { s =
  Sub (q, q) }>
}
"""


def ended(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Any) -> tuple[int | str | None, str, str]:
    monkeypatch.setattr(sys, "argv", ["joulecast", *arguments])
    with pytest.raises(SystemExit) as caught:
        application.run()
    told = capsys.readouterr()
    return caught.value.code, told.out, told.err


def test_all_that_is_missing_comes_in_one_command_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    path = tmp_path / "a model.onnx"
    onnx.save(parser.parse_model(OPEN), path)
    code, _, said = ended(["profile", str(path), "-o", "json"], monkeypatch, capsys)
    assert code == 1
    first, line = said.splitlines()
    assert "leaves dimension length open" in first
    assert "branches on 'c'" in first
    assert line.startswith("try: joulecast profile ")
    assert line.endswith(" --input x=batch,128,8 --value c=1")
    code, printed, _ = ended(shlex.split(line)[2:], monkeypatch, capsys)
    assert code == 0
    assert '"macs": 4112' in printed  # 128 rows of 8 by 4, and 4 by 4


def test_the_command_works_for_several_batch_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(parser.parse_model(OPEN), path)
    _, _, said = ended(["estimate", str(path), "-b", "1", "-b", "8", "-o", "csv"], monkeypatch, capsys)
    code, printed, _ = ended(shlex.split(said.splitlines()[1])[2:], monkeypatch, capsys)
    assert (code, len(printed.splitlines())) == (0, 3)


def test_what_has_no_example_is_a_form_to_fill_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    speech = small_models.speech(tmp_path / "speech.onnx")
    code, _, said = ended(["profile", str(speech)], monkeypatch, capsys)
    assert code == 1
    assert said.splitlines()[1].startswith("fill in: joulecast profile ")
    assert said.splitlines()[1].endswith("--input audio=batch,… --value frames=…")


def test_an_error_without_options_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    code, _, said = ended(["profile", str(tmp_path / "absent.onnx")], monkeypatch, capsys)
    assert (code, len(said.splitlines())) == (1, 1)


def test_a_command_of_an_absent_laboratory_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "find_spec", lambda _: None)
    without = typer.Typer()
    application.add_commands(without)
    for command, extra in application.LABORATORY_COMMANDS.items():
        found = CliRunner().invoke(without, [command, "--quick", "rows"])
        assert isinstance(found.exception, JoulecastError)
        assert found.exception.reason == "MissingDependency"
        assert f"pip install 'joulecast[{extra}]'" in str(found.exception)
    assert CliRunner().invoke(without, ["version"]).exit_code == 0
