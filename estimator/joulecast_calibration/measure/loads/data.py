"""Fill the tensors of a recorded call on the device as a trained network would fill them.

Data matter: a bfloat16 product of zeros runs 13 % faster than one of random numbers. Weights are N(0, 1/fan_in),
normalisation statistics valid, inputs N(0,1) and behind a ReLU their positive part, ids uniform over their table.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch

from joulecast.errors import MeasurementError
from joulecast.graph import FLOATING_DTYPES
from joulecast.readers.module.calls import Call, TensorRef, TensorSpec
from joulecast_calibration.measure.loads.callables import named_arguments

SMALL = 0.02  # biases and positions: the standard deviation that BERT, GPT-2 and ViT initialise with
STATISTIC = 0.1  # how far trained normalisation statistics lie from 0 and 1; any valid choice costs the same energy
ANY_INTEGER = 128  # integers that index nothing
LOWEST_DENOMINATOR = 0.5  # keeps quotients, roots and logarithms finite

_DOMAINS = frozenset("log log2 log10 log1p sqrt rsqrt reciprocal pow lgamma digamma".split())
_QUOTIENTS = frozenset("div div_ divide remainder fmod floor_divide true_divide".split())
_PRODUCTS = frozenset("mm bmm addmm baddbmm matmul linear bilinear mv addmv dot".split())
_CONVOLUTIONS = frozenset("convolution cudnn_convolution _convolution".split())
_MASKS = frozenset({"attn_mask", "mask", "attn_bias"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a tensor is filled with.

    Real numbers are ``shift`` + ``scale``·N(0,1), its absolute or positive part; integers are uniform in ``low`` …
    ``high`` − 1; or the tensor is a mask.
    """

    shift: float = 0.0
    scale: float = 1.0
    absolute: bool = False
    positive: bool = False
    low: int = 0
    high: int = ANY_INTEGER
    causal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """Where a tensor stands in a call: the parameter's name, and the position in it where that is a list."""

    parameter: str
    place: int = 0


def roles(call: Call) -> dict[int, Role]:
    """Find the first role of each tensor, by position among ``call.tensors``."""
    found: dict[int, Role] = {}
    for name, value in named_arguments(call).items():
        for place, reference in enumerate(_references(value)):
            if reference is not None:
                found.setdefault(reference, Role(parameter=name, place=place))
    return found


def _references(value: Any) -> Iterator[int | None]:
    if isinstance(value, TensorRef):
        yield value.position
    elif isinstance(value, list | tuple):
        for item in value:
            yield item.position if isinstance(item, TensorRef) else None


def base_name(function: str) -> str:
    """Return ``convolution`` of ``aten.convolution.default``, ``linear`` of ``torch.nn.functional.linear``."""
    parts = function.split(".")
    return parts[1] if parts[0] == "aten" and len(parts) == 3 else parts[-1]


def contents(call: Call) -> tuple[Content, ...]:
    """Decide what each tensor of the call is filled with."""
    where = roles(call)
    return tuple(
        _content(call, spec, where.get(position, Role(parameter=""))) for position, spec in enumerate(call.tensors)
    )


def _content(call: Call, spec: TensorSpec, role: Role) -> Content:
    if spec.dtype == "bool" or role.parameter in _MASKS:
        return Content(causal=role.parameter in _MASKS, high=2)
    if spec.dtype not in FLOATING_DTYPES and not spec.dtype.startswith("complex"):
        return _integers(call, role)
    base = base_name(call.function)
    if "norm" in base and "linalg" not in base:
        found = _statistic(role.parameter)
        if found is not None:
            return found
    if base in _DOMAINS or (base in _QUOTIENTS and role.parameter == "other"):
        return Content(absolute=True, shift=LOWEST_DENOMINATOR)
    if spec.role in ("parameter", "constant"):
        return Content(scale=_stored_scale(call, spec, role, base))
    return Content(positive=spec.positive)


def _statistic(parameter: str) -> Content | None:
    """Return the content of a normalisation layer's statistic."""
    return {
        "weight": Content(shift=1.0, scale=STATISTIC),
        "bias": Content(scale=STATISTIC),
        "running_mean": Content(scale=STATISTIC),
        "running_var": Content(shift=1.0, scale=STATISTIC, absolute=True),
    }.get(parameter)


def _stored_scale(call: Call, spec: TensorSpec, role: Role, base: str) -> float:
    """Return a weight's standard deviation: 1/√fan_in of a product's, 1 of an embedding, small for all others."""
    if base == "embedding":
        return 1.0
    if len(spec.shape) < 2 or role.parameter in ("bias", "hx"):
        return SMALL
    if base in _CONVOLUTIONS:
        return 1 / math.sqrt(fan_in(spec.shape, transposed=bool(named_arguments(call).get("transposed"))))
    if base in _PRODUCTS:
        return 1 / math.sqrt(_contracted(spec.shape, role.parameter, base))
    if role.parameter in ("params", "w_ih", "w_hh"):
        return 1 / math.sqrt(spec.shape[1])
    return SMALL


def fan_in(shape: tuple[int, ...], *, transposed: bool = False) -> int:
    """Return how many products one output element of a convolution or linear layer adds up, at most."""
    return max(1, math.prod(shape) // max(1, shape[1 if transposed else 0]))


def _contracted(shape: tuple[int, ...], parameter: str, base: str) -> int:
    """Return the dimension of a matrix that a product sums over."""
    if base == "linear":
        return max(1, shape[-1])
    if base == "bilinear":
        return max(1, math.prod(shape[1:]))
    second = parameter in ("mat2", "other", "batch2", "vec2")
    return max(1, shape[-2] if second else shape[-1])


def _integers(call: Call, role: Role) -> Content:
    """Fill indices uniformly over what they index, and all other integers over a small range."""
    named = named_arguments(call)
    base = base_name(call.function)
    if base in _QUOTIENTS and role.parameter == "other":
        return Content(low=1)
    table = _table(call, named, role, base)
    return Content() if table is None else Content(high=max(1, table))


def _table(call: Call, named: Mapping[str, Any], role: Role, base: str) -> int | None:
    """Return how many rows an index can choose from, or None where nothing is indexed."""
    if base == "embedding":
        return _shape(call, named["weight"])[0] if role.parameter == "indices" else None
    if role.parameter == "indices" and "self" in named:  # index.Tensor, index_put_, take_along_dim
        dimension = named.get("dim", role.place)
        return _shape(call, named["self"])[dimension if isinstance(dimension, int) else 0]
    if role.parameter == "index" and "self" in named:
        shape = _shape(call, named["self"])
        return shape[named.get("dim", 0)] if shape else 1
    return None


def _shape(call: Call, value: Any) -> tuple[int, ...]:
    if not isinstance(value, TensorRef):
        raise MeasurementError(
            f"{call.function} is recorded without the tensor that it indexes: rebuild the suite's index",
            reason="BadCall",
        )
    return call.tensors[value.position].shape


def tensors_of(
    call: Call,
    device: torch.device,
    generator: torch.Generator,
    *,
    given: Mapping[int, torch.Tensor] = MappingProxyType({}),
) -> list[torch.Tensor]:
    """Make one set of tensors for the call with the recorded shapes, strides and dtypes.

    ``given``: tensors that exist already, by position.
    """
    filling = enumerate(zip(call.tensors, contents(call), strict=True))
    return [
        given[position] if position in given else filled(spec, content, device, generator)
        for position, (spec, content) in filling
    ]


def filled(spec: TensorSpec, content: Content, device: torch.device, generator: torch.Generator) -> torch.Tensor:
    """Make one tensor. Elements that several indices share (stride 0) are one element here too."""
    dtype = torch_dtype(spec.dtype)
    memory = torch.empty(storage_numel(spec), dtype=dtype, device=device)
    tensor = memory.as_strided(spec.shape, spec.strides)
    if content.causal:
        return causal(tensor, memory)
    if dtype.is_floating_point or dtype.is_complex:
        return _real(tensor, memory, content, generator)
    memory.random_(content.low, content.high, generator=generator)
    return tensor


def _real(tensor: torch.Tensor, memory: torch.Tensor, content: Content, generator: torch.Generator) -> torch.Tensor:
    memory.normal_(generator=generator).mul_(content.scale)
    if content.absolute:
        memory.abs_()
    if content.positive:
        memory.clamp_(min=0)
    memory.add_(content.shift)
    return tensor


def torch_dtype(name: str) -> torch.dtype:
    """Return torch's dtype of that name. Raises MeasurementError for one that cannot be filled."""
    dtype = getattr(torch, name, None) if name.isidentifier() else None
    if not isinstance(dtype, torch.dtype):
        raise MeasurementError(
            f"tensors of dtype {name!r} cannot be filled: leave the layer out", reason="RefusedFunction"
        )
    return dtype


def storage_numel(spec: TensorSpec) -> int:
    """Return the number of elements from the first to the last that the tensor reaches."""
    if len(spec.strides) != len(spec.shape) or min(spec.shape, default=1) < 0 or min(spec.strides, default=0) < 0:
        raise MeasurementError(
            f"torch cannot make a tensor of shape {spec.shape} and strides {spec.strides}",
            reason="RefusedFunction",
        )
    if 0 in spec.shape:
        return 0
    return 1 + sum((size - 1) * stride for size, stride in zip(spec.shape, spec.strides, strict=True))


def causal(tensor: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
    """Fill ``tensor``, a view of ``memory``, of shape (…, queries, keys) with a causal mask.

    Each query sees the keys up to its own; all see all where there is one row, or more queries than keys. Booleans are
    True, whole numbers 1, where a key is seen; real masks are added, so 0 there and the lowest number elsewhere.
    """
    seen, hidden = _values(tensor.dtype)
    memory.fill_(seen)
    if tensor.dim() < 2 or not 1 < tensor.shape[-2] <= tensor.shape[-1] or 0 in tensor.stride()[-2:]:
        return tensor
    queries, keys = tensor.shape[-2:]
    later = torch.ones(queries, keys, dtype=torch.bool, device=tensor.device).triu(keys - queries + 1)
    _once(tensor).masked_fill_(later, hidden)
    return tensor


def _values(dtype: torch.dtype) -> tuple[float | int | bool, float | int | bool]:
    if dtype == torch.bool:
        return True, False
    if dtype.is_floating_point:
        return 0.0, torch.finfo(dtype).min
    return 1, 0


def _once(tensor: torch.Tensor) -> torch.Tensor:
    """Return each element in memory once: expanded dimensions have one index left."""
    for dimension, stride in enumerate(tensor.stride()):
        if stride == 0:
            tensor = tensor.narrow(dimension, 0, 1)
    return tensor
