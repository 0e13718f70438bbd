"""Binds a workload to a model's inputs: every dimension gets a number, every steering input its content."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from onnx import TypeProto

from joulecast.errors import UnresolvedShapeError, WorkloadError
from joulecast.readers.onnx.hints import as_array
from joulecast.readers.onnx.values import SMALL_NUMEL, Value, from_array, from_type

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from onnx import ValueInfoProto
    from onnx.onnx_ml_pb2 import TensorShapeProto

    from joulecast.graph import Shape
    from joulecast.layers import Workload

_ANONYMOUS = re.compile(r"|\?|-1|none|unk__\d+|unknown.*|dyn", re.IGNORECASE)
"""Names that exporters give to dimensions they know nothing of (Paddle ``?`` and ``-1``, tf2onnx ``unk__12``): each
is a dimension of its own."""

_BATCH = re.compile(r"n|b|bs|bsz|.*batch.*", re.IGNORECASE)
"""Symbols that mean the batch wherever they stand."""

Dimension = int | str | None
"""A number, a symbol shared by several inputs, or nothing known."""


@dataclass(slots=True)
class Binding:
    """Numbers by symbol, with who set them; ``batch_symbol`` as found by ``batch_symbol``."""

    batch_size: int
    batch_symbol: str | None
    numbers: dict[str, tuple[int, str]] = field(default_factory=dict)
    used_batch: bool = False

    def learn(self, symbol: str, number: int, source: str) -> None:
        known, said_by = self.numbers.setdefault(symbol, (number, source))
        if known != number:
            raise WorkloadError(
                f"dimension {symbol!r} is {known} by {said_by} but {number} by {source}; give both inputs the"
                f" same number"
            )

    def number(self, dimension: Dimension, position: int) -> int | None:
        """The dimension's number, ``None`` if the workload leaves it open."""
        if isinstance(dimension, int):
            return dimension
        if isinstance(dimension, str) and dimension in self.numbers:
            return self.numbers[dimension][0]
        if dimension == self.batch_symbol if dimension is not None else position == 0:
            self.used_batch = True
            return self.batch
        return None

    @property
    def batch(self) -> int:
        symbol = self.batch_symbol
        return self.numbers[symbol][0] if symbol in self.numbers else self.batch_size


def bind(inputs: Sequence[ValueInfoProto], workload: Workload) -> list[Value]:
    """One value an input, all static. Raises ``WorkloadError`` or ``UnresolvedShapeError``."""
    _check_batch_size(workload.batch_size)
    declared = {info.name: dimensions(info.type) for info in inputs}
    binding = Binding(workload.batch_size, batch_symbol(list(declared.values())))
    given = {info.name: given_shape(info, workload) for info in inputs}
    for name, shape in given.items():
        if shape is not None:
            _learn(name, declared[name], shape, binding)
    values = [_bound(info, declared[info.name], given[info.name], workload, binding) for info in inputs]
    _check_batch_used(workload, binding, given, declared)
    return values


def dimensions(proto: TypeProto) -> tuple[Dimension, ...] | None:
    """The declared dimensions of a tensor type, ``None`` if the rank is unknown or it is no tensor."""
    kind = proto.WhichOneof("value")
    if kind not in ("tensor_type", "sparse_tensor_type") or not getattr(proto, kind).HasField("shape"):
        return None
    return tuple(_dimension(d) for d in getattr(proto, kind).shape.dim)


def _dimension(dim: TensorShapeProto.Dimension) -> Dimension:
    if dim.HasField("dim_value"):
        return int(dim.dim_value) if dim.dim_value >= 0 else None
    return None if _ANONYMOUS.fullmatch(dim.dim_param.strip()) else dim.dim_param


def batch_symbol(declared: Sequence[tuple[Dimension, ...] | None]) -> str | None:
    """The symbol that ``batch_size`` binds: one named like a batch, wherever it stands, else the first input's
    leading symbol."""
    symbols = [d for shape in declared for d in shape or () if isinstance(d, str)]
    leading = [shape[0] for shape in declared if shape and isinstance(shape[0], str)]
    named = [symbol for symbol in (*leading, *symbols) if _BATCH.fullmatch(symbol)]
    return next(iter(named), None) or next(iter(leading), None)


def given_shape(info: ValueInfoProto, workload: Workload) -> Shape | None:
    """The shape that the workload gives an input, by its shape or by its content."""
    if info.name in workload.input_shapes:
        shape = tuple(workload.input_shapes[info.name])
        if any(d < 0 for d in shape):
            raise WorkloadError(f"--input {info.name}={_text(shape)} has a negative dimension; give numbers from 0 up")
        return shape
    if info.name in workload.input_values and info.type.WhichOneof("value") == "tensor_type":
        return _content_shape(info, workload.input_values[info.name])
    return None


def _content_shape(info: ValueInfoProto, content: object) -> Shape | None:
    """The content's own shape; a lone number also fits a declared shape of any rank, as one element or many."""
    array = as_array(info.name, content, info.type.tensor_type.elem_type)
    declared = dimensions(info.type)
    if array.ndim == 0 and declared:
        return tuple(d if isinstance(d, int) else 1 for d in declared)
    return tuple(array.shape)


def _learn(name: str, declared: tuple[Dimension, ...] | None, shape: Shape, binding: Binding) -> None:
    if declared is None:
        return
    if len(declared) != len(shape):
        raise WorkloadError(
            f"input {name!r} has {len(declared)} dimensions {_text(declared)}, but {_text(shape)} was given"
        )
    for position, (dimension, number) in enumerate(zip(declared, shape, strict=True)):
        if isinstance(dimension, int) and dimension != number:
            raise WorkloadError(
                f"input {name!r} has {dimension} as its dimension {position} {_text(declared)}, but"
                f" {_text(shape)} was given"
            )
        if isinstance(dimension, str):
            binding.learn(dimension, number, f"--input {name}")
        elif dimension is None and position == 0 and binding.batch_symbol is None:
            binding.batch_symbol = ""
            binding.learn("", number, f"--input {name}")


def _bound(
    info: ValueInfoProto,
    declared: tuple[Dimension, ...] | None,
    given: Shape | None,
    workload: Workload,
    binding: Binding,
) -> Value:
    value = replace(from_type(info.name, info.type), role="input")
    content = workload.input_values.get(info.name)
    if value.container is not None:
        return _bound_container(value, content)
    shape = given if given is not None else _shape(info.name, declared, binding)
    data = None
    if content is not None:
        data = _fitted(info.name, as_array(info.name, content, value.elem), shape)
    return replace(value, shape=shape, data=data)


def _fitted(name: str, array: Any, shape: Shape) -> Any:
    if array.ndim == 0 or array.shape == shape:
        import numpy as np

        array = np.broadcast_to(array, shape)
        return array if array.size <= SMALL_NUMEL else None
    raise WorkloadError(f"the value given for input {name!r} has shape {_text(array.shape)}, not {_text(shape)}")


def _bound_container(value: Value, content: object) -> Value:
    """A sequence or optional input: its elements only if the workload gives them."""
    if content is None or value.container is None:
        return value
    if value.container.WhichOneof("value") == "optional_type":
        inner = replace(from_type(value.name, value.container.optional_type.elem_type), name="")
        return replace(value, items=(_filled(inner, value.name, content),))
    return _filled(value, value.name, content)


def _filled(value: Value, name: str, content: object) -> Value:
    """A value of the declared type with its content."""
    if value.container is None:
        return replace(
            from_array(name, as_array(name, content, value.elem), elem=value.elem, runtime=True), role="input"
        )
    elem = _element(value.container)
    if not isinstance(content, list | tuple):
        raise WorkloadError(f"input {name!r} is a sequence; give a list of tensors")
    return replace(
        value, items=tuple(from_array(name, as_array(name, item, elem), elem=elem, runtime=True) for item in content)
    )


def _element(proto: TypeProto) -> int:
    """The element type inside sequences and optionals."""
    kind = proto.WhichOneof("value")
    if kind in ("sequence_type", "optional_type"):
        return _element(getattr(proto, kind).elem_type)
    return int(proto.tensor_type.elem_type) if kind == "tensor_type" else 0


def _shape(name: str, declared: tuple[Dimension, ...] | None, binding: Binding) -> Shape:
    if declared is None:
        raise UnresolvedShapeError(f"input {name!r} declares no shape; give it with --input {name}=…")
    numbers = [binding.number(dimension, position) for position, dimension in enumerate(declared)]
    open_ones = [
        str(d) if d is not None else str(i) for i, (d, n) in enumerate(zip(declared, numbers, strict=True)) if n is None
    ]
    if open_ones:
        example = ",".join("…" if n is None else str(n) for n in numbers)
        raise UnresolvedShapeError(
            f"input {name!r} {_text(declared)} leaves dimension {', '.join(open_ones)} open; give --input"
            f" {name}={example}"
        )
    return tuple(n for n in numbers if n is not None)


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise WorkloadError(f"the batch size is {batch_size}; give a number from 1 up")


def _check_batch_used(
    workload: Workload,
    binding: Binding,
    given: Mapping[str, Shape | None],
    declared: Mapping[str, tuple[Dimension, ...] | None],
) -> None:
    """A batch size other than 1 must bind something, or agree with the leading dimension of an input."""
    size = workload.batch_size
    if size == 1 or (binding.used_batch and binding.batch == size):
        return
    leading = [(given[name] or shape or (None,))[0] for name, shape in declared.items() if given[name] or shape]
    if size not in leading:
        raise WorkloadError(
            _contradiction(size, binding, {name: given[name] or shape for name, shape in declared.items()})
        )


def _contradiction(size: int, binding: Binding, shapes: Mapping[str, Sequence[Dimension] | None]) -> str:
    """Why a batch of ``size`` cannot be, and what to do."""
    symbol = binding.batch_symbol
    if symbol is not None and symbol in binding.numbers:
        number, said_by = binding.numbers[symbol]
        return f"the batch size {size} contradicts {said_by}, by which it is {number}; give both the same number"
    shown = ", ".join(f"{name}: {_text(shape or ())}" for name, shape in shapes.items())
    return (
        f"the model's inputs do not take a batch of {size} ({shown}); leave --batch-size out, or export the"
        f" model with a dynamic batch"
    )


def _text(shape: Sequence[Any]) -> str:
    return "[" + ",".join("?" if d is None else str(d) for d in shape) + "]"
