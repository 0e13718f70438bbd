"""docs/operators.md, written from the rules: ``python -m joulecast.counting.catalogue > docs/operators.md``."""

from __future__ import annotations

import sys
from collections import defaultdict
from textwrap import fill
from typing import TYPE_CHECKING

from joulecast.counting.registry import MICROSOFT, NCHWC, known
from joulecast.counting.unsupported import STANDARD

if TYPE_CHECKING:
    from joulecast.layers import LayerKind

DOMAINS = {
    "": "ONNX (`ai.onnx`)",
    "ai.onnx.ml": "Classical models (`ai.onnx.ml`)",
    "ai.onnx.preview": "Preview (`ai.onnx.preview`)",
    "ai.onnx.preview.training": "Training preview (`ai.onnx.preview.training`)",
    MICROSOFT: "onnxruntime (`com.microsoft`)",
    NCHWC: "onnxruntime's blocked layout (`com.microsoft.nchwc`)",
}

KINDS: tuple[LayerKind, ...] = ("counted", "zero", "free")

HEAD = """# Operators

Every operator call is one of four kinds:

- **counted**: its multiply-accumulates follow from its shapes by a formula;
- **zero**: none by definition, but it moves bytes and launches a kernel (normalisations, elementwise operators,
  pooling, interpolation, copies, casts);
- **free**: no kernel runs: constants, folded shape arithmetic, branches not taken, views. `Transpose`, `Slice`,
  `Split` and `Expand` are views in torch and copies in onnxruntime: each row's `kernels` says so by runtime;
- **unsupported**: no rule. The row is listed, and lowers the coverage of the forecast.

Some conventions: one multiply-accumulate is two FLOPs. Attention counts densely, causal or not. Padding counts in
convolutions, as kernels compute it. Bias, activation and normalisation do not count as multiply-accumulates. Fourier
transforms (`DFT`, `STFT`) and factorisations (`Det`, `Inverse`) run by algorithms that are not matrix products: they
are zero. A loop counts its body as often as it runs. `Scan`, `Loop`, `If` and `SequenceMap` themselves are free;
what they run is counted. What is computed of stored weights alone (a table of relative positions times a matrix, the
norm of a weight) is counted, because eager mode computes it in every pass; where all that it depends on is known when
the file is loaded, its row launches nothing in onnxruntime, and a forecast for that runtime leaves it out.

An operator of a domain that is not below, or with no rule, stops the profile with `UnsupportedOperator`, because it
could carry multiply-accumulates; if the file itself declares the shape of its outputs, the profile goes on and lowers
its coverage instead.

This page is written by `python -m joulecast.counting.catalogue`.
"""


def page() -> str:
    """Return the page, one section a domain."""
    sections = [_section(domain, title) for domain, title in DOMAINS.items()]
    return "\n".join([HEAD, *sections])


def _section(domain: str, title: str) -> str:
    by_kind: dict[str, list[str]] = defaultdict(list)
    for (its_domain, op_type), kind in sorted(known().items()):
        if its_domain == domain:
            by_kind[kind].append(f"`{op_type}`")
    lines = [f"## {title}", ""]
    for kind in KINDS:
        if by_kind[kind]:
            lines += [fill(f"**{kind}**: {', '.join(by_kind[kind])}", 120, break_on_hyphens=False), ""]
    return "\n".join(lines + _unsupported(domain))


def _unsupported(domain: str) -> list[str]:
    reasons: dict[str, list[str]] = defaultdict(list)
    for (its_domain, op_type), reason in sorted(STANDARD.items()):
        if its_domain == domain:
            reasons[reason].append(f"`{op_type}`")
    if not reasons:
        return []
    rows = [f"| {', '.join(names)} | {reason} |" for reason, names in reasons.items()]
    return ["| unsupported | reason |", "|---|---|", *rows, ""]


if __name__ == "__main__":
    sys.stdout.write(page())
