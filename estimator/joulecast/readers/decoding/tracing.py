"""Trace the pass of a causal language model that reads a prompt, or the one that adds a token to a cache.

Needs torch and transformers. The class is built on the meta device; code from a model's repository is never run.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from joulecast.canonical import canonicalise
from joulecast.counting import count
from joulecast.errors import NotCalibratedError, UnsupportedOperatorError

if TYPE_CHECKING:
    from torch import nn

    from joulecast.layers import LayerProfile

    _Tracing = Callable[[int, int], tuple[LayerProfile, ...]]

ROOT = "model"
"""Scope of the class itself in the rows; what lies outside of it fills the cache and is no part of a pass."""
_LIBRARIES = "torch and transformers: pip install 'joulecast[torch]' transformers"
_FOREIGN = ("auto_map", "quantization_config", "compression_config", "torch_dtype", "dtype", "model_type")


class Decoder:
    """A class of transformers, built once for all passes that are traced of it."""

    def __init__(self, config: Mapping[str, Any], dtype: str) -> None:
        """Build the class that ``config``, the object of a ``config.json``, names, with weights of ``dtype``.

        Raises UnsupportedOperatorError where transformers has no such class, and NotCalibratedError without it.
        """
        self._module = _built(config, dtype)
        self._traced: dict[tuple[str, int, int], tuple[LayerProfile, ...]] = {}

    def step(self, *, sequences: int, cached_tokens: int) -> tuple[LayerProfile, ...]:
        """Return the rows of the pass that adds a token to ``cached_tokens`` of each sequence, in eager mode.

        Raises UnsupportedOperatorError for a model whose cache holds more than keys and values.
        """
        return self._once("step", sequences, cached_tokens, self._step)

    def prompt(self, *, sequences: int, tokens: int) -> tuple[LayerProfile, ...]:
        """Return the rows of the pass that reads ``tokens`` of each sequence, and makes the logits of the last one."""
        return self._once("prompt", sequences, tokens, self._prompt)

    def _once(self, kind: str, sequences: int, tokens: int, traced: _Tracing) -> tuple[LayerProfile, ...]:
        key = (kind, sequences, tokens)
        if key not in self._traced:
            self._traced[key] = traced(sequences, tokens)
        return self._traced[key]

    def _prompt(self, sequences: int, tokens: int) -> tuple[LayerProfile, ...]:
        return _rows(_prompt(self._module), {"input_ids": _ids(sequences, tokens)})

    def _step(self, sequences: int, cached_tokens: int) -> tuple[LayerProfile, ...]:
        import torch

        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            filled = self._module(input_ids=_ids(sequences, cached_tokens), use_cache=True, logits_to_keep=1)
        layers = getattr(filled.past_key_values, "layers", ())
        states = [(getattr(layer, "keys", None), getattr(layer, "values", None)) for layer in layers]
        if not states or any(part is None for pair in states for part in pair):
            raise UnsupportedOperatorError(
                f"the cache of {type(self._module).__name__} holds more than keys and values, and its steps are not"
                " forecast as torch runs them: take the runtime vllm",
                reason="UnsupportedCache",
            )
        fed = {
            "input_ids": _ids(sequences, 1),
            "keys": [keys for keys, _ in states],
            "values": [values for _, values in states],
        }
        return _rows(_step(self._module), fed)


def path_of(scope: str) -> str:
    """Return the path of a module in published files, of the scope of its rows."""
    return scope.removeprefix(f"{ROOT}.")


def _built(config: Mapping[str, Any], dtype: str) -> nn.Module:
    try:
        import torch
        import transformers

        from joulecast.readers.named.initialisation import Uninitialised
    except ImportError:
        raise NotCalibratedError(
            f"a language model under torch is counted by tracing its class, which needs {_LIBRARIES}; or take the"
            " runtime vllm, which needs neither"
        ) from None
    kept = {key: value for key, value in config.items() if key not in _FOREIGN}
    try:
        known = transformers.AutoConfig.for_model(str(config.get("model_type")), **kept)
        with warnings.catch_warnings(), torch.device("meta"), Uninitialised(), torch.no_grad():
            warnings.simplefilter("ignore")
            build: Any = transformers.AutoModelForCausalLM
            module: nn.Module = build.from_config(known, dtype=getattr(torch, dtype), attn_implementation="sdpa")
    except Exception as error:  # classes of transformers raise what they like for a bad configuration
        raise UnsupportedOperatorError(
            f"transformers cannot build a causal language model of this configuration ({type(error).__name__}:"
            f" {str(error)[:200]}): take the runtime vllm",
            reason="UnknownArchitecture",
        ) from error
    return module.eval()


def _rows(wrapper: nn.Module, fed: dict[str, Any]) -> tuple[LayerProfile, ...]:
    import torch

    from joulecast.readers.module import graph_of, trace

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = graph_of(trace(wrapper, (), fed))
    return tuple(row for row in count(canonicalise(graph, eager=True)) if row.scope)


def _step(module: nn.Module) -> nn.Module:
    import torch
    import transformers
    from torch import nn as torch_nn

    class Step(torch_nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = module

        def forward(self, input_ids: torch.Tensor, keys: list[torch.Tensor], values: list[torch.Tensor]) -> Any:
            config: Any = module.config
            cache = transformers.DynamicCache(config=config.get_text_config())
            for layer, (key, value) in enumerate(zip(keys, values, strict=True)):
                cache.update(key, value, layer)
            return self.model(input_ids=input_ids, past_key_values=cache, use_cache=True).logits

    return Step()


def _prompt(module: nn.Module) -> nn.Module:
    import torch
    from torch import nn as torch_nn

    class Prompt(torch_nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = module

        def forward(self, input_ids: torch.Tensor) -> Any:
            return self.model(input_ids=input_ids, use_cache=True, logits_to_keep=1).logits

    return Prompt()


def _ids(sequences: int, tokens: int) -> Any:
    import torch

    return torch.zeros((sequences, tokens), dtype=torch.int64, device="meta")
