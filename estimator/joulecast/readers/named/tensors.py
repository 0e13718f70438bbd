"""The inputs of a named network: their shapes from the workload, and tensors of these shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from joulecast.errors import WorkloadError
from joulecast.readers.named.built import InputSpec

if TYPE_CHECKING:
    from joulecast.graph import Shape
    from joulecast.readers.named.entry import Entry

_SAMPLES_PER_SECOND = 16_000  # of speech models, unless an entry says otherwise
_FRAMES_PER_SECOND = 100  # feature frames of 10 ms, likewise
_SEED = 0


def specs(
    entry: Entry, *, batch_size: int, sequence_length: int | None, seconds: float | None, dtype: str, vocabulary: int
) -> dict[str, InputSpec]:
    """Return the inputs of ``entry``. Raises WorkloadError for a length that it does not have, and for one below 1."""
    words = {"batch": batch_size} | _lengths(entry, sequence_length, seconds)
    for word, size in words.items():
        if size < 1:
            raise WorkloadError(f"{entry.source} cannot read {size} {word}: give 1 or more")
    return {name: _spec(name, shape, words, dtype, vocabulary) for name, shape in entry.inputs.items()}


def _lengths(entry: Entry, sequence_length: int | None, seconds: float | None) -> dict[str, int]:
    if sequence_length is not None and not entry.sequence_lengths:
        raise WorkloadError(f"{entry.source} does not read text: leave the sequence length out")
    if seconds is not None and not entry.seconds:
        raise WorkloadError(f"{entry.source} does not read audio: leave the seconds out")
    if entry.sequence_lengths:
        return {"tokens": entry.sequence_lengths[0] if sequence_length is None else sequence_length}
    if entry.seconds:
        return _audio_lengths(entry, entry.seconds[0] if seconds is None else seconds)
    return {}


def _audio_lengths(entry: Entry, seconds: float) -> dict[str, int]:
    words = {word for shape in entry.inputs.values() for word in shape}
    if not words & {"samples", "frames"} and seconds not in entry.seconds:
        raise WorkloadError(
            f"{entry.source} reads {entry.seconds[0]:g} s of audio at a time, not {seconds:g}: leave the seconds out"
        )
    return {
        "samples": round(seconds * entry.rates.get("samples", _SAMPLES_PER_SECOND)),
        "frames": round(seconds * entry.rates.get("frames", _FRAMES_PER_SECOND)),
    }


def _spec(name: str, shape: tuple[int | str, ...], words: Mapping[str, int], dtype: str, vocabulary: int) -> InputSpec:
    sizes = tuple(words[size] if isinstance(size, str) else size for size in shape)
    if name.endswith("ids"):
        return InputSpec(shape=sizes, dtype="int64", below=vocabulary)
    if name.endswith("mask"):
        return InputSpec(shape=sizes, dtype="int64")
    return InputSpec(shape=sizes, dtype=dtype)


def reshaped(
    source: str, inputs: Mapping[str, InputSpec], shapes: Mapping[str, Shape], batch_size: int
) -> dict[str, InputSpec]:
    """Replace some shapes of ``inputs``. Raises WorkloadError for an unknown input, another rank or batch."""
    for name, shape in shapes.items():
        if name not in inputs:
            raise WorkloadError(f"{source} has no input {name!r}: it is fed {', '.join(inputs)}")
        if len(shape) != len(inputs[name].shape) or shape[0] != batch_size:
            own = ",".join(str(size) for size in ("batch", *inputs[name].shape[1:]))
            raise WorkloadError(
                f"shape {list(shape)} does not fit input {name!r} of {source} at batch size {batch_size}:"
                f" write it as {name}={own}"
            )
    return {name: replace(spec, shape=shapes.get(name, spec.shape)) for name, spec in inputs.items()}


def tensors(inputs: Mapping[str, InputSpec], *, device: str, drawn: bool) -> dict[str, Any]:
    """Return a tensor for each input: drawn from N(0,1), ids uniformly, masks of ones; zeros unless ``drawn``."""
    generator = torch.Generator().manual_seed(_SEED)
    return {name: _tensor(name, spec, generator if drawn else None).to(device) for name, spec in inputs.items()}


def _tensor(name: str, spec: InputSpec, generator: torch.Generator | None) -> torch.Tensor:
    dtype = getattr(torch, spec.dtype)
    if name.endswith("mask"):
        return torch.ones(spec.shape, dtype=dtype)
    if generator is None:
        return torch.zeros(spec.shape, dtype=dtype)
    if spec.below is not None:
        return torch.randint(spec.below, spec.shape, dtype=dtype, generator=generator)
    return torch.randn(spec.shape, generator=generator).to(dtype)
