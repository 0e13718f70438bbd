"""Models that are nearly right, as configuration and headers or as a GGUF file, up to a forecast of generation.

``python -m tests.unit.api.fuzz 100000`` runs as many and prints what came of them.
"""

from __future__ import annotations

import json
import math
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from joulecast.accelerators.catalogue import accelerator_named
from joulecast.api.generation import forecast_generation
from joulecast.api.language_models import language_model
from joulecast.errors import JoulecastError
from joulecast.serving.requests import GenerationRequest
from joulecast.sources import FetchedModel
from joulecast.sources.facts.gguf import FORMAT as GGUF
from joulecast.sources.facts.gguf import read_header
from joulecast.sources.facts.model_facts import FORMAT as FOLDER
from joulecast.sources.facts.model_facts import ModelFacts, StoredTensor
from joulecast.sources.streams.stream import MemoryStream
from tests import checkpoints
from tests.unit.readers.gguf import test_architectures as files
from tests.unit.readers.huggingface.fuzz import STRANGE
from tests.unit.readers.huggingface.fuzz import documents as configurations
from tests.unit.readers.huggingface.test_quantisation import AWQ, FP8_BLOCKS, GPTQ, NVFP4, W4A16, W8A8_FLOAT

CARDS = ("NVIDIA-H100-80GB-HBM3", "NVIDIA-A100-SXM4-80GB", "Tesla-T4")
QUANTISED = (GPTQ, AWQ, FP8_BLOCKS, NVFP4, W4A16, W8A8_FLOAT)
SIZES = (0, 1, 2, 7, 1 << 10, 1 << 20, 1 << 24, 1 << 31, (1 << 63) - 1)
KINDS = ("BF16", "F16", "F32", "F8_E4M3", "I32", "U8", "I8", "X", "")


def models(count: int, seed: int = 0) -> Iterator[FetchedModel | bytes]:
    """``count`` fetched models, or bytes of GGUF files; always the same for the same ``seed``."""
    drawn = random.Random(seed)
    documents = configurations(count, seed)
    for _ in range(count):
        kind = drawn.random()
        if kind < 0.25:
            yield _gguf(drawn)
        elif kind < 0.6:
            yield _folder(_configuration(drawn), _headers(drawn, dict(checkpoints.CONFIG)))
        else:
            yield _changed(next(documents), drawn)


def _folder(config: dict[str, Any], tensors: dict[str, StoredTensor | None]) -> FetchedModel:
    facts = ModelFacts(config=config, tensors=tensors, known="all" if tensors else "none")
    return _fetched(facts.document(), FOLDER)


def _fetched(skeleton: bytes, kind: str) -> FetchedModel:
    return FetchedModel(
        reference="model", format=kind, path="", digest="sha256:0", layer_digest=None, skeleton=skeleton,
        bytes_fetched=0, image_bytes=0, verification=None,
    )  # fmt: skip


def _changed(document: bytes, drawn: random.Random) -> FetchedModel | bytes:
    try:
        config = json.loads(document)
    except (ValueError, RecursionError):
        config = {}
    config = config if isinstance(config, dict) else {}
    if drawn.random() < 0.2:
        config["quantization_config"] = drawn.choice(QUANTISED)
    return _folder(config, {})


def _configuration(drawn: random.Random) -> dict[str, Any]:
    keys = dict(checkpoints.CONFIG)
    if drawn.random() < 0.4:
        keys["quantization_config"] = dict(drawn.choice(QUANTISED))
        if drawn.random() < 0.3:
            keys["quantization_config"][drawn.choice(list(keys["quantization_config"]))] = drawn.choice(STRANGE)
    for _ in range(drawn.randint(0, 2)):
        keys[drawn.choice(list(keys))] = drawn.choice((*STRANGE, 1, 2, 4, 64, 1024))
    return keys


def _headers(drawn: random.Random, config: dict[str, Any]) -> dict[str, StoredTensor | None]:
    found: dict[str, StoredTensor | None] = {
        name: StoredTensor(dtype=dtype, shape=shape) for name, (dtype, shape) in checkpoints.tensors(config).items()
    }
    for _ in range(drawn.randint(0, 4)):
        name = drawn.choice(list(found))
        tensor = found.pop(name) or StoredTensor(dtype="BF16", shape=())
        kind = drawn.random()
        if kind < 0.3:
            name = name.replace("layers.1", f"layers.{drawn.choice((2, 7, 999_999, 10**9))}")
        elif kind < 0.6:
            sizes = [drawn.choice(SIZES) for _ in range(drawn.randint(0, 5))]
            tensor = StoredTensor(dtype=tensor.dtype, shape=tuple(sizes))
        elif kind < 0.8:
            tensor = StoredTensor(dtype=drawn.choice(KINDS), shape=tensor.shape)
        found[name[:: drawn.choice((1, 1, 1, -1))]] = tensor
    return found


def _gguf(drawn: random.Random) -> bytes:
    name = drawn.choice(list(files.FILES))
    architecture, _, keys = files.FILES[name]
    own: dict[str, Any] = {f"{architecture}.{key}": value for key, value in {**files.METADATA, **keys}.items()}
    for _ in range(drawn.randint(0, 2)):
        own[drawn.choice(list(own))] = drawn.choice((0, 1, 3, 1 << 20, (1 << 63) - 1, 0.5, "x", [1, 2], True))
    stored = files.tensors(name, drawn.choice((0, 1, 8, 12, 14, 30, 99)))
    for _ in range(drawn.randint(0, 2)):
        each = drawn.choice(list(stored))
        stored[each] = (drawn.choice((0, 8, 12, 77)), tuple(drawn.choice(SIZES) for _ in range(drawn.randint(0, 4))))
    content = bytearray(checkpoints.gguf({"general.architecture": architecture, **own}, stored, rest=0))
    for _ in range(drawn.choice((0, 0, 1, 5))):
        content[drawn.randrange(len(content))] = drawn.randrange(256)
    return bytes(content[: drawn.choice((len(content), len(content), drawn.randrange(len(content)))) + 1])


def outcome(source: FetchedModel | bytes, drawn: random.Random) -> str:
    """What comes of a model: ``forecast``, or the reason of the error. Anything else is raised."""
    asked = GenerationRequest(
        phase=drawn.choice(("prefill", "decode", "request", "request")),
        input_tokens=drawn.choice((1, 100, 5000)), output_tokens=drawn.choice((1, 2, 200)),
        concurrency=drawn.choice((1, 7, 200)), tensor_parallel=drawn.choice((1, 1, 2, 8)),
    )  # fmt: skip
    try:
        if isinstance(source, bytes):
            facts = read_header(MemoryStream(source), "model.gguf")
            source = _fetched(facts.document(), GGUF)
        found = forecast_generation(language_model(source), accelerator_named(drawn.choice(CARDS)), asked)
    except JoulecastError as error:
        text = str(error)
        assert text.isprintable(), text
        assert len(text) < 1500, text
        return error.reason
    figures = (found.joules_per_request, found.inter_token_latency_seconds, found.time_to_first_token_seconds)
    assert all(math.isfinite(each.upper) and 0 <= each.lower <= each.value <= each.upper for each in figures)
    assert found.joules_per_request.value > 0 or asked.phase == "decode"
    assert found.memory_bytes > 0
    return "forecast"


if __name__ == "__main__":
    drawn, started, slowest, counts = random.Random(1), time.process_time(), 0.0, Counter[str]()
    for each in models(int(sys.argv[1]), seed=int(sys.argv[2]) if len(sys.argv) > 2 else 1):
        before = time.process_time()
        counts[outcome(each, drawn)] += 1
        slowest = max(slowest, time.process_time() - before)
    print(dict(counts), f"{time.process_time() - started:.0f} s of processor time, slowest {slowest:.3f} s")
