"""The result of fetching a model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Verification = Literal["Full", "Manifest"]
"""Full: every byte of the layers read was checked against the image's digest. Manifest: the manifest and config were;
the content rests on the connection it came by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedModel:
    """A model without its weights, and where it came from.

    - ``reference``: as given.
    - ``format``: ``onnx``, ``huggingface`` or ``gguf``.
    - ``path``: inside the image or folder, or of the file.
    - ``digest``: the platform manifest's, a hub's commit (``git:…``), or the skeleton's.
    - ``layer_digest``: of the layer that holds the model, None for a file.
    - ``skeleton``: an ONNX ModelProto in which payloads over 4 KiB are marked external; or the document of the
      ``ModelFacts`` of a model folder, or of the ``GgufFacts`` of a GGUF file.
    - ``bytes_fetched``: body bytes received, manifests and config included.
    - ``image_bytes``: sum of the compressed layer sizes of the chosen platform, or the file's size.
    - ``verification``: None for a file.
    """

    reference: str
    format: str
    path: str
    digest: str
    layer_digest: str | None
    skeleton: bytes = field(repr=False)
    bytes_fetched: int
    image_bytes: int
    verification: Verification | None
