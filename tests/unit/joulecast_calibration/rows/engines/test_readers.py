"""Tables of single kernels become the rows that ``joulecast.serving`` makes of the same kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from joulecast.layers import LayerProfile
from joulecast_calibration.fit.engines.kinds import KINDS
from joulecast_calibration.rows.engines.attention import (
    Shape,
    attention,
    decode_attention,
    latent_attention,
    prefill_attention,
)
from joulecast_calibration.rows.engines.collectives import all_reduces
from joulecast_calibration.rows.engines.elementwise import elementwise
from joulecast_calibration.rows.engines.experts import experts
from joulecast_calibration.rows.engines.products import (
    block_products,
    integer_products,
    plain_products,
    product,
    quantised_products,
)
from joulecast_calibration.rows.engines.states import convolutions, recurrences
from joulecast_calibration.rows.engines.timed import MORE, OPERATORS
from tests.unit.energy.engines import models
from tests.unit.joulecast_calibration.rows.engines.tables import decoding, mixed, write

SAME = ("op_type", "dtype", "macs", "input_numel", "output_numel", "bytes_moved", "contractions")
GDN = {
    "op_name": "gdn", "kernel_source": "fused_recurrent", "phase": "generation", "batch_size": 2, "seq_len": 1,
    "num_tokens": 2, "d_model": 64, "d_conv": 4, "num_k_heads": 2, "head_k_dim": 128, "num_v_heads": 4,
    "head_v_dim": 128, "model_name": "x", "h100_sxm_ms": 0.004,
}  # fmt: skip


def figures(row: LayerProfile, *names: str) -> dict[str, object]:
    return {name: getattr(row, name) for name in names or SAME}


@pytest.mark.parametrize(
    ("storage", "name"),
    [(models.BF16, "bfloat16"), (models.FP8, "fp8"), (models.FP8_BLOCKS, "fp8_block"), (models.INT4, "int4_wo")],
    ids=lambda v: str(v),
)
def test_a_product_is_the_row_that_serving_makes(storage: models.Storage, name: str) -> None:
    served = next(row for row in models.decoding(4, storage=storage) if row.name.endswith("down_proj"))
    assert figures(product(4, 4096, 14336, name)) == figures(served)


@pytest.mark.parametrize(("new", "cached", "kind"), [(1, 1023, "PagedAttention"), (512, 0, "FlashAttention")])
def test_attention_is_the_row_that_serving_makes(new: int, cached: int, kind: str) -> None:
    rows = models.decoding(4, cached) if cached else models.rows_of(models.prefill(4, new))
    served = next(row for row in rows if row.op_type == kind)
    made = attention(Shape(sequences=4, new=new, cached=cached, heads=32, kv_heads=8, head_size=128, window=0))
    told = tuple(name for name in SAME if name != "macs")  # serving tells those of dense attention, all that is seen
    assert figures(made, *told) == figures(served, *told)


def test_decode_reads_the_cache_before_the_token_and_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / MORE / "decode_attention_latency_wide.csv.gz"
    write(path, [decoding(), decoding(kv="fp8"), decoding(head_dim=512), decoding(step=3)])
    found = decode_attention(tmp_path, "h100_sxm")
    assert found is not None and len(found.passes) == 2, "wide heads and caches of a few tokens are left out"
    wide, narrow = (rows[0].bytes_moved for rows in found.passes)
    assert wide - narrow == 4 * 8 * 1024 * 2 * 128
    assert found.seconds.tolist() == pytest.approx([5e-5, 5e-5])
    assert decode_attention(tmp_path, "a100_sxm") is None
    assert prefill_attention(tmp_path, "h100_sxm") is None


def test_a_mixture_has_two_products_of_the_experts_it_touches(tmp_path: Path) -> None:
    skewed, divided = mixed(distribution="power_law_1.2"), mixed(ep=8)
    write(tmp_path / MORE / "moe_latency_wide.csv.gz", [mixed(), skewed, divided, mixed(tp=16), mixed(dtype="nvfp4")])
    found = experts(tmp_path, "h100_sxm", "bfloat16")
    assert found is not None and len(found.passes) == 1
    grouped = [row for row in found.passes[0] if row.op_type == "GroupedGemm"]
    assert [[(c.batch, c.m, c.n, c.k) for c in row.contractions] for row in grouped] == [
        [(128, 1, 1536, 2048)],
        [(128, 1, 2048, 768)],
    ]
    assert [row.weight_numel for row in grouped] == [128 * 1536 * 2048, 128 * 768 * 2048]


def test_products_that_caches_would_feed_are_left_out_of_narrow_formats(tmp_path: Path) -> None:
    sizes = [
        {"m": m, "n": n, "k": 4096, "dtype": "int4_wo", "a100_sxm_x_ms": 0.1} for m in (1, 512) for n in (4096, 32768)
    ]
    write(tmp_path / MORE / "gemm_weightonly_int_latency_wide.csv.gz", sizes)
    found = integer_products(tmp_path, "a100_sxm", "int4_wo")
    assert found is not None
    kept = sorted((rows[0].contractions[0].m, rows[0].contractions[0].n) for rows in found.passes)
    assert kept == [(1, 32768), (512, 4096), (512, 32768)]


def test_products_that_were_launched_one_by_one_are_left_out(tmp_path: Path) -> None:
    """Most of the table takes what a launch takes; a row that takes twice as long hides it."""
    taken = [0.1, 0.1, 0.11, 0.09, 0.1, 0.15, 0.5, 3.0]
    sizes = [{"dtype": "fp8_block", "m": 2**n, "n": 4096, "k": 4096, "h100_sxm_ms": ms} for n, ms in enumerate(taken)]
    write(tmp_path / MORE / "gemm_quantised_latency_wide.csv.gz", sizes)
    found = block_products(tmp_path, "h100_sxm")
    assert found is not None and found.seconds.tolist() == pytest.approx([5e-4, 3e-3])
    assert block_products(tmp_path, "b200_sxm") is None


def test_a_column_belongs_to_the_card_that_it_begins_with(tmp_path: Path) -> None:
    row = {"m": 1, "n": 4096, "k": 4096, "b200_sxm_ms": 0.01, "gb200_ms": 0.02}
    write(tmp_path / OPERATORS / "gemm_bf16_latency_wide.csv.gz", [row])
    for card, seconds in (("b200_sxm", 1e-5), ("gb200", 2e-5)):
        found = plain_products(tmp_path, card)
        assert found is not None and found.seconds.tolist() == pytest.approx([seconds])
    assert quantised_products(tmp_path, "gb200", "fp8") is None


def test_an_update_reads_and_writes_its_state(tmp_path: Path) -> None:
    taps = GDN | {"kernel_source": "causal_conv1d_update"}
    write(tmp_path / MORE / "gdn_latency_wide.csv.gz", [GDN, GDN | {"phase": "context", "seq_len": 100}, taps])
    found = recurrences(tmp_path, "h100_sxm")
    assert found is not None
    update, scan = (rows[0] for rows in found.passes)
    state = 2 * 4 * 128 * 128
    assert update.bytes_moved == 2 * state * 4 + 2 * (2 * (2 * 2 + 4) * 128 + 2 * 2 * 4 + 2 * 4 * 128)
    assert update.macs == 3 * state
    assert {each.batch for each in scan.contractions} == {2 * 4} and scan.kernels == {"vllm": 6}
    assert sum(c.m for c in scan.contractions if c.n == 128 and c.k == 128 and c.m != 128) == 2 * 100
    other = convolutions(tmp_path, "h100_sxm")
    assert other is not None and [rows[0].op_type for rows in other.passes] == ["CausalConvUpdate"]


def test_passes_shorter_than_a_profilers_own_cost_are_left_out(tmp_path: Path) -> None:
    entry = {
        "gpu": "h100", "num_tokens": 4096, "num_tensor_parallel_workers": 1, "n_head": 64, "n_kv_head": 8,
        "n_embd": 8192, "n_expanded_embd": 22016, "use_gated_mlp": "True", "input_layernorm_ms": 0.12,
        "attn_rope_ms": 0.1, "mlp_act_ms": 0.28, "add_ms": 0.005,
    }  # fmt: skip
    write(tmp_path / "vidur_op_latency" / "mlp_op_latency.csv.gz", [entry])
    found = elementwise(tmp_path, "h100_sxm")
    assert found is not None
    assert {rows[0].op_type: rows[0].bytes_moved for rows in found.passes} == {
        "RMSNorm": 2 * (2 * 4096 + 1) * 8192,
        "RotaryEmbedding": 2 * 2 * 4096 * 72 * 128,
        "SiluAndMul": 2 * 3 * 4096 * 22016,
    }


def test_messages_are_read_by_degree_from_the_engines_own_kernel(tmp_path: Path) -> None:
    row = {"gpu": "h100_sxm", "kernel_source": "vLLM_custom_graph", "num_gpus": 2, "message_elements": 1 << 20}
    rows = [row | {"latency_ms": 0.02}, row | {"num_gpus": 8, "latency_ms": 0.03}]
    rows += [row | {"kernel_source": "NCCL", "latency_ms": 9}, row | {"message_elements": 16, "latency_ms": 9}]
    write(tmp_path / MORE / "collectives_latency.csv.gz", rows)
    found = all_reduces(tmp_path, "h100_sxm")
    assert {degree: (m.bytes.tolist(), m.seconds.tolist()) for degree, m in found.items()} == {
        "2": ([2 << 20], pytest.approx([2e-5])),
        "8": ([2 << 20], pytest.approx([3e-5])),
    }


def test_a_host_without_peer_access_does_not_tell_of_a_card_whose_other_host_has_it(tmp_path: Path) -> None:
    row = {"gpu": "l40s", "num_gpus": 8, "message_elements": 1 << 20, "backend": "vllm-0.22.0"}
    own = row | {"kernel_source": "vLLM_custom_graph", "latency_ms": 2.0}
    other = row | {"kernel_source": "SGLang_CustomAllReduce_graph", "backend": "sglang-0.5.12"}
    for milliseconds, seconds in ((1.5, 2e-3), (0.3, 3e-4)):
        write(tmp_path / MORE / "collectives_latency.csv.gz", [own, other | {"latency_ms": milliseconds}])
        assert all_reduces(tmp_path, "l40s")["8"].seconds.tolist() == pytest.approx([seconds])
    write(tmp_path / MORE / "collectives_latency.csv.gz", [row | {"kernel_source": "NCCL", "latency_ms": 1.0}])
    assert all_reduces(tmp_path, "l40s") == {}


def test_cards_that_multiply_blocks_of_four_bits_unpack_integers_alone(tmp_path: Path) -> None:
    cards = {"h100_sxm_ms": 0.4, "b200_sxm_ms": 0.3}
    write(tmp_path / MORE / "moe_latency_wide.csv.gz", [mixed(dtype=d) | cards for d in ("int4_wo", "w4a16_mxfp4")])
    found = [KINDS["experts.stored4"].read(tmp_path, card) for card in ("h100_sxm", "b200_sxm")]
    assert [len(each.passes) for each in found if each is not None] == [2, 1]


def test_held_out_shapes_are_the_same_for_every_card_and_about_a_fifth(tmp_path: Path) -> None:
    rows = [
        {"m": m, "n": n, "k": 4096, "h100_sxm_ms": 0.1, "h200_sxm_ms": 0.07}
        for m in range(1, 65) for n in (1024, 2048, 4096)
    ]  # fmt: skip
    write(tmp_path / OPERATORS / "gemm_bf16_latency_wide.csv.gz", rows)
    one, other = (plain_products(tmp_path, card) for card in ("h100_sxm", "h200_sxm"))
    assert one is not None and other is not None
    assert np.array_equal(one.held, other.held) and 0.1 < one.held.mean() < 0.3
    assert len(one.thinned(50).passes) == 50 and len(one.thinned(500).passes) == 192


def test_latent_attention_reads_one_vector_a_token(tmp_path: Path) -> None:
    entry = {
        "gpu": "b200_sxm", "op": "generation_mla", "kv_cache_dtype": "bfloat16", "num_heads": 16, "batch_size": 4,
        "isl": 1, "step": 999, "latency_ms": 0.03,
    }  # fmt: skip
    write(tmp_path / MORE / "mla_power.csv.gz", [entry, entry | {"op": "mla_generation_module"}])
    found = latent_attention(tmp_path, "b200_sxm")
    assert found is not None and len(found.passes) == 1
    (made,) = found.passes[0]
    assert made.bytes_moved == 2 * 4 * 1000 * 576 + 2 * 4 * 16 * (576 + 512)
    assert made.macs == 4 * 16 * 1000 * (576 + 512)
