"""Which published rows are cases, and why the others are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from joulecast_calibration.evaluate.serving.latency import read_latencies
from joulecast_calibration.evaluate.serving.models import published
from tests.unit.joulecast_calibration.evaluate.serving import tables

EXPERTS = {"model_path": "Qwen/Qwen3-235B-A22B-FP8"}


def test_repeats_of_other_versions_are_one_row_at_their_geometric_mean(tmp_path: Path) -> None:
    repeats = [{"silicon_tpot_ms": "10.0"}, {"silicon_tpot_ms": "40.0", "backend_version": "0.14.0"}]
    (found,) = read_latencies(tables.latencies(tmp_path, repeats)).rows
    assert found.seconds == pytest.approx(0.020)
    assert found.repeats == 2
    assert (found.lineage, found.cards, found.concurrency) == ("Llama 3.1", 4, 16)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"backend": "trtllm"}, "served by trtllm"),
        ({"model_path": "zhipuai/GLM-5"}, "vllm: no configuration of zhipuai/GLM-5"),
        ({"gemm_quant_mode": "int3"}, "vllm: meta-llama/Llama-3.1-70B stored as int3"),
        ({"attention_dp_size": "2.0", "moe_tp_size": "8.0"}, "vllm: data or pipeline parallel"),
        ({"tp_size": "16.0", "moe_tp_size": "16.0"}, "vllm: more cards than one server has"),
        (EXPERTS | {"moe_tp_size": "1.0", "moe_ep_size": "4.0"}, "vllm: expert parallel"),
    ],
)
def test_what_the_forecast_does_not_cover_is_left_out_by_name(tmp_path: Path, row: dict[str, str], reason: str) -> None:
    found = read_latencies(tables.latencies(tmp_path, [row]))
    assert found.rows == ()
    assert found.left_out == {reason: 1}


@pytest.mark.parametrize(
    "row",
    [
        EXPERTS | {"tp_size": "1.0", "moe_tp_size": "4.0"},
        EXPERTS | {"tp_size": "2.0", "attention_dp_size": "", "moe_tp_size": "4.0"},
        EXPERTS | {"moe_tp_size": ""},
        {"tp_size": "1.0", "moe_tp_size": "2.0"},
    ],
)
def test_fields_that_contradict_each_other_are_left_out_whatever_was_measured(
    tmp_path: Path, row: dict[str, str]
) -> None:
    for milliseconds in ("1.0", "1000.0"):
        found = read_latencies(tables.latencies(tmp_path, [row | {"silicon_tpot_ms": milliseconds}]))
        (reason,) = found.left_out
        assert "contradict" in reason


def test_dense_models_may_say_nothing_of_experts(tmp_path: Path) -> None:
    rows = [
        {"moe_tp_size": one, "moe_ep_size": one, "isl": isl} for one, isl in (("1.0", "1"), ("0.0", "2"), ("", "3"))
    ]
    assert len(read_latencies(tables.latencies(tmp_path, rows)).rows) == 3


def test_rows_are_forecast_with_the_lengths_and_the_cache_that_their_benchmarks_scripts_set(tmp_path: Path) -> None:
    """InferenceX draws lengths from 0.8 of the stated one up to it."""
    dense = {"model_path": "Qwen/Qwen3-32B", "gemm_quant_mode": "", "system": "h100_sxm"}
    narrow = [{}, {"model_path": "openai/gpt-oss-120b", "gemm_quant_mode": "nvfp4"}]
    rows = [*narrow, narrow[1] | {"system": "b200_sxm"}, dense]
    found = read_latencies(tables.latencies(tmp_path, rows)).rows
    assert [(row.input_tokens, row.cache_precision) for row in found] == [
        (922, "fp8"), (922, "default"), (922, "fp8"), (1024, "default"),
    ]  # fmt: skip
    model = published()["openai/gpt-oss-120b"]
    assert model.stored_as("nvfp4", "fp8").cache_dtype == "float8"
    assert model.stored_as("nvfp4", "fp8") is model.stored_as("nvfp4", "fp8")
