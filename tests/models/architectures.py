"""The models whose counts are known from independent tools, with their configurations pinned: nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import timm
import torch
import torchvision
import transformers
from torch import nn
from torch._subclasses.fake_tensor import unset_fake_temporarily

Built = tuple[nn.Module, dict[str, Any], dict[str, Any] | None]
"""A module, its arguments by name, and the dimensions of each that stay symbolic."""

DYNAMIC = torch.export.Dim.DYNAMIC


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    name: str
    build: Callable[[], Built]
    opset: int = 20
    dtype: str = "float32"
    description: dict[str, Any] = field(default_factory=dict)


class Output(nn.Module):
    """One output of a model, called with options."""

    def __init__(self, model: nn.Module, output: int | str = "logits", **options: Any) -> None:
        super().__init__()
        self.model, self.output, self.options = model, output, options


class Text(Output):
    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=input_ids, **self.options)[self.output]


class Waveform(Output):
    def forward(self, input_values: torch.Tensor) -> torch.Tensor:
        return self.model(input_values=input_values, **self.options)[self.output]


class Speech(Output):
    def forward(self, input_features: torch.Tensor, decoder_input_ids: torch.Tensor) -> torch.Tensor:
        return self.model(input_features=input_features, decoder_input_ids=decoder_input_ids, **self.options)[
            self.output
        ]


class Decoding(nn.Module):
    """One step of generation: a token, and a cache that already holds ``past`` positions."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, keys: list[torch.Tensor], values: list[torch.Tensor]) -> torch.Tensor:
        cache = transformers.DynamicCache()
        for layer, (key, value) in enumerate(zip(keys, values, strict=True)):
            cache.update(key, value, layer)
        return self.model(input_ids=input_ids, past_key_values=cache, use_cache=True).logits


def real(build: Callable[[], nn.Module]) -> nn.Module:
    """A model that reads values while it is built (schedules, widths), so no fake tensor will do."""
    with unset_fake_temporarily():
        return build()


def image(build: Callable[[], nn.Module], size: int = 224) -> Built:
    return build(), {"x": torch.zeros(2, 3, size, size)}, {"x": {0: DYNAMIC}}


def text(model: type[nn.Module], config: Any, output: int | str = "logits", **options: Any) -> Built:
    ids = torch.zeros(2, 16, dtype=torch.long)
    return Text(model(config), output, **options), {"input_ids": ids}, {"input_ids": {0: DYNAMIC, 1: DYNAMIC}}


def fixed_text(model: type[nn.Module], config: Any, **options: Any) -> Built:
    return Text(model(config), **options), {"input_ids": torch.zeros(1, 128, dtype=torch.long)}, None


def waveform() -> Built:
    return Waveform(transformers.Wav2Vec2ForCTC(WAV2VEC2)), {"input_values": torch.zeros(1, 16000)}, None


def speech() -> Built:
    inputs = {"input_features": torch.zeros(1, 80, 3000), "decoder_input_ids": torch.zeros(1, 4, dtype=torch.long)}
    return Speech(transformers.WhisperForConditionalGeneration(WHISPER), use_cache=False), inputs, None


def decoding() -> Built:
    shape = (2, LLAMA.num_key_value_heads, 16, LLAMA.hidden_size // LLAMA.num_attention_heads)
    cache = [torch.zeros(shape) for _ in range(LLAMA.num_hidden_layers)]
    free = [{0: DYNAMIC, 2: DYNAMIC} for _ in cache]
    inputs = {"input_ids": torch.zeros(2, 1, dtype=torch.long), "keys": cache, "values": list(cache)}
    return (
        Decoding(transformers.LlamaForCausalLM(LLAMA)),
        inputs,
        {"input_ids": {0: DYNAMIC}, "keys": free, "values": free},
    )


BERT = transformers.BertConfig(attn_implementation="sdpa")
WAV2VEC2 = transformers.Wav2Vec2Config(attn_implementation="sdpa")
WHISPER = transformers.WhisperConfig(
    d_model=768,
    encoder_layers=12,
    decoder_layers=12,
    encoder_attention_heads=12,
    decoder_attention_heads=12,
    encoder_ffn_dim=3072,
    decoder_ffn_dim=3072,
    vocab_size=51865,
    attn_implementation="sdpa",
)
OPT = transformers.OPTConfig(attn_implementation="sdpa")
GPT2 = transformers.GPT2Config(attn_implementation="sdpa")
BLOOM = transformers.BloomConfig(hidden_size=1024, n_layer=24, n_head=16, vocab_size=250880)
GPT_NEO = transformers.GPTNeoConfig(
    hidden_size=2048, num_layers=24, num_heads=16, attention_types=[[["global", "local"], 12]]
)
LLAMA = transformers.LlamaConfig(
    vocab_size=128256,
    hidden_size=4096,
    intermediate_size=14336,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=8,
    max_position_embeddings=8192,
    rope_parameters={"rope_type": "default", "rope_theta": 5e5},
    attn_implementation="sdpa",
)


def mixtral(experts: str) -> Built:
    config = transformers.MixtralConfig(
        vocab_size=32000,
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        num_local_experts=8,
        num_experts_per_tok=2,
        attn_implementation="sdpa",
        experts_implementation=experts,
    )
    return fixed_text(transformers.MixtralForCausalLM, config, use_cache=False)


EXPORTS = (
    Export(name="resnet50", build=partial(image, torchvision.models.resnet50)),
    Export(name="mobilenet_v2", build=partial(image, torchvision.models.mobilenet_v2)),
    Export(
        name="vit_base_patch16_224",
        build=partial(image, partial(real, partial(timm.create_model, "vit_base_patch16_224"))),
    ),
    Export(name="bert_base", build=partial(text, transformers.BertModel, BERT, "pooler_output")),
    Export(name="wav2vec2_base_ctc", build=waveform),
    Export(name="whisper_small", build=speech),
    Export(name="opt_125m", build=partial(text, transformers.OPTForCausalLM, OPT, use_cache=False)),
    Export(name="gpt2", build=partial(text, transformers.GPT2LMHeadModel, GPT2, use_cache=False)),
    Export(name="bloom_560m", build=partial(text, transformers.BloomForCausalLM, BLOOM, use_cache=False)),
    Export(name="gpt_neo_1.3b", build=partial(fixed_text, transformers.GPTNeoForCausalLM, GPT_NEO, use_cache=False)),
    Export(name="llama_3_8b", build=partial(text, transformers.LlamaForCausalLM, LLAMA, use_cache=False)),
    Export(
        name="llama_3_8b_last_logit",
        build=partial(text, transformers.LlamaForCausalLM, LLAMA, use_cache=False, logits_to_keep=1),
    ),
    Export(name="llama_3_8b_decode", build=decoding),
    Export(name="mixtral_8x7b", build=partial(mixtral, "batched_mm"), dtype="bfloat16"),
    Export(name="mixtral_8x7b_grouped", build=partial(mixtral, "grouped_mm"), dtype="bfloat16"),
    *(
        Export(name=name, build=partial(image, partial(real, getattr(torchvision.models, name)), size))
        for name, size in (
            ("alexnet", 224),
            ("convnext_tiny", 224),
            ("densenet121", 224),
            ("efficientnet_b0", 224),
            ("mobilenet_v3_large", 224),
            ("shufflenet_v2_x1_0", 224),
            ("squeezenet1_0", 224),
            ("swin_t", 224),
            ("inception_v3", 299),
            ("regnet_y_400mf", 224),
        )
    ),
)
