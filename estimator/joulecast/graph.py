"""A model as a framework-free graph with static shapes, in ONNX's operator names.

Readers make it, ``canonical`` rewrites it, ``counting`` turns it into layer rows. Nothing here imports a framework.
Control flow is already resolved: the taken branch of an If stands in line, the body of a Loop or Scan carries
``repeats``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

Shape = tuple[int, ...]
"""Static dimensions, outermost first; ``()`` is a scalar."""

TensorRole = Literal["input", "parameter", "constant", "activation"]
"""``parameter``: trainable and stored in the model; ``constant``: stored, not trainable (statistics, position ids,
shape arithmetic)."""

ITEMSIZE_BYTES: Mapping[str, float] = MappingProxyType(
    {
        "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "float8": 1, "float4": 0.5,
        "int64": 8, "int32": 4, "int16": 2, "int8": 1, "int4": 0.5, "int2": 0.25,
        "uint64": 8, "uint32": 4, "uint16": 2, "uint8": 1, "uint4": 0.5, "uint2": 0.25,
        "bool": 1, "complex64": 8, "complex128": 16, "string": 0,
    }
)  # fmt: skip
"""Bytes an element of each dtype occupies. All 8-bit floats share ``float8``; strings live outside tensors' memory."""

FLOATING_DTYPES = frozenset({"float64", "float32", "float16", "bfloat16", "float8", "float4"})

STORED = ("parameter", "constant")
"""Roles of values that exist before a pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A value in the graph.

    - ``shape``: None only for sequences, optionals and maps, which move no bytes of their own.
    - ``stored``: for a value computed ahead of time from stored ones (a transposed weight, three weights concatenated),
      the names of those.
    - ``after``: names of values that are part of this one although no node says so: what was written into its memory
      through another view.
    """

    name: str
    dtype: str
    shape: Shape | None
    role: TensorRole = "activation"
    stored: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    @property
    def numel(self) -> int:
        """Number of elements; 0 for a value that is not a tensor."""
        if self.shape is None:
            return 0
        count = 1
        for dimension in self.shape:
            count *= dimension
        return count

    @property
    def bytes(self) -> float:
        return self.numel * ITEMSIZE_BYTES[self.dtype]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One operator call.

    - ``inputs``, ``outputs``: tensor names, ``""`` where an optional one is absent.
    - ``attributes``: plain Python values (int, float, str, bytes, tuples of them).
    - ``values``: known content of small inputs that steer the operator, by input position, as nested tuples or scalars.
    - ``scope``: the module path the node came from (``"encoder.layer.0.attention"``), ``""`` if unknown.
    - ``repeats``: how often it runs (a loop's trip count).
    - ``folded``: its outputs are known before execution, so no kernel runs.
    - ``loaded``: it computes of stored values alone, and all that it depends on is known when the model is loaded: a
      runtime that folds constants then has the result ready, while eager mode computes it in every pass.
    """

    name: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    domain: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[int, Any] = field(default_factory=dict)
    scope: str = ""
    repeats: int = 1
    folded: bool = False
    loaded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelGraph:
    """Nodes in execution order and every tensor they touch, by name.

    - ``opset``: version of the default ONNX domain.
    """

    name: str
    nodes: tuple[Node, ...]
    tensors: Mapping[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    opset: int
    free_nodes: int = 0
    """Nodes dropped while reading because they never execute (untaken branches)."""
    steering: frozenset[str] = frozenset()
    """Values that decided which branch stands in line: what computes them runs although no node reads them."""
    upper_bounds: frozenset[str] = frozenset()
    """Values whose size depends on what a selection keeps, given as the most that it may keep."""

    def reached(self, names: Iterable[str]) -> set[str]:
        """Return the names that are not empty, and those of the values that these were written after."""
        found: set[str] = set()
        new = {name for name in names if name}
        while new:
            found |= new
            new = {part for name in new if name in self.tensors for part in self.tensors[name].after} - found
        return found

    def shape(self, name: str) -> Shape | None:
        return self.tensors[name].shape
