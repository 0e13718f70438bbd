"""Models that generate by one stack of layers, dense."""

from __future__ import annotations

from dataclasses import replace

from joulecast.readers.huggingface.architectures import rules
from joulecast.readers.huggingface.architectures.entry import Decoder

LLAMA = Decoder(
    model_type="llama",
    classes="Llama",
    query_bias="attention_bias",
    output_bias="attention_bias",
    mlp_bias="mlp_bias",
)

MISTRAL = Decoder(model_type="mistral", classes="Mistral", windows=rules.one_window)

QWEN2 = Decoder(model_type="qwen2", classes="Qwen2", query_bias=True, windows=rules.window_after)

QWEN3 = replace(
    QWEN2,
    model_type="qwen3",
    classes="Qwen3",
    query_bias="attention_bias",
    output_bias="attention_bias",
    query_norm="head",
)

DECODERS = (LLAMA, MISTRAL, QWEN2, QWEN3)
