"""The dtype of cached keys and values, as quantised files state it."""

from __future__ import annotations

import pytest

from joulecast.readers.huggingface import read
from joulecast.serving.memory import cache_bytes
from joulecast.serving.passes import decode
from joulecast.serving.rows import rows
from tests.models.served import CASES, MIXTURES
from tests.unit.readers.huggingface.test_quantisation import NVFP4, W8A8_FLOAT

FLOAT = {"num_bits": 8, "type": "float", "dynamic": False, "symmetric": True}
PUBLISHED = {case.origin: case.published for case in (*CASES, *MIXTURES) if case.origin}
LLAMA = PUBLISHED["meta-llama/Meta-Llama-3-8B"]


@pytest.mark.parametrize(
    "quantised",
    [
        W8A8_FLOAT | {"kv_cache_scheme": FLOAT},
        NVFP4 | {"kv_cache_scheme": FLOAT},
        NVFP4 | {"kv_cache_quant_algo": "FP8"},
        {"quant_method": "modelopt", "quantization": {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8"}},
    ],
)
def test_files_may_ask_for_a_cache_in_eight_bits(quantised):
    model = read({**LLAMA, "quantization_config": quantised})
    assert model.cache_dtype == "float8"
    assert cache_bytes(model, 10) * 2 == cache_bytes(read(LLAMA), 10) == 10 * 131_072


def test_a_cache_is_kept_as_activations_are_where_nothing_says_otherwise():
    assert read(LLAMA).cache_dtype is None
    for nothing in (None, {}, ""):
        model = read({**LLAMA, "quantization_config": W8A8_FLOAT | {"kv_cache_scheme": nothing}})
        assert (model.cache_dtype, model.notes) == (None, ())


@pytest.mark.parametrize("algorithm", ["NVFP4", "INT8", ["FP8"]])
def test_what_engines_do_not_cache_in_is_told(algorithm):
    model = read({**LLAMA, "quantization_config": NVFP4 | {"kv_cache_quant_algo": algorithm}})
    assert model.cache_dtype is None
    assert "it is kept as activations are" in model.notes[-1]


@pytest.mark.parametrize("origin", ["meta-llama/Meta-Llama-3-8B", "deepseek-ai/DeepSeek-V3"])
def test_attention_reads_half_the_cache_in_eight_bits(origin):
    def attended(**more):
        found = rows(read({**PUBLISHED[origin], **more}), decode(4, 4000))
        return {row.name: row.bytes_moved for row in found if row.op_type.startswith("Paged")}

    half = attended(quantization_config=W8A8_FLOAT | {"kv_cache_scheme": FLOAT})
    for name, moved in attended().items():
        assert 0.5 * moved < half[name] < 0.6 * moved
