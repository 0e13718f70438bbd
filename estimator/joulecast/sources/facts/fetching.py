"""Fetch a model's facts out of a folder of files, wherever it is kept."""

from __future__ import annotations

import hashlib
import posixpath
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from joulecast.errors import ModelFetchError, ModelFormatError
from joulecast.sources.facts import gguf
from joulecast.sources.facts.choosing import Choice, parts
from joulecast.sources.facts.collecting import collect, of_weights
from joulecast.sources.facts.json_files import MAX_CONFIG_BYTES, parsed_object, too_large, whole
from joulecast.sources.facts.model_facts import FORMAT, ModelFacts
from joulecast.sources.fetched import FetchedModel, Verification
from joulecast.sources.streams.ranges import RangedStream, Windows

if TYPE_CHECKING:
    from joulecast.sources.budget import Meter
    from joulecast.sources.facts.folder import ModelFolder

_WINDOWS = Windows(ceiling_bytes=1 << 20)
_MAX_PARTS = 64  # of a GGUF model; the largest published ones have about thirty
_UNKNOWN_SIZE_BYTES = gguf.MAX_HEADER_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a folder's files came from; ``digest``: what pins them, None where only their content does.

    - ``total_bytes``: of all files, as far as known.
    """

    reference: str
    digest: str | None = None
    layer_digest: str | None = None
    total_bytes: int = 0
    verification: Verification | None = None


def fetch_facts(folder: ModelFolder, choice: Choice, origin: Origin, meter: Meter) -> FetchedModel:
    """Return the facts of the model ``choice`` in ``folder``. Raises ModelFetchError, ModelFormatError."""
    if choice.kind == "gguf":
        format_name, content = gguf.FORMAT, _gguf(folder, choice.path, meter).document()
    else:
        format_name, content = FORMAT, _facts(folder, choice).document()
    return FetchedModel(
        reference=origin.reference,
        format=format_name,
        path=choice.path,
        digest=origin.digest or "sha256:" + hashlib.sha256(content).hexdigest(),
        layer_digest=origin.layer_digest,
        skeleton=content,
        bytes_fetched=meter.fetched_bytes,
        image_bytes=origin.total_bytes,
        verification=origin.verification,
    )


def _facts(folder: ModelFolder, choice: Choice) -> ModelFacts:
    if choice.kind == "folder":
        return collect(folder, choice.path)
    if choice.kind == "weights":
        return of_weights(folder, choice.path)
    return _config(folder, choice.path)


def _config(folder: ModelFolder, name: str) -> ModelFacts:
    """Read one file of any name as a configuration."""
    label = posixpath.join(folder.name, name)
    file = folder.open(name)
    if file is None:
        raise _absent(label)
    with closing(file):
        content = whole(file, MAX_CONFIG_BYTES)
    if content is None:
        raise too_large(label, MAX_CONFIG_BYTES)
    return ModelFacts(config=parsed_object(content, label))


def _gguf(folder: ModelFolder, name: str, meter: Meter) -> gguf.GgufFacts:
    files = parts(name)
    if len(files) > _MAX_PARTS:
        raise ModelFormatError(f"{folder.name}, {name} is one of {len(files)} parts, more than any model has")
    return gguf.joined([_gguf_part(folder, part, meter) for part in files])


def _gguf_part(folder: ModelFolder, name: str, meter: Meter) -> gguf.GgufFacts:
    label = posixpath.join(folder.name, name)
    file = folder.open(name)
    if file is None:
        raise _absent(label)
    with closing(file):
        size = _UNKNOWN_SIZE_BYTES if file.size is None else file.size
        stream = RangedStream(file, name=label, size=size, meter=meter, windows=_WINDOWS)
        return gguf.read_header(stream, label)


def _absent(label: str) -> ModelFetchError:
    return ModelFetchError(f"{label} does not exist: check the path", reason="ModelNotFound", transient=False)
