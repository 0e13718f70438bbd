"""Telling a file's format by its first bytes, so that what is not read yet is named rather than misread."""

from __future__ import annotations

import re

from joulecast.errors import ModelFormatError

SNIFFED_BYTES = 4096
SUPPORTED = ("onnx",)

_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"GGUF", "a GGUF file"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras)"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (4, b"TFL3", "a TensorFlow Lite file"),
    (4, b"ORTM", "an ONNX Runtime format (.ort) file"),
    (0, b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd file"),
    (257, b"ustar", "a tar archive: to read an image out of one, unpack it into an OCI image-layout folder"),
    (0, b"\x7fELF", "a program or library (ELF)"),
    (0, b"<", "an XML or HTML file"),
)
"""(offset, bytes there, what it is), each from the format's own specification."""


def check_requested(format: str | None) -> None:  # noqa: A002 - the word users write
    """Raises ModelFormatError for a requested format that cannot be read."""
    if format is not None and format.lower() not in SUPPORTED:
        raise ModelFormatError(
            f"format {format!r} is not supported: ONNX is what can be read now, so export the model to ONNX and "
            "leave the format out",
            reason="UnsupportedFormat",
        )


def refuse_foreign(head: bytes, name: str) -> None:
    """Raises ModelFormatError if ``head``, the first bytes of ``name``, belong to something that is not ONNX."""
    found = detect(head)
    if found:
        raise ModelFormatError(
            f"{name} is {found}: ONNX is what can be read now, so export the model to ONNX",
            reason="UnsupportedFormat",
        )


def detect(head: bytes) -> str | None:
    """What the file is, in words, if it is recognisably something other than ONNX."""
    if not head.strip(b"\0"):
        return "empty" if not head else "filled with zeros"
    for offset, magic, what in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return what
    if head[:4] == b"PK\x03\x04":
        return _zip_kind(head)
    if re.match(rb"\x80[\x02-\x05]", head):  # PROTO opcode of pickle protocols 2 to 5
        return "a Python pickle (weights saved by torch.save), which is never loaded"
    if re.match(rb".{6}\0\0\{\s*\"", head, re.DOTALL):  # a little-endian length below 2**48, then a JSON object
        return "a safetensors file (weights without a graph)"
    if re.match(rb"\s*[{\[]", head) and b'"' in head[:64]:
        return "a JSON file"
    return None


def _zip_kind(head: bytes) -> str:
    if b"/archive_format" in head or b"models/model.json" in head:
        return "a torch.export program (.pt2)"
    if b"/constants.pkl" in head or b"/code/" in head:
        return "a TorchScript archive"
    if b"data.pkl" in head:
        return "a PyTorch archive (TorchScript or pickled weights)"
    if b".npy" in head[:256]:
        return "a NumPy archive"
    return "a zip archive"
