"""Rows of a network at any batch size, from a trace at one.

Every size in a vision network is ``const + per_image × batch``. A graph is traced at ``BATCH``, a prime that no
dimension of a network has for a factor, so that the dimensions that follow the batch are known by it. The sizes of the
rows are then counted at two batches, and their two parts follow exactly.

A row as a list of JSON values: its names, its numbers, its products, and the shapes of its operands. A number that
follows the batch is stored as minus its value for one image, a constant as itself, and a sum of both as a pair. Two
numbers are nearly always 0 by being stored as differences: floating-point elements from all elements, and bytes from
those elements in the row's dtype.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from joulecast.counting import count
from joulecast.errors import InternalInconsistencyError
from joulecast.graph import ITEMSIZE_BYTES, ModelGraph, Node, Shape, Tensor
from joulecast.layers import Contraction, LayerProfile

BATCH = 1_000_003
"""A prime far above any dimension of a network: nothing is computed, so its size costs nothing."""

RUNTIME = "torch-eager"

ELEMENTS = ("input_numel", "output_numel", "weight_numel")
PRODUCT = ("batch", "m", "n", "k", "repeats")

Number = int | list[int]
Document = list[Any]
"""Operator, dtype, kernels, repeats, ``ELEMENTS`` and the two differences, products, shapes of inputs and outputs; of
an interpolation also its taps."""


def documents(graph: ModelGraph) -> tuple[list[Document], int]:
    """Return the rows with a kernel of ``graph``, traced at ``BATCH``, and its views.

    Raises InternalInconsistencyError where a size is not affine in the batch.
    """
    one, two = count(graph), count(at_batch(graph, BATCH, 2 * BATCH))
    rows = [_document(first, second) for first, second in zip(one, two, strict=True) if _launched(first)]
    return rows, sum(row.views for row in one)


def layer_of(row: Document, batch: int) -> LayerProfile:
    """Return the row that ``documents`` wrote, at ``batch``."""
    op_type, dtype, kernels, repeats, numbers, products, inputs, outputs, *taps = row
    read, written, weights, unreal, wider = _sizes(numbers, batch)
    floats = read + written + weights - unreal
    contractions = tuple(Contraction(**dict(zip(PRODUCT, _sizes(one, batch), strict=True))) for one in products)
    macs = sum(product.macs for product in contractions)
    return LayerProfile(
        name=op_type,
        op_type=op_type,
        kind="counted" if macs else "zero",
        dtype=dtype,
        macs=macs,
        kernels={RUNTIME: kernels},
        contractions=contractions,
        input_shapes=tuple(_sizes(shape, batch) for shape in inputs),
        output_shapes=tuple(_sizes(shape, batch) for shape in outputs),
        input_numel=read,
        output_numel=written,
        weight_numel=weights,
        float_numel=floats,
        bytes_moved=int(floats * ITEMSIZE_BYTES[dtype]) + wider,
        repeats=repeats,
        taps=taps[0] if taps else 0,
    )


def _launched(layer: LayerProfile) -> bool:
    return layer.kind in ("counted", "zero") and layer.kernels.get(RUNTIME, 0) > 0


def at_batch(graph: ModelGraph, before: int, batch: int) -> ModelGraph:
    """Return ``graph``, traced at the batch ``before``, with the shapes that it has at ``batch``."""
    tensors = {name: _moved(tensor, before, batch) for name, tensor in graph.tensors.items()}
    nodes = tuple(_node(node, before, batch) for node in graph.nodes)
    return replace(graph, tensors=tensors, nodes=nodes)


def _moved(tensor: Tensor, before: int, batch: int) -> Tensor:
    if tensor.shape is None or not any(size and size % before == 0 for size in tensor.shape):
        return tensor
    return replace(tensor, shape=tuple(_size(size, before, batch) for size in tensor.shape))


def _node(node: Node, before: int, batch: int) -> Node:
    """Return the node with the attributes that count images, such as the groups of a convolution of each its own."""
    changed = {
        name: _size(value, before, batch)
        for name, value in node.attributes.items()
        if isinstance(value, int) and not isinstance(value, bool) and value and value % before == 0
    }
    return replace(node, attributes={**node.attributes, **changed}) if changed else node


def _size(size: int, before: int, batch: int) -> int:
    return size // before * batch if size and size % before == 0 else size


def _document(one: LayerProfile, two: LayerProfile) -> Document:
    return [
        one.op_type,
        one.dtype,
        one.kernels[RUNTIME],
        one.repeats,
        [_number(first, second) for first, second in zip(_numbers(one), _numbers(two), strict=True)],
        [_products(first, second) for first, second in zip(one.contractions, two.contractions, strict=True)],
        [_shape(first, second) for first, second in zip(one.input_shapes, two.input_shapes, strict=True)],
        [_shape(first, second) for first, second in zip(one.output_shapes, two.output_shapes, strict=True)],
        *([one.taps] if one.taps else []),
    ]


def _numbers(layer: LayerProfile) -> tuple[int, ...]:
    elements = [getattr(layer, name) for name in ELEMENTS]
    in_dtype = int(layer.float_numel * ITEMSIZE_BYTES[layer.dtype])
    return (*elements, sum(elements) - layer.float_numel, layer.bytes_moved - in_dtype)


def _products(one: Contraction, two: Contraction) -> list[Number]:
    return [_number(getattr(one, name), getattr(two, name)) for name in PRODUCT]


def _shape(one: Shape, two: Shape) -> list[Number]:
    return [_number(first, second) for first, second in zip(one, two, strict=True)]


def _number(one: int, two: int) -> Number:
    """Return the parts of a number that is ``one`` at ``BATCH`` and ``two`` at twice that."""
    per_image, rest = divmod(two - one, BATCH)
    const = one - per_image * BATCH
    if rest or const <= -(BATCH**2):  # a square: the images of a batch attend to one another, as in csatv2
        raise InternalInconsistencyError(f"{one} and {two} at {BATCH} and {2 * BATCH} images are not affine in them")
    if per_image > 0 and not const:
        return -per_image
    return const if const >= 0 and not per_image else [const, per_image]


def _sizes(numbers: Sequence[Number], batch: int) -> tuple[int, ...]:
    return tuple(_at(number, batch) for number in numbers)


def _at(number: Number, batch: int) -> int:
    if isinstance(number, int):
        return number if number >= 0 else -number * batch
    const, per_image = number
    return const + per_image * batch


def frozen(row: Document) -> tuple[Any, ...]:
    """Return the row as a value that can be hashed."""
    return tuple(_frozen(item) for item in row)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, (list, tuple)) else value
