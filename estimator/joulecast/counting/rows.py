"""Rows of features, one an operator, and their sums."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from joulecast.counting.registry import RUNTIMES, Cost, rule_for
from joulecast.errors import InternalInconsistencyError, ModelFormatError
from joulecast.graph import FLOATING_DTYPES, ITEMSIZE_BYTES
from joulecast.layers import Contraction, Coverage, LayerProfile, Totals

if TYPE_CHECKING:
    from joulecast.graph import ModelGraph, Node, Tensor

FOLDED = Cost(kind="free", eager_kernels=0, onnxruntime_kernels=0)
UNSUPPORTED = Cost(kind="unsupported")

COMPLEX_DTYPES = ("complex64", "complex128")
COMPLEX_PRODUCTS = 4
"""Real products in one of complex numbers: (a + bi)(c + di), as exporters write it and cuBLAS runs it."""


def count(graph: ModelGraph) -> tuple[LayerProfile, ...]:
    """Return one row for each node of ``graph``, in order.

    A shared stored tensor's parameters are counted in the row that uses it first.
    """
    seen: set[str] = set()
    return tuple(_row(node, graph, cost(node, graph), seen) for node in graph.nodes)


def cost(node: Node, graph: ModelGraph) -> Cost:
    """Return what one call costs by its rule; folded nodes are free, and those without a rule unsupported."""
    if node.folded:
        return FOLDED
    formula = rule_for(node.domain, node.op_type)
    if formula is None:
        return UNSUPPORTED
    try:
        return formula(node, graph)
    except (ArithmeticError, LookupError, ValueError) as error:
        if not node.domain:  # the standard's inference took these shapes
            raise _defect(node, error) from error
        raise ModelFormatError(
            f"the {node.op_type} node {node.name!r} has shapes or attributes that its operator cannot have ({error});"
            " the file is damaged, export it again"
        ) from error
    except (AssertionError, AttributeError, TypeError) as error:
        raise _defect(node, error) from error


def _defect(node: Node, error: Exception) -> InternalInconsistencyError:
    return InternalInconsistencyError(
        f"counting the {node.op_type} node {node.name!r} failed ({type(error).__name__}: {error}); this is a defect of"
        " joulecast, not of the model: please report it with the graph (no weights are needed)"
    )


def totals(layers: Iterable[LayerProfile], runtimes: Sequence[str] = RUNTIMES) -> Totals:
    """Return sums over all rows; bytes and inputs count only rows that execute as kernels of their own.

    ``runtimes``: those whose launches are summed.
    """
    layers = tuple(layers)
    executed = [row for row in layers if row.kind != "free"]
    return Totals(
        macs=sum(row.macs for row in layers),
        params=sum(row.params for row in layers),
        activations=sum(row.activations for row in layers),
        input_numel=sum(row.input_numel for row in executed),
        bytes_moved=sum(row.bytes_moved for row in executed),
        mac_rows=sum(row.macs > 0 for row in layers),
        kernels={runtime: sum(row.kernels.get(runtime, 0) for row in layers) for runtime in runtimes},
    )


def coverage(layers: Iterable[LayerProfile]) -> Coverage:
    """Return the shares of what has a rule.

    An unsupported row may hide an unknown number of FLOPs, so with any such row ``flops`` is the share of bytes
    instead.
    """
    executed = [row for row in layers if row.kind != "free"]
    missing = [row for row in executed if row.kind == "unsupported"]
    moved = sum(row.bytes_moved for row in executed)
    return Coverage(
        flops=1.0 - (sum(row.bytes_moved for row in missing) / moved if moved else float(bool(missing))),
        ops=1.0 - len(missing) / len(executed) if executed else 1.0,
        unsupported=tuple(dict.fromkeys(_qualified(row) for row in missing)),
        upper_bounds=tuple(dict.fromkeys(_qualified(row) for row in executed if row.upper_bound)),
    )


def _qualified(row: LayerProfile) -> str:
    return f"{row.domain}:{row.op_type}" if row.domain else row.op_type


@dataclass(slots=True)
class Traffic:
    """Elements and bytes that one call moves."""

    inputs: int = 0
    weights: int = 0
    outputs: int = 0
    floats: int = 0
    bytes: float = 0.0
    seen: set[str] = field(default_factory=set)

    def read(self, tensor: Tensor, numel: int) -> None:
        if tensor.name in self.seen:
            return
        self.seen.add(tensor.name)
        if tensor.role in ("parameter", "constant"):
            self.weights += numel
        else:
            self.inputs += numel
        self._move(tensor, numel)

    def write(self, tensor: Tensor) -> None:
        self.outputs += tensor.numel
        self._move(tensor, tensor.numel)

    def _move(self, tensor: Tensor, numel: int) -> None:
        self.bytes += numel * ITEMSIZE_BYTES[tensor.dtype]
        self.floats += numel if tensor.dtype in FLOATING_DTYPES else 0


def traffic(node: Node, graph: ModelGraph, price: Cost) -> Traffic:
    """Return what the call reads and writes. An input read twice counts once, and one read in part counts in part."""
    moved = Traffic()
    for position, name in enumerate(node.inputs):
        if name:
            tensor = graph.tensors[name]
            moved.read(tensor, price.reads.get(position, tensor.numel))
    for name in node.outputs:
        if name:
            moved.write(graph.tensors[name])
    return moved


def _row(node: Node, graph: ModelGraph, price: Cost, seen: set[str]) -> LayerProfile:
    times = node.repeats
    moved = Traffic() if node.folded else traffic(node, graph, price)
    contractions = _contractions(node, graph, price)
    macs = sum(c.macs for c in contractions)
    return LayerProfile(
        name=node.name,
        op_type=node.op_type,
        kind=price.kind,
        domain=node.domain,
        scope=node.scope,
        dtype=dtype(node, graph),
        macs=macs,
        params=0 if node.folded else price.attribute_params + parameters(node, graph, price, seen),
        activations=_first_output(node, graph) * times if macs else 0,
        input_numel=moved.inputs * times,
        output_numel=moved.outputs * times,
        weight_numel=moved.weights * times,
        float_numel=moved.floats * times,
        bytes_moved=math.ceil(moved.bytes) * times,
        repeats=times,
        views=price.views * times,
        kernels={runtime: launches * times for runtime, launches in price.kernels(loaded=node.loaded).items()},
        contractions=contractions,
        input_shapes=tuple(graph.tensors[n].shape or () for n in node.inputs if n),
        output_shapes=tuple(graph.tensors[n].shape or () for n in node.outputs if n),
        taps=price.taps,
        upper_bound=not graph.upper_bounds.isdisjoint((*node.inputs, *node.outputs)),
    )


def _contractions(node: Node, graph: ModelGraph, price: Cost) -> tuple[Contraction, ...]:
    """Return the products of all runs of the node that multiply at least one element."""
    if not price.contractions:
        return ()
    products = COMPLEX_PRODUCTS if dtype(node, graph) in COMPLEX_DTYPES else 1
    return tuple(_repeated(c, node.repeats * products) for c in price.contractions if c.macs)


def macs(node: Node, graph: ModelGraph) -> int:
    """Return the multiply-accumulates of all runs of one node."""
    return sum(c.macs for c in _contractions(node, graph, cost(node, graph)))


def unsupported(node: Node) -> bool:
    """Decide whether the node executes and has no rule."""
    return not node.folded and rule_for(node.domain, node.op_type) is None


def parameter_names(node: Node, graph: ModelGraph) -> Iterator[str]:
    """Yield the trainable stored tensors that an executing node uses."""
    for name in () if node.folded else node.inputs:
        if name and graph.tensors[name].role == "parameter":
            own = graph.tensors[name].stored or (name,)
            yield from (stored for stored in own if graph.tensors[stored].role == "parameter")


def _first_output(node: Node, graph: ModelGraph) -> int:
    """Return the elements of the main result.

    What a recurrence or attention also returns (states, caches) are copies.
    """
    return next((graph.tensors[name].numel for name in node.outputs if name), 0)


def _repeated(contraction: Contraction, times: int) -> Contraction:
    if times == 1:
        return contraction
    c = contraction
    return Contraction(batch=c.batch, m=c.m, n=c.n, k=c.k, repeats=c.repeats * times)


def parameters(node: Node, graph: ModelGraph, price: Cost, seen: set[str]) -> int:
    """Count the trainable elements that this call uses and no earlier one did; extends ``seen``."""
    total = 0
    for position, name in enumerate(node.inputs):
        if not name or graph.tensors[name].role != "parameter":
            continue
        for stored in graph.tensors[name].stored or (name,):
            if stored not in seen and graph.tensors[stored].role == "parameter":
                seen.add(stored)
                total += price.params.get(position, graph.tensors[stored].numel)
    return total


def dtype(node: Node, graph: ModelGraph) -> str:
    """Return the type that the call computes in: the first floating input's, else the first input's, else the
    output's.
    """
    tensors = [graph.tensors[name] for name in (*node.inputs, *node.outputs) if name]
    tensors = [tensor for tensor in tensors if tensor.shape is not None]
    floating = [tensor.dtype for tensor in tensors if tensor.dtype in FLOATING_DTYPES]
    return next(iter(floating), None) or next((tensor.dtype for tensor in tensors), "float32")
