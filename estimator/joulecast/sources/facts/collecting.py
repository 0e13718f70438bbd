"""Collect the facts of a model folder: its configuration, then the names, dtypes and shapes of its tensors.

What is read depends on the files alone, not on where they are kept, and is bounded: an index and the headers of its
files cost at most ``TENSOR_BYTES`` together, and no more than ``MAX_HEADERS`` headers are read. Beyond that the
configuration and the index answer, and ``ModelFacts.known`` says so.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from joulecast.errors import ModelFetchError, ModelFormatError
from joulecast.sources.facts import safetensors
from joulecast.sources.facts.json_files import MAX_CONFIG_BYTES, parsed_object, too_large, whole
from joulecast.sources.facts.model_facts import Known, ModelFacts, StoredTensor

if TYPE_CHECKING:
    from joulecast.sources.facts.folder import ModelFolder

CONFIG, GENERATION, QUANTIZATION = "config.json", "generation_config.json", "hf_quant_config.json"
INDEX, WEIGHTS = "model.safetensors.index.json", "model.safetensors"
"""The names that transformers, vLLM and ModelOpt give these files."""
SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.[a-z]+)")
"""How transformers and llama.cpp name the parts of a model in several files."""
TENSOR_BYTES = 1 << 20
"""Of index and headers: ten times what a dense model of 400 billion parameters has. A model of thousands of experts has
more; its configuration says what they are."""
MAX_HEADERS = 64
"""Files whose headers are read. A model of 140 GB is kept in about thirty."""


def collect(folder: ModelFolder, directory: str = "") -> ModelFacts:
    """Return the facts of the model whose ``config.json`` is in ``directory`` of ``folder``.

    Raises ModelFetchError (ModelNotFound) if there is none, ModelFormatError for a damaged file.
    """
    config = _object(folder, directory, CONFIG)
    if config is None:
        place = posixpath.join(directory, CONFIG)
        raise ModelFetchError(
            f"{folder.name} holds no {place}: name the model's folder in it as the path",
            reason="ModelNotFound",
            transient=False,
        )
    found = _tensors(folder, directory)
    return ModelFacts(
        config=config,
        generation_config=_object(folder, directory, GENERATION),
        quantization=_object(folder, directory, QUANTIZATION),
        tensors=found.tensors,
        known=found.known,
        weight_bytes=found.weight_bytes,
    )


def of_weights(folder: ModelFolder, name: str) -> ModelFacts:
    """Return the facts of one safetensors file, with the configuration beside it if there is one."""
    found = _of_headers(folder, [name], {})
    config = _object(folder, posixpath.dirname(name), CONFIG)
    return ModelFacts(config=config, tensors=found.tensors, known=found.known)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tensors:
    tensors: Mapping[str, StoredTensor | None] = field(default_factory=dict)
    known: Known = "none"
    weight_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Index:
    """``size``: bytes of the file itself; ``files``: by tensor."""

    size: int
    files: Mapping[str, str]
    weight_bytes: int | None


def _tensors(folder: ModelFolder, directory: str) -> _Tensors:
    """Describe the tensors of the files that transformers would load: the one file, else those of the index."""
    single, place = posixpath.join(directory, WEIGHTS), posixpath.join(directory, INDEX)
    if _exists(folder, single):
        return _of_headers(folder, [single], {})
    if not _exists(folder, place):
        return _of_headers(folder, _only_weights(folder.names() or (), directory), {})
    index = _index(folder, place)
    if index is None:
        return _Tensors()
    files = sorted({posixpath.join(directory, name) for name in index.files.values()})
    return _of_headers(folder, files, index.files, spent=index.size, weight_bytes=index.weight_bytes)


def _exists(folder: ModelFolder, name: str) -> bool:
    listed = folder.names()
    if listed is not None:
        return name in listed
    file = folder.open(name)
    if file is not None:
        file.close()
    return file is not None


def _of_headers(
    folder: ModelFolder,
    files: Sequence[str],
    indexed: Mapping[str, str],
    *,
    spent: int = 0,
    weight_bytes: int | None = None,
) -> _Tensors:
    """Read headers in the order of their files' names while the limits allow."""
    found: dict[str, StoredTensor | None] = dict.fromkeys(indexed)
    count = 0
    for entries in _headers(folder, files, TENSOR_BYTES - spent):
        count += 1
        wanted = entries if not indexed else {name: entries[name] for name in entries if name in found}
        found |= wanted
    expected = len(files) if indexed else max(len(files), _parts(files))
    missing = any(tensor is None for tensor in found.values()) or count < expected
    known: Known = "none" if not found else "names" if not count else "some" if missing else "all"
    return _Tensors(tensors=found, known=known, weight_bytes=weight_bytes)


def _parts(files: Sequence[str]) -> int:
    """Return in how many files the model is by the names of those that are there."""
    return max((int(match["count"]) for name in files if (match := SHARD.fullmatch(name))), default=0)


def _headers(folder: ModelFolder, files: Sequence[str], left_bytes: int) -> Iterator[Mapping[str, StoredTensor]]:
    for name in files[:MAX_HEADERS]:
        file = folder.open(name)
        if file is None:
            continue  # not downloaded, or not there: its tensors stay unknown
        label = f"{folder.name}, {name}" if name else folder.name
        with closing(file):
            content = safetensors.header(file, label, left_bytes)
        if content is None:
            return
        left_bytes -= len(content)
        yield safetensors.tensors(content, label)


def _only_weights(listed: Sequence[str], directory: str) -> list[str]:
    """Return the only file of weights under another name than usual, or all parts of the only model in parts."""
    here = [name for name in listed if posixpath.dirname(name) == directory and name.endswith(".safetensors")]
    stems = {match["stem"] if (match := SHARD.fullmatch(name)) else name for name in here}
    return here if len(stems) == 1 else []


def _index(folder: ModelFolder, name: str) -> _Index | None:
    """Read the index; None if it is too large, or gone."""
    file = folder.open(name)
    if file is None:
        return None
    with closing(file):
        content = whole(file, TENSOR_BYTES)
    return None if content is None else _parsed_index(content, f"{folder.name}, {name}")


def _parsed_index(content: bytes, name: str) -> _Index:
    document = parsed_object(content, name)
    files = document.get("weight_map")
    if not isinstance(files, dict) or not all(isinstance(file, str) and _is_plain(file) for file in files.values()):
        raise ModelFormatError(f"{name} has no weight_map of file names: it is not the index of a model")
    metadata = document.get("metadata")
    size = metadata.get("total_size") if isinstance(metadata, dict) else None
    is_number = isinstance(size, int | float) and not isinstance(size, bool) and 0 <= size < 1 << 63
    return _Index(size=len(content), files=files, weight_bytes=int(size) if is_number and size is not None else None)


def _is_plain(name: str) -> bool:
    """Decide whether a name stays in its folder."""
    return bool(name) and "/" not in name and "\\" not in name and name not in (".", "..") and name.isprintable()


def _object(folder: ModelFolder, directory: str, name: str) -> dict[str, Any] | None:
    place = posixpath.join(directory, name)
    listed = folder.names()
    file = None if listed is not None and place not in listed else folder.open(place)
    if file is None:
        return None
    label = f"{folder.name}, {place}"
    with closing(file):
        content = whole(file, MAX_CONFIG_BYTES)
    if content is None:
        raise too_large(label, MAX_CONFIG_BYTES)
    return parsed_object(content, label)
