"""From a model reference to its exact features: fetch, read, canonicalise, count."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from joulecast.errors import ModelFormatError, ModelReferenceError, WorkloadError
from joulecast.layers import ModelProfile, Workload
from joulecast.readers.named import is_named, refuse_misspelt
from joulecast.sources import FetchBudget, FetchedModel, RegistryAccess, fetch

if TYPE_CHECKING:
    from joulecast.graph import ModelGraph, Shape
    from joulecast.readers.module import Module

GraphForm = Literal["exported", "optimized"]
"""exported: the file's own graph, canonicalised. optimized: after onnxruntime's optimiser (extra of that name)."""


def profile(
    source: str | os.PathLike[str] | FetchedModel | Module,
    example_inputs: object = None,
    *,
    batch_size: int | None = None,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    input_values: Mapping[str, object] | None = None,
    path: str | None = None,
    graph: GraphForm = "exported",
    budget: FetchBudget | None = None,
    access: RegistryAccess | None = None,
    platform: str = "linux/amd64",
    verify: bool = False,
) -> ModelProfile:
    """Count what one batch of a model asks of a machine: MACs, parameters, activations, bytes, op by op.

    ``source``: an ONNX file, an OCI image-layout folder (``FOLDER``, ``FOLDER:tag``), an image reference
    (``registry.example/models/resnet50:1``), what ``fetch`` gave, or the name of a network in an installed library:
    ``torchvision:resnet50``, ``timm:vit_base_patch16_224``, ``hf:gpt2``. No weights are read and no GPU is used.
    ``batch_size`` binds the batch dimension of the inputs; unless said it is what ``input_shapes`` hold, which give an
    input's full shape, batch included, else the one that the model fixes, else 1. ``input_values``: the content of an
    input that steers shapes or branches. ``path``: the model inside the image.
    ``budget``, ``access`` (the user's docker login unless said), ``platform`` and ``verify`` concern fetching and are
    ignored for what is fetched already.

    A ``torch.nn.Module`` goes with ``example_inputs``: a tensor, a tuple of positional arguments or a mapping of named
    ones, on any device or on meta. It is counted at inference and left as it was. ``batch_size`` says how many inputs
    the example holds, its leading dimension unless said; everything else is about files.

    Raises ModelReferenceError, ModelFetchError, ModelFormatError, WorkloadError, UnresolvedShapeError,
    UnsupportedOperatorError.
    """
    return profile_by_default(
        1,
        source,
        example_inputs,
        batch_size=batch_size,
        input_shapes=input_shapes,
        input_values=input_values,
        path=path,
        graph=graph,
        budget=budget,
        access=access,
        platform=platform,
        verify=verify,
    )


def profile_by_default(
    default_batch_size: int,
    source: str | os.PathLike[str] | FetchedModel | Module,
    example_inputs: object = None,
    *,
    batch_size: int | None = None,
    input_shapes: Mapping[str, Sequence[int | str]] | None = None,
    input_values: Mapping[str, object] | None = None,
    path: str | None = None,
    graph: GraphForm = "exported",
    budget: FetchBudget | None = None,
    access: RegistryAccess | None = None,
    platform: str = "linux/amd64",
    verify: bool = False,
) -> ModelProfile:
    """As ``profile``, at another batch size where neither ``batch_size`` nor the shapes nor the model say one.

    The word ``batch`` in a shape of ``input_shapes`` stands for the batch size.
    """
    if not isinstance(source, str | os.PathLike | FetchedModel):
        if "torch" not in sys.modules:
            raise ModelReferenceError(
                f"an object of type {type(source).__name__} is no model: give a path, an image reference or a"
                " torch.nn.Module"
            )
        if input_shapes or input_values or path or graph != "exported":
            raise WorkloadError(
                "a module takes its shapes and values from its example inputs: leave out input_shapes, input_values,"
                " path and graph"
            )
        from joulecast.readers.module.profiles import profile_module

        return profile_module(source, example_inputs, batch_size=batch_size)
    if example_inputs is not None:
        raise WorkloadError(
            f"{source} is no module, so it takes no example inputs: give shapes with input_shapes and contents with"
            " input_values"
        )
    asked = _Asked(batch_size=batch_size, shapes=input_shapes or {}, values=input_values or {})
    if is_named(source):
        workload = asked.workload(_leading(asked), default_batch_size)
        return profile_named(
            str(source), workload, inapplicable={"path": path, "graph": graph != "exported", "verify": verify}
        )
    if not isinstance(source, FetchedModel):
        refuse_misspelt(os.fspath(source))
        source = fetch(
            os.fspath(source),
            path=path,
            budget=budget or FetchBudget(),
            access=access or RegistryAccess.of_user(),
            platform=platform,
            verify=verify,
        )
    return profile_skeleton(source, asked.workload(_declared(source, asked), default_batch_size), graph=graph)


BATCH = "batch"
"""Stands for the batch size in a shape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A workload as it was asked for: shapes may hold the word ``batch``, and the batch size may be left to them."""

    batch_size: int | None
    shapes: Mapping[str, Sequence[int | str]]
    values: Mapping[str, object]

    def __post_init__(self) -> None:
        """Raises WorkloadError for a batch size below 1 and for a negative dimension."""
        if self.batch_size is not None:
            _check_batch_size(self.batch_size)
        self.filled(1)

    def filled(self, batch_size: int) -> dict[str, Shape]:
        return {
            name: _checked(name, [batch_size if size == BATCH else size for size in shape])
            for name, shape in self.shapes.items()
        }

    @property
    def told(self) -> dict[str, Shape]:
        """The shapes that say the batch size: with one that was said all, else those without the word for it."""
        if self.batch_size is not None:
            return self.filled(self.batch_size)
        return {name: shape for name, shape in self.filled(1).items() if BATCH not in self.shapes[name]}

    def workload(self, read_batch: BatchReading, default: int) -> Workload:
        """The workload with every number known. Raises WorkloadError where batch sizes disagree."""
        size = read_batch(default)
        _check_batch_size(size)
        return Workload(batch_size=size, input_shapes=self.filled(size), input_values=dict(self.values))


BatchReading = Callable[[int], int]
"""From the batch size that is taken where nothing says one to the one in question."""


def _declared(fetched: FetchedModel, asked: _Asked) -> BatchReading:
    """Reads the batch size off the shapes given, by what the model declares of its inputs."""

    def read_batch(default: int) -> int:
        if fetched.format not in _READERS:
            return asked.batch_size or default
        from joulecast.readers import onnx

        return onnx.batch_size(
            fetched.skeleton, asked.told, size=asked.batch_size, default=default, name=fetched.reference
        )

    return read_batch


def _leading(asked: _Asked) -> BatchReading:
    """Reads the batch size off the leading dimensions of the shapes given, which it always is for a named network."""

    def read_batch(default: int) -> int:
        found = {shape[0]: name for name, shape in asked.told.items() if shape}
        if asked.batch_size is not None and (not found or asked.batch_size in found):
            return asked.batch_size
        if len(found) > 1 or asked.batch_size is not None:
            sizes = ", ".join(f"{size} by --input {name}" for size, name in found.items())
            said = f" and {asked.batch_size} by --batch-size" if asked.batch_size is not None else ""
            raise WorkloadError(f"the batch size is {sizes}{said}; give one number")
        return next(iter(found), default)

    return read_batch


def workload_for(
    fetched: FetchedModel,
    *,
    batch_size: int | None = None,
    input_shapes: Mapping[str, Sequence[int | str]] | None = None,
    input_values: Mapping[str, object] | None = None,
    default: int = 1,
) -> Workload:
    """The workload asked of a fetched model. Its batch size, where none is said, is read off the shapes, else it is
    ``default`` or, where the model fixes it, the model's own; the word ``batch`` in a shape stands for it.

    Raises ModelFormatError, and WorkloadError for a batch size below 1, a negative dimension, and batch sizes that
    disagree.
    """
    asked = _Asked(batch_size=batch_size, shapes=input_shapes or {}, values=input_values or {})
    return asked.workload(_declared(fetched, asked), default)


def _check_batch_size(size: int) -> None:
    if not _is_whole(size) or size < 1:
        raise WorkloadError(f"batch size {size} is no whole number from 1 up: give how many inputs go in at once")


def _checked(name: str, shape: Sequence[Any]) -> Shape:
    if not all(_is_whole(dimension) and dimension >= 0 for dimension in shape):
        raise WorkloadError(
            f"shape {list(shape)} of input {name!r} has a dimension that is no whole number from 0 up:"
            " give every size as it is fed"
        )
    return tuple(int(dimension) for dimension in shape)


def _is_whole(number: object) -> bool:
    """Whether ``number`` counts something; NumPy's integers do too."""
    return hasattr(number, "__index__")


def profile_skeleton(fetched: FetchedModel, workload: Workload, graph: GraphForm = "exported") -> ModelProfile:
    """The profile of a fetched model under ``workload``. Opens no socket, and no file unless ``optimized``."""
    return _counted(
        read(fetched, workload, graph=graph),
        workload,
        source=fetched.reference,
        digest=fetched.digest,
        format=fetched.format,
        graph=graph,
        verification=fetched.verification,
        bytes_fetched=fetched.bytes_fetched,
    )


def profile_named(source: str, workload: Workload, *, inapplicable: Mapping[str, object] | None = None) -> ModelProfile:
    """The profile of a network of an installed library (``timm:vit_base_patch16_224``), traced without weights.

    Raises WorkloadError for what is given of ``inapplicable``, and what ``joulecast.readers.named.build`` raises.
    """
    from joulecast.readers.module import trace
    from joulecast.readers.module.profiles import profile_trace
    from joulecast.readers.named import build

    given = [name for name, value in {**(inapplicable or {}), "input_values": workload.input_values}.items() if value]
    if given:
        raise WorkloadError(f"{source} is a named network, which has no {given[0]}: leave it out")
    built = build(source, batch_size=workload.batch_size, input_shapes=workload.input_shapes)
    return profile_trace(trace(built.module, built.args, built.kwargs, name=source), workload)


def _counted(as_read: ModelGraph, workload: Workload, **identity: Any) -> ModelProfile:
    from joulecast.canonical import canonicalise
    from joulecast.counting import count, coverage, totals

    layers = count(canonicalise(as_read))
    return ModelProfile(
        workload=workload,
        layers=layers,
        totals=totals(layers),
        coverage=coverage(layers),
        input_shapes={name: as_read.tensors[name].shape or () for name in as_read.inputs},
        **identity,
    )


def read(fetched: FetchedModel, workload: Workload | None = None, *, graph: GraphForm = "exported") -> ModelGraph:
    """The graph of a fetched model with static shapes, as filed (not canonicalised).

    Raises ModelFormatError, WorkloadError, UnresolvedShapeError, UnsupportedOperatorError.
    """
    if graph not in get_args(GraphForm):
        raise WorkloadError(f"{graph!r} is no form of a graph: give one of {', '.join(get_args(GraphForm))}")
    reader = _READERS.get(fetched.format)
    if reader is None:
        known = ", ".join(sorted(_READERS))
        raise ModelFormatError(
            f"{fetched.reference} is of format {fetched.format!r}, which has no reader: give one of {known}"
        )
    return reader(fetched, workload or Workload(), graph)


def _read_onnx(fetched: FetchedModel, workload: Workload, graph: GraphForm) -> ModelGraph:
    from joulecast.readers import onnx

    skeleton = fetched.skeleton
    if graph == "optimized":
        from joulecast.readers.optimizer import optimize

        skeleton = optimize(skeleton, name=fetched.reference)
    return onnx.read(skeleton, workload, name=fetched.reference)


_READERS: dict[str, Callable[[FetchedModel, Workload, GraphForm], ModelGraph]] = {"onnx": _read_onnx}
