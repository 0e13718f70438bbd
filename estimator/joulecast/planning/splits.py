"""From a model and two machines to the cuts between them: ``joulecast.split``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from joulecast.accelerators.catalogue import accelerator_named
from joulecast.api.documents import Document, header, rounded
from joulecast.api.language_models import FORMATS as LANGUAGE_FORMATS
from joulecast.api.profiling import GraphForm, read, workload_for
from joulecast.canonical import canonicalise
from joulecast.counting import count, coverage, totals
from joulecast.errors import WorkloadError
from joulecast.layers import ModelProfile
from joulecast.planning.splitting import Cut, Side, Split, split_graph
from joulecast.readers.named import is_named
from joulecast.serving.kernels import ENGINES
from joulecast.sources import FetchBudget, FetchedModel, RegistryAccess, fetch
from joulecast.workloads import DEFAULT_PRECISION, DEFAULT_RUNTIME, FORECAST_BATCH_SIZE, WorkloadRequest

if TYPE_CHECKING:
    from joulecast.energy.profile import AcceleratorProfile
    from joulecast.planning.links import Link


def split(
    source: str | os.PathLike[str] | FetchedModel,
    between: tuple[str | AcceleratorProfile, str | AcceleratorProfile],
    link: Link,
    *,
    batch_size: int | None = None,
    precision: str = DEFAULT_PRECISION,
    runtime: str = DEFAULT_RUNTIME,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    input_values: Mapping[str, object] | None = None,
    path: str | None = None,
    budget: FetchBudget | None = None,
    access: RegistryAccess | None = None,
    platform: str = "linux/amd64",
) -> Split:
    """Price every cut of a graph between two machines: both sides, and what crosses the link.

    - ``source``: an ONNX file, an image-layout folder, an image reference, or what ``fetch`` returned.
    - ``between``: the accelerator where the inputs are, and the other one.
    - ``link``: what joins them.

    The other arguments are those of ``joulecast.estimate``.

    Raises WorkloadError for a model that is not a graph, and what ``joulecast.estimate`` raises.
    """
    request = WorkloadRequest(
        batch_size=batch_size,
        default_batch_size=FORECAST_BATCH_SIZE,
        input_shapes=input_shapes or {},
        input_values=input_values or {},
    )
    if not isinstance(source, FetchedModel):
        refuse_named(os.fspath(source))
        source = fetch(
            os.fspath(source),
            path=path,
            budget=budget,
            access=access or RegistryAccess.of_user(),
            platform=platform,
        )
    return split_fetched(source, request, between, link, precision=precision, runtime=runtime)


def split_fetched(
    fetched: FetchedModel,
    request: WorkloadRequest,
    between: tuple[str | AcceleratorProfile, str | AcceleratorProfile],
    link: Link,
    *,
    precision: str = DEFAULT_PRECISION,
    runtime: str = DEFAULT_RUNTIME,
    form: GraphForm = "exported",
) -> Split:
    """Return the cuts of a fetched model. Raises what ``split`` raises after the model was fetched."""
    if runtime in ENGINES:
        raise WorkloadError(f"{runtime} does not run a part of a graph: leave the runtime out")
    if fetched.format in LANGUAGE_FORMATS:
        raise WorkloadError(
            f"{fetched.reference} is a language model by its configuration, which tells no graph to cut: export it to"
            " ONNX"
        )
    first, second = (accelerator_named(each, runtime) if isinstance(each, str) else each for each in between)
    workload = workload_for(fetched, request)
    graph = canonicalise(read(fetched, workload, graph=form))
    layers = count(graph)
    profile = ModelProfile(
        source=fetched.reference,
        digest=fetched.digest,
        format=fetched.format,
        workload=workload,
        layers=layers,
        totals=totals(layers),
        coverage=coverage(layers),
    )
    return split_graph(graph, profile, (first, second), link, precision=precision, runtime=runtime)


def refuse_named(source: str) -> None:
    """Raise WorkloadError for the name of a network, which is traced and not read from a file."""
    if is_named(source):
        raise WorkloadError(f"{source} is a network of an installed library: export it to ONNX, and give the file")


def split_document(found: Split, *, source: str) -> Document:
    """Return a split as a document of kind ``split``."""
    link = found.link
    return {
        **header("split"),
        "source": source,
        "batch_size": found.batch_size,
        "between": list(found.between),
        "link": {
            "bytes_per_second": rounded(link.bytes_per_second),
            "joules_per_byte": rounded(link.joules_per_byte),
            "latency_seconds": rounded(link.latency_seconds),
            "source": link.source,
        },
        "by_joules": cut_row(found.by_joules),
        "by_latency": cut_row(found.by_latency),
        "rivals": [cut_row(each) for each in found.rivals],
        "cuts": [cut_row(each) for each in found.cuts],
        "left_out": found.left_out,
        "reasons": list(found.reasons),
    }


def cut_row(cut: Cut) -> Document:
    """Return a cut as a flat row, with rounded figures."""
    figures = ("joules", "joules_lower", "joules_upper", "seconds", "link_joules", "link_seconds")
    return {
        "after": cut.after,
        **{name: rounded(getattr(cut, name)) for name in figures},
        "link_bytes": cut.link_bytes,
        "tensors": cut.tensors,
        **_side("first", cut.first),
        **_side("second", cut.second),
    }


def _side(name: str, side: Side) -> Document:
    return {
        f"{name}_layers": side.layers,
        f"{name}_joules": rounded(side.joules),
        f"{name}_seconds": rounded(side.seconds),
    }
