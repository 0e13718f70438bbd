"""What is to be reached, and by how much it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from joulecast_calibration.evaluate.contenders import PHYSICAL
from joulecast_calibration.evaluate.evaluation import (
    ARCHITECTURE,
    DATASHEET,
    FAMILY,
    TRANSFERRED,
    ZERO_SHOT,
    Evaluation,
    Score,
)
from joulecast_calibration.evaluate.report.targets import (
    MEASURED_ROWS,
    AccuracyTarget,
    measured_targets,
    targets,
    targets_of,
)


def score(
    system: str = PHYSICAL, split: str = ARCHITECTURE, of: str = "", task: str = "all", **figures: float
) -> Score:
    plain = Score(
        set=f"a_set {of}".strip(), split=split, system=system, task=task, n=9, mean_ape=8.0, median_ape=5.0,
        max_ape=30.0, min_ape=0.1, interval_coverage=0.9, interval_half_width=20.0,
    )  # fmt: skip
    return replace(plain, **figures)


def found(*lines: Score) -> dict[str, AccuracyTarget]:
    return {each.name: each for each in targets(lines, "a_set")}


@pytest.mark.parametrize(
    ("line", "name", "verdict"),
    [
        (score(median_ape=5.0), "leave-architecture-out, median error", "met by 1.0 points"),
        (score(median_ape=6.5), "leave-architecture-out, median error", "**missed** by 0.5 points"),
        (score(mean_ape=9.3), "leave-architecture-out, mean error", "**missed** by 0.3 points"),
        (score(split=TRANSFERRED, median_ape=12.0), "transferred, median error", "met by 3.0 points"),
        (
            score(split=TRANSFERRED, of=DATASHEET, median_ape=20.2),
            "data sheet alone, median error",
            "**missed** by 0.2 points",
        ),
        (
            score(interval_coverage=0.8),
            "leave-architecture-out, coverage of the 90 % interval",
            "**missed** by 0.050",
        ),
        (score(interval_coverage=0.9), "leave-architecture-out, coverage of the 90 % interval", "met by 0.050"),
        (
            score(split="leave-family-out", of=f"{ZERO_SHOT} gpt2model", median_ape=12.0),
            "gpt2model, no language model seen: median error",
            "**missed** by 2.0 points",
        ),
    ],
)
def test_a_figure_is_held_against_its_limit(line: Score, name: str, verdict: str) -> None:
    assert found(line)[name].verdict == verdict


def test_physical_is_held_against_the_best_of_the_others() -> None:
    lines = [score(task=task) for task in ("all", "vision")]
    lines += [score("getzner", task="all", mean_ape=7.0, median_ape=9.0), score("wattlayer", task="all", mean_ape=20.0)]
    lines += [score("getzner", task="vision", mean_ape=30.0, median_ape=9.0)]
    said = found(*lines)
    ahead = "leave-architecture-out, {}: lower {} error than every other system"
    assert said[ahead.format("all", "mean")].verdict == "**missed** by 1.0 points"
    assert said[ahead.format("all", "mean")].wanted == "< 7.0 % (getzner)"
    assert said[ahead.format("all", "median")].verdict == "**missed** by 0.0 points"  # as good is not better
    assert said[ahead.format("vision", "mean")].met
    assert not any("nlp" in name for name in said)


def test_a_set_without_figures_has_no_targets() -> None:
    assert found() == {}
    assert found(replace(score(), set="another")) == {}


def measured(task: str = "all", system: str = PHYSICAL, of: str = "", **figures: float) -> Score:
    return score(system, FAMILY, of, task, **figures)


def test_measured_rows_have_limits_in_every_task() -> None:
    lines = [measured(task, median_ape=4.0, mean_ape=8.1, max_ape=30.0) for task in ("all", "vision", "nlp")]
    lines += [measured(task, "getzner", median_ape=9.0, mean_ape=8.0) for task in ("all", "vision", "nlp")]
    lines += [measured("all", of=f"{ZERO_SHOT} hf:opt-125m", median_ape=11.0)]
    said = {each.name: each for each in measured_targets(lines, "a_set")}
    assert said["leave-family-out, vision: median error"].state == "met"
    assert said["leave-family-out, nlp: mean error"].verdict == "**missed** by 0.1 points"
    assert said["leave-family-out, nlp: largest error"].verdict == "met by 10.0 points"
    assert said["leave-family-out, audio: largest error"].verdict == "no rows"
    assert said["hf:opt-125m, no language model seen: median error"].state == "missed"
    assert said["leave-family-out, coverage of the 90 % interval"].state == "met"
    assert said["leave-family-out, nlp: lower median error than every other system"].state == "met"
    assert said["leave-family-out, nlp: lower mean error than every other system"].state == "missed"
    assert said["leave-family-out, audio: lower mean error than every other system"].state == "no rows"


def test_without_measured_rows_every_target_of_theirs_says_so() -> None:
    each = list(targets_of(Evaluation(results=(), unscored=()), MEASURED_ROWS))
    assert {target.state for target in each} == {"no rows"}
    assert [target.wanted for target in each][:3] == ["≤ 5 %", "≤ 8 %", "≤ 40 %"]
    assert len(each) == 17


def test_sets_with_limits_of_their_own_are_held_against_those() -> None:
    lines = [score(median_ape=4.1, mean_ape=4.9), score(task="vision", median_ape=4.6, mean_ape=5.9)]
    lines += [score(split=TRANSFERRED, of=DATASHEET, median_ape=12.5)]
    named = [replace(each, set=each.set.replace("a_set", "energaizer_a100")) for each in lines]
    said = {each.name: each for each in targets(named, "energaizer_a100")}
    assert said["leave-architecture-out, median error"].verdict == "**missed** by 0.1 points"
    assert said["leave-architecture-out, mean error"].verdict == "met by 0.1 points"
    assert said["leave-architecture-out, vision: median error"].verdict == "**missed** by 0.1 points"
    assert said["leave-architecture-out, vision: mean error"].verdict == "met by 0.1 points"
    assert said["data sheet alone, median error"].verdict == "**missed** by 0.5 points"
    assert found(*lines)["data sheet alone, median error"].verdict == "met by 7.5 points"
