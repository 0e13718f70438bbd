"""Real architectures, read from graphs without weights, count exactly as independent tools count them.

The graphs lie under ``tests/models`` with the script that exported them. Each number was confirmed by torchvision's
own metadata,
by fvcore's activations, by torch's FlopCounterMode, or by arithmetic on the published configuration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from joulecast.canonical import canonicalise
from joulecast.counting import count, coverage, totals
from joulecast.energy import networks
from joulecast.layers import Workload
from joulecast.readers.onnx import read
from tests import wheels
from tests.models.golden import FILED, INDEX, MODELS, graph

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from joulecast.graph import ModelGraph
    from joulecast.layers import Totals

LARGEST_BYTES = 4_000_000

GOLDEN = {
    # name: (MACs, params, activations, MAC rows), batch 1; language models read 128 tokens
    "resnet50": (4_089_184_256, 25_557_032, 11_114_984, 54),
    "mobilenet_v2": (300_774_272, 3_504_872, 6_679_112, 53),
    "vit_base_patch16_224": (17_563_828_224, 86_567_656, 18_307_048, 62),
    "bert_base": (11_174_215_680, 109_482_240, 11_797_248, 85),
    "wav2vec2_base_ctc": (
        6_912_578_560,
        94_396_320 - 768,
        7_841_056,
        94,
    ),  # 768: the mask embedding, for training alone
    "whisper_small": (193_981_393_920, 241_734_912, 170_030_692, 231),
    "opt_125m": (16_115_564_544, 125_239_296, 18_231_296, 85),
    "gpt2": (16_114_089_984, 124_439_808, 18_229_376, 61),
    "bloom_560m": (72_343_355_392, 559_214_592, 69_861_376, 145),
    "gpt_neo_1.3b": (169_404_006_400, 1_315_575_808, 75_638_912, 193),
    "mixtral_8x7b": (1_636_114_104_320, 46_702_792_704, 331_284_480, 257),  # bfloat16; two experts of eight a token
    "llama_3_8b": (964_891_246_592, 8_030_261_248, 209_354_752, 257),
    "llama_3_8b_last_logit": (898_173_501_440, 8_030_261_248, 193_066_240, 257),
}
"""The table that counts are checked against, where its rounding leaves digits open completed by the same formulas."""

DECODING_GMACS = {128: 7.5385, 1024: 7.7734, 2048: 8.0418}
"""Llama-3-8B, one step with a cache of that many positions."""

TORCHVISION = {
    # name: (10⁹ multiply-adds as `_ops`, `num_params`) in the metadata of torchvision 0.29's first weights
    "alexnet": (0.714, 61_100_840),
    "convnext_tiny": (4.456, 28_589_128),
    "densenet121": (2.834, 7_978_856),
    "efficientnet_b0": (0.386, 5_288_548),
    "mobilenet_v2": (0.301, 3_504_872),
    "mobilenet_v3_large": (0.217, 5_483_032),
    "regnet_y_400mf": (0.402, 4_344_144),
    "resnet50": (4.089, 25_557_032),
    "shufflenet_v2_x1_0": (0.145, 2_278_604),
    "squeezenet1_0": (0.819, 1_248_424),
    "swin_t": (4.491, 28_288_354),
}

A100_SET = {
    # name: (params, MAC rows as eager code runs them): parameters as published for each configuration, bodies alone
    "resnet101": (44_549_160, 105),
    "vit-large": (304_351_232, 194),
    "bert-large": (335_141_888, 193),
    "gpt2": (124_439_808, 72),
    "opt-1.3b": (1_315_758_080, 192),
    "qwen2-1.5b": (1_543_714_304, 252),
    "mobilevit-small": (4_937_632, 107),
}


def canonical_totals(model: ModelGraph) -> Totals:
    return totals(count(canonicalise(model)))


@pytest.mark.parametrize("name", GOLDEN)
def test_counts_are_exact(name: str) -> None:
    found = canonical_totals(graph(name))
    assert (found.macs, found.params, found.activations, found.mac_rows) == GOLDEN[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", FILED)
def test_canonical_rows_conserve_what_is_counted(name: str) -> None:
    model = graph(name)
    before, after = totals(count(model)), canonical_totals(model)
    assert (after.macs, after.params) == (before.macs, before.params)
    assert after.bytes_moved <= before.bytes_moved
    assert coverage(count(canonicalise(model))).unsupported == ()


@pytest.mark.parametrize("name", ["llama_3_8b", "whisper_small", "bloom_560m", "mobilenet_v2"])
@pytest.mark.parametrize("eager", [False, True])
def test_a_canonical_graph_is_a_fixed_point(name: str, eager: bool) -> None:
    once = canonicalise(graph(name), eager=eager)
    assert canonicalise(once, eager=eager) == once


@pytest.mark.slow
@pytest.mark.parametrize("past", DECODING_GMACS)
def test_a_decoding_step_grows_with_its_cache(past: int) -> None:
    found = canonical_totals(graph("llama_3_8b_decode", past))
    assert round(found.macs / 1e9, 4) == DECODING_GMACS[past]
    assert found.mac_rows == 257


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision_says_the_same_of_its_models(name: str) -> None:
    found = canonical_totals(graph(name))
    assert (round(found.macs / 1e9, 3), found.params) == TORCHVISION[name]


@pytest.mark.parametrize("name", ["whisper_small", "llama_3_8b"])
def test_separate_norms_and_gates_become_rows_of_their_own(name: str) -> None:
    op_types = {row.op_type for row in count(canonicalise(graph(name))) if row.kind == "zero"}
    assert {"whisper_small": {"LayerNormalization", "Gelu"}, "llama_3_8b": {"RMSNormalization", "Swish"}}[
        name
    ] <= op_types
    assert not op_types & {"Sigmoid", "Pow", "Erf", "Sqrt", "ReduceMean", "IsNaN", "Softmax"}


@pytest.mark.slow
@pytest.mark.parametrize("name", networks.installed())
def test_the_networks_of_the_a100_set_are_the_published_ones(name: str) -> None:
    network = networks.installed()[name]
    length = 128 if "input_ids" in network.inputs else None
    model = read(network.skeleton(), network.workload(batch_size=2, sequence_length=length), name=name)
    rows = count(canonicalise(model, eager=True))
    assert (totals(rows).params, totals(rows).mac_rows) == A100_SET[name.rpartition("-")[0]]
    assert coverage(rows).unsupported == ()


def test_eager_resnet_launches_what_its_code_calls() -> None:
    """104 convolutions, as many batch normalisations, 100 rectifiers, 33 additions, two poolings and the classifier."""
    network = networks.installed()["resnet101-float32"]
    model = read(network.skeleton(), network.workload(batch_size=1), name="resnet101")
    assert totals(count(canonicalise(model, eager=True))).kernels["torch-eager"] == 104 + 104 + 100 + 33 + 2 + 1


def test_the_text_recogniser_fuses_its_attention() -> None:
    """onnxruntime executed 34,989,960 output elements; 2 × 6 × 8 × 40 × 40 of them are scores."""
    model = read(wheels.ocr("rec").read_bytes(), Workload(input_shapes={"x": (6, 3, 48, 320)}), name="rec")
    assert totals(count(model)).activations == 34_989_960
    assert canonical_totals(model).activations == 34_836_360
    assert canonical_totals(model).macs == 4_214_816_640


def test_what_the_exporter_refused_is_listed_with_its_error() -> None:
    refused = {name: entry["error"] for name, entry in INDEX.items() if "file" not in entry}
    assert set(INDEX) == set(FILED) | set(refused)
    assert all(error for error in refused.values())
    assert not set(refused) & (set(GOLDEN) | set(TORCHVISION))


def test_the_graphs_stay_small() -> None:
    files = [*MODELS.glob("*.onnx.gz")]
    assert {path.name for path in files} == {INDEX[name]["file"] for name in FILED}
    assert sum(path.stat().st_size for path in files) <= LARGEST_BYTES
