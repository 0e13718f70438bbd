"""From a model reference to its exact features: fetch, read, canonicalise, count."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from joulecast.api.language_models import FORMATS as LANGUAGE_FORMATS
from joulecast.errors import ModelFormatError, ModelReferenceError, WorkloadError
from joulecast.layers import ModelProfile, Workload
from joulecast.readers.named import current, is_named, refuse_misspelt, renamed
from joulecast.sources import FetchBudget, FetchedModel, RegistryAccess, fetch
from joulecast.workloads import WorkloadRequest

if TYPE_CHECKING:
    from joulecast.graph import ModelGraph
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
    """Count what one batch of a model costs a machine: MACs, parameters, activations, bytes, op by op.

    No weights are read and no GPU is used.

    - ``source``: an ONNX file, a folder with a ``config.json``, a GGUF file, an OCI image-layout folder
      (``FOLDER``, ``FOLDER:tag``), an image reference (``registry.example/models/resnet50:1``), a model of a hub or an
      object store (``hf://organisation/name``, ``s3://bucket/folder``), what ``fetch`` returned, the name of a network
      in an installed library (``torchvision:resnet50``, ``timm:vit_base_patch16_224``, ``transformers:gpt2``), or a
      ``torch.nn.Module``.
    - ``example_inputs``: for a module alone: a tensor, a tuple of positional arguments or a mapping of named ones, on
      any device or on meta. The module is counted at inference and left as it was.
    - ``batch_size``: binds the batch dimension of the inputs. By default it is what ``input_shapes`` hold, else what
      the model fixes, else 1; for a module, the leading dimension of its example inputs.
    - ``input_shapes``: an input's full shape by name, batch included.
    - ``input_values``: the content of an input that steers shapes or branches, by name.
    - ``path``: the model inside the image or folder.
    - ``graph``: the graph as ``exported``, or ``optimized`` by onnxruntime.
    - ``budget``: limits on what fetching may cost.
    - ``access``: which registries may be reached and how; by default with the user's docker login.
    - ``platform``: which image of a multi-platform reference.
    - ``verify``: read every byte and check it against its digest.

    ``budget``, ``access``, ``platform`` and ``verify`` concern fetching and are ignored for a fetched model.

    Raises ModelReferenceError, ModelFetchError, ModelFormatError, WorkloadError, UnresolvedShapeError,
    UnsupportedOperatorError.
    """
    return profile_request(
        ProfileRequest(
            source=source,
            example_inputs=example_inputs,
            workload=WorkloadRequest(
                batch_size=batch_size, input_shapes=input_shapes or {}, input_values=input_values or {}
            ),
            path=path,
            graph=graph,
            budget=budget,
            access=access,
            platform=platform,
            verify=verify,
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRequest:
    """A model to profile, its workload, and how to get at it. The fields are explained in ``profile``."""

    source: str | os.PathLike[str] | FetchedModel | Module
    example_inputs: object = None
    workload: WorkloadRequest = field(default_factory=WorkloadRequest)
    path: str | None = None
    graph: GraphForm = "exported"
    budget: FetchBudget | None = None
    access: RegistryAccess | None = None
    platform: str = "linux/amd64"
    verify: bool = False


def profile_request(request: ProfileRequest) -> ModelProfile:
    """Profile the model of ``request``. Raises what ``profile`` raises."""
    source = request.source
    if not isinstance(source, str | os.PathLike | FetchedModel):
        return _profile_module(source, request)
    if request.example_inputs is not None:
        raise WorkloadError(
            f"{source} is not a torch.nn.Module, so it takes no example inputs: give shapes with input_shapes and"
            " contents with input_values"
        )
    if is_named(source):
        notice = renamed(str(source))
        if notice is not None:
            warnings.warn(notice, FutureWarning, stacklevel=3)
        return profile_named(
            current(str(source)),
            request.workload.resolve(request.workload.leading_batch_size),
            inapplicable={"path": request.path, "graph": request.graph != "exported", "verify": request.verify},
        )
    fetched = source if isinstance(source, FetchedModel) else _fetched(os.fspath(source), request)
    if fetched.format in LANGUAGE_FORMATS:
        from joulecast.api.language_profiles import profile_fetched

        return profile_fetched(fetched, request.workload)
    return profile_skeleton(fetched, workload_for(fetched, request.workload), graph=request.graph)


def _profile_module(module: Module, request: ProfileRequest) -> ModelProfile:
    if "torch" not in sys.modules:
        raise ModelReferenceError(
            f"a model cannot be an object of type {type(module).__name__}: give a path, an image reference or a"
            " torch.nn.Module"
        )
    asked = request.workload
    if asked.input_shapes or asked.input_values or request.path or request.graph != "exported":
        raise WorkloadError(
            "a module takes its shapes and values from its example inputs: leave out input_shapes, input_values,"
            " path and graph"
        )
    from joulecast.api.modules import profile_module

    return profile_module(module, request.example_inputs, batch_size=asked.batch_size)


def _fetched(reference: str, request: ProfileRequest) -> FetchedModel:
    refuse_misspelt(reference)
    return fetch(
        reference,
        path=request.path,
        budget=request.budget or FetchBudget(),
        access=request.access or RegistryAccess.of_user(),
        platform=request.platform,
        verify=request.verify,
    )


def workload_for(fetched: FetchedModel, request: WorkloadRequest) -> Workload:
    """Return the workload of a fetched model, with its batch size read off the shapes given or the model's inputs.

    Raises ModelFormatError, and WorkloadError where batch sizes disagree.
    """

    def read_batch_size(default: int) -> int:
        if fetched.format not in _READERS:
            return request.batch_size or default
        from joulecast.readers import onnx

        return onnx.batch_size(
            fetched.skeleton,
            request.deciding_shapes,
            size=request.batch_size,
            default=default,
            name=fetched.reference,
        )

    return request.resolve(read_batch_size)


def profile_skeleton(fetched: FetchedModel, workload: Workload, graph: GraphForm = "exported") -> ModelProfile:
    """Profile a fetched model under ``workload``. Opens no socket, and no file unless ``graph`` is ``optimized``."""
    from joulecast.api.graphs import profile_graph

    return profile_graph(
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
    """Profile a network of an installed library (``timm:vit_base_patch16_224``), traced without weights.

    Raises WorkloadError where an option of ``inapplicable`` is given, and what ``joulecast.readers.named.build``
    raises.
    """
    from joulecast.api.modules import profile_trace
    from joulecast.readers.module import trace
    from joulecast.readers.named import build

    given = [name for name, value in {**(inapplicable or {}), "input_values": workload.input_values}.items() if value]
    if given:
        raise WorkloadError(f"{source} is a named network, which takes no {given[0]}: leave it out")
    built = build(source, batch_size=workload.batch_size, input_shapes=workload.input_shapes)
    return profile_trace(trace(built.module, built.args, built.kwargs, name=source), workload)


def read(fetched: FetchedModel, workload: Workload | None = None, *, graph: GraphForm = "exported") -> ModelGraph:
    """Read a fetched model as a graph with static shapes, as the file holds it (not canonicalised).

    Raises ModelFormatError, WorkloadError, UnresolvedShapeError, UnsupportedOperatorError.
    """
    if graph not in get_args(GraphForm):
        raise WorkloadError(f"unknown form of a graph {graph!r}: choose one of {', '.join(get_args(GraphForm))}")
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
