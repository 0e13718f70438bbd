"""One forward pass of a module on fake tensors, as a list of calls."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._pytree import tree_flatten_with_path, tree_map

from joulecast.readers.module.calls import Trace
from joulecast.readers.module.modes import Functions, Operators
from joulecast.readers.module.recorder import Recorder, tensors_of
from joulecast.readers.module.substitution import Fakes, inference, substituted


def trace(
    module: nn.Module, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, *, name: str = ""
) -> Trace:
    """Every call of ``module(*args, **kwargs)`` at inference, without computing anything.

    The module's tensors may be anywhere, on the meta device or fake; it is left as it was, training flags included.
    """
    fakes = Fakes(FakeTensorMode(allow_non_fake_inputs=True))
    recorder = Recorder()
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(inference(module))
        stack.enter_context(substituted(module, fakes))
        args, kwargs = (
            tree_map(lambda leaf: fakes.of(leaf) if isinstance(leaf, torch.Tensor) else leaf, value)
            for value in (tuple(args), dict(kwargs or {}))
        )
        _declare(module, recorder)
        inputs = tuple(recorder.declare(tensor, path, "input") for path, tensor in named_inputs(module, args, kwargs))
        stack.enter_context(unfused_attention())
        stack.enter_context(scoped(module, recorder))
        stack.enter_context(fakes.mode)
        with Operators(recorder), Functions(recorder):
            result = module(*args, **kwargs)
        outputs = tuple(dict.fromkeys(recorder.spec(tensor).name for tensor in tensors_of(result)))
    return Trace(
        name=name or type(module).__name__,
        calls=tuple(recorder.calls),
        inputs=inputs,
        outputs=outputs,
        module_calls=recorder.module_calls,
    )


def _declare(module: nn.Module, recorder: Recorder) -> None:
    for path, parameter in module.named_parameters():
        recorder.declare(parameter, path, "parameter")
    for path, buffer in module.named_buffers():
        recorder.declare(buffer, path, "constant")


def named_inputs(
    module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Iterator[tuple[str, torch.Tensor]]:
    """Tensors of the arguments by the names of ``forward``: ``x``, ``cache.0.1``."""
    bound = inspect.signature(module.forward).bind(*args, **kwargs).arguments
    for path, leaf in tree_flatten_with_path(dict(bound))[0]:
        if isinstance(leaf, torch.Tensor):
            yield ".".join(str(getattr(key, "key", getattr(key, "idx", key))) for key in path), leaf


@contextmanager
def unfused_attention() -> Iterator[None]:
    """Encoder layers run the functions they are written in, as they do on an accelerator under torch's defaults when a
    mode watches, and not one fused operator that only processors' fake tensors would show."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def scoped(module: nn.Module, recorder: Recorder) -> Iterator[None]:
    """Count module calls and know the path of the innermost one."""
    paths = {id(part): path for path, part in module.named_modules()}

    def enter(part: nn.Module, _: Any) -> None:
        recorder.module_calls += 1
        recorder.scopes.append(paths.get(id(part), recorder.scopes[-1] if recorder.scopes else ""))

    def leave(part: nn.Module, _: Any, __: Any) -> None:
        recorder.scopes.pop()

    handles = [register_module_forward_pre_hook(enter), register_module_forward_hook(leave, always_call=True)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
