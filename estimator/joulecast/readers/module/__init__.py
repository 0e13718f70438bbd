"""Any torch module, traced on fake tensors: the same rows as its ONNX file gives.

Torch is imported when something is traced; graphs of recorded calls need none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from joulecast.readers.module.digest import graph_digest
from joulecast.readers.module.graph import graph_of, graph_of_call
from joulecast.readers.module.inputs import arguments

if TYPE_CHECKING:
    from torch.nn import Module as Module

    from joulecast.graph import ModelGraph
    from joulecast.readers.module.tracing.forward import trace as trace

__all__ = ["arguments", "graph_digest", "graph_of", "graph_of_call", "read", "trace"]


def read(module: Module, example_inputs: Any, *, name: str = "") -> ModelGraph:
    """Read one forward pass as a graph.

    ``example_inputs``: a tensor, a sequence of positional arguments, or a mapping of arguments by name.

    Raises WorkloadError, ModelFormatError, UnresolvedShapeError.
    """
    from joulecast.readers.module.tracing.forward import trace

    args, kwargs = arguments(example_inputs)
    return graph_of(trace(module, args, kwargs, name=name))


def __getattr__(name: str) -> object:
    if name != "trace":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from joulecast.readers.module.tracing.forward import trace

    return trace
