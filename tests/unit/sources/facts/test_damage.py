"""Files damaged at random give facts or one clear error, never another exception."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from joulecast.errors import ModelFormatError
from joulecast.sources.facts import gguf, safetensors
from joulecast.sources.facts.json_files import parsed_object
from joulecast.sources.facts.model_facts import read_document
from joulecast.sources.images.contents import KeptFile
from joulecast.sources.streams.stream import MemoryStream
from tests import checkpoints

METADATA = {"general.architecture": "llama", "a": 3, "b": 1.5, "c": True, "d": [1, 2], "words": ["w"] * 1500}
FOLDER = checkpoints.model_folder(count=1)
DOCUMENT = b'{"config":{"a":1},"generation_config":null,"known":"all","quantization":null,"tensors":{"w":["BF16",[2]]}}'


def read_safetensors(content: bytes) -> None:
    header = safetensors.header(KeptFile(content, len(content)), "m.safetensors", 1 << 20)
    if header is not None:
        safetensors.tensors(header, "m.safetensors")


READERS: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "gguf": (
        checkpoints.gguf(METADATA, {"w": (0, (2, 2)), "v": (12, (256, 4))}, rest=8),
        lambda content: gguf.read_header(MemoryStream(content), "m.gguf").document(),
    ),
    "safetensors": (FOLDER["model.safetensors"][:2600], read_safetensors),
    "config": (FOLDER["config.json"], lambda content: parsed_object(content, "config.json")),
    "document": (DOCUMENT, read_document),
}
INPUTS = 25_000  # of each of four kinds


def damaged(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(min(len(changed), 2000)) if changed else 0
        match chance.randrange(4):
            case 0 | 1:
                changed[at : at + 1] = bytes([chance.choice((0, 1, 127, 128, 255, chance.randrange(256)))])
            case 2:
                del changed[at : at + chance.randrange(1, 9)]
            case _:
                changed[at:at] = chance.randbytes(chance.randrange(1, 9))
    return bytes(changed[: chance.randrange(len(changed) + 1)] if chance.random() < 0.1 else changed)


@pytest.mark.slow
@pytest.mark.parametrize("kind", READERS)
def test_damaged_files_give_facts_or_one_error(kind: str) -> None:
    content, read = READERS[kind]
    chance = random.Random(kind)
    refused = 0
    for _ in range(INPUTS):
        try:
            read(damaged(content, chance))
        except ModelFormatError as error:
            refused += 1
            assert len(str(error)) < 400
            assert "\n" not in str(error)
    assert 0 < refused < INPUTS
