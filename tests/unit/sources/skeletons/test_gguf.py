"""Headers of GGUF files, well-formed, forged and cut."""

from __future__ import annotations

import random
import struct
import tracemalloc

import pytest

from joulecast.errors import ModelFormatError
from joulecast.sources.skeletons.gguf import read_gguf_header
from joulecast.sources.streams.stream import MemoryStream
from tests.unit.sources.skeletons.gguf_files import gguf_file, string

METADATA = {
    "general.architecture": "llama",
    "llama.block_count": 2,
    "llama.attention.layer_norm_rms_epsilon": 0.5,
    "llama.attention.head_count_kv": [8, 4],
    "tokenizer.ggml.tokens": [f"word{number}" for number in range(5000)],
    "tokenizer.ggml.scores": [0.25] * 5000,
    "tokenizer.ggml.add_bos_token": True,
    "tokenizer.chat_template": "x" * 5000,
}
TENSORS = [("token_embd.weight", (5000, 64), 12), ("blk.0.attn_norm.weight", (64,), 0)]


def header_of(data, **options):
    return read_gguf_header(MemoryStream(data), name="model.gguf", **options)


@pytest.mark.parametrize("version", [2, 3])
def test_metadata_and_tensors_are_read_without_the_words_of_the_tokenizer(version):
    header = header_of(gguf_file(METADATA, TENSORS, version=version))
    assert header.metadata == {
        "general.architecture": "llama",
        "llama.block_count": 2,
        "llama.attention.layer_norm_rms_epsilon": 0.5,
        "llama.attention.head_count_kv": (8, 4),
        "tokenizer.ggml.add_bos_token": True,
    }
    assert header.lengths["tokenizer.ggml.tokens"] == header.lengths["tokenizer.ggml.scores"] == 5000
    assert [(tensor.name, tensor.shape, tensor.type) for tensor in header.tensors] == TENSORS


def test_the_header_is_read_to_its_last_byte_and_no_further():
    data = gguf_file(METADATA, TENSORS)
    stream = MemoryStream(data + b"weights")
    read_gguf_header(stream, name="model.gguf")
    assert stream.position == len(data)


def test_arrays_in_arrays_are_passed_over_to_a_bounded_depth():
    assert header_of(gguf_file({"a": [[1, 2], [3]], "b": 4})).metadata == {"b": 4}
    with pytest.raises(ModelFormatError, match="nests arrays in 'a' deeper than 4"):
        header_of(gguf_file({"a": [[[[[1]]]]]}))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"GGML" + bytes(20), "does not begin with GGUF"),
        (struct.pack("<4sIQQ", b"GGUF", 1, 0, 0), "is of GGUF version 1"),
        (struct.pack(">4sIQQ", b"GGUF", 3, 0, 0), "is big-endian"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 2**60, 0), "states 1152921504606846976 tensors"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 0, 2**40), "metadata keys"),
        (gguf_file({"a": 1})[:-2], "ends within its header"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + struct.pack("<Q", 2**62), "header of more than"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + string("k" * 2000), "a metadata key of more than 1024 bytes"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + string("k") + struct.pack("<I", 13), "a value of type 13"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + string("k") + struct.pack("<IIQ", 9, 4, 2**61), "elements, more"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + string("k") + struct.pack("<IIQ", 9, 8, 2**61), "elements, more"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 1, 0) + string("t") + struct.pack("<I", 5), "5 dimensions, more than 4"),
        (gguf_file({}, [("t", (1,), 0), ("t", (1,), 0)]), "two tensors named 't'"),
    ],
)
def test_forged_and_cut_headers_get_one_sentence(data, said):
    with pytest.raises(ModelFormatError) as error:
        header_of(data)
    assert str(error.value).startswith("model.gguf ")
    assert said in str(error.value)


def test_a_key_stated_twice_is_refused():
    twice = gguf_file({"a": 1, "b": 2}).replace(string("b"), string("a"))
    with pytest.raises(ModelFormatError, match="states 'a' twice"):
        header_of(twice)


def test_any_bytes_give_a_header_or_one_clear_error_within_bounded_memory():
    data = gguf_file(METADATA, TENSORS)[:4096]
    choose = random.Random(1)
    tracemalloc.start()
    for _ in range(3000):
        damaged = bytearray(data[: choose.randrange(len(data))] if choose.random() < 0.3 else data)
        for _ in range(choose.randrange(1, 9)):
            if damaged:
                damaged[choose.randrange(len(damaged))] = choose.randrange(256)
        try:
            header_of(bytes(damaged), limit_bytes=2**20)
        except ModelFormatError as error:
            assert len(str(error)) < 300
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20
