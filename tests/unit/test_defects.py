"""A programming error is tied to its traceback by an id."""

from __future__ import annotations

import re

import pytest

from joulecast import defects
from joulecast.cli import application
from joulecast.errors import InternalInconsistencyError, ModelFormatError


def divided(by: int) -> BaseException:
    try:
        1 / by
    except ZeroDivisionError as error:
        return error
    raise AssertionError


def test_the_same_defect_has_the_same_id() -> None:
    first, again = (divided(zero) for zero in (0, 0))
    assert re.fullmatch("[0-9a-f]{8}", defects.defect_id(first))
    assert defects.defect_id(first) == defects.defect_id(again) != defects.defect_id(KeyError("x"))


def test_what_is_raised_on_purpose_is_no_defect_unless_it_says_so() -> None:
    assert not defects.is_defect(ModelFormatError("no model"))
    assert defects.is_defect(InternalInconsistencyError("two stages disagree"))
    assert defects.is_defect(KeyError("x"))


def run(monkeypatch: pytest.MonkeyPatch, error: Exception) -> int:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr("sys.argv", ["joulecast"])
    with pytest.raises(SystemExit) as ended:
        application.run(fail)  # type: ignore[arg-type]
    return int(str(ended.value.code))


def test_the_command_line_says_one_sentence_with_an_id(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("JOULECAST_TRACEBACK", raising=False)
    assert run(monkeypatch, KeyError("x")) == 70
    said = capsys.readouterr().err
    assert re.fullmatch(
        r"error: this is a defect of joulecast, not of the input \(KeyError: 'x'\): please report it as [0-9a-f]{8},"
        r" with the traceback that JOULECAST_TRACEBACK=1 before the same command shows \[InternalError\]\n",
        said,
    )


def test_the_traceback_is_shown_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JOULECAST_TRACEBACK", "1")
    assert run(monkeypatch, InternalInconsistencyError("two stages disagree")) == 70
    said = capsys.readouterr().err
    assert said.startswith("Traceback")
    assert "in fail" in said
    assert run(monkeypatch, ModelFormatError("no model")) == 1
    assert capsys.readouterr().err == "error: no model [InvalidModelFormat]\n"
