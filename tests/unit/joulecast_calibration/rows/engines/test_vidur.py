"""Reading Vidur's table of single layers: which times are rows of the eager law, and their shapes."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from joulecast_calibration.rows.engines.vidur import VIDUR, read_operators

ENTRY: Mapping[str, object] = {
    "gpu": "a40", "num_tokens": 2048, "num_tensor_parallel_workers": 2, "n_head": 64, "n_kv_head": 8,
    "n_embd": 8192, "n_expanded_embd": 28672, "use_gated_mlp": "True", "emb_ms": 0.2, "input_layernorm_ms": 0.12,
    "attn_pre_proj_ms": 1.2, "attn_rope_ms": 0.1, "attn_post_proj_ms": 1.1, "post_attention_layernorm_ms": 0.12,
    "mlp_up_proj_ms": 7.0, "mlp_act_ms": 0.3, "mlp_down_proj_ms": 3.6, "add_ms": 0.15,
}  # fmt: skip


def write(folder: Path, entries: Sequence[Mapping[str, object]]) -> Path:
    path = folder / VIDUR
    path.parent.mkdir(parents=True)
    with gzip.open(path, "wt", newline="", encoding="utf-8") as text:
        writer = csv.DictWriter(text, list(ENTRY))
        writer.writeheader()
        writer.writerows(entries)
    return folder


def test_a_card_of_a_group_runs_its_share_of_each_product(tmp_path: Path) -> None:
    found = read_operators(write(tmp_path, [ENTRY]))
    assert {row.card for row in found.rows} == {"A40"}
    assert {row.operator: [(c.m, c.n, c.k) for c in row.layer.contractions] for row in found.rows} == {
        "attn_pre_proj": [(2048, (64 + 2 * 8) * 128 // 2, 8192)],
        "attn_post_proj": [(2048, 8192, 8192 // 2)],
        "mlp_up_proj": [(2048, 2 * 28672 // 2, 8192)],
        "mlp_down_proj": [(2048, 8192, 28672 // 2)],
        "add": [],
    }
    (added,) = (row for row in found.rows if row.operator == "add")
    assert added.layer.bytes_moved == 2 * 3 * 2048 * 8192
    assert added.seconds == pytest.approx(1.5e-4)


def test_equal_shapes_count_once_by_their_median(tmp_path: Path) -> None:
    found = read_operators(write(tmp_path, [{**ENTRY, "mlp_up_proj_ms": each} for each in (7.0, 7.2, 9.0)]))
    assert len(found.rows) == 5
    assert [row.seconds for row in found.rows if row.operator == "mlp_up_proj"] == [pytest.approx(7.2e-3)]


def test_every_time_that_is_not_read_is_counted_with_its_reason(tmp_path: Path) -> None:
    one_norm = {**ENTRY, "post_attention_layernorm_ms": "", "attn_post_proj_ms": 0.019}
    found = read_operators(write(tmp_path, [ENTRY, one_norm]))
    assert sorted(found.left_out.values()) == [1, 1, 2, 7]
    assert any("fuses" in reason and n == 7 for reason, n in found.left_out.items())
    assert [row.operator for row in found.rows].count("add") == 1


def test_a_folder_without_the_table_has_no_rows(tmp_path: Path) -> None:
    assert read_operators(tmp_path).rows == ()
