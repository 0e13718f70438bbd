"""What a class of transformers counts when it is traced: built without weights, on the meta device."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any, Literal

import torch
import transformers
from torch import nn

from joulecast.canonical import canonicalise
from joulecast.counting import count, coverage, totals
from joulecast.readers.module import graph_of, trace
from joulecast.readers.named.initialisation import Uninitialised


@dataclass(frozen=True, slots=True)
class Counts:
    macs: int
    params: int


@dataclass(frozen=True, slots=True)
class Oracle:
    """A built class, and how many tokens its encoder makes; 0 without one."""

    module: nn.Module
    encoder_tokens: int = 0

    @property
    def logits(self) -> Literal["last", "all"]:
        """The logits that a pass makes: the last where the class can leave the others out."""
        return "last" if self._takes("logits_to_keep") else "all"

    def prefill(self, tokens: int) -> Counts:
        """Counts of one pass over ``tokens`` without a cache."""
        return self._counted({}, tokens)

    def decode(self, tokens: int, prefill: Counts) -> int:
        """MACs of one step after ``tokens``: those of a pass with the step, less those of the pass alone."""
        return self._counted({"token": ids(1)}, tokens).macs - prefill.macs

    def _counted(self, inputs: Mapping[str, torch.Tensor], tokens: int) -> Counts:
        options = {"logits_to_keep": 1} if self.logits == "last" else {}
        fed = {**self._fed(tokens), **inputs}
        rows = count(canonicalise(graph_of(trace(Pass(self.module, options), (), {"inputs": fed}))))
        assert coverage(rows).unsupported == ()
        found = totals(rows)
        return Counts(found.macs, found.params)

    def _takes(self, argument: str) -> bool:
        return argument in signature(self.module.forward).parameters

    def _fed(self, tokens: int) -> dict[str, torch.Tensor]:
        if not self.encoder_tokens:
            return {"input_ids": ids(tokens)}
        if self._takes("input_features"):  # two frames of sound a token, and one convolution that halves them
            bins = self.module.config.num_mel_bins
            fed = {"input_features": torch.zeros((1, bins, 2 * self.encoder_tokens), device="meta")}
        else:
            fed = {"input_ids": ids(self.encoder_tokens)}
        return {**fed, "decoder_input_ids": ids(tokens)}


class Pass(nn.Module):
    """One pass, and one step more where the inputs have a ``token``."""

    def __init__(self, model: nn.Module, options: Mapping[str, Any]) -> None:
        super().__init__()
        self.model, self.options = model, options

    def forward(self, inputs: dict[str, torch.Tensor]) -> Any:
        token = inputs.get("token")
        fed = {name: value for name, value in inputs.items() if name != "token"}
        if token is None:
            caching = {"use_cache": False} if "use_cache" in signature(self.model.forward).parameters else {}
            return self.model(**fed, **caching, **self.options)
        first = self.model(**fed, use_cache=True, **self.options)
        cache = {"past_key_values": first.past_key_values, "use_cache": True}
        if "decoder_input_ids" not in fed:
            return first, self.model(input_ids=token, **cache)
        encoded = (first.encoder_last_hidden_state,)
        return first, self.model(decoder_input_ids=token, encoder_outputs=encoded, **cache)


_DTYPES = ("torch_dtype", "dtype")
"""Left out: some classes build a head in another dtype than their stack, which counts are the same in."""


def built(architecture: str, keys: Mapping[str, Any], encoder_tokens: int = 0) -> Oracle:
    """The class ``architecture`` built from a configuration as a file has it."""
    kind = getattr(transformers, architecture)
    config = kind.config_class.from_dict({key: value for key, value in keys.items() if key not in _DTYPES})
    with warnings.catch_warnings(), torch.device("meta"), Uninitialised(), torch.no_grad():
        warnings.simplefilter("ignore")
        module: nn.Module = kind(config)
    return Oracle(module.eval(), encoder_tokens)


def ids(tokens: int) -> torch.Tensor:
    """The tokens of one sequence, on the meta device."""
    return torch.zeros((1, tokens), dtype=torch.int64, device="meta")
