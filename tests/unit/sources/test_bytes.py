"""How many bytes a model costs: images of 100 MB against a server that counts."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import zstandard

from joulecast.sources import RegistryAccess, fetch
from tests.images import compressed
from tests.unit.sources.archives import image, tar
from tests.unit.sources.models import gemm_model, noisy_model, parsed
from tests.unit.sources.serving import Served

MIB = 1 << 20
LARGE = 100 * 1000 * 1000
NOISE = np.random.default_rng(1).integers(0, 256, LARGE, dtype=np.uint8).tobytes()
INLINE = {payload: noisy_model(payload, -(-LARGE // payload)) for payload in (256 << 10, 4 * MIB)}
EXTERNAL = gemm_model(width=4, count=800, external=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("payload", "raw", "path"),
    [
        (256 << 10, False, None),
        (256 << 10, True, "/models/m.onnx"),
        (4 * MIB, False, "/models/m.onnx"),
        (4 * MIB, True, None),
    ],
)
def test_inline_weights_cost_two_percent(
    served: Served, access: RegistryAccess, payload: int, raw: bool, path: str | None
) -> None:
    model = INLINE[payload]
    if raw:
        titles = [{"org.opencontainers.image.title": "models/m.onnx"}]
        reference = served.add(image([model], media_type="application/onnx", titles=titles, config_type="x/y"))
    else:
        reference = served.add(image([tar([("models/m.onnx", model)])]))
    found = fetch(reference, path=path, access=access)
    assert found.bytes_fetched == served.bytes_sent
    assert served.bytes_sent <= 0.02 * LARGE
    assert len(parsed(found.skeleton).graph.initializer) == -(-LARGE // payload)


@pytest.mark.slow
@pytest.mark.parametrize("graph_first", [True, False])
@pytest.mark.parametrize("path", ["/models/m.onnx", None])
def test_external_weights_cost_two_percent(
    served: Served, access: RegistryAccess, graph_first: bool, path: str | None
) -> None:
    members = [("models/m.onnx", EXTERNAL), ("models/weights.bin", NOISE)]
    reference = served.add(image([tar(members if graph_first else members[::-1])]))
    found = fetch(reference, path=path, access=access)
    assert found.bytes_fetched == served.bytes_sent <= 0.02 * LARGE
    assert len(parsed(found.skeleton).graph.node) == 800


@pytest.mark.slow
@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@pytest.mark.parametrize("before", [0, 5 * MIB])
def test_compressed_layers_cost_what_lies_before_the_end_of_the_graph(
    served: Served, access: RegistryAccess, compression: str, before: int
) -> None:
    members = [("usr/lib/x.so", NOISE[:before]), ("models/m.onnx", EXTERNAL), ("models/weights.bin", NOISE)]
    body = tar(members)
    graph_end = body.index(EXTERNAL) + len(EXTERNAL)
    graph = compressed(body[:graph_end], compression)
    blob = graph + _stored(body[graph_end:], compression)
    found = fetch(served.add(image([blob])), path="/models/m.onnx", access=access)
    assert found.bytes_fetched == served.bytes_sent <= len(graph) + MIB
    assert parsed(found.skeleton) == parsed(EXTERNAL)


def _stored(body: bytes, compression: str) -> bytes:
    """Another member or frame, quickly made."""
    if compression == "zstd":
        return zstandard.ZstdCompressor(level=1).compress(body)
    packer = zlib.compressobj(0, zlib.DEFLATED, 31)
    return packer.compress(body) + packer.flush()


def test_upper_layers_cost_their_headers_only(served: Served, access: RegistryAccess) -> None:
    above = tar([(f"srv/{index}", NOISE[: 2 * MIB]) for index in range(20)])
    reference = served.add(image([tar([("models/m.onnx", EXTERNAL)]), above]))
    assert fetch(reference, path="/models/m.onnx", access=access).bytes_fetched < MIB


def test_a_compressed_layer_is_not_read_beyond_what_is_needed_when_it_is_small(
    served: Served, access: RegistryAccess
) -> None:
    blob = compressed(tar([("models/m.onnx", EXTERNAL)]), "gzip")
    found = fetch(served.add(image([blob])), path="/models/m.onnx", access=access)
    assert found.bytes_fetched < len(blob) + 4096
