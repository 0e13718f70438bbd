"""The counting rules by domain and operator type. Each operator is counted, zero by definition, free, or absent:
unsupported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

from joulecast.layers import Contraction

if TYPE_CHECKING:
    from joulecast.graph import ModelGraph, Node
    from joulecast.layers import LayerKind

RUNTIMES = ("torch-eager", "torch-cudagraph", "onnxruntime-cuda")

MODULES = (
    "contraction",
    "convolution",
    "recurrent",
    "attention",
    "quantised",
    "statistical",
    "contrib",
    "zero",
    "free",
)
"""Where the rules stand; each registers its own when first asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a rule says of one call.

    - ``reads``: elements read of an input, by position, where not all are (the rows that a Gather touches).
    - ``kernels``: launches in unfused execution (torch eager, and its CUDA graph) and in onnxruntime.
    - ``views``: 1 if eager execution only makes a view.
    - ``params``: trainable elements of an input, by position, where stored elements are packed or hold padding.
    - ``taps``: of an interpolation, the elements read that an element of the output is made of.
    - ``attribute_params``: trainable elements that stand in the operator's attributes.
    """

    kind: LayerKind
    contractions: tuple[Contraction, ...] = ()
    reads: Mapping[int, int] = field(default_factory=dict)
    params: Mapping[int, int] = field(default_factory=dict)
    attribute_params: int = 0
    eager_kernels: int = 1
    onnxruntime_kernels: int = 1
    views: int = 0
    taps: int = 0

    def kernels(self, *, loaded: bool = False) -> dict[str, int]:
        """Return launches by runtime. ``loaded``: onnxruntime has the result once it has loaded the model."""
        launches = (self.eager_kernels, self.eager_kernels, 0 if loaded else self.onnxruntime_kernels)
        return dict(zip(RUNTIMES, launches, strict=True))


Rule = Callable[["Node", "ModelGraph"], Cost]
RuleT = TypeVar("RuleT", bound=Rule)

MICROSOFT = "com.microsoft"
NCHWC = "com.microsoft.nchwc"

_rules: dict[tuple[str, str], Rule] = {}
_kinds: dict[tuple[str, str], LayerKind] = {}


def rule(kind: LayerKind, *op_types: str, domain: str = "") -> Callable[[RuleT], RuleT]:
    """Register the decorated formula for ``op_types`` of ``domain``.

    ``kind`` is what it gives unless the attributes say otherwise.
    """

    def register(formula: RuleT) -> RuleT:
        for op_type in op_types:
            if (domain, op_type) in _rules:
                raise ValueError(f"two counting rules for {domain}:{op_type}")
            _rules[domain, op_type] = formula
            _kinds[domain, op_type] = kind
        return formula

    return register


def rule_for(domain: str, op_type: str) -> Rule | None:
    """Return the formula of an operator, or ``None`` if it is unsupported."""
    _load()
    return _rules.get((domain, op_type))


def known() -> Mapping[tuple[str, str], LayerKind]:
    """Return the kind of every operator that has a rule, by domain and type."""
    _load()
    return dict(_kinds)


@cache
def _load() -> None:
    for module in MODULES:
        import_module(f"joulecast.counting.{module}")
