"""What a class of transformers counts when it is traced: built without weights, on the meta device."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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


class Pass(nn.Module):
    """Last logit of a pass, and of one step more where ``token`` is given."""

    def __init__(self, model: nn.Module, **options: Any) -> None:
        super().__init__()
        self.model, self.options = model, options

    def forward(self, input_ids: torch.Tensor, token: torch.Tensor | None = None) -> Any:
        first = self.model(input_ids=input_ids, use_cache=token is not None, **self.options)
        if token is None:
            return first
        return first, self.model(input_ids=token, past_key_values=first.past_key_values, use_cache=True)


def built(architecture: str, keys: Mapping[str, Any]) -> nn.Module:
    """The class ``architecture`` built from a configuration as a file has it."""
    kind = getattr(transformers, architecture)
    config = kind.config_class.from_dict(dict(keys))
    with warnings.catch_warnings(), torch.device("meta"), Uninitialised(), torch.no_grad():
        warnings.simplefilter("ignore")
        module: nn.Module = kind(config)
    return module.eval()


def prefill(module: nn.Module, tokens: int) -> Counts:
    """Counts of one pass over ``tokens`` with the last logit and no cache."""
    return _counted(Pass(module, logits_to_keep=1), input_ids=_ids(tokens))


def decode(module: nn.Module, tokens: int) -> int:
    """MACs of one step after ``tokens``: those of a pass with the step, less those of the pass alone."""
    both = _counted(Pass(module, logits_to_keep=1), input_ids=_ids(tokens), token=_ids(1))
    return both.macs - prefill(module, tokens).macs


def _ids(tokens: int) -> torch.Tensor:
    return torch.zeros((1, tokens), dtype=torch.int64, device="meta")


def _counted(module: nn.Module, **inputs: Any) -> Counts:
    rows = count(canonicalise(graph_of(trace(module, (), inputs))))
    assert coverage(rows).unsupported == ()
    found = totals(rows)
    return Counts(found.macs, found.params)
