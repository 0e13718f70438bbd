"""Steps of transformers are scored by case, with the reference host and with each machine's."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from joulecast_calibration.evaluate.serving.eager import models, scores
from joulecast_calibration.evaluate.serving.eager.models import configurations
from joulecast_calibration.evaluate.serving.eager.rows import FILE, read_eager
from joulecast_calibration.evaluate.serving.scoring import ALL, OWN
from tests.unit.serving.eager.test_bitsandbytes import CONFIG

ROW = {
    "gpu": "RTX-5090", "model": "TinyLlama/TinyLlama-1.1B-Chat-v1.0", "quant": "fp16", "batch": "1",
    "input_tokens": "", "output_tokens": "256", "mean_power_w": "157.0", "j_per_token": "1.57", "ms_per_step": "10.0",
    "usable": "yes",
}  # fmt: skip
OTHER = ROW | {"model": "Qwen/Qwen2-7B", "ms_per_step": "14.0", "j_per_token": "5.5", "mean_power_w": "388.0"}


def table(folder: Path, rows: list[dict[str, str]]) -> Path:
    path = folder / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(ROW))
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model of the table is a small one, so that its class is built in a moment."""
    same = {name: replace(own, config=CONFIG) for name, own in configurations().items()}
    monkeypatch.setattr(models, "configurations", lambda: same)
    for kept in (models.eager_model, models._decoder, models.parameters_read):
        kept.cache_clear()


def test_repeats_are_one_case_and_what_is_weak_is_left_out_by_count(tmp_path: Path) -> None:
    rows = [ROW, ROW | {"ms_per_step": "12.0"}, ROW | {"usable": "weak"}, ROW | {"usable": "no"}, ROW | {"gpu": "T4"}]
    (case,), left_out = read_eager(table(tmp_path, rows))
    assert (case.seconds, len(case.every_seconds), case.cached_tokens) == (0.011, 2, 144)
    assert left_out == {
        "marked weak by the set's README": 1,
        "marked unusable by the set's README": 1,
        "no accelerator of T4": 1,
    }


def test_each_figure_stands_beside_the_rules_and_the_machines_own_host(tmp_path: Path) -> None:
    nf4 = ROW | {"quant": "nf4", "ms_per_step": "18.0"}
    found, _ = scores.read_forecasts(table(tmp_path, [ROW, ROW, nf4, OTHER]))
    whole = {(line.figure, line.system): line.n for line in scores.score_eager(found) if line.part == ALL}
    for figure in (scores.SECONDS, scores.WATTS, scores.JOULES):
        assert whole[figure, OWN] == whole[figure, scores.MEASURED_HOST] == 3
    assert whole[scores.JOULES, scores.LIMIT_TIMES_SECONDS] == whole[scores.JOULES, scores.PROPORTIONAL] == 3
    assert whole[scores.EVERY_ROW, OWN] == 4


def test_the_host_of_a_machine_is_told_by_other_lineages_in_16_bits_alone(tmp_path: Path) -> None:
    one, other = scores.read_forecasts(table(tmp_path, [ROW, OTHER]))[0]
    assert one.measured is not None
    assert one.measured.seconds == pytest.approx(other.case.seconds, rel=0.02)
    (alone,), _ = scores.read_forecasts(table(tmp_path / "alone", [ROW, ROW | {"quant": "nf4"}]))[0][:1], None
    assert alone.measured is None


def test_no_measured_figure_moves_a_forecast(tmp_path: Path) -> None:
    (plain,) = scores.read_forecasts(table(tmp_path / "a", [ROW]))[0]
    changed = ROW | {"ms_per_step": "99.0", "mean_power_w": "1.0", "j_per_token": "77.0"}
    (other,) = scores.read_forecasts(table(tmp_path / "b", [changed]))[0]
    assert other.reference.joules == plain.reference.joules
    assert other.reference.seconds == plain.reference.seconds


def test_no_host_that_ships_moves_a_forecast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (plain,) = scores.read_forecasts(table(tmp_path, [ROW]))[0]
    card = scores.accelerator_named(plain.case.accelerator)
    slower = replace(card, hosts={name: host.paced(3.0) for name, host in card.hosts.items()})
    monkeypatch.setattr(scores, "accelerator_named", lambda _: slower)
    (other,) = scores.read_forecasts(tmp_path)[0]
    assert (other.reference.seconds, other.reference.joules) == (plain.reference.seconds, plain.reference.joules)
