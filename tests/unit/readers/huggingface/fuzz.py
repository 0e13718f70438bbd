"""Configurations that are nearly right: published ones with values changed, bytes flipped or cut off.

``python -m tests.unit.readers.huggingface.fuzz 100000`` runs as many and prints what came of them.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from joulecast.errors import JoulecastError
from joulecast.readers.huggingface import parse, read
from joulecast.serving.passes import prefill
from joulecast.serving.rows import rows
from tests.models.served import CASES, MIXTURES

STRANGE: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 7, 1.5, -0.0, 1e308, float("inf"), float("nan"), 2**24, 2**24 + 1, 2**31, 2**64,
    10**30, "", "0", "silu", "gelu_new", "gated-gelu", "llama", "é\u202e\x1b[31m", "x" * 5000, [], [1], ["a"], {},
    {"a": 1}, [[["global", "local"], 12]], [[["global"], 10**9]], ["sliding_attention", "full_attention"] * 2,
    {"partial_rotary_factor": 2}, {"quant_method": "fp8"}, ["GPT2Model"], {"model_type": "llama"}, [[]] * 100,
)  # fmt: skip


def documents(count: int, seed: int = 0) -> Iterator[bytes]:
    """``count`` configurations as bytes, always the same for the same ``seed``."""
    drawn = random.Random(seed)
    models = [{**case.small, "architectures": [case.architecture]} for case in (*CASES, *MIXTURES)]
    for _ in range(count):
        keys = dict(drawn.choice(models))
        for _ in range(drawn.randint(1, 4)):
            _change(keys, drawn)
        yield _damaged(json.dumps(keys).encode(), drawn)


def _change(keys: dict[str, Any], drawn: random.Random) -> None:
    key = drawn.choice([*keys, "text_config", "rope_parameters", "layer_types", "head_dim", "id2label", "dtype"])
    kind = drawn.random()
    if kind < 0.15:
        keys.pop(key, None)
    elif kind < 0.3 and type(keys.get(key)) is int:
        keys[key] += drawn.choice((-1, 1, 2, 1000))
    elif kind < 0.4:
        keys["text_config"] = dict(keys)
        keys["model_type"] = drawn.choice(("gemma3", "mistral3", "bart", "llama4", "kimi_k25", "qwen3_5_moe"))
    else:
        keys[key] = drawn.choice(STRANGE)


def _damaged(data: bytes, drawn: random.Random) -> bytes:
    if drawn.random() < 0.8:
        return data
    place = drawn.randrange(len(data))
    return drawn.choice(
        (
            data[:place],
            data[:place] + bytes([drawn.randrange(256)]) + data[place + 1 :],
            data[:place] + b"[" * 3000 + data[place:],
            data[:-1] + b"," + data[1:],
        )
    )


def outcome(data: bytes) -> str:
    """What comes of a configuration: ``model``, or the reason of the error. Anything else is raised."""
    try:
        model = read(parse(data))
        found = rows(model, prefill(2, 4)) if model.encoder is None else ()
    except JoulecastError as error:
        text = str(error)
        assert text.isprintable(), text
        assert len(text) < 1200, text
        return error.reason
    assert all(row.macs >= 0 and row.params >= 0 and row.bytes_moved >= 0 for row in found)
    return "model"


if __name__ == "__main__":
    started, slowest, found = time.process_time(), 0.0, Counter[str]()
    for document in documents(int(sys.argv[1]), seed=1):
        before = time.process_time()
        found[outcome(document)] += 1
        slowest = max(slowest, time.process_time() - before)
    print(dict(found), f"{time.process_time() - started:.0f} s of processor time, slowest {slowest:.3f} s")
