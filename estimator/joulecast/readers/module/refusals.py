"""What cannot be traced, said in one sentence each."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedOperatorException,
)

from joulecast.errors import (
    JoulecastError,
    ModelFormatError,
    ModelReferenceError,
    UnresolvedShapeError,
    UnsupportedOperatorError,
    WorkloadError,
)

DATA = (DataDependentOutputException, DynamicOutputShapeException)


def checked(model: object) -> nn.Module:
    """The module to trace: what a compiled or parallel one wraps. Raises ModelReferenceError, ModelFormatError."""
    if isinstance(model, type) and issubclass(model, nn.Module):
        raise ModelReferenceError(f"{model.__name__} is a class, not a model: give an object of it")
    if not isinstance(model, nn.Module):
        raise ModelReferenceError(
            f"an object of type {type(model).__name__} is no torch.nn.Module: give the module itself"
            + (" (program.module())" if isinstance(model, torch.export.ExportedProgram) else "")
        )
    module = _unwrapped(model)
    for path, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            where = f"its part {path!r}" if path else "it"
            raise ModelFormatError(
                f"{type(module).__name__} cannot be traced, for {where} is TorchScript, whose calls no mode sees:"
                " give the Python module that it was scripted from"
            )
    return module


def _unwrapped(module: nn.Module) -> nn.Module:
    """What ``torch.compile`` or data parallelism wraps."""
    inner = getattr(module, "_orig_mod", None)
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        inner = module.module
    return _unwrapped(inner) if isinstance(inner, nn.Module) else module


def bound(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments by the names of ``forward``. Raises WorkloadError where they do not fit it."""
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
    """Whatever the pass raises, as an error that says where and what to do."""
    try:
        yield
    except JoulecastError:
        raise
    except DATA as error:
        raise UnresolvedShapeError(
            f"{_place(module, scopes)} steers by the content of a tensor ({_operator(error)}), and a trace knows no"
            " content: give what steers it as small real tensors of whole numbers or as Python numbers, or profile an"
            " ONNX export"
        ) from error
    except UnsupportedOperatorException as error:
        raise UnsupportedOperatorError(
            f"{_place(module, scopes)} calls {_operator(error)}, whose result's shape torch does not know without"
            " running it: register a fake implementation (torch.library.register_fake), or profile an ONNX export"
        ) from error
    except NotImplementedError as error:
        raise UnsupportedOperatorError(
            f"{_place(module, scopes)} calls what cannot be traced ({_one_line(error)}): choose another implementation"
            " of it (attn_implementation='sdpa' for attention), or profile an ONNX export"
        ) from error
    except RecursionError as error:
        raise ModelFormatError(f"{_place(module, scopes)} calls itself without end: mend the module") from error
    except Exception as error:
        raise WorkloadError(
            f"{_place(module, scopes)} fails on the example inputs ({type(error).__name__}: {_one_line(error)}):"
            " check that the module runs on inputs of these shapes and types"
        ) from error


def _place(module: nn.Module, scopes: list[str]) -> str:
    name = type(module).__name__
    return f"the module {scopes[-1]!r} of {name}" if scopes and scopes[-1] else name


def _operator(error: Exception) -> str:
    return str(getattr(error, "func", None) or next(iter(error.args), type(error).__name__))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
