"""The seven networks of the A100 set as ONNX graphs without weights, so that their rows can be forecast anywhere.

``index.json`` says of each file what it is: the set's own ``model`` and ``config``, the ``dtype`` it was exported in,
where the configuration comes
from, its inputs (symbolic dimensions are names) and the versions that exported it. The bfloat16 files carry the casts
that the code makes
(softmax and RMS norm in float32 for Qwen2; OPT's softmax is not promoted, as in the version that was measured).
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from joulecast.layers import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A graph without weights.

    - ``name``: ``"gpt2-float32"``.
    - ``model``, ``config``: as the set calls them.
    - ``inputs``: shapes with symbolic dimensions as names.
    """

    name: str
    model: str
    config: str
    dtype: str
    origin: str
    file: str
    inputs: dict[str, tuple[int | str, ...]]

    def skeleton(self) -> bytes:
        """Return the serialised ONNX model; its tensors have no payload."""
        return gzip.decompress((resources.files(__package__) / self.file).read_bytes())

    def workload(self, *, batch_size: int, sequence_length: int | None = None) -> Workload:
        """Return the shapes of all inputs: the first symbolic dimension is the batch, the second the sequence."""
        shapes = {name: _bound(shape, (batch_size, sequence_length)) for name, shape in self.inputs.items()}
        return Workload(batch_size=batch_size, input_shapes=shapes)


def _bound(shape: tuple[int | str, ...], sizes: tuple[int, int | None]) -> tuple[int, ...]:
    free = iter(sizes)
    bound = [next(free) if isinstance(dimension, str) else dimension for dimension in shape]
    if None in bound:
        raise ValueError("this network reads a sequence: give sequence_length")
    return tuple(dimension for dimension in bound if dimension is not None)


@cache
def installed() -> dict[str, Network]:
    """Return every network by name."""
    index = json.loads((resources.files(__package__) / "index.json").read_text())
    return {name: _network(name, entry) for name, entry in index.items()}


def find(*, model: str, config: str, dtype: str) -> Network:
    """Return the network of a row of the set. Raises ``KeyError``."""
    for network in installed().values():
        if (network.model, network.config, network.dtype) == (model, config, dtype):
            return network
    raise KeyError(f"no network {model!r} {config!r} in {dtype}")


def _network(name: str, entry: dict[str, Any]) -> Network:
    fields = {key: entry[key] for key in ("model", "config", "dtype", "origin", "file")}
    return Network(name=name, inputs={key: tuple(shape) for key, shape in entry["inputs"].items()}, **fields)
