"""Recognise a file's format by its first bytes, so that a format that is not read is named instead of misread.

Nothing is unpacked, loaded or executed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from joulecast.errors import ModelFormatError

if TYPE_CHECKING:
    from joulecast.sources.fetched import FetchedModel

SNIFFED_BYTES = 4096
SUPPORTED = ("onnx", "huggingface", "gguf")

UNSUPPORTED = "UnsupportedFormat"
DAMAGED = ModelFormatError.default_reason

_EXPORT = "ONNX is what can be read now, so export the model to ONNX"
_FROM_TORCH = f"{_EXPORT} (torch.onnx.export), or give joulecast.profile the torch.nn.Module"
_FROM_TENSORFLOW = f"{_EXPORT} (python -m tf2onnx.convert)"
_AGAIN = "copy or download the file again"
_UNPACK = "unpack it, and give the .onnx file in it"
_FROM_ENGINE = "give the ONNX file that it was made from"


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A format other than ONNX: what it is, and what to do about it."""

    what: str
    way_out: str = _EXPORT
    reason: str = UNSUPPORTED

    def error(self, name: str) -> ModelFormatError:
        return ModelFormatError(f"{name} is {self.what}: {self.way_out}", reason=self.reason)


_MAGIC: tuple[tuple[int, bytes, Foreign], ...] = (
    (0, b"GGUF", Foreign(what="a GGUF file")),
    (0, b"\x89HDF\r\n\x1a\n", Foreign(what="an HDF5 file (Keras)", way_out=_FROM_TENSORFLOW)),
    (0, b"\x93NUMPY", Foreign(what="a NumPy array")),
    (4, b"TFL3", Foreign(what="a TensorFlow Lite file")),
    (
        4,
        b"ORTM",
        Foreign(what="an ONNX Runtime format (.ort) file", way_out="give the .onnx file that it was made from"),
    ),
    (0, b"ftrt", Foreign(what="a TensorRT engine, compiled for one GPU", way_out=_FROM_ENGINE)),
    (0, b"ptrt", Foreign(what="a TensorRT engine, compiled for one GPU", way_out=_FROM_ENGINE)),
    (
        0,
        b"version https://git-lfs",
        Foreign(
            what="a Git LFS pointer, not the file itself",
            way_out="fetch the file (git lfs pull) and give it again",
            reason=DAMAGED,
        ),
    ),
    (0, b"\x1f\x8b", Foreign(what="a gzip file", way_out=_UNPACK)),
    (0, b"\x28\xb5\x2f\xfd", Foreign(what="a zstd file", way_out=_UNPACK)),
    (0, b"BZh", Foreign(what="a bzip2 file", way_out=_UNPACK)),
    (0, b"\xfd7zXZ\0", Foreign(what="an xz file", way_out=_UNPACK)),
    (0, b"7z\xbc\xaf\x27\x1c", Foreign(what="a 7z archive", way_out=_UNPACK)),
    (
        257,
        b"ustar",
        Foreign(what="a tar archive", way_out=f"{_UNPACK}, or unpack an image into an OCI image-layout folder"),
    ),
    (0, b"\x7fELF", Foreign(what="a program or library (ELF)", way_out="give the model's .onnx file")),
)
"""(offset, bytes there, what it is), each from the format's own specification; of TensorRT, whose plans have none, what
its versions write."""

_SAFETENSORS = re.compile(rb".{6}\0\0\{\s*\"", re.DOTALL)  # a little-endian length below 2**48, then a JSON object
_OBJECT = re.compile(rb"\s*\{\s*\"")

_SUFFIXES = {
    ".engine": Foreign(what="a TensorRT engine, compiled for one GPU", way_out=_FROM_ENGINE),
    ".plan": Foreign(what="a TensorRT engine, compiled for one GPU", way_out=_FROM_ENGINE),
    ".trt": Foreign(what="a TensorRT engine, compiled for one GPU", way_out=_FROM_ENGINE),
    ".pb": Foreign(what="a TensorFlow graph", way_out=_FROM_TENSORFLOW),
    ".pdmodel": Foreign(what="a Paddle model", way_out=f"{_EXPORT} (paddle2onnx)"),
    ".mlmodel": Foreign(what="a Core ML model"),
    ".bin": Foreign(what="a file of weights without a graph", way_out=_FROM_TORCH),
    ".data": Foreign(what="a file of weights without a graph", way_out="give the .onnx file that it belongs to"),
}
"""Formats without a signature, by the file's suffix; used only where a file is not an ONNX model."""


def check_requested(format: str | None) -> None:  # noqa: A002 - the word users write
    """Raise ModelFormatError for a requested format that cannot be read."""
    if format is not None and format.lower() not in SUPPORTED:
        raise ModelFormatError(
            f"format {format!r} is not supported: choose one of {', '.join(SUPPORTED)}, or leave the format out",
            reason="UnsupportedFormat",
        )


def check_found(found: FetchedModel, format: str | None) -> None:  # noqa: A002
    """Raise ModelFormatError for a model of another format than was requested."""
    if format is not None and format.lower() != found.format:
        raise ModelFormatError(
            f"{found.reference} holds a model of format {found.format}, not {format}: name the path of another, or"
            " leave the format out",
            reason="UnsupportedFormat",
        )


def refuse_foreign(head: bytes, name: str) -> None:
    """Raise ModelFormatError if ``head``, the first bytes of ``name``, belong to a format other than ONNX."""
    found = detect(head)
    if found:
        raise found.error(name)


def language_model(head: bytes) -> Literal["gguf", "weights", "config"] | None:
    """Return what a file of a language model is by its first bytes; None if they are of something else.

    Any JSON object is told to be a configuration here.
    """
    if head[:4] == b"GGUF":
        return "gguf"
    if _SAFETENSORS.match(head):
        return "weights"
    return "config" if _OBJECT.match(head.removeprefix(b"\xef\xbb\xbf")) else None


def named_by_suffix(name: str) -> Foreign | None:
    """Return the format that the file's suffix names, for a file that is not an ONNX model."""
    return next((found for suffix, found in _SUFFIXES.items() if name.lower().endswith(suffix)), None)


def is_weights(name: str) -> bool:
    """Decide whether a name is that of a model in a format that is not read, or of weights without a graph."""
    return name.lower().endswith(_OF_MODELS)


_OF_MODELS = (
    ".safetensors", ".pt", ".pth", ".pt2", ".ckpt", ".gguf", ".engine", ".plan", ".trt", ".tflite", ".h5", ".keras",
    ".ort", ".pdmodel", ".mlmodel", "saved_model.pb", "pytorch_model.bin",
)  # fmt: skip


def detect(head: bytes) -> Foreign | None:
    """Return the format of a file that is recognisably not ONNX, else None."""
    if not head.strip(b"\0"):
        what = "filled with zeros" if head else "empty"
        return Foreign(what=what, way_out=_AGAIN, reason=DAMAGED)
    for offset, magic, what_it_is in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return what_it_is
    if head[:4] == b"PK\x03\x04":
        return _zip_kind(head)
    if re.match(rb"\x80[\x02-\x05]", head):  # PROTO opcode of pickle protocols 2 to 5
        return Foreign(what="a Python pickle (weights saved by torch.save), which is never loaded", way_out=_FROM_TORCH)
    if _SAFETENSORS.match(head):
        return Foreign(what="a safetensors file (weights without a graph)", way_out=_FROM_TORCH)
    return _text_kind(head)


def _text_kind(head: bytes) -> Foreign | None:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()  # a byte order mark, then blanks
    if re.match(rb"<!doctype html|<html", text, re.IGNORECASE):
        return Foreign(
            what="a web page (HTML), not the file itself",
            way_out="download the file itself again; the address leads to a page, or wants a login",
            reason=DAMAGED,
        )
    if text[:1] == b"<":
        return Foreign(what="an XML file (OpenVINO and others)")
    if re.match(rb"[{\[]", text) and b'"' in text[:64]:
        return Foreign(what="a JSON file", way_out="give the model's .onnx file")
    return None


def _zip_kind(head: bytes) -> Foreign:
    if b"/archive_format" in head or b"models/model.json" in head:
        return Foreign(what="a torch.export program (.pt2)", way_out=_FROM_TORCH)
    if b"/constants.pkl" in head or b"/code/" in head:
        return Foreign(what="a TorchScript archive", way_out=_FROM_TORCH)
    if b"data.pkl" in head:
        return Foreign(what="a PyTorch archive (TorchScript or pickled weights)", way_out=_FROM_TORCH)
    if b".npy" in head[:256]:
        return Foreign(what="a NumPy archive")
    if b"config.json" in head[:256] and b"keras" in head:
        return Foreign(what="a Keras archive", way_out=_FROM_TENSORFLOW)
    return Foreign(what="a zip archive", way_out=_UNPACK)
