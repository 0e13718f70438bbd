"""One forward pass of a module on fake tensors, as a list of calls."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from joulecast.readers.module.calls import TensorSpec, Trace
from joulecast.readers.module.tracing.modes import Functions, Operators
from joulecast.readers.module.tracing.nesting import replaced, tensors
from joulecast.readers.module.tracing.recorder import Recorder
from joulecast.readers.module.tracing.refusals import bound, checked, dense, explained
from joulecast.readers.module.tracing.substitution import Fakes, content_known, now_in, substituted
from joulecast.readers.module.tracing.surroundings import kept


def trace(
    module: nn.Module, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, *, name: str = ""
) -> Trace:
    """Record every call of ``module(*args, **kwargs)`` at inference, without computing anything.

    The module's tensors and the arguments' may be on any device, the meta device included, or fake. It is traced in
    evaluation and without gradients, and left as it was, training flags included. Small tensors of whole numbers that
    are not on the meta device keep their content, so that code may steer by them.

    Raises ModelReferenceError and ModelFormatError for a module that cannot be traced, WorkloadError for inputs
    that it does not take, UnresolvedShapeError where it steers by content, UnsupportedOperatorError for operators
    whose shapes torch does not know.
    """
    module = checked(module)
    dense(module, bound(module, tuple(args), kwargs or {}))
    fakes = Fakes(FakeTensorMode(allow_non_fake_inputs=True))
    recorder = Recorder(stand_in=fakes.stand_in)
    with torch.no_grad(), kept(), substituted(module, fakes) as holders:
        fake_args, fake_kwargs = replaced((tuple(args), dict(kwargs or {})), fakes.of)
        inputs = declared(module, recorder, bound(module, fake_args, fake_kwargs))
        with ExitStack() as watched:
            for context in (content_known(), scoped(module, recorder), explained(module, recorder.scopes)):
                watched.enter_context(context)
            with fakes.mode, Operators(recorder, fakes), Functions(recorder):
                result = module(*fake_args, **fake_kwargs)
        returned = [tensor for _, tensor in tensors(result)]
        held = [*now_in(holders), *(tensor for _, tensor in tensors((fake_args, fake_kwargs)))]
        states, witness = recorder.left(returned, held)
    return Trace(
        name=name or type(module).__name__,
        calls=tuple(recorder.calls),
        inputs=inputs,
        outputs=tuple(dict.fromkeys(recorder.spec(tensor).name for tensor in returned)),
        states=states,
        module_calls=recorder.module_calls,
        witness=witness,
    )


def declared(module: nn.Module, recorder: Recorder, arguments: Mapping[str, Any]) -> tuple[TensorSpec, ...]:
    """Name stored tensors by their paths and inputs by the arguments of ``forward`` (``x``, ``cache.0.1``)."""
    for path, parameter in module.named_parameters():
        recorder.declare(parameter, path, "parameter")
    for path, buffer in module.named_buffers():
        recorder.declare(buffer, path, "constant")
    leaves = list(tensors(dict(arguments)))
    return tuple(dict.fromkeys(recorder.declare(leaf, ".".join(path), "input") for path, leaf in leaves))


@contextmanager
def scoped(module: nn.Module, recorder: Recorder) -> Iterator[None]:
    """Count module calls and know the path of the innermost one.

    The hooks are torch's global ones, so that no module gets any; modules of other threads are ignored.
    """
    paths = {id(part): path for path, part in module.named_modules()}
    thread, entered = threading.get_ident(), list[int]()

    def enter(part: nn.Module, _: Any) -> None:
        if threading.get_ident() == thread:
            recorder.module_calls += 1
            recorder.scopes.append(paths.get(id(part), recorder.scopes[-1] if recorder.scopes else ""))
            entered.append(id(part))

    def leave(part: nn.Module, _: Any, __: Any) -> None:
        if threading.get_ident() == thread and id(part) in entered:
            while entered.pop() != id(part):  # left by an exception that the code caught
                recorder.scopes.pop()
            recorder.scopes.pop()

    handles = [register_module_forward_pre_hook(enter), register_module_forward_hook(leave)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
