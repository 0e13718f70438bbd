"""Resolve the name in a recorded call to a function of torch and its arguments.

A name is data and may have been tampered with, so it never leads to an arbitrary attribute: only to an ATen operator
and to the functions that the module reader records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import torch

from joulecast.errors import MeasurementError
from joulecast.readers.module.calls import Call, TensorRef
from joulecast.readers.module.tracing.functions import FUNCTIONS

REFUSED = frozenset({"from_file", "set_", "set_data", "resize_", "resize_as_", "resize_output_", "_resize_output_"})
"""ATen operators that access files, or change a tensor beyond its elements."""

KEPT_IN_PLACE = frozenset(
    """copy_ fill_ zero_ masked_fill_ masked_scatter_ index_put_ index_fill_ index_copy_ index_add_ scatter_
    scatter_add_ scatter_reduce_""".split()
)
"""In-place operators whose other form copies everything first, which is another traffic. All but the additions change
nothing more when they run again; an addition to a few elements grows by one term an execution."""


def callable_of(name: str) -> Callable[..., Any]:
    """Return the function that ``name`` stands for. Raises MeasurementError (RefusedFunction)."""
    parts = name.split(".")
    if parts[0] == "aten" and len(parts) == 3:
        return _operator(name, parts[1], parts[2])
    if name not in FUNCTIONS:
        raise _refused(name, "it is not one of the functions that are measured")
    return _attribute(name, parts[1:])


def _operator(name: str, base: str, overload: str) -> Callable[..., Any]:
    if base in REFUSED or base.startswith("__") or overload.startswith("__"):
        raise _refused(name, "it has side effects")
    packet = getattr(torch.ops.aten, base, None) if base.isidentifier() else None
    known = packet.overloads() if isinstance(packet, torch._ops.OpOverloadPacket) else ()  # type: ignore[no-untyped-call]
    if overload not in known:
        raise _refused(name, f"torch {torch.__version__} does not have this operator")
    operator: Callable[..., Any] = getattr(packet, overload)
    return operator


def _attribute(name: str, path: Sequence[str]) -> Callable[..., Any]:
    function = reduce(lambda found, part: getattr(found, part, None), path, torch)  # type: ignore[arg-type,return-value]
    if not callable(function):
        raise _refused(name, f"torch {torch.__version__} does not have this function")
    return function


def _refused(name: str, why: str) -> MeasurementError:
    return MeasurementError(
        f"{name[:80]!r} is not run: {why}; rebuild the suite's index with this torch", reason="RefusedFunction"
    )


def out_of_place(name: str) -> str | None:
    """Return the operator that computes what an in-place operator does into memory of its own.

    None where there is no such operator, and for ``KEPT_IN_PLACE``. Repeated thousands of times, ``x += y`` would
    overflow, and a ReLU would find nothing to cut. Both forms run the same kernel, which reads and writes the same
    bytes.
    """
    parts = name.split(".")
    if parts[0] != "aten" or len(parts) != 3 or not parts[1].endswith("_") or parts[1] in KEPT_IN_PLACE:
        return None
    other = f"aten.{parts[1].removesuffix('_')}.{parts[2]}"
    try:
        callable_of(other)
    except MeasurementError:
        return None
    return other


def parameter_names(name: str) -> tuple[str, ...]:
    """Return the function's parameters in the order of its positional form."""
    if name in FUNCTIONS:
        return tuple(FUNCTIONS[name].parameters)
    schema = getattr(callable_of(name), "_schema", None)
    return tuple(argument.name for argument in schema.arguments) if schema is not None else ()


def named_arguments(call: Call) -> dict[str, Any]:
    """Return the arguments by parameter."""
    return dict(zip(parameter_names(call.function), call.args, strict=False)) | dict(call.kwargs)


def invocation(call: Call, tensors: Sequence[torch.Tensor], device: torch.device) -> tuple[list[Any], dict[str, Any]]:
    """Return ``args`` and ``kwargs`` with ``tensors`` in place of their references and everything on ``device``."""
    args = [_argument(value, tensors, device) for value in call.args]
    return args, {name: _argument(value, tensors, device) for name, value in call.kwargs.items()}


def _argument(value: Any, tensors: Sequence[torch.Tensor], device: torch.device) -> Any:
    if isinstance(value, TensorRef):
        return tensors[value.position]
    if isinstance(value, list | tuple):
        return [_argument(item, tensors, device) for item in value]
    if isinstance(value, Mapping):
        return _special(value, device)
    return value


def _special(value: Mapping[str, Any], device: torch.device) -> Any:
    """Read a dtype, device, memory format, layout or complex number as the module reader writes it."""
    kind, content = next(iter(value.items()))
    if kind == "device":
        return device
    if kind == "complex":
        return complex(*content)
    found = getattr(torch, content, None) if kind in _SPECIAL and str(content).isidentifier() else None
    if not isinstance(found, _SPECIAL.get(kind, ())):
        raise MeasurementError(f"unknown argument {dict(value)!r}", reason="RefusedFunction")
    return found


_SPECIAL: Mapping[str, type] = {
    "dtype": torch.dtype, "memory_format": torch.memory_format, "layout": torch.layout,
}  # fmt: skip
