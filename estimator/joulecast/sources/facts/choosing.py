"""Choose the one model among the names in a folder, an image or a repository, or list what there is to choose from."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from joulecast.errors import ModelFetchError
from joulecast.sources.facts.collecting import CONFIG, INDEX, SHARD

Kind = Literal["folder", "weights", "config", "gguf"]

_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")
PIPELINE = "model_index.json"
"""Of a diffusers pipeline, whose parts are model folders of their own."""
_PROJECTOR = "mmproj"  # how llama.cpp names the image encoder beside a model
_MAX_LISTED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A model in a folder. ``path``: its folder (``""``: the root), or its one file.

    - ``kind``: ``folder`` with a config.json, a file of ``weights``, a ``config`` alone, or a ``gguf`` file.
    """

    kind: Kind
    path: str


def choose(names: Sequence[str], path: str | None, subject: str) -> Choice:
    """Return the model that ``path`` names, or without a path the only one.

    Raises ModelFetchError: ModelNotFound, or AmbiguousModel with the paths to choose from.
    """
    found = named(names, posixpath.normpath(path.strip("/"))) if path else candidates(names)
    if len(found) == 1:
        return found[0]
    if found:
        raise ambiguous([choice.path or "." for choice in found], subject)
    raise _none(names, path, subject)


def candidates(names: Sequence[str]) -> list[Choice]:
    """Return the models among ``names``: the folder itself if it is one, else the folders and files in it."""
    if PIPELINE in names:
        return []
    folders = {posixpath.dirname(name) for name in names if posixpath.basename(name) == CONFIG}
    weighted = {folder for folder in folders if _has_weights(names, folder)}
    files = gguf_files(names)
    if "" in weighted or ("" in folders and not files):
        return [Choice(kind="folder", path="")]
    chosen = [Choice(kind="folder", path=folder) for folder in sorted(weighted if weighted or files else folders)]
    return chosen + [Choice(kind="gguf", path=name) for name in files]


def of_file(name: str) -> Choice | None:
    """Return what a file is by its name; None where the name does not tell."""
    lower = name.lower()
    if lower.endswith(".gguf"):
        return Choice(kind="gguf", path=name)
    if lower.endswith(".safetensors"):
        return Choice(kind="weights", path=name)
    return Choice(kind="config", path=name) if lower.endswith(".json") else None


def gguf_files(names: Iterable[str]) -> list[str]:
    """Return the GGUF models; of one in parts the first part."""
    found = [name for name in names if name.lower().endswith(".gguf") and _PROJECTOR not in name.lower()]
    return [name for name in found if not (part := SHARD.fullmatch(name)) or int(part["number"]) == 1]


def parts(name: str) -> list[str]:
    """Return the names of all files of a model of which ``name`` is the first part, or the only file."""
    first = SHARD.fullmatch(name)
    if first is None:
        return [name]
    stem, count, suffix = first["stem"], int(first["count"]), first["suffix"]
    return [f"{stem}-{number:05d}-of-{count:05d}{suffix}" for number in range(1, count + 1)]


def ambiguous(paths: Sequence[str], subject: str) -> ModelFetchError:
    """Return the error for several models, with the way to choose one."""
    listed = ", ".join(paths[:_MAX_LISTED]) + (", …" if len(paths) > _MAX_LISTED else "")
    return ModelFetchError(
        f"{subject} holds {len(paths)} models: {listed}; name one as the path", reason="AmbiguousModel", transient=False
    )


def named(names: Sequence[str], path: str) -> list[Choice]:
    """Return the models that ``path`` may mean: the file, or those in the folder."""
    if path in names:
        choice = of_file(path)
        is_folder = choice is not None and posixpath.basename(path) == CONFIG
        return [Choice(kind="folder", path=posixpath.dirname(path))] if is_folder else [choice] if choice else []
    prefix = "" if path == "." else path + "/"
    inner = candidates([name.removeprefix(prefix) for name in names if name.startswith(prefix)])
    return [Choice(kind=choice.kind, path=posixpath.join(prefix, choice.path).rstrip("/")) for choice in inner]


def _has_weights(names: Iterable[str], folder: str) -> bool:
    return any(
        posixpath.dirname(name) == folder and (name.endswith(_WEIGHTS) or posixpath.basename(name) == INDEX)
        for name in names
    )


def _none(names: Sequence[str], path: str | None, subject: str) -> ModelFetchError:
    models = [choice.path or "." for choice in candidates(names)]
    other = [name for name in names if name.lower().endswith(".onnx")]
    if PIPELINE in names and not path:
        problem = "a diffusers pipeline, which is not read"
        way_out = "name one of its parts as the path, such as text_encoder"
    elif path and models:
        problem, way_out = f"no model at {path}", f"it has {', '.join(models[:_MAX_LISTED])}, name one as the path"
    elif other:
        problem = "no config.json and no GGUF file"
        way_out = f"of {other[0]}, give the file itself, or an image that holds it"
    else:
        problem = "no config.json and no GGUF file"
        way_out = "check the reference, or name the model's path"
    return ModelFetchError(f"{subject} holds {problem}: {way_out}", reason="ModelNotFound", transient=False)
