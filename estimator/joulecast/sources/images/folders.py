"""Describe a folder that is not an image layout by the names in it, without opening a file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from joulecast.errors import ModelReferenceError

_MAX_NAMES = 1000
_MAX_DEPTH = 2
"""Names looked at, and folders below the one given: model repositories keep ``1/model.onnx`` or ``onnx/model.onnx``."""
_MAX_LISTED = 5
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".msgpack")
_EXPORT = "ONNX is what can be read now, so export the model to ONNX"


def refused(folder: Path) -> ModelReferenceError:
    """Return the error for a folder that is not an image layout: what it is, and what to do."""
    names = list(_names(folder))
    return ModelReferenceError(f"{folder} {_told(folder, names)}")


def _told(folder: Path, names: Sequence[str]) -> str:
    models = [name for name in names if name.lower().endswith(".onnx")]
    top = {name for name in names if os.sep not in name}
    if len(models) == 1:
        return f"is a folder with one ONNX file in it: give {folder / models[0]}"
    if models:
        listed = ", ".join(str(folder / name) for name in models[:_MAX_LISTED])
        return f"is a folder with {len(models)} ONNX files in it: give one of them, {listed}"
    if top & {"saved_model.pb", "saved_model.pbtxt"}:
        return f"is a TensorFlow SavedModel: {_EXPORT} (python -m tf2onnx.convert --saved-model {folder})"
    if "model_index.json" in top:
        return f"is a diffusers pipeline: {_EXPORT} (optimum-cli export onnx --model {folder} OUT), and give one file"
    if "config.json" in top:
        return f"is a Hugging Face model folder: {_EXPORT} (optimum-cli export onnx --model {folder} OUT)"
    if any(name.lower().endswith(_WEIGHTS) for name in top):
        return f"is a folder of weights without a graph: {_EXPORT}"
    if not any(folder.iterdir()):
        return "is an empty folder: give an .onnx file, an OCI image-layout folder or an image"
    return "is a folder without an oci-layout file: give an .onnx file, an OCI image-layout folder or an image"


def _names(folder: Path) -> Iterator[str]:
    """Yield paths of files relative to the folder, in order, at most ``_MAX_NAMES``."""
    left = _MAX_NAMES
    for place, folders, files in os.walk(folder):
        below = os.path.relpath(place, folder)
        folders[:] = sorted(folders)[:left] if below.count(os.sep) + (below != ".") < _MAX_DEPTH else []
        for name in sorted(files)[:left]:
            yield name if below == "." else os.path.join(below, name)  # noqa: PTH118 - text, not a path to open
        left -= len(files) + len(folders)
        if left <= 0:
            return
