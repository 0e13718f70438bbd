"""The two modes of a traced pass: one receives functions as the code calls them, the other the operators below."""

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

from joulecast.readers.module.tracing.devices import MOVES, on_processor
from joulecast.readers.module.tracing.dispatched import EINSUM, macs_of
from joulecast.readers.module.tracing.functions import FUNCTIONS, Signature
from joulecast.readers.module.tracing.recorder import Begun, Recorder, tensors_of
from joulecast.readers.module.tracing.substitution import Fakes

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
        args, kwargs = self._sharing(func, args, kwargs)
        if _asks(func):
            return func(*args, **kwargs)
        running = self.recorder.running
        begun = running or self.recorder.begin(str(func), args, kwargs)
        result = func(*args, **kwargs)
        macs = macs_of(func, args, result, within=running.call.function if running else "")
        begun.ran(macs, _written(func, args, kwargs))
        if running is None:
            self._note(func, begun, result)
        return result

    def _note(self, func: Any, begun: Begun, result: Any) -> None:
        """Record what makes or changes a tensor."""
        if (tensors_of(result) or begun.written) and not self.recorder.again(begun, result):
            self.recorder.note(begun, result, draws=_draws(func))

    def _sharing(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, Any]:
        """Return the arguments with a stand-in for each real tensor whose memory an operator views or writes.

        The stand-in is used from then on, so that all views of the memory share it.
        """
        for tensor in _aliased(func, args, kwargs):
            if not isinstance(tensor, FakeTensor):
                self.fakes.shared[id(tensor)] = tensor
        if not self.fakes.shared:
            return args, kwargs
        args, kwargs = tree_map_only(torch.Tensor, self.fakes.standing_in, (args, kwargs))
        return args, kwargs

    def _higher(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Record attention with a score function of its own as one call.

        Refuse what runs in parts that no mode sees.
        """
        if func.name() != "flex_attention":
            raise NotImplementedError(f"the higher-order operator {func.name()}")
        query, key, value, _, _, scale = args[:6]
        grouped = {"enable_gqa": True} if query.shape[1] != key.shape[1] else {}
        function = "torch.nn.functional.scaled_dot_product_attention"
        begun = self.recorder.begin(function, (query, key, value), {"scale": scale, **grouped})
        with self.recorder.inside(begun):
            result = func(*args, **kwargs)
        begun.ran(None, ())
        self.recorder.note(begun, result)
        return result


@cache
def _asks(func: Any) -> bool:
    """Decide whether the operator makes and changes no tensor, because it asks for a device or a number."""
    returns = any("Tensor" in str(each.type) for each in func._schema.returns)
    return not returns and not func._schema.is_mutable


def _suspects(func: Any, args: Sequence[Any]) -> bool:
    """Decide whether torch compares two booleans to ask if values are degenerate.

    Examples are a window without overlap in ``istft`` and no degree of freedom in ``cov``. The answer is no.
    """
    return func is torch.ops.aten.equal.default and all(x.dtype == torch.bool and x.dim() == 0 for x in args[:2])


@cache
def _shared(func: Any) -> tuple[tuple[int, str, bool], ...]:
    """Return position and name of each argument whose memory is returned or changed, and whether it changes.

    Literals, which are lifted, are values and have no memory.
    """
    if func._schema.name.startswith("aten::lift"):
        return ()
    arguments = enumerate(func._schema.arguments)
    return tuple((i, each.name, each.alias_info.is_write) for i, each in arguments if each.alias_info is not None)


def _aliased(
    func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], *, writes: bool = False
) -> Iterator[torch.Tensor]:
    """Yield the arguments whose memory the operator returns or changes; with ``writes`` only those that it changes."""
    for position, name, is_write in _shared(func):
        if is_write or not writes:
            yield from tensors_of(args[position] if position < len(args) else kwargs.get(name))


def _written(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[torch.Tensor]:
    """Yield the arguments that the operator changes."""
    return _aliased(func, args, kwargs, writes=True)


def _draws(func: Any) -> bool:
    return torch.Tag.nondeterministic_seeded in func.tags


class Functions(TorchFunctionMode):
    """Records each function of ``FUNCTIONS`` as one call, with all operators that it runs."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in MOVES:
            return args[0]
        args, kwargs = on_processor(func, args, kwargs or {})
        found = resolved().get(func)
        if found is not None and self.recorder.running is None and not transformed():
            return self._whole(*found, args, kwargs)
        if isinstance(func, FunctionType) and func.__globals__ is vars(COMPOSITES) and self.recorder.running is None:
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
        begun = self.recorder.begin(name, *positional(signature, bound))
        with self.recorder.inside(begun):
            result = canonical(name)(*args, **kwargs)
        if name == EINSUM and len(bound["operands"]) > 2:
            begun.ran(None, ())  # torch chooses in which order it multiplies
        self.recorder.note(begun, result)
        return result

    def _mergeable(self, bound: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Copy the operands of a product where a batched kernel needs other strides.

        Torch does the same inside, so the copies are recorded as calls.
        """
        left, right = bound["input"], bound["other"]
        if left.dim() > 2 and right.dim() > 2:
            left, right = (x if mergeable(x) else x.clone(memory_format=torch.contiguous_format) for x in (left, right))
        return (left, right), {name: value for name, value in bound.items() if name == "out"}


def transformed() -> bool:
    """Decide whether the call runs under ``vmap`` or ``grad``, which show it only parts of the whole."""
    return torch._C._functorch.peek_interpreter_stack() is not None


def _of_one_dtype(name: str, bound: Mapping[str, Any]) -> None:
    """Refuse products of two types, which fail when they run unless ``autocast`` converts; shapes alone do not tell."""
    operands = [bound.get(operand) for operand in PRODUCTS.get(name, ())]
    types = {value.dtype for value in operands if isinstance(value, torch.Tensor)}
    if len(types) > 1 and not torch.is_autocast_enabled("cpu"):
        raise RuntimeError(f"{name} of {' and '.join(sorted(map(str, types)))}: both must have one dtype")


def mergeable(tensor: torch.Tensor) -> bool:
    """Decide whether all dimensions but the last two are one dimension in memory."""
    leading = [(n, s) for n, s in zip(tensor.shape[:-2], tensor.stride()[:-2], strict=True) if n != 1]
    return all(outer == n * inner for (_, outer), (n, inner) in pairwise(leading))


def positional(signature: Signature, bound: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return arguments in the order of the signature up to the first gap, and the rest by name."""
    args: list[Any] = []
    left = dict(bound)
    for name in signature.parameters:
        if name not in left:
            break
        args.append(left.pop(name))
    return tuple(args), left


@cache
def resolved() -> Mapping[Callable[..., Any], tuple[str, Signature, bool]]:
    """Return the function objects of the installed torch.

    Each has its recorded name and whether its first two arguments are exchanged.
    """
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
    """Return the function of a recorded name."""
    function: Callable[..., Any] = attribute(name)
    return function


def attribute(path: str) -> Any:
    """Return what a dotted path below torch names, or ``None`` if this torch lacks it."""
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
