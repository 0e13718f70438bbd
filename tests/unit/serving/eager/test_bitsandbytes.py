"""What bitsandbytes launches for a linear layer, by its source."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast.energy.features import module_calls
from joulecast.errors import UnsupportedOperatorError
from joulecast.layers import Contraction, LayerProfile
from joulecast.readers import huggingface
from joulecast.readers.decoding.tracing import path_of
from joulecast.serving.eager.bitsandbytes import Options, quantised, residual_writers

CONFIG = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 128, "intermediate_size": 256,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 512,
    "torch_dtype": "float16",
}  # fmt: skip
EIGHT = {"quant_method": "bitsandbytes", "load_in_8bit": True}
FOUR = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
READS_STATE, WRITES_STATE = "model.model.layers.0.mlp.up_proj", "model.model.layers.0.mlp.down_proj"


def product(scope: str = READS_STATE, m: int = 1, n: int = 256, k: int = 128, *, bias: bool = False) -> LayerProfile:
    return LayerProfile(
        name=f"{scope}%1", op_type="Gemm", kind="counted", scope=scope, dtype="float16", macs=m * n * k,
        input_numel=m * k, output_numel=m * n, weight_numel=n * k + n * bias, bytes_moved=2 * (m * k + m * n + n * k),
        kernels={"torch-eager": 1}, contractions=(Contraction(batch=1, m=m, n=n, k=k),),
    )  # fmt: skip


def replaced(row: LayerProfile, stored: dict[str, Any]) -> tuple[LayerProfile, ...]:
    config = {**CONFIG, "quantization_config": stored}
    options = Options.of(config)
    assert options is not None
    return quantised([row], huggingface.read(config), options, path_of)


@pytest.mark.parametrize(
    ("row", "stored", "kernels", "calls", "views"),
    [
        (product(), {**EIGHT, "llm_int8_threshold": 0.0}, 3, 5, 6),
        (product(WRITES_STATE), EIGHT, 7, 6, 8),
        (product(), EIGHT, 19, 7, 9),
        (product(), FOUR, 1, 2, 3),
        (product(bias=True), FOUR, 2, 2, 3),
        (product(), {**FOUR, "bnb_4bit_use_double_quant": True}, 3, 3, 4),
        (product(m=8), FOUR, 2, 3, 4),
    ],
)
def test_kernels_calls_and_views_are_those_of_the_source(
    row: LayerProfile, stored: dict[str, Any], kernels: int, calls: int, views: int
) -> None:
    found = replaced(row, stored)
    assert sum(each.kernels["torch-eager"] for each in found) == kernels
    assert module_calls(found) - module_calls([row]) == calls
    assert sum(each.views for each in found) == views


def test_bytes_are_those_stored_and_multiplications_those_of_the_layer() -> None:
    row = product(n=4096, k=4096)
    weights = {"fp16": 2 * 4096 * 4096, "int8": 4096 * 4096, "nf4": 4096 * 4096 * (4 + 32 / 64) / 8}
    for name, stored in (("int8", {**EIGHT, "llm_int8_threshold": 0.0}), ("nf4", FOUR)):
        found = replaced(row, stored)
        assert sum(each.macs for each in found) == row.macs
        assert sum(each.bytes_moved for each in found) == pytest.approx(weights[name], rel=0.01)


def test_many_rows_of_four_bits_are_unpacked_to_memory_first() -> None:
    row = product(m=8, n=4096, k=4096)
    found = replaced(row, FOUR)
    packed, unpacked = 4096 * 4096 * 4.5 / 8, 2 * 4096 * 4096
    assert sum(each.bytes_moved for each in found) == pytest.approx(packed + 2 * unpacked, rel=0.01)


def test_a_head_and_what_is_no_product_stay_as_they_are() -> None:
    head = product("model.lm_head")
    assert replaced(head, FOUR) == (head,)


def test_inputs_of_16_bits_that_compute_in_32_are_converted_there_and_back() -> None:
    found = replaced(product(), {**FOUR, "bnb_4bit_compute_dtype": "float32"})
    assert [each.op_type for each in found if each.op_type == "Cast"] == ["Cast", "Cast"]


def test_products_that_write_the_residual_read_no_hidden_state() -> None:
    names = {path.rpartition(".")[2] for path in residual_writers(huggingface.read(CONFIG))}
    assert names == {"o_proj", "down_proj"}


def test_other_quantisations_are_refused_by_name() -> None:
    assert Options.of(CONFIG) is None
    with pytest.raises(UnsupportedOperatorError, match="'gptq'"):
        Options.of({"quantization_config": {"quant_method": "gptq", "bits": 4}})
