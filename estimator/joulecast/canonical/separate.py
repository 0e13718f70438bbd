"""Attention as the kernels that PyTorch runs where none of its fused ones takes the operands.

Fused kernels take operands of four axes (torch, aten/src/ATen/native/transformers/sdp_utils_cpp.h,
``check_tensor_shapes``). All others go to ``_scaled_dot_product_attention_math`` (attention.cpp beside it): query and
key are multiplied by the root of the scale, and the scores pass through memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from joulecast.canonical.attention import swapped
from joulecast.canonical.copies import product_operands
from joulecast.canonical.draft import Draft

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from joulecast.graph import ModelGraph, Node, Shape, Tensor

FUSED_AXES = (3, 4)
"""Axes of operands that a fused kernel takes; torch gives three a fourth of one element (2.15; 2.9 did not)."""

HALF = ("float16", "bfloat16")


def separated(
    graph: ModelGraph, *, fused_axes: Collection[int] = FUSED_AXES, as_before_torch_2_5: bool = False
) -> ModelGraph:
    """Return ``graph`` with the kernels of each attention whose queries have other than ``fused_axes``.

    Since torch 2.5 the products are in float32 whatever the operands are, probabilities are also returned in the type
    of the operands, and rows that are masked out entirely become 0 (``_safe_softmax``). ``as_before_torch_2_5``: none
    of that.
    """
    nodes: list[Node] = []
    tensors = dict(graph.tensors)
    products: set[str] = set()
    for node in graph.nodes:
        if not _unfused(node, graph, fused_axes):
            nodes.append(node)
            continue
        parts = _Parts(node=node, tensors=tensors, safe=not as_before_torch_2_5)
        parts.write()
        nodes += parts.nodes
        products |= {part.name for part in parts.nodes if part.op_type == "MatMul"}
    return _with_copies(replace(graph, nodes=tuple(nodes), tensors=tensors), products) if products else graph


def _unfused(node: Node, graph: ModelGraph, fused_axes: Collection[int]) -> bool:
    if node.op_type != "Attention" or node.domain or node.folded or len(node.inputs) > 4:
        return False
    return len(graph.tensors[node.inputs[0]].shape or ()) not in fused_axes


def _with_copies(graph: ModelGraph, products: Collection[str]) -> ModelGraph:
    """Return ``graph`` with the copies of operands of the ``products``, given by name."""
    draft = Draft(graph)
    for node in draft:
        match = product_operands(node, draft) if node.name in products else None
        if match is not None:
            draft.apply(node, match, product_operands.__name__)
    return draft.graph()


@dataclass(slots=True)
class _Parts:
    """The kernels of one attention while they are written down.

    - ``safe``: as since torch 2.5.
    """

    node: Node
    tensors: dict[str, Tensor]
    safe: bool
    nodes: list[Node] = field(default_factory=list)

    def write(self) -> None:
        """Add the kernels in order; the last one writes what the attention wrote."""
        given = self.tensors[self.node.inputs[0]].dtype
        wider = self.safe and given in HALF
        names = [self._cast(name, "float32") if wider and name else name for name in self.node.inputs]
        query, key, value, mask = (*names, "")[:4]
        operands = self._scaled(query), self._transposed(self._scaled(key))
        scores = self._add("MatMul", operands, (*self._shape(query)[:-1], self._shape(key)[-2]))
        if mask:
            scores = self._add("Add", (scores, mask), self._shape(scores))
        probabilities = self._softmax(scores)
        if wider:
            self._cast(probabilities, given)
        result = self.node.outputs[0]
        if wider:
            result = self._add("MatMul", (probabilities, value), self._shape(result), dtype="float32")
            self._node("Cast", (result,), self.node.outputs[0])
        else:
            self._node("MatMul", (probabilities, value), result)

    def _softmax(self, scores: str) -> str:
        shape = self._shape(scores)
        probabilities = self._add("Softmax", (scores,), shape, axis=-1)
        if not self.safe:
            return probabilities
        masked = self._add("Equal", (scores,), shape, dtype="bool")
        rows = self._add("ReduceMin", (masked,), (*shape[:-1], 1), dtype="bool")
        return self._add("Where", (rows, probabilities), shape, dtype=self.tensors[scores].dtype)

    def _scaled(self, name: str) -> str:
        return self._add("Mul", (name,), self._shape(name))

    def _transposed(self, name: str) -> str:
        shape = self._shape(name)
        return self._add("Transpose", (name,), swapped(shape), perm=swapped(tuple(range(len(shape)))))

    def _cast(self, name: str, dtype: str) -> str:
        return self._add("Cast", (name,), self._shape(name), dtype=dtype)

    def _shape(self, name: str) -> Shape:
        return self.tensors[name].shape or ()

    def _add(self, op_type: str, inputs: Sequence[str], shape: Shape, *, dtype: str = "", **attributes: Any) -> str:
        """Add a kernel that writes a new value, of the first operand's type unless said."""
        name = f"{self.node.outputs[0]}#attention{len(self.nodes)}"
        first = self.tensors[inputs[0]]
        self.tensors[name] = replace(
            first, name=name, shape=shape, dtype=dtype or first.dtype, role="activation", stored=(), after=()
        )
        self._node(op_type, inputs, name, **attributes)
        return name

    def _node(self, op_type: str, inputs: Sequence[str], output: str, **attributes: Any) -> None:
        self.nodes.append(
            replace(
                self.node,
                name=f"{self.node.name}/{op_type}{len(self.nodes)}",
                op_type=op_type,
                inputs=tuple(inputs),
                outputs=(output,),
                attributes=attributes,
                values={},
            )
        )
