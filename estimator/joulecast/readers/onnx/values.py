"""What the walk knows of one value: its type, its shape, and its content where that is small and known."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, TypeProto, helper, numpy_helper

from joulecast.errors import ModelFormatError
from joulecast.sources.skeletons.skeleton import DROPPED_LOCATION

if TYPE_CHECKING:
    from onnx import SparseTensorProto

    from joulecast.graph import Shape, TensorRole

SMALL_NUMEL = 4096
"""Largest value whose content is kept and computed with; shape arithmetic stays far below it."""

PartialShape = tuple[int | None, ...]

_DTYPES = {
    "FLOAT": "float32", "DOUBLE": "float64", "FLOAT16": "float16", "BFLOAT16": "bfloat16",
    "FLOAT4E2M1": "float4", "BOOL": "bool", "STRING": "string", "COMPLEX64": "complex64", "COMPLEX128": "complex128",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A value met while walking.

    - ``elem``: ONNX's element type.
    - ``shape``: ``None`` for an unknown dimension; ``None`` as a whole if the rank is unknown or the value is not a
      tensor.
    - ``data``: its content.
    - ``runtime``: it exists only once the model runs (an input, or computed from one); otherwise it was stored or is
      computed of stored values alone.
    - ``computed``: of stored values, in every pass of eager mode.
    - ``open``: it depends on what a runtime does not know when it loads the file: an open dimension, the pass of a
      loop.
    - ``items``: the elements of a sequence (or of an optional, one or none) of known length.
    - ``container``: the type of a value that is not a tensor.
    - ``location``: file of the content of a stored tensor that lies outside the model's own.
    """

    name: str
    elem: int = TensorProto.UNDEFINED
    shape: PartialShape | None = None
    data: Any = None
    runtime: bool = True
    role: TensorRole = "activation"
    stored: tuple[str, ...] = ()
    computed: bool = False
    open: bool = False
    items: tuple[Value, ...] | None = None
    container: TypeProto | None = None
    location: str = ""

    @property
    def static(self) -> bool:
        """Whether the whole shape is known."""
        return self.shape is not None and None not in self.shape

    @property
    def numel(self) -> int | None:
        """Number of elements, ``None`` while a dimension is unknown."""
        if self.shape is None:
            return None
        return None if None in self.shape else math.prod(d or 0 for d in self.shape)

    @property
    def known(self) -> bool:
        return self.data is not None

    @property
    def dtype(self) -> str:
        return dtype_name(self.elem)

    def without_data(self) -> Value:
        return replace(self, data=None)

    def type_proto(self) -> TypeProto:
        if self.container is not None:
            return self.container
        return _tensor_type(self.elem, self.shape)


@lru_cache(maxsize=64)
def dtype_name(elem: int) -> str:
    """Return the name of an ONNX element type: ``FLOAT`` is ``float32``, every 8-bit float ``float8``."""
    try:
        name = str(TensorProto.DataType.Name(elem))
    except ValueError as error:
        raise ModelFormatError(
            f"the model uses element type {elem}, which ONNX does not define; export it again"
        ) from error
    if name.startswith("FLOAT8"):
        return "float8"
    if name == "UNDEFINED":
        return "float32"
    return _DTYPES.get(name, name.lower())


@lru_cache(maxsize=4096)
def _tensor_type(elem: int, shape: PartialShape | None) -> TypeProto:
    return helper.make_tensor_type_proto(elem, shape)


def from_type(name: str, proto: TypeProto) -> Value:
    """Return the value of an ONNX type; dimensions that are symbolic, absent or negative are unknown."""
    kind = proto.WhichOneof("value")
    if kind not in ("tensor_type", "sparse_tensor_type"):
        return Value(name=name, container=proto)
    tensor = getattr(proto, kind)
    shape: PartialShape | None = None
    if tensor.HasField("shape"):
        shape = tuple(d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else None for d in tensor.shape.dim)
    return Value(name=name, elem=tensor.elem_type, shape=shape)


def from_tensor(name: str, proto: TensorProto) -> Value:
    """Return a stored tensor with its content if that is inline and small. An absent payload is unknown, never zero."""
    shape = _stored_shape(name, proto.dims)
    data = None
    if proto.data_location != TensorProto.EXTERNAL and math.prod(shape) <= SMALL_NUMEL:
        data = _content(name, proto)
    return Value(
        name=name,
        elem=proto.data_type,
        shape=shape,
        data=data,
        runtime=False,
        role="constant",
        stored=(name,),
        location=_location(proto),
    )


def _location(proto: TensorProto) -> str:
    if proto.data_location != TensorProto.EXTERNAL:
        return ""
    found = next((entry.value for entry in proto.external_data if entry.key == "location"), "")
    return "" if found == DROPPED_LOCATION else found


def from_sparse(name: str, proto: SparseTensorProto) -> Value:
    """Return a stored sparse tensor as the dense one that it represents."""
    shape = _stored_shape(name, proto.dims)
    return Value(name=name, elem=proto.values.data_type, shape=shape, runtime=False, role="constant", stored=(name,))


def from_array(name: str, array: Any, *, elem: int | None = None, runtime: bool = False) -> Value:
    """Return a value whose content is known.

    ``array``: anything that numpy takes; its content is kept for up to ``SMALL_NUMEL`` elements.
    """
    array = np.asarray(array)
    elem = helper.np_dtype_to_tensor_dtype(array.dtype) if elem is None else elem
    data = array if array.size <= SMALL_NUMEL else None
    role: TensorRole = "activation" if runtime else "constant"
    return Value(name=name, elem=elem, shape=tuple(array.shape), data=data, runtime=runtime, role=role)


def static_shape(value: Value) -> Shape | None:
    """Return the shape if every dimension is known, else ``None``."""
    return tuple(d for d in value.shape if d is not None) if value.shape is not None and value.static else None


def _stored_shape(name: str, dims: Any) -> Shape:
    shape = tuple(int(d) for d in dims)
    if any(d < 0 for d in shape):
        raise ModelFormatError(
            f"the stored tensor {name!r} has a negative dimension {list(shape)}; the file is damaged, export it again"
        )
    return shape


def _content(name: str, proto: TensorProto) -> Any:
    try:
        return numpy_helper.to_array(proto)
    except Exception as error:
        raise ModelFormatError(
            f"the stored tensor {name!r} does not hold what its shape and type say ({error}); the file is"
            f" damaged, export it again"
        ) from error
