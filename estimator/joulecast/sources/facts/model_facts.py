"""The facts of a model folder as one value and as one small document.

A folder, an image, a hub and an object store that hold the same files give the same document, byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from joulecast.errors import ModelFormatError

FORMAT = "huggingface"
"""``FetchedModel.format`` of a model folder; its skeleton is what ``ModelFacts.document`` returns."""

Known = Literal["all", "some", "names", "none"]
"""Of which tensors dtype and shape are known. all: of every one. some: the headers of the other files were left out,
because the limit on bytes was reached. names: of none, but the index names them. none: there is no index that could be
read and no header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTensor:
    """A tensor as a safetensors header describes it. ``dtype``: the header's own word (``BF16``, ``F8_E4M3``)."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """A model folder in the layout of Hugging Face's libraries, without weights.

    - ``config``: ``config.json``; None where a single file of weights was given.
    - ``generation_config``, ``quantization``: ``generation_config.json`` and ``hf_quant_config.json``, None if absent.
    - ``tensors``: by name; the value is None where the index names a tensor whose file's header was not read.
    - ``known``: of which tensors dtype and shape are known.
    - ``weight_bytes``: what the index states as the size of all tensors; None if it states none.
    """

    config: Mapping[str, Any] | None
    generation_config: Mapping[str, Any] | None = None
    quantization: Mapping[str, Any] | None = None
    tensors: Mapping[str, StoredTensor | None] = field(default_factory=dict)
    known: Known = "none"
    weight_bytes: int | None = None

    def document(self) -> bytes:
        """Return the facts as JSON: keys sorted, no blanks, so that equal facts give equal bytes."""
        document = {
            "config": self.config,
            "generation_config": self.generation_config,
            "quantization": self.quantization,
            "tensors": {name: tensor and [tensor.dtype, tensor.shape] for name, tensor in self.tensors.items()},
            "known": self.known,
            "weight_bytes": self.weight_bytes,
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def read_document(content: bytes) -> ModelFacts:
    """Return the facts that ``document`` wrote. Raises ModelFormatError if ``content`` is not such a document."""
    try:
        document = json.loads(content)
        tensors = {
            str(name): tensor and StoredTensor(dtype=str(tensor[0]), shape=tuple(map(int, tensor[1])))
            for name, tensor in document.pop("tensors").items()
        }
        return ModelFacts(tensors=tensors, **document)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise ModelFormatError("the stored facts of the model cannot be read: fetch the model again") from error
