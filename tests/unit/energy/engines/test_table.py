"""Which kind of kernel prices a row, and what of the row it takes."""

from __future__ import annotations

import pytest

from joulecast.energy.engines.table import kernel_of, kernel_table, passes_of, stored_bits
from joulecast.layers import Contraction, LayerProfile
from joulecast.readers.huggingface import read
from joulecast.serving.passes import decode
from joulecast.serving.rows import rows as serve
from tests.models.served import MIXTURES
from tests.unit.energy.engines.models import BF16, FP8, FP8_BLOCKS, INT4, Storage, decoding, filling

INT8 = Storage(dtype="int8", bits=8, arithmetic="bf16", method="gptq")
W8A8 = Storage(dtype="int8", bits=8, arithmetic="int8", method="compressed-tensors")
FP4 = Storage(dtype="float4", bits=4.5, arithmetic="fp4", method="nvfp4")
STATIC = {"quant_method": "fp8", "activation_scheme": "static"}
FP8_FILES = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}
PUBLISHED = {case.origin: case.published for case in MIXTURES}


@pytest.mark.parametrize(
    ("storage", "kernel"),
    [(BF16, "product"), (FP8, "product.fp8"), (INT4, "product.stored4"), (INT8, "product.stored8"),
     (W8A8, "product.int8"), (FP4, "product.fp4"), (FP8_BLOCKS, "product.fp8_block")],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_product_goes_by_how_its_weights_are_stored_and_multiplied(storage: Storage, kernel: str) -> None:
    rows = [row for row in decoding(4, storage=storage) if "mlp" in row.name and row.op_type == "Gemm"]
    assert {kernel_of(row) for row in rows} == {kernel}
    assert [stored_bits(row) for row in rows] == pytest.approx([storage.bits] * len(rows), abs=1e-5)


@pytest.mark.parametrize(("quantised", "kernel"), [(FP8_FILES, "product.fp8_block"), (STATIC, "product.fp8")])
@pytest.mark.parametrize("cards", [1, 4])
def test_scales_of_blocks_are_told_from_biases(quantised: dict[str, object], kernel: str, cards: int) -> None:
    """The query, key and value product of Qwen2 has a bias, whose bytes are about as many as those of its scales."""
    model = read({**PUBLISHED["Qwen/Qwen2-57B-A14B"], "quantization_config": quantised})
    found = {row.name: kernel_of(row) for row in serve(model, decode(8, 10), cards=cards)}
    own = "model.layers.27."
    assert found[f"{own}self_attn.qkv_proj"] == found[f"{own}mlp.shared_expert.down_proj"] == kernel
    assert found[f"{own}mlp.experts.gate_up_proj"] == "experts.fp8", "their tables are those of blocks"
    assert found[f"{own}mlp.gate"] == found["lm_head"] == "product"


@pytest.mark.parametrize(
    ("op_type", "kernel"),
    [("PagedAttention", "decode_attention"), ("FlashAttention", "prefill_attention"),
     ("PagedLatentAttention", "latent_attention"), ("SparseLatentAttention", "latent_attention"),
     ("GroupedGemm", "experts"), ("BatchedGemm", "product"), ("SelectiveScan", "recurrence"),
     ("GatedDeltaUpdate", "recurrence"), ("CausalConvUpdate", "convolution"), ("IndexerScores", "pass"),
     ("RotaryEmbedding", "pass"), ("SiluAndMul", "pass"), ("AllReduce", "AllReduce")],
)  # fmt: skip
def test_an_operator_names_its_kind(op_type: str, kernel: str) -> None:
    products = () if kernel in ("pass", "convolution", "AllReduce") else (Contraction(batch=8, m=4, n=64, k=64),)
    row = LayerProfile(
        name="x",
        op_type=op_type,
        kind="counted",
        dtype="bfloat16",
        macs=sum(each.macs for each in products),
        contractions=products,
        bytes_moved=2 * 8 * 64 * 64,
        weight_numel=8 * 64 * 64,
    )
    assert kernel_of(row) == kernel


def test_causal_attention_is_priced_by_what_runs() -> None:
    row = next(row for row in filling(2048) if row.op_type == "FlashAttention")
    table = kernel_table([row], "vllm")
    assert table.flops[0] == pytest.approx(row.flops / 2, rel=1e-3)
    assert table.units[0] == 8 * 2048 * 4 / 128


def test_a_narrow_cache_has_to_be_widened() -> None:
    wide = next(row for row in decoding(4, 1023) if row.op_type == "PagedAttention")
    cached = 4 * 8 * 1024 * 2 * 128
    narrow = LayerProfile(
        **{name: getattr(wide, name) for name in wide.__slots__} | {"bytes_moved": wide.bytes_moved - cached}
    )
    assert kernel_table([wide, narrow], "vllm").elements.tolist() == [0, cached]


def test_one_latent_cache_that_both_products_read_is_not_a_narrow_one() -> None:
    """Both products of absorbed attention read the same 512 + 64 elements a token."""
    products = (Contraction(batch=4, m=16, n=1000, k=576), Contraction(batch=4, m=16, n=512, k=1000))
    row = LayerProfile(
        name="x", op_type="PagedLatentAttention", kind="counted", dtype="bfloat16", contractions=products,
        macs=sum(each.macs for each in products), bytes_moved=2 * 4 * 1000 * 576,
    )  # fmt: skip
    assert kernel_table([row], "vllm").elements[0] == 0


def test_equal_kernels_are_kept_once() -> None:
    rows = decoding(1)
    found = passes_of([rows, rows], "vllm")
    assert found.size == 2 and found.which.size == 2 * len(rows)
    assert len(found.table.rows) < 20
    assert found.sum(found.table.bytes).tolist() == [sum(row.bytes_moved for row in rows)] * 2


def test_a_row_of_several_kernels_is_not_one_of_a_single_kernel() -> None:
    row = decoding(1)[0]
    several = LayerProfile(**{name: getattr(row, name) for name in row.__slots__} | {"kernels": {"vllm": 3}})
    assert passes_of([[row, several]], "vllm").table.launches.tolist() == [1, 3]
