"""What cards that share a model do for a normalisation that spans the heads of all of them."""

from __future__ import annotations

import pytest

from joulecast.serving.passes import decode
from joulecast.serving.rows import rows
from joulecast_calibration.evaluate.serving.models import published


@pytest.mark.parametrize(
    ("name", "mode", "sums"), [("MiniMaxAI/MiniMax-M2.5", "fp8", 3), ("Qwen/Qwen3-32B", "", 2)], ids=["all", "each"]
)
def test_a_norm_over_all_heads_sums_its_squares_over_the_cards(name: str, mode: str, sums: int) -> None:
    """MiniMax M2 normalises queries and keys of all heads together, Qwen 3 those of each head."""
    model = published()[name].stored_as(mode)
    found = [row for row in rows(model, decode(16, 100), cards=4) if ".layers.5." in row.name]
    summed = [row for row in found if row.op_type == "AllReduce"]
    assert len(summed) == sums
    assert [row.input_numel for row in summed if row.name.endswith("qk_norm.all_reduce")] == [2 * 16] * (sums - 2)
    assert not [row for row in rows(model, decode(16, 100)) if row.op_type == "AllReduce"]
