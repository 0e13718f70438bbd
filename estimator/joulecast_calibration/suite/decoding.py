"""Build a decoder of transformers, and one pass of it at fixed positions with a cache of fixed size.

Every pass writes its keys and values to the same places of the cache and attends to the whole of it. Nothing depends
on the content of a tensor or on how often the pass has run, so that it can be captured in a CUDA graph and replayed.
transformers' own ``StaticCache`` moves its position at each execution, and hides the end of the cache by a mask, which
makes grouped keys and values be copied for every head (ADR 0168).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import nn

from joulecast.readers.named.initialisation import Uninitialised
from joulecast_calibration.suite.decoders import Phase

EXPERTS = "grouped_mm"
"""Products of all experts as one kernel over tokens sorted by expert, whose offsets stay on the device; transformers'
other forms wait for the number of tokens of each expert, or copy the weights of each token's experts."""


def build_decoder(config: Mapping[str, Any], *, dtype: torch.dtype, device: str) -> nn.Module:
    """Build the causal language model that ``config`` describes, with parameters on ``device`` that have no values
    yet."""
    import transformers

    kept = {name: value for name, value in config.items() if name != "model_type"}
    known = transformers.AutoConfig.for_model(config["model_type"], **kept)
    with warnings.catch_warnings(), torch.device(device), Uninitialised(), torch.no_grad():
        warnings.simplefilter("ignore")
        build: Any = transformers.AutoModelForCausalLM
        module: nn.Module = build.from_config(known, dtype=dtype, attn_implementation="sdpa", **_experts(config))
    return module.eval().requires_grad_(False)


def _experts(config: Mapping[str, Any]) -> dict[str, str]:
    """Return how the experts of a mixture run; transformers refuses to be told for a model without any."""
    return {"experts_implementation": EXPERTS} if any("num" in name and "experts" in name for name in config) else {}


def new_tokens(phase: Phase, context_tokens: int) -> int:
    """Return the tokens of each sequence that a pass reads."""
    return context_tokens if phase == "prefill" else 1


class CachedPass(nn.Module):
    """A pass of ``model`` over the last tokens of ``context_tokens``; the cache holds those before them.

    ``forward`` returns the logits of the last token of each sequence. The buffers ``keys_N`` and ``values_N`` are the
    cache, without values yet.
    """

    def __init__(self, model: nn.Module, *, phase: Phase, batch_size: int, context_tokens: int) -> None:
        super().__init__()
        self.model = model
        self._first = context_tokens - new_tokens(phase, context_tokens)
        config: Any = model.config
        parameter = next(model.parameters())
        heads = config.num_key_value_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        for number in range(config.num_hidden_layers):
            for what in ("keys", "values"):
                empty = torch.empty(
                    (batch_size, heads, context_tokens, size), dtype=parameter.dtype, device=parameter.device
                )
                self.register_buffer(f"{what}_{number}", empty)
        self._layers = config.num_hidden_layers

    def fill_cache(self, generator: torch.Generator) -> None:
        """Fill the cache from N(0,1)."""
        for _, buffer in self.named_buffers(recurse=False):
            buffer.normal_(generator=generator)

    def inputs(self, generator: torch.Generator | None = None) -> dict[str, torch.Tensor]:
        """Return token ids, uniform over the vocabulary (zeros without ``generator``), and their positions."""
        cached = self.get_buffer("keys_0")
        tokens = cached.shape[2] - self._first
        ids = torch.zeros((cached.shape[0], tokens), dtype=torch.int64, device=cached.device)
        if generator is not None:
            config: Any = self.model.config
            ids.random_(0, config.vocab_size, generator=generator)
        positions = torch.arange(self._first, cached.shape[2], device=cached.device)
        return {"input_ids": ids, "position_ids": positions.unsqueeze(0)}

    def forward(self, input_ids: torch.Tensor, position_ids: torch.Tensor) -> torch.Tensor:
        from transformers.cache_utils import Cache

        layers = [
            _fixed_layer()(self.get_buffer(f"keys_{number}"), self.get_buffer(f"values_{number}"), self._first)
            for number in range(self._layers)
        ]
        out = self.model(
            input_ids=input_ids,
            position_ids=position_ids,
            past_key_values=Cache(layers=layers),
            use_cache=True,
            logits_to_keep=1,
        )
        logits: torch.Tensor = out.logits
        return logits


@cache
def _fixed_layer() -> Any:
    """Return the class of one layer's cache, whose new keys and values always go to the same place."""
    from transformers.cache_utils import DynamicLayer

    class FixedLayer(DynamicLayer):  # type: ignore[no-untyped-call]  # not compileable: else a mask is made
        def __init__(self, keys: torch.Tensor, values: torch.Tensor, first: int) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self.keys, self.values = keys, values
            self.held, self.first = (keys, values), first
            self.is_initialized = True

        def update(
            self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
        ) -> tuple[torch.Tensor, torch.Tensor]:
            end = self.first + key_states.shape[-2]
            for held, new in zip(self.held, (key_states, value_states), strict=True):
                held[:, :, self.first : end].copy_(new)
            return self.held

        def get_seq_length(self, *_: Any) -> int:
            return self.first

        def get_mask_sizes(self, *_: Any) -> tuple[int, int]:
            return self.held[0].shape[-2], 0

    return FixedLayer
