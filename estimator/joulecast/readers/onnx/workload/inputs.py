"""Bind a workload to a model's inputs: every dimension gets a number, every steering input its content."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from joulecast.errors import WorkloadError
from joulecast.readers.onnx.values import SMALL_NUMEL, Value, from_array, from_type
from joulecast.readers.onnx.workload import batch
from joulecast.readers.onnx.workload.asked import Asked
from joulecast.readers.onnx.workload.batch import batch_symbol
from joulecast.readers.onnx.workload.binding import Binding
from joulecast.readers.onnx.workload.dimensions import Dimension, dimensions, is_formula
from joulecast.readers.onnx.workload.hints import as_array
from joulecast.workloads import check_batch_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from onnx import TypeProto, ValueInfoProto

    from joulecast.graph import Shape
    from joulecast.layers import Workload


def bind(
    inputs: Sequence[ValueInfoProto], workload: Workload, asked: Asked | None = None
) -> tuple[list[Value], Binding]:
    """Bind each input to a static value, and return the values with the numbers of the symbols.

    What the workload leaves open is noted in ``asked`` and replaced by an example; without ``asked``,
    ``UnresolvedShapeError`` is raised. Raises ``WorkloadError``.
    """
    check_batch_size(workload.batch_size)
    declared = {info.name: dimensions(info.type) for info in inputs}
    binding = Binding(workload.batch_size, batch_symbol(list(declared.values())))
    given = {info.name: given_shape(info, workload) for info in inputs}
    for name, shape in given.items():
        if shape is not None:
            _learn(name, declared[name], shape, binding)
    _solve(declared, given, binding)
    noted = Asked() if asked is None else asked
    values = [_bound(info, declared[info.name], given[info.name], workload, binding, noted) for info in inputs]
    if asked is None and noted.found:
        raise noted.error(sound=True)
    _check_batch_used(workload, binding, given, declared)
    return values, binding


def batch_size(
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    shapes: Mapping[str, Shape],
    *,
    size: int | None,
    default: int,
) -> int:
    """Return the batch size that the given shapes say, as ``batch.batch_size`` finds it."""
    declared, made = ({info.name: dimensions(info.type) for info in infos} for infos in (inputs, outputs))
    return batch.batch_size(declared, made, shapes, size, default)


def _solve(
    declared: Mapping[str, tuple[Dimension, ...] | None], given: Mapping[str, Shape | None], binding: Binding
) -> None:
    """Work out symbols that stand in formulas alone, and check what each formula gives."""
    for name, shape in (*given.items(), *given.items()):  # twice: a formula may wait for a symbol of a later one
        for dimension, number in zip(declared[name] or (), shape or (), strict=False):
            if isinstance(dimension, str) and is_formula(dimension):
                binding.solve(dimension, number, f"--input {name}")


def given_shape(info: ValueInfoProto, workload: Workload) -> Shape | None:
    """Return the shape that the workload gives an input, by its shape or by its content."""
    if info.name in workload.input_shapes:
        shape = tuple(workload.input_shapes[info.name])
        if any(d < 0 for d in shape):
            raise WorkloadError(f"--input {info.name}={_text(shape)} has a negative dimension; give numbers from 0 up")
        return shape
    if info.name in workload.input_values and info.type.WhichOneof("value") == "tensor_type":
        return _content_shape(info, workload.input_values[info.name])
    return None


def _content_shape(info: ValueInfoProto, content: object) -> Shape | None:
    """Return the content's own shape.

    A single number also fits a declared shape of any rank, as one element or many.
    """
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
        if isinstance(dimension, str) and not is_formula(dimension):
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
    asked: Asked,
) -> Value:
    value = replace(from_type(info.name, info.type), role="input")
    content = workload.input_values.get(info.name)
    if value.container is not None:
        return _bound_container(value, content)
    shape = given if given is not None else _shape(info.name, declared, binding, asked)
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
    """Bind a sequence or optional input, whose elements are known only if the workload gives them."""
    if content is None or value.container is None:
        return value
    if value.container.WhichOneof("value") == "optional_type":
        inner = replace(from_type(value.name, value.container.optional_type.elem_type), name="")
        return replace(value, items=(_filled(inner, value.name, content),))
    return _filled(value, value.name, content)


def _filled(value: Value, name: str, content: object) -> Value:
    """Return a value of the declared type with its content."""
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
    """Return the element type inside sequences and optionals."""
    kind = proto.WhichOneof("value")
    if kind in ("sequence_type", "optional_type"):
        return _element(getattr(proto, kind).elem_type)
    return int(proto.tensor_type.elem_type) if kind == "tensor_type" else 0


def _shape(name: str, declared: tuple[Dimension, ...] | None, binding: Binding, asked: Asked) -> Shape:
    """Return the declared shape with every number known; what is open is asked for, and an example taken for it."""
    if declared is None:
        return asked.shape(name, (None,), f"input {name!r} declares no shape")
    numbers = [binding.number(dimension, position, declared) for position, dimension in enumerate(declared)]
    open_ones = [
        str(d) if d is not None else str(i) for i, (d, n) in enumerate(zip(declared, numbers, strict=True)) if n is None
    ]
    if not open_ones:
        return tuple(n for n in numbers if n is not None)
    problem = f"input {name!r} {_text(declared)} leaves dimension {', '.join(open_ones)} open"
    batched = [position for position in range(len(declared)) if binding.is_batch(declared, position)]
    shape = asked.shape(name, numbers, problem, declared, batched)
    for dimension, number in zip(declared, shape, strict=True):  # the next input of that symbol needs no asking
        if isinstance(dimension, str) and dimension != binding.batch_symbol and not is_formula(dimension):
            binding.numbers.setdefault(dimension, (number, f"--input {name}"))
    return shape


def _check_batch_used(
    workload: Workload,
    binding: Binding,
    given: Mapping[str, Shape | None],
    declared: Mapping[str, tuple[Dimension, ...] | None],
) -> None:
    """Check that a batch size other than 1 binds something, or agrees with the leading dimension of an input."""
    size = workload.batch_size
    if size == 1 or (binding.batch == size and (binding.used_batch or binding.batch_symbol in binding.numbers)):
        return
    leading = [(given[name] or shape or (None,))[0] for name, shape in declared.items() if given[name] or shape]
    if size not in leading:
        raise WorkloadError(
            _contradiction(size, binding, {name: given[name] or shape for name, shape in declared.items()})
        )


def _contradiction(size: int, binding: Binding, shapes: Mapping[str, Sequence[Dimension] | None]) -> str:
    """Describe why a batch of ``size`` is impossible, and what to do."""
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
