"""Test that the text that a pod wrote is treated as untrusted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from joulecast_operator.api.conditions import Wrong
from joulecast_operator.calibrations.results import ReportedProfile, RunSummary, is_better, reported_profile, summary_of
from tests.unit.joulecast_operator.samples.calibrations import config_map, summary


def read(**changes: Any) -> RunSummary:
    found = summary_of(config_map(**changes), 1)
    assert isinstance(found, RunSummary)
    return found


def test_a_summary_is_read() -> None:
    found = read()
    assert (found.phase, found.rows, found.better) == ("done", 612, True)
    assert found.held_out is not None
    assert found.held_out.median_ape == 0.041


def test_another_runs_summary_is_none() -> None:
    assert summary_of(config_map(run=2), 1) is None
    assert summary_of({"data": {"run": "1"}}, 1) is None
    assert summary_of({}, 1) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "other"},
        {"schema_version": 2},
        {"phase": "resting"},
        {"progress": 2},
        {"rows": -1},
        {"rows": 10**12},
        {"held_out": {"median_ape": float("nan")}},
        {"held_out": {"median_ape": float("inf")}},
        {"held_out": {"median_ape": "0.04"}},
        {"held_out": {"median_ape": True}},
        {"held_out": {"median_ape": 1e300}},
        {"rows": "612"},
        {"better": "yes"},
        {"verdict": [{"name": 1}]},
        {"message": {"a": "b"}},
    ],
)
def test_what_makes_no_sense_is_no_result(changes: dict[str, Any]) -> None:
    found = summary_of(config_map(**changes), 1)
    assert isinstance(found, Wrong)
    assert found.reason == "InvalidResult"
    assert len(found.message) < 300


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 50_000, json.dumps(summary(message="x" * 70_000))])
def test_what_is_no_summary_is_no_result(text: str) -> None:
    assert isinstance(summary_of({"data": {"run": "1", "summary.json": text}}, 1), Wrong)


def test_sentences_are_cut_and_have_no_line_breaks() -> None:
    found = read(message="one\ntwo " + "x" * 5000, verdict=[{"name": "n" * 500, "state": "ok", "says": ""}] * 100)
    assert found.message.startswith("one two")
    assert len(found.message) == 512
    assert len(found.verdict) == 32
    assert len(found.verdict[0].name) == 64


def test_a_profile_has_the_digest_that_was_said() -> None:
    product = reported_profile(config_map(), read())
    assert isinstance(product, ReportedProfile)
    assert product.digest == "sha256:" + str(summary()["profile_digest"])
    assert reported_profile(config_map(), read(profile_digest=product.digest)) == product


@pytest.mark.parametrize(
    ("profile", "changes", "reason"),
    [
        (None, {}, "NoProfile"),
        ("", {}, "NoProfile"),
        ("x" * (2**18 + 1), {}, "ProfileTooLarge"),
        ("{}", {}, "DigestMismatch"),
        ("{}", {"profile_digest": None}, "DigestMismatch"),
    ],
)
def test_a_profile_that_is_none(profile: str | None, changes: dict[str, Any], reason: str) -> None:
    found = reported_profile(config_map(profile=profile), read(**changes))
    assert isinstance(found, Wrong)
    assert found.reason == reason


@pytest.mark.parametrize(
    ("new", "old", "said", "expected"),
    [
        (0.041, 0.08, True, True),
        (0.041, 0.08, False, False),
        (0.041, 0.08, None, False),
        (0.079, 0.08, True, False),  # it says so, its figures do not
        (0.035, 0.04, True, True),  # a tenth of the old one's
        (0.28, 0.3, True, True),  # two points
        (0.29, 0.3, True, False),
        (0.008, 0.01, True, False),  # a fifth, yet less than repeats differ by
        (0.007, 0.01, True, True),
        (0.0, 0.002, True, False),
        (0.5, None, True, True),
        (None, 0.08, True, False),
    ],
)
def test_better_is_what_the_figures_bear_out(
    new: float | None, old: float | None, said: bool | None, expected: bool
) -> None:
    against = None if old is None else {"median_ape": old}
    assert is_better(read(held_out={"median_ape": new}, against=against, better=said)) is expected
