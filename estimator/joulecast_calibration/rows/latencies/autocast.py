"""Rewrite a graph of float32 as PyTorch runs it under ``torch.autocast("cuda", dtype=torch.float16)``.

Weights stay in float32 and are cast in every pass; products run in the lower precision, reductions and normalisations
of layers in float32; everything else runs in the type of its operands. The lists are those of
aten/src/ATen/autocast_mode.h (AT_FORALL_LOWER_PRECISION_FP, AT_FORALL_FP32, AT_FORALL_PROMOTE).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from joulecast.graph import STORED, ModelGraph, Node, Tensor

FULL = "float32"

LOWER = frozenset("Conv ConvTranspose MatMul Gemm Einsum Attention PRelu LSTM GRU RNN".split())
"""Run in the lower precision; operands in float32 are cast first."""

UPPER = frozenset(
    "Softmax LogSoftmax LayerNormalization GroupNormalization RMSNormalization Exp Log Pow ReduceSum ReduceL1 ReduceL2"
    " ReduceProd CumSum Softplus Acos Asin Cosh Sinh Tan Reciprocal Resize".split()
)
"""Run in float32; operands in the lower precision are cast first."""

WIDEST = frozenset("Concat GridSample ScatterElements ScatterND".split())
"""Run in the widest type of their operands, to which all others are cast first."""

PROMOTED = frozenset("Add Sub Mul Div Mod Min Max Sum Mean Where".split())
"""Take operands of different types without a cast of their own, and write the widest."""


def autocast(graph: ModelGraph, dtype: str = "float16") -> ModelGraph:
    """Return ``graph``, which is canonical and in float32, with the casts and the types of autocast."""
    draft = _Draft(dtype=dtype, tensors=dict(graph.tensors))
    nodes = tuple(new for node in graph.nodes for new in draft.rewritten(node))
    return replace(graph, nodes=nodes, tensors=draft.tensors)


@dataclass(slots=True)
class _Draft:
    """The values so far in the types that they have under autocast.

    - ``cast``: names of weights already cast in this pass, which autocast keeps until its end.
    """

    dtype: str
    tensors: dict[str, Tensor]
    cast: dict[str, str] = field(default_factory=dict)

    def rewritten(self, node: Node) -> Iterator[Node]:
        """Yield the casts before ``node``, and the node."""
        wanted = self._wanted(node)
        inputs: list[str] = []
        for name in node.inputs:
            if not wanted or not self._differs(name, wanted):
                inputs.append(name)
                continue
            given = self.cast.get(name, "")
            if not given:
                given = f"{name}#{wanted}-for-{node.name or node.outputs[0]}"
                yield self._cast(node, name, given, wanted)
            inputs.append(given)
        result = wanted or self._result(node)
        for name in node.outputs:
            if result and name and self._floats(name):
                self.tensors[name] = replace(self.tensors[name], dtype=result)
        yield replace(node, inputs=tuple(inputs))

    def _cast(self, node: Node, name: str, given: str, wanted: str) -> Node:
        stored = self.tensors[name].role in STORED
        made = replace(self.tensors[name], name=given, dtype=wanted, after=())
        self.tensors[given] = replace(made, role="constant", stored=()) if stored else replace(made, role="activation")
        if stored:
            self.cast[name] = given
        return Node(
            name=given, op_type="Cast", inputs=(name,), outputs=(given,), scope=node.scope, repeats=node.repeats
        )

    def _wanted(self, node: Node) -> str:
        """Return the type to which operands are cast, or an empty string where none is."""
        if node.folded or node.domain:
            return ""
        if node.op_type in LOWER:
            return self.dtype
        if node.op_type in UPPER:
            return FULL
        return self._widest(node) if node.op_type in WIDEST else ""

    def _result(self, node: Node) -> str:
        """Return the type of floating results of a node without casts."""
        if node.folded or node.op_type == "Cast":
            return ""
        if node.op_type in PROMOTED:
            return self._widest(node)
        return next((self.tensors[name].dtype for name in node.inputs if name and self._floats(name)), "")

    def _widest(self, node: Node) -> str:
        """Return the widest type of the operands; scalars decide only among themselves."""
        operands = [self.tensors[name] for name in node.inputs if name and self._floats(name)]
        types = {each.dtype for each in operands if each.shape} or {each.dtype for each in operands}
        return FULL if FULL in types else self.dtype if self.dtype in types else ""

    def _differs(self, name: str, wanted: str) -> bool:
        return bool(name) and self._floats(name) and self.tensors[name].dtype != wanted

    def _floats(self, name: str) -> bool:
        return self.tensors[name].dtype in (FULL, self.dtype) and self.tensors[name].shape is not None
