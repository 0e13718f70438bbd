"""Which rows of vLLM batches have watts and seconds a step."""

from __future__ import annotations

from pathlib import Path

from joulecast_calibration.evaluate.serving.power import read_powers
from tests.unit.joulecast_calibration.evaluate.serving import tables


def test_a_row_is_the_busy_card_without_the_idle_span(tmp_path: Path) -> None:
    (found,), left_out = read_powers(tables.powers(tmp_path, [{}]))
    assert (found.model, found.watts, found.step_seconds) == ("meta-llama/Llama-3.1-8B", 370.0, 0.008)
    assert left_out == {}


def test_a_batch_of_two_waves_has_watts_and_no_step(tmp_path: Path) -> None:
    (found,), _ = read_powers(tables.powers(tmp_path, [{"batch_effective": "512"}]))
    assert (found.batch_size, found.step_seconds) == (256, None)


def test_what_is_not_used_is_counted(tmp_path: Path) -> None:
    rows = [{"usable": "no"}, {"engine": "deepspeed"}, {"model": "Unheard-1B"}, {"gpu0_active_w_est": ""}]
    found, left_out = read_powers(tables.powers(tmp_path, rows))
    assert found == ()
    assert left_out == {
        "marked unusable by the set's README": 1,
        "served by deepspeed": 1,
        "no configuration of Unheard-1B": 1,
        "no watts of the busy card alone": 1,
    }


def test_a_batch_shrinks_between_what_was_published_and_every_sequence_at_the_limit(tmp_path: Path) -> None:
    counts = [{"output_tokens_est": estimate} for estimate in ("8192", "32768", "40000")]
    found, _ = read_powers(tables.powers(tmp_path, counts))
    assert [(row.batch_size, row.running) for row in found] == [(64, 32), (64, 64), (64, 64)]
