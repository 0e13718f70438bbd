"""The two modes under which a pass runs: one sees functions as the code calls them, one the operators below."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from types import FunctionType
from typing import Any

import torch
from torch._ops import HigherOrderOperator
from torch._subclasses.fake_tensor import FakeTensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from joulecast.readers.module.devices import MOVES, on_processor
from joulecast.readers.module.functions import FUNCTIONS, Signature
from joulecast.readers.module.recorder import Recorder, tensors_of
from joulecast.readers.module.substitution import Fakes

CHECKS = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")
"""By these a Python function of torch asks whether a mode wants to take its call."""

PRODUCTS = {"torch.nn.functional.linear": ("input", "weight"), "torch.matmul": ("input", "other")}
"""Functions whose operands must have one type."""

COMPOSITES = torch.nn.functional
"""Module whose Python functions are entered, so that the functions they call are seen."""


class Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records each ATen operator that is not part of a call recorded as a whole."""

    supports_higher_order_operators = True

    def __init__(self, recorder: Recorder, fakes: Fakes) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.recorder, self.fakes = recorder, fakes

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if isinstance(func, HigherOrderOperator):
            return self._higher(func, args, kwargs)
        if _suspects(func, args):
            return False
        args, kwargs = self._unwritten(func, args, kwargs)
        if self.recorder.muted:
            return func(*args, **kwargs)
        call = self.recorder.operands(str(func), args, kwargs)
        result = func(*args, **kwargs)
        if tensors_of(result) and not self.recorder.again(call, result):
            self.recorder.note(call, result, written=_written(func, args, kwargs), draws=_draws(func))
        return result

    def _unwritten(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, Any]:
        """The arguments with a stand-in for each real tensor that the pass writes to, from then on."""
        for tensor in _written(func, args, kwargs) if func._schema.is_mutable else ():
            if not isinstance(tensor, FakeTensor):
                self.fakes.written[id(tensor)] = tensor
        if not self.fakes.written:
            return args, kwargs
        args, kwargs = tree_map_only(torch.Tensor, self.fakes.standing_in, (args, kwargs))
        return args, kwargs

    def _higher(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Attention with a score function of its own is one call; what runs in parts that no mode enters is
        refused."""
        if func.name() != "flex_attention":
            raise NotImplementedError(f"the higher-order operator {func.name()}")
        query, key, value, _, _, scale = args[:6]
        grouped = {"enable_gqa": True} if query.shape[1] != key.shape[1] else {}
        function = "torch.nn.functional.scaled_dot_product_attention"
        call = self.recorder.operands(function, (query, key, value), {"scale": scale, **grouped})
        with self.recorder.mute():
            result = func(*args, **kwargs)
        self.recorder.note(call, result)
        return result


def _suspects(func: Any, args: Sequence[Any]) -> bool:
    """Whether torch asks by comparing two booleans if values are degenerate (a window without overlap in ``istft``, no
    degree of freedom in ``cov``). They are not."""
    return func is torch.ops.aten.equal.default and all(x.dtype == torch.bool and x.dim() == 0 for x in args[:2])


def _written(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[torch.Tensor]:
    """The arguments that the operator changes."""
    found: list[torch.Tensor] = []
    for position, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[position] if position < len(args) else kwargs.get(argument.name)
            found += tensors_of(value)
    return found


def _draws(func: Any) -> bool:
    return torch.Tag.nondeterministic_seeded in func.tags


class Functions(TorchFunctionMode):
    """Records each function of ``FUNCTIONS`` as one call, whatever it runs."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in MOVES:
            return args[0]
        args, kwargs = on_processor(func, args, kwargs or {})
        found = resolved().get(func)
        if found is not None and not self.recorder.muted and not transformed():
            return self._whole(*found, args, kwargs)
        if isinstance(func, FunctionType) and func.__globals__ is vars(COMPOSITES) and not self.recorder.muted:
            with once(func), self:
                return func(*args, **kwargs)
        return func(*args, **kwargs)

    def _whole(
        self, name: str, signature: Signature, swapped: bool, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        args = (args[1], args[0], *args[2:]) if swapped else tuple(args)
        if name == "torch.matmul":
            args, kwargs = self._mergeable(signature.bound(args, kwargs))
        bound = signature.bound(args, kwargs)
        _of_one_dtype(name, bound)
        call = self.recorder.operands(name, *positional(signature, bound))
        with self.recorder.mute():
            result = canonical(name)(*args, **kwargs)
        self.recorder.note(call, result)
        return result

    def _mergeable(self, bound: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The operands of a product, copied first where a batched kernel needs other strides; torch does the same
        inside, and so the copies are calls of their own."""
        left, right = bound["input"], bound["other"]
        if left.dim() > 2 and right.dim() > 2:
            left, right = (x if mergeable(x) else x.clone(memory_format=torch.contiguous_format) for x in (left, right))
        return (left, right), {name: value for name, value in bound.items() if name == "out"}


def transformed() -> bool:
    """Whether the call runs under ``vmap`` or ``grad``, which show it parts of what the operators below work on."""
    return torch._C._functorch.peek_interpreter_stack() is not None


def _of_one_dtype(name: str, bound: Mapping[str, Any]) -> None:
    """Products of two types fail when they run, unless ``autocast`` converts; their shapes alone do not tell."""
    operands = [bound.get(operand) for operand in PRODUCTS.get(name, ())]
    types = {value.dtype for value in operands if isinstance(value, torch.Tensor)}
    if len(types) > 1 and not torch.is_autocast_enabled("cpu"):
        raise RuntimeError(f"{name} of {' and '.join(sorted(map(str, types)))}: both must have one dtype")


def mergeable(tensor: torch.Tensor) -> bool:
    """Whether all dimensions but the last two are one dimension in memory."""
    leading = [(n, s) for n, s in zip(tensor.shape[:-2], tensor.stride()[:-2], strict=True) if n != 1]
    return all(outer == n * inner for (_, outer), (n, inner) in pairwise(leading))


def positional(signature: Signature, bound: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments in the order of the signature as far as they have no gap, the rest by name."""
    args: list[Any] = []
    left = dict(bound)
    for name in signature.parameters:
        if name not in left:
            break
        args.append(left.pop(name))
    return tuple(args), left


@cache
def resolved() -> Mapping[Callable[..., Any], tuple[str, Signature, bool]]:
    """The function objects of this torch, each with its recorded name and whether its first two arguments are
    exchanged."""
    found: dict[Callable[..., Any], tuple[str, Signature, bool]] = {}
    for name, signature in FUNCTIONS.items():
        names = [(path, False) for path in (name, *signature.aliases)]
        names += [(path, True) for path in signature.reversed_aliases]
        for path, swapped in names:
            function = attribute(path)
            if function is not None:
                found[function] = (name, signature, swapped)
    return found


def canonical(name: str) -> Callable[..., Any]:
    """The function of a recorded name."""
    function: Callable[..., Any] = attribute(name)
    return function


def attribute(path: str) -> Any:
    """What a dotted path below torch names, ``None`` if this torch has no such thing."""
    found: Any = torch
    for part in path.split(".")[1:]:
        found = getattr(found, part, None)
    return found


@contextmanager
def once(function: FunctionType) -> Iterator[None]:
    """Let the function pass its own check once, so that it runs instead of handing the call to a mode again."""
    names = function.__globals__
    checks = {name: names[name] for name in CHECKS if name in names}

    def passes(*_: Any) -> bool:
        names.update(checks)
        return False

    names.update(dict.fromkeys(checks, passes))
    try:
        yield
    finally:
        names.update(checks)
