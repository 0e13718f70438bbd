"""The formulas that tools are judged by agree with the rows of the engine."""

from __future__ import annotations

import json

import pytest

import joulecast
from benchmarks.language_models import CONFIGURATIONS, EXPECTED_MACS, LLAMA_3_70B, TOKENS, llama_macs


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_pass_has_the_multiply_accumulates_of_the_formula(name, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(dict(CONFIGURATIONS[name])))
    counted = joulecast.profile(tmp_path, input_shapes={"input_ids": (1, TOKENS)})
    assert counted.totals.macs == EXPECTED_MACS[name]


def test_the_formula_of_llama_is_that_of_its_layers():
    one = {**LLAMA_3_70B, "num_hidden_layers": 1}
    layer = 8192 * (8192 + 2 * 1024) + 8192 * 8192 + 3 * 8192 * 28672
    assert llama_macs(one, 10) == 10 * layer + 2 * 10 * 10 * 8192 + 8192 * 128256
