"""The header of a GGUF file: what is kept, what is passed over, and forged ones."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from joulecast.errors import ModelFetchError, ModelFormatError
from joulecast.sources import fetch
from joulecast.sources.facts.gguf import GgufTensor, read_document, read_header
from joulecast.sources.streams.stream import MemoryStream
from tests import checkpoints

METADATA = {
    "general.architecture": "llama",
    "llama.block_count": 2,
    "llama.rope.freq_base": 10000.0,
    "tokenizer.ggml.add_bos_token": True,
    "llama.layers": [4, 5],
    "tokenizer.ggml.tokens": [f"word{number}" for number in range(20_000)],
    "tokenizer.ggml.scores": [0.5] * 20_000,
    "tokenizer.chat_template": "x" * 5000,
}
TENSORS = {"token_embd.weight": (12, (64, 256)), "blk.0.attn_q.weight": (14, (64, 64))}
FILE = checkpoints.gguf(METADATA, TENSORS)


def test_metadata_and_tensors_are_kept_and_vocabularies_passed_over(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(FILE)
    fetched = fetch(str(tmp_path / "model.gguf"))
    assert (fetched.format, fetched.path) == ("gguf", "model.gguf")
    facts = read_document(fetched.skeleton)
    short = {key: METADATA[key] for key in list(METADATA)[:5]}
    assert facts.metadata == short
    assert facts.lengths == {"llama.layers": 2, "tokenizer.ggml.tokens": 20_000, "tokenizer.ggml.scores": 20_000}
    assert facts.tensors == {name: GgufTensor(kind=kind, shape=shape) for name, (kind, shape) in TENSORS.items()}
    assert len(fetched.skeleton) < 1000
    assert fetch(str(tmp_path)).skeleton == fetched.skeleton


def test_long_words_are_passed_over() -> None:
    words = ["a" * 100_000, "", "b" * 65_528] + ["c"] * 2000
    facts = read_header(MemoryStream(checkpoints.gguf({"words": words, "after": 3}, TENSORS)), "m.gguf")
    assert facts.metadata == {"after": 3}
    assert facts.lengths == {"words": 2003}


def test_a_model_in_parts_is_joined(tmp_path: Path) -> None:
    halves = [dict([item]) for item in TENSORS.items()]
    for number, half in enumerate(halves, 1):
        metadata = METADATA if number == 1 else {"split.no": number}
        (tmp_path / f"m-{number:05d}-of-00002.gguf").write_bytes(checkpoints.gguf(metadata, half))
    facts = read_document(fetch(str(tmp_path)).skeleton)
    assert set(facts.tensors) == set(TENSORS)
    assert facts.metadata["general.architecture"] == "llama"
    (tmp_path / "m-00002-of-00002.gguf").unlink()
    with pytest.raises(ModelFetchError, match=r"m-00002-of-00002\.gguf does not exist"):
        fetch(str(tmp_path))


def test_several_files_are_listed(tmp_path: Path) -> None:
    for name in ("m-Q4_K_M.gguf", "m-Q8_0.gguf", "mmproj-f16.gguf", "config.json"):
        (tmp_path / name).write_bytes(FILE if name.endswith("gguf") else b'{"model_type": "llama"}')
    with pytest.raises(ModelFetchError, match=r"holds 2 models: m-Q4_K_M\.gguf, m-Q8_0\.gguf; name one as the path"):
        fetch(str(tmp_path))
    assert fetch(str(tmp_path), path="m-Q8_0.gguf").path == "m-Q8_0.gguf"


def head(tensors: int = 0, entries: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, entries)


FORGED = {
    "is not a GGUF file": b"GGML" + bytes(100),
    "is GGUF of version 1": head(version=1),
    "is GGUF of version 50331648": b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
    "ends within its header": FILE[:1000],
    "states 1,152,921,504,606,846,976 tensors": head(tensors=1 << 60),
    "states 1,152,921,504,606,846,976 metadata keys": head(entries=1 << 60),
    "has a name of 4,611,686,018,427,387,904 bytes": head(entries=1) + struct.pack("<Q", 1 << 62),
    "unknown type 99": head(entries=1) + struct.pack("<QcI", 1, b"a", 99),
    "has a header of more than 67,108,864 bytes": head(entries=1) + struct.pack("<QcIIQ", 1, b"a", 9, 10, 1 << 60),
    "a tensor of 77 dimensions": head(tensors=1) + struct.pack("<QcI", 1, b"a", 77),
}


@pytest.mark.parametrize("words", FORGED)
def test_a_forged_header_is_named(words: str, tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(FORGED[words])
    with pytest.raises(ModelFormatError, match=words):
        fetch(str(tmp_path / "m.gguf"))


def test_arrays_of_strings_without_end_are_stopped() -> None:
    array = struct.pack("<QcIIQ", 1, b"a", 9, 8, 500_000) + bytes(8 * 500_000)
    with pytest.raises(ModelFormatError, match="states 500,000 strings in an array, more than any vocabulary has"):
        read_header(MemoryStream(head(entries=10) + array * 5), "m.gguf")


def test_a_header_ends_where_no_header_is_longer() -> None:
    text = struct.pack("<QcIQ", 1, b"a", 8, 40 << 20) + bytes(40 << 20)
    with pytest.raises(ModelFormatError, match="has a header of more than 67,108,864 bytes"):
        read_header(MemoryStream(head(entries=2) + text * 2), "m.gguf")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"tensors": 3}', b'{"tensors": {"a": [1]}}'])
def test_a_document_of_another_form_is_refused(content: bytes) -> None:
    with pytest.raises(ModelFormatError, match="fetch the model again"):
        read_document(content)
