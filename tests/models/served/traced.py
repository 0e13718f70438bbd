"""The rows of a traced class, where some of them are compared by formula."""

from __future__ import annotations

from torch import nn

from joulecast.canonical import canonicalise
from joulecast.counting import count, coverage
from joulecast.layers import LayerProfile
from joulecast.readers.module import graph_of, trace
from tests.models.served import oracle
from tests.models.served.case import Case, Keys
from tests.models.served.oracle import ids

EACH_PAIR = "batched_mm"
"""How the classes multiply experts here: a product for each pair of token and expert, so that pairs are counted."""


def built(case: Case, keys: Keys) -> nn.Module:
    """The class of ``case`` built from ``keys``, with experts that are traced pair by pair."""
    return oracle.built(case.architecture, {**keys, "experts_implementation": EACH_PAIR}).module


def rows(case: Case, module: nn.Module, tokens: int, *, step: bool = False) -> list[LayerProfile]:
    """Rows of a pass over ``tokens`` with the last logit, and with ``step`` those of one step more."""
    inputs = {"input_ids": ids(tokens)} | ({"token": ids(1)} if step else {})
    found = count(canonicalise(graph_of(trace(oracle.Pass(module, {"logits_to_keep": 1}), (), {"inputs": inputs}))))
    assert set(coverage(found).unsupported) <= set(case.uncounted)
    return list(found)
