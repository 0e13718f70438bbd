"""Describe a folder that is not an image layout by the names in it, without opening a file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from joulecast.errors import ModelReferenceError
from joulecast.sources.folders import listed

_MAX_LISTED = 5
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".msgpack")
_WAY_OUT = "give a model's file or folder, an OCI image-layout folder or an image"
_EXPORT = "ONNX is what can be read now, so export the model to ONNX"


def refused(folder: Path) -> ModelReferenceError:
    """Return the error for a folder that is not an image layout: what it is, and what to do."""
    names = list(listed(folder))
    return ModelReferenceError(f"{folder} {_told(folder, names)}")


def _told(folder: Path, names: Sequence[str]) -> str:
    models = [name for name in names if name.lower().endswith(".onnx")]
    top = {name for name in names if os.sep not in name}
    if len(models) == 1:
        return f"is a folder with one ONNX file in it: give {folder / models[0]}"
    if models:
        some = ", ".join(str(folder / name) for name in models[:_MAX_LISTED])
        return f"is a folder with {len(models)} ONNX files in it: give one of them, {some}"
    if top & {"saved_model.pb", "saved_model.pbtxt"}:
        return f"is a TensorFlow SavedModel: {_EXPORT} (python -m tf2onnx.convert --saved-model {folder})"
    if "model_index.json" in top:
        return f"is a diffusers pipeline: {_EXPORT} (optimum-cli export onnx --model {folder} OUT), and give one file"
    if any(name.lower().endswith(_WEIGHTS) for name in top):
        return f"is a folder of weights without a graph: {_EXPORT}"
    if not any(folder.iterdir()):
        return f"is an empty folder: {_WAY_OUT}"
    return f"is a folder without a config.json, a model's file or an oci-layout file: {_WAY_OUT}"
