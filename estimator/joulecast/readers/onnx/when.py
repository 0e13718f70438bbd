"""When an operator's outputs exist: in the file, once it is loaded, or in each pass."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from joulecast.readers.onnx.shapes.folding import SHAPE_READERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnx import NodeProto

    from joulecast.readers.onnx.values import Value

LAYOUT = frozenset("Transpose Reshape Squeeze Unsqueeze Flatten Slice Split Concat Expand Identity CastLike".split())
"""Operators by which exporters give stored weights the layout that ONNX asks for; frameworks hold them so, and
runtimes rearrange them when they load the file."""

AT_RUN_TIME = frozenset(
    "RandomNormal RandomNormalLike RandomUniform RandomUniformLike Bernoulli Multinomial"
    " DequantizeLinear DynamicQuantizeLinear".split()
)
"""Operators that run with the model even if all they read is stored: random ones, and the unpacking of quantised
weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """When the outputs of one operator exist; without any mark they are activations.

    - ``folded``: before the model runs, in any runtime: shape arithmetic, and stored tensors in another layout.
    - ``computed``: from stored values alone, which eager mode does in every pass.
    - ``open``: what a computed output depends on is not known when the file is loaded.
    - ``stored``: the stored tensors that they come from.
    """

    folded: bool
    computed: bool
    open: bool
    stored: tuple[str, ...] = ()

    @staticmethod
    def of(node: NodeProto, inputs: Sequence[Value | None], outputs: Sequence[Value]) -> When:
        if node.op_type == "CastLike":  # of the second input it takes the type alone
            inputs = inputs[:1]
        present = [value for value in inputs if value is not None]
        late = any(value.open for value in present)
        if not _of_stored_values(node, inputs, outputs):
            return When(folded=False, computed=False, open=late)
        laid_out = node.op_type in LAYOUT and not late and not any(value.computed for value in present)
        folded = laid_out or all(value.known for value in outputs)
        stored = dict.fromkeys(name for value in present if not value.runtime for name in value.stored)
        return When(folded=folded, computed=not folded, open=late, stored=tuple(stored))

    def placed(self, value: Value) -> Value:
        """Return the output with these marks."""
        ahead = self.folded or self.computed
        if not ahead and value.runtime and value.role == "activation" and not value.stored and value.open == self.open:
            return value
        return replace(
            value,
            runtime=not ahead,
            role="constant" if ahead else "activation",
            stored=self.stored,
            computed=self.computed,
            open=self.open,
        )


def _of_stored_values(node: NodeProto, inputs: Sequence[Value | None], outputs: Sequence[Value]) -> bool:
    """Decide whether the node reads stored values alone, apart from shapes of what is fed."""
    if node.op_type in AT_RUN_TIME or node.domain:
        return False
    if node.op_type not in SHAPE_READERS and any(value is not None and value.runtime for value in inputs):
        return False
    return all(v.known for v in outputs) or any(v is not None and v.stored for v in inputs)
