"""The errors for what cannot be traced, one sentence each."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb
from types import FrameType
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedOperatorException,
)
from torch.nn.parameter import is_lazy

from joulecast.errors import (
    JoulecastError,
    ModelFormatError,
    ModelReferenceError,
    UnresolvedShapeError,
    UnsupportedOperatorError,
    WorkloadError,
)
from joulecast.readers.module.tracing.nesting import tensors

OWN = ("torch.", "torchvision._", "joulecast.", "typing_extensions.", "contextlib.", "functools.")
"""Where modules begin whose lines of code tell a user nothing about a model."""

DATA = (DataDependentOutputException, DynamicOutputShapeException)


def checked(model: object) -> nn.Module:
    """Return the module to trace, which a compiled or parallel one wraps.

    Raises ModelReferenceError, ModelFormatError.
    """
    if isinstance(model, type) and issubclass(model, nn.Module):
        raise ModelReferenceError(f"{model.__name__} is a class, not a model: give an object of it")
    if not isinstance(model, nn.Module):
        raise ModelReferenceError(
            f"an object of type {type(model).__name__} is not a torch.nn.Module: give the module itself"
            + (" (program.module())" if isinstance(model, torch.export.ExportedProgram) else "")
        )
    module = _unwrapped(model)
    for path, part in module.named_modules():
        where = f"its part {path!r}" if path else "it"
        if isinstance(part, torch.jit.ScriptModule):
            raise ModelFormatError(
                f"{type(module).__name__} cannot be traced because {where} is TorchScript, whose calls cannot be seen:"
                " give the Python module that it was scripted from"
            )
        if any(map(is_lazy, (*part._parameters.values(), *part._buffers.values()))):
            raise ModelFormatError(
                f"{type(module).__name__} cannot be traced because {where} has parameters without a shape yet: run the"
                " module once on real inputs, which gives them one"
            )
    return module


def dense(module: nn.Module, arguments: Mapping[str, Any]) -> None:
    """Raise WorkloadError for tensors whose layout makes the work depend on their content."""
    held = (
        (f"{path}.{name}".lstrip("."), value) for path, part in module.named_modules() for name, value in _held(part)
    )
    given = ((".".join(path), value) for path, value in tensors(dict(arguments)))
    for name, tensor in (*held, *given):
        if tensor.is_nested or tensor.layout != torch.strided:
            kind = "nested" if tensor.is_nested else str(tensor.layout).removeprefix("torch.")
            raise WorkloadError(
                f"the tensor {name!r} of {type(module).__name__} is {kind}, and how much work it takes depends on its"
                " content: give a dense one (to_dense(), padded)"
            )


def _held(part: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    for holder in (part._parameters, part._buffers, part.__dict__):
        yield from ((name, value) for name, value in holder.items() if isinstance(value, torch.Tensor))


def _unwrapped(module: nn.Module) -> nn.Module:
    """Return the module that ``torch.compile`` or data parallelism wraps."""
    inner = getattr(module, "_orig_mod", None)
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        inner = module.module
    return _unwrapped(inner) if isinstance(inner, nn.Module) else module


def bound(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments by the names of ``forward``. Raises WorkloadError where they do not fit it."""
    try:
        signature = inspect.signature(module.forward)
        return dict(signature.bind(*args, **kwargs).arguments)
    except TypeError as error:
        raise WorkloadError(
            f"the example inputs do not fit {type(module).__name__}.forward{signature} ({error}): give a tuple of"
            " positional arguments or a mapping of named ones"
        ) from None


@contextmanager
def explained(module: nn.Module, scopes: list[str]) -> Iterator[None]:
    """Turn any exception of the pass into an error that says where it happened and what to do."""
    try:
        yield
    except JoulecastError:
        raise
    except DATA as error:
        raise UnresolvedShapeError(
            f"{_place(module, scopes, error)} steers by the content of a tensor ({_operator(error)}), which a trace"
            f" does not know: {_way_out(error)}, or profile an ONNX export"
        ) from error
    except NotImplementedError as error:
        raise UnsupportedOperatorError(
            f"{_place(module, scopes, error)} calls what cannot be traced ({_one_line(error)}): choose another"
            " implementation of it (attn_implementation='sdpa' for attention), or profile an ONNX export"
        ) from error
    except RecursionError as error:
        raise ModelFormatError(f"{_place(module, scopes)} calls itself without end: correct the module") from error
    except Exception as error:
        raise _failure(error, _place(module, scopes, error)) from error


def _failure(error: Exception, place: str) -> JoulecastError:
    """Return the error for what went wrong inside the module, and what to do about it."""
    said = _one_line(error)
    if isinstance(error, UnsupportedOperatorException) or "register_fake" in said:
        return UnsupportedOperatorError(
            f"{place} calls {_operator(error)}, whose result's shape torch does not know without running it: register a"
            " fake implementation (torch.library.register_fake), or profile an ONNX export"
        )
    if ".numpy()" in said or "data is not allocated" in said:
        return UnresolvedShapeError(
            f"{place} passes a tensor's content to code outside torch, which a trace does not"
            " know: keep that part out of forward, or profile an ONNX export"
        )
    return WorkloadError(
        f"{place} fails on the example inputs ({': '.join(filter(None, (type(error).__name__, said)))}): check that the"
        " module runs on inputs of these shapes and types"
    )


def _place(module: nn.Module, scopes: list[str], error: Exception | None = None) -> str:
    """Return the path of the innermost module, its owner, and the line of its code that failed."""
    name = type(module).__name__
    place = f"the module {scopes[-1]!r} of {name}" if scopes and scopes[-1] else name
    frames = walk_tb(error.__traceback__ if error else None)
    lines = [f"{Path(frame.f_code.co_filename).name}:{line}" for frame, line in frames if _tells(frame)]
    return f"{place} ({lines[-1]})" if lines else place


def _tells(frame: FrameType) -> bool:
    """Decide whether a frame runs code of the model."""
    return not f"{frame.f_globals.get('__name__', '')}.".startswith(OWN)


def _way_out(error: Exception) -> str:
    if "_packed_" in _operator(error) or "_pack_" in _operator(error):
        return "give the recurrence its padded batch"
    return "give what steers it as small real tensors of whole numbers or as Python numbers"


def _operator(error: Exception) -> str:
    said = str(getattr(error, "func", None) or next(iter(error.args), type(error).__name__))
    own = re.search(r"CustomOpDef\((.+?)\)", said)
    return own[1] if own else said


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
