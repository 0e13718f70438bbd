"""The seven networks of the A100 set, as the code that was measured runs them.

The set names classes of torchvision and transformers (``BertModel``, ``GPT2Model``, ``OPTModel``, ``Qwen2Model``,
``ViTModel``, ``MobileViTModel``):
the bodies, without a language-model head. All ran eager attention. Batch and
sequence stay symbolic.
The operator set is the newest that the exporter speaks, so that whatever is one call in the code is one node here,
and what the code writes out (the tanh Gelu of GPT-2, the RMS norm of Qwen2) stays written out.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import transformers
from torch import nn
from torchvision.models import resnet101

from tests.models.definitions import Built, Export

DYNAMIC = torch.export.Dim.DYNAMIC
OPSET = 24
ORIGIN = {
    "resnet101": "torchvision.models.resnet101",
    "vit-large": "ViTModel, configuration of google/vit-large-patch16-224",
    "mobilevit-small": "MobileViTModel, configuration of apple/mobilevit-small",
    "bert-large": "BertModel, configuration of google-bert/bert-large-uncased, with an attention mask",
    "gpt2": "GPT2Model, configuration of openai-community/gpt2, filling a key-value cache",
    "opt-1.3b": "OPTModel, configuration of facebook/opt-1.3b, filling a key-value cache",
    "qwen2-1.5b": "Qwen2Model, configuration of Qwen/Qwen2-1.5B, filling a key-value cache",
}
"""Class and published configuration of each network; weights were random."""

ROWS = {
    "resnet101": ("resnet101", ""),
    "vit-large": ("vitmodel", "large"),
    "mobilevit-small": ("mobilevitmodel", "small"),
    "bert-large": ("bertmodel", "large"),
    "gpt2": ("gpt2model", "gpt2"),
    "opt-1.3b": ("optmodel", "opt-1p3b"),
    "qwen2-1.5b": ("qwen2model", "qwen2-1p5b"),
}
"""The set's own names: columns ``model`` and ``config``."""


class Body(nn.Module):
    """Calls a model with its own input name and keeps the first output, so that a cache is filled but not returned."""

    def __init__(self, model: nn.Module, **options: Any) -> None:
        super().__init__()
        self.model, self.options = model, options


class TextBody(Body):
    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=input_ids, **self.options)[0]


class MaskedTextBody(Body):
    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=input_ids, attention_mask=attention_mask, **self.options)[1]


class ImageBody(Body):
    """The pooled output is the last thing computed."""

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.model(pixel_values=pixel_values, **self.options)[1]


def resnet() -> Built:
    return resnet101(), {"x": torch.zeros(2, 3, 224, 224)}, {"x": {0: DYNAMIC}}


def image(model: type[nn.Module], config: Any, size: int) -> Built:
    return ImageBody(model(config)), {"pixel_values": torch.zeros(2, 3, size, size)}, {"pixel_values": {0: DYNAMIC}}


def text(model: type[nn.Module], config: Any) -> Built:
    ids = torch.zeros(2, 16, dtype=torch.long)
    return TextBody(model(config), use_cache=True), {"input_ids": ids}, {"input_ids": {0: DYNAMIC, 1: DYNAMIC}}


def masked_text(model: type[nn.Module], config: Any) -> Built:
    ids = torch.zeros(2, 16, dtype=torch.long)
    free = {0: DYNAMIC, 1: DYNAMIC}
    return (
        MaskedTextBody(model(config)),
        {"input_ids": ids, "attention_mask": ids},
        {"input_ids": free, "attention_mask": free},
    )


VIT = transformers.ViTConfig(
    hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096, attn_implementation="eager"
)
MOBILEVIT = transformers.MobileViTConfig(
    image_size=256,
    patch_size=2,
    hidden_sizes=[144, 192, 240],
    neck_hidden_sizes=[16, 32, 64, 96, 128, 160, 640],
    num_attention_heads=4,
    mlp_ratio=2.0,
    attn_implementation="eager",
)
BERT = transformers.BertConfig(
    hidden_size=1024,
    num_hidden_layers=24,
    num_attention_heads=16,
    intermediate_size=4096,
    vocab_size=30522,
    attn_implementation="eager",
)
GPT2 = transformers.GPT2Config(attn_implementation="eager")
OPT = transformers.OPTConfig(
    hidden_size=2048,
    num_hidden_layers=24,
    num_attention_heads=32,
    ffn_dim=8192,
    word_embed_proj_dim=2048,
    attn_implementation="eager",
)
QWEN2 = transformers.Qwen2Config(
    vocab_size=151936,
    hidden_size=1536,
    intermediate_size=8960,
    num_hidden_layers=28,
    num_attention_heads=12,
    num_key_value_heads=2,
    max_position_embeddings=131072,
    rope_parameters={"rope_type": "default", "rope_theta": 1e6},
    tie_word_embeddings=True,
    attn_implementation="eager",
)

BUILDERS = {
    "resnet101": resnet,
    "vit-large": partial(image, transformers.ViTModel, VIT, 224),
    "mobilevit-small": partial(image, transformers.MobileViTModel, MOBILEVIT, 256),
    "bert-large": partial(masked_text, transformers.BertModel, BERT),
    "gpt2": partial(text, transformers.GPT2Model, GPT2),
    "opt-1.3b": partial(text, transformers.OPTModel, OPT),
    "qwen2-1.5b": partial(text, transformers.Qwen2Model, QWEN2),
}


def export(name: str, dtype: str) -> Export:
    model, config = ROWS[name]
    description = {"network": name, "model": model, "config": config, "dtype": dtype, "origin": ORIGIN[name]}
    return Export(name=f"{name}-{dtype}", build=BUILDERS[name], opset=OPSET, dtype=dtype, description=description)


EXPORTS = tuple(export(name, dtype) for name in BUILDERS for dtype in ("float32", "bfloat16"))
