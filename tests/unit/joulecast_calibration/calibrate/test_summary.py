"""The state of a calibration as others read it."""

from __future__ import annotations

import json
from pathlib import Path

from joulecast_calibration.calibrate.summary import KIND, MOST_BYTES, CalibrationState, verdict_of
from joulecast_calibration.measure.report.smoke import Finding


def test_a_summary_is_one_line_of_json(tmp_path: Path) -> None:
    path = tmp_path / "made" / "summary.json"
    CalibrationState(phase="measuring", progress=0.25, message="measured a layer").write(path)
    text = path.read_text("utf-8")
    assert text.count("\n") == 1
    found = json.loads(text)
    assert (found["kind"], found["schema_version"]) == (KIND, 1)
    assert (found["phase"], found["progress"], found["better"], found["held_out"]) == ("measuring", 0.25, None, None)
    assert [file.name for file in path.parent.iterdir()] == ["summary.json"]


def test_checks_keep_their_outcome() -> None:
    found = verdict_of(
        [
            Finding(name="one", outcome="holds", figure="as it should"),
            Finding(name="two", outcome="fails", figure="x" * 9999),
            Finding(name="three", outcome="unknown", figure=""),
        ]
    )
    assert [(check["name"], check["state"]) for check in found] == [("one", "ok"), ("two", "FAIL"), ("three", "?")]
    assert len(found[1]["says"]) == 500


def test_a_summary_fits_where_it_goes() -> None:
    checks = tuple({"name": str(number), "state": "ok", "says": "é" * 500} for number in range(200))
    text = CalibrationState(phase="done", progress=1.0, message="done", verdict=checks).to_json()
    assert len(text.encode()) <= MOST_BYTES
    assert 0 < len(json.loads(text)["verdict"]) < 200
