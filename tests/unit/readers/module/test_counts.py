"""Counts of modules, exact: the networks and the layers whose figures independent tools confirm."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from joulecast.canonical import canonicalise
from joulecast.counting import count, coverage, totals
from joulecast.layers import Totals
from joulecast.readers.module import graph_of, trace
from tests.models import modules
from tests.models.architectures import EXPORTS
from tests.unit.readers.small_modules import Function

BY_NAME = {export.name: export for export in EXPORTS}

NETWORKS = {
    # name: (MACs, params, activations, MAC rows), batch 1; language models read 128 tokens
    "resnet50": (4_089_184_256, 25_557_032, 11_114_984, 54),
    "mobilenet_v2": (300_774_272, 3_504_872, 6_679_112, 53),
    "vit_base_patch16_224": (17_563_828_224, 86_567_656, 18_307_048, 62),
    "bert_base": (11_174_215_680, 109_482_240, 11_797_248, 85),
    "wav2vec2_base_ctc": (6_912_578_560, 94_396_320 - 768, 7_841_056, 94),  # 768: a mask embedding, read in training
    "whisper_small": (193_981_393_920, 241_734_912, 170_030_692, 231),
    "opt_125m": (16_115_564_544, 125_239_296, 18_231_296, 85),
    "gpt2": (16_114_089_984, 124_439_808, 18_229_376, 61),
    "bloom_560m": (72_343_355_392, 559_214_592, 69_861_376, 145),
    "gpt_neo_1.3b": (169_404_006_400, 1_315_575_808, 75_638_912, 193),
    "mixtral_8x7b": (1_636_114_104_320, 46_702_792_704, 331_284_480, 257),
    "mixtral_8x7b_grouped": (1_636_114_104_320, 46_702_792_704, 331_284_480, 257),
    "llama_3_8b": (964_891_246_592, 8_030_261_248, 209_354_752, 257),
    "llama_3_8b_last_logit": (898_173_501_440, 8_030_261_248, 193_066_240, 257),
}

DECODING_GMACS = {128: 7.5385, 1024: 7.7734, 2048: 8.0418}
"""Llama-3-8B, one step with a cache of that many positions."""


def counted(module: nn.Module, *args: Any, eager: bool = False, **kwargs: Any) -> Totals:
    rows = count(canonicalise(graph_of(trace(module, args, kwargs)), eager=eager))
    assert coverage(rows).unsupported == ()
    return totals(rows)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_count_exactly(name: str) -> None:
    module, arguments = modules.built(BY_NAME[name])
    found = counted(module, **arguments)
    assert (found.macs, found.params, found.activations, found.mac_rows) == NETWORKS[name]


@pytest.mark.slow
@pytest.mark.parametrize("past", DECODING_GMACS)
def test_a_decoding_step_grows_with_its_cache(past: int) -> None:
    module, arguments = modules.built(BY_NAME["llama_3_8b_decode"], length=past)
    found = counted(module, **arguments)
    assert (round(found.macs / 1e9, 4), found.mac_rows) == (DECODING_GMACS[past], 257)


@pytest.mark.parametrize(
    ("layer", "shape", "macs"),
    [
        (nn.Conv2d(16, 32, 3, padding=1, groups=4), (1, 16, 32, 32), 1_179_648),
        (nn.Conv2d(16, 16, 3, padding=1, groups=16), (1, 16, 32, 32), 147_456),
        (nn.ConvTranspose2d(16, 8, 4, stride=2, padding=1), (1, 16, 32, 32), 2_097_152),
        (nn.ConvTranspose2d(16, 8, 4, stride=2, padding=1, groups=4), (1, 16, 32, 32), 524_288),
        (nn.Conv1d(16, 32, 3), (2, 16, 34), 2 * 32 * 32 * 16 * 3),
        (nn.Conv3d(4, 8, 3, padding="same"), (1, 4, 6, 6, 6), 6**3 * 8 * 4 * 27),
        (nn.LSTM(64, 128, 2), (10, 2, 64), 4_587_520),
        (nn.LSTM(64, 128, 2, batch_first=True), (2, 10, 64), 4_587_520),
        (nn.LSTM(64, 128, bidirectional=True), (10, 2, 64), 3_932_160),
        (nn.GRU(64, 128), (10, 2, 64), 1_474_560),
        (nn.RNN(64, 128, nonlinearity="relu"), (10, 2, 64), 491_520),
        (nn.LSTMCell(64, 128), (2, 64), 2 * 512 * 192),
        (nn.GRUCell(64, 128), (2, 64), 2 * 384 * 192),
        (nn.RNNCell(64, 128), (2, 64), 2 * 128 * 192),
        (nn.Linear(64, 32), (2, 3, 64), 6 * 64 * 32),
        (nn.Linear(64, 32, bias=False), (64,), 64 * 32),
        (nn.Identity(), (3,), 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_layers_count_exactly(layer: nn.Module, shape: tuple[int, ...], macs: int) -> None:
    found = counted(layer, torch.zeros(shape))
    assert found.macs == macs
    assert found.params == sum(parameter.numel() for parameter in layer.parameters())
    assert counted(layer, torch.zeros(shape), eager=True).macs == macs


A, B, C = torch.zeros(2, 3, 4, 5), torch.zeros(2, 3, 5, 6), torch.zeros(3, 4, 5)


@pytest.mark.parametrize(
    ("function", "operands", "macs"),
    [
        (torch.matmul, (A, B), 2 * 3 * 4 * 5 * 6),
        (lambda a, b: a @ b, (A, B), 2 * 3 * 4 * 5 * 6),
        (lambda a, b: b.__rmatmul__(a), (A, B), 2 * 3 * 4 * 5 * 6),
        (torch.bmm, (C, C.transpose(1, 2)), 3 * 4 * 5 * 4),
        (torch.baddbmm, (torch.zeros(3, 4, 4), C, C.transpose(1, 2)), 3 * 4 * 5 * 4),
        (torch.addbmm, (torch.zeros(4, 4), C, C.transpose(1, 2)), 3 * 4 * 5 * 4),
        (torch.mm, (C[0], C[0].T), 4 * 5 * 4),
        (torch.addmm, (torch.zeros(4, 4), C[0], C[0].T), 4 * 5 * 4),
        (torch.mv, (C[0], torch.zeros(5)), 4 * 5),
        (torch.addmv, (torch.zeros(4), C[0], torch.zeros(5)), 4 * 5),
        (torch.dot, (torch.zeros(5), torch.zeros(5)), 5),
        (torch.outer, (torch.zeros(4), torch.zeros(5)), 0),
        (lambda a, b: torch.einsum("bhij,bhjk->bhik", a, b), (A, B), 2 * 3 * 4 * 5 * 6),
        (lambda a, b: torch.einsum("bhij,bhjk->bhik", [a, b]), (A, B), 2 * 3 * 4 * 5 * 6),
        (lambda a, b: torch.tensordot(a, b, dims=1), (C[0], B[0, 0]), 4 * 5 * 6),
        (torch.chain_matmul, (C[0], B[0, 0]), 4 * 5 * 6),
        (torch.cdist, (C, C), 0),
        (nn.functional.bilinear, (C[0], C[0], torch.zeros(7, 5, 5)), 4 * 7 * 5 * 5 + 4 * 7 * 5),
        (nn.functional.scaled_dot_product_attention, (A, A, A), 2 * 2 * 3 * 4 * 4 * 5),
        (nn.functional.scaled_dot_product_attention, (C, C, C), 2 * 3 * 4 * 4 * 5),
        (nn.functional.scaled_dot_product_attention, (A[None], A[None], A[None]), 2 * 2 * 3 * 4 * 4 * 5),
    ],
)
def test_products_count_exactly(function: Any, operands: tuple[torch.Tensor, ...], macs: int) -> None:
    assert counted(Function(function), *operands).macs == macs
    assert counted(Function(function), *operands, eager=True).macs == macs


def test_multi_head_attention_is_entered() -> None:
    layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
    found = counted(layer, torch.zeros(2, 10, 64))
    assert found.macs == 2 * 10 * (4 * 64 * 64 + 2 * 64 * 128) + 2 * 2 * 10 * 10 * 64
    assert found.mac_rows == 5
    assert torch.backends.mha.get_fastpath_enabled()


def test_shared_parameters_count_once() -> None:
    shared = nn.Linear(8, 8)
    found = counted(nn.Sequential(shared, nn.ReLU(), shared), torch.zeros(1, 8))
    assert (found.params, found.macs) == (72, 128)


def test_batch_normalisation_is_a_row_of_eager_mode_only() -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
    image = torch.zeros(1, 3, 8, 8)
    assert counted(module, image).kernels["onnxruntime-cuda"] == 2
    assert counted(module, image, eager=True).kernels["torch-eager"] == 4  # convolution, bias, normalisation, rectifier
    assert counted(module, image).params == counted(module, image, eager=True).params == 8 * 27 + 8 + 16
