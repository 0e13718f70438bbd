"""Tensors that are made without reading any: one kernel that writes."""

from __future__ import annotations

from collections.abc import Mapping

from joulecast.readers.module.names.reading import NamingRule, Reading, over_tensors


def made(op_type: str) -> NamingRule:
    """Return the rule of an operator that reads nothing, even where the call takes its shape from another tensor."""

    def rule(reading: Reading) -> None:
        reading.node(op_type, ())

    return NamingRule(rule)


FILLED = "zeros ones full new_zeros new_ones new_full zeros_like ones_like full_like scalar_tensor zero fill"

UNFILLED = "empty new_empty empty_like empty_strided new_empty_strided empty_permuted _efficientzerotensor"
"""No kernel runs."""

TABLE: Mapping[str, NamingRule] = {
    **{f"aten.{name}": made("ConstantOfShape") for name in FILLED.split()},
    **{f"aten.{name}": made("Constant") for name in UNFILLED.split()},
    "aten.arange": made("Range"),
    "aten.linspace": made("Range"),
    "aten.logspace": made("Range"),
    "aten.tril_indices": made("Range"),
    "aten.triu_indices": made("Range"),
    "aten.eye": made("EyeLike"),
    **{f"aten.{name}": made("RandomUniform") for name in "rand rand_like uniform randint randint_like random".split()},
    **{
        f"aten.{name}": made("RandomNormal") for name in "randn randn_like normal normal_functional exponential".split()
    },
    "aten.randperm": made("RandomUniform"),
    "aten.multinomial": over_tensors("Multinomial"),
    "aten.hann_window": made("HannWindow"),
    "aten.hamming_window": made("HammingWindow"),
    "aten.blackman_window": made("BlackmanWindow"),
}
