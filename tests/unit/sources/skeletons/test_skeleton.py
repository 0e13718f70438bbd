"""The skeleton keeps everything but large payloads, and refuses what is no model."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from joulecast.errors import JoulecastError, ModelFormatError
from joulecast.sources import DROPPED_LOCATION, fetch
from joulecast.sources.skeletons.skeleton import PAYLOAD_BYTES, skeleton
from joulecast.sources.streams.stream import ByteStream, MemoryStream
from tests.unit.sources.models import gemm_model, parsed


def cut(data: bytes) -> onnx.ModelProto:
    return parsed(skeleton(MemoryStream(data), name="m.onnx", size=len(data)))


def is_dropped(tensor: onnx.TensorProto) -> bool:
    return (
        tensor.data_location == TensorProto.EXTERNAL
        and [(entry.key, entry.value) for entry in tensor.external_data] == [("location", DROPPED_LOCATION)]
        and not tensor.raw_data
        and not any(
            getattr(tensor, field) for field in ("float_data", "int32_data", "int64_data", "string_data", "double_data")
        )
    )


def big(name: str = "big", typed: bool = False) -> onnx.TensorProto:
    if typed:
        return helper.make_tensor(name, TensorProto.FLOAT, [40, 50], [1.5] * 2000)
    return numpy_helper.from_array(np.ones((40, 50), np.float32), name)


def small(name: str = "small") -> onnx.TensorProto:
    return numpy_helper.from_array(np.arange(4), name)


def model_of(graph: onnx.GraphProto, **extra: object) -> onnx.ModelProto:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], **extra)


def graph_of(nodes: list[onnx.NodeProto], initializers: list[onnx.TensorProto] = []) -> onnx.GraphProto:  # noqa: B006
    return helper.make_graph(nodes, "g", [], [helper.make_tensor_value_info("y", 1, [40, 50])], initializers)


@pytest.mark.parametrize("typed", [False, True])
def test_payloads_go_wherever_they_are_and_the_rest_stays(typed: bool) -> None:
    inner = graph_of([helper.make_node("Constant", [], ["y"], value=big(typed=typed))], [big("inner", typed), small()])
    sparse = helper.make_sparse_tensor(
        big("values"), helper.make_tensor("at", TensorProto.INT64, [2000], range(10**6, 10**6 + 2000)), [10**7]
    )
    nodes = [
        helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner, doc_string="d" * 5000),
        helper.make_node("Constant", [], ["s"], sparse_value=sparse),
        helper.make_node("Many", [], ["m"], domain="custom", tensors=[big(typed=typed), small()], graphs=[inner]),
    ]
    model = model_of(graph_of(nodes, [big("w", typed), small()]), producer_name="p", doc_string="kept")
    model.graph.sparse_initializer.append(sparse)
    function = helper.make_function("custom", "F", ["a"], ["b"], [nodes[0]], [helper.make_opsetid("", 17)])
    model.functions.append(function)
    model.training_info.add().algorithm.CopyFrom(inner)
    model.metadata_props.add(key="k", value="v")

    copy = cut(model.SerializeToString())

    found = []
    for tensor, original in zip(tensors(copy), tensors(model), strict=True):
        assert (tensor.name, list(tensor.dims), tensor.data_type) == (
            original.name,
            list(original.dims),
            original.data_type,
        )
        if original.name == "small":
            assert tensor == original
        else:
            assert is_dropped(tensor), original.name
            found.append(original.name)
    assert set(found) == {"w", "inner", "big", "values", "at"}
    for both in (copy, model):
        for tensor in tensors(both):
            keep = tensor.name, list(tensor.dims), tensor.data_type
            tensor.Clear()
            tensor.name, tensor.data_type = keep[0], keep[2]
            tensor.dims.extend(keep[1])
    assert copy == model


def tensors(message: object) -> list[onnx.TensorProto]:
    if isinstance(message, onnx.TensorProto):
        return [message]
    found = []
    for field, value in message.ListFields():
        for item in value if field.is_repeated else [value]:
            if field.message_type is not None:
                found += tensors(item)
    return found


def test_a_dropped_payload_is_never_read_as_zeros() -> None:
    tensor = cut(gemm_model(width=64)).graph.initializer[0]
    with pytest.raises(Exception, match=DROPPED_LOCATION):
        numpy_helper.to_array(tensor)


def test_external_weights_stay_external_and_are_never_opened(tmp_path: Path) -> None:
    data = gemm_model(external=True)
    (tmp_path / "m.onnx").write_bytes(data)
    assert parsed(fetch(str(tmp_path / "m.onnx")).skeleton) == parsed(data)


def test_payloads_up_to_the_limit_stay() -> None:
    exact = numpy_helper.from_array(np.ones(PAYLOAD_BYTES // 4, np.float32), "exact")
    over = numpy_helper.from_array(np.ones(PAYLOAD_BYTES // 4 + 1, np.float32), "over")
    copy = cut(model_of(graph_of([], [exact, over])).SerializeToString())
    assert copy.graph.initializer[0] == exact
    assert is_dropped(copy.graph.initializer[1])


def test_unpacked_and_scattered_payloads_count_as_one() -> None:
    # protobuf allows a packed field to come value by value, and in several pieces
    body = b"\x08\xe8\x07\x10\x01\x42\x01w" + b"\x25\x00\x00\x80\x3f" * 1500
    graph = b"\x2a" + varint(len(body)) + body
    model = b"\x08\x08\x3a" + varint(len(graph)) + graph
    assert len(onnx.load_model_from_string(model).graph.initializer[0].float_data) == 1500
    assert is_dropped(cut(model).graph.initializer[0])


def varint(value: int) -> bytes:
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def test_a_sparse_file_of_two_gigabytes_is_skipped_through(tmp_path: Path) -> None:
    payload = 1 << 29
    tensors_bytes = b""
    path = tmp_path / "large.onnx"
    heads = []
    for index in range(4):
        name = f"w{index}".encode()
        content = b"\x08" + varint(payload) + b"\x10\x02\x42" + varint(len(name)) + name
        raw = b"\x4a" + varint(payload)
        heads.append(b"\x2a" + varint(len(content) + len(raw) + payload) + content + raw)
    size = sum(len(head) + payload for head in heads)
    with path.open("wb") as file:
        file.write(b"\x08\x08\x3a" + varint(size) + tensors_bytes)
        for head in heads:
            file.write(head)
            file.seek(payload, os.SEEK_CUR)
        file.write(b"\x42\x02\x10\x11")
    assert path.stat().st_size > 2 << 30
    model = fetch(str(path))
    assert model.bytes_fetched < 1 << 18
    assert model.image_bytes == path.stat().st_size
    copy = parsed(model.skeleton)
    assert [list(tensor.dims) for tensor in copy.graph.initializer] == [[payload]] * 4
    assert all(is_dropped(tensor) for tensor in copy.graph.initializer)
    assert copy.opset_import[0].version == 17


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\0" * 5000, "zeros"),
        (b"PK\x03\x04" + b"x" * 26 + b"m/archive_format", "torch.export"),
        (b"PK\x03\x04" + b"x" * 26 + b"m/data.pkl", "PyTorch archive"),
        (b"PK\x03\x04" + b"x" * 26 + b"m/code/__torch__.py", "TorchScript"),
        (b"\x80\x02\x8a\x0al", "pickle"),
        (b'\x40\0\0\0\0\0\0\0{"__metadata__"', "safetensors"),
        (b"GGUF\x03", "GGUF"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
        (b"<!DOCTYPE html>", "HTML"),
        (b"\x1f\x8b\x08", "gzip"),
        (b'{"a": 1}', "JSON"),
        (b"\x08\x07", "no ONNX graph"),
        (b"hello, world", "copy or export it again"),
    ],
)
def test_what_is_no_onnx_file_is_named(content: bytes, words: str) -> None:
    with pytest.raises(ModelFormatError, match=words) as caught:
        skeleton(MemoryStream(content), name="m.onnx", size=len(content))
    assert str(caught.value).startswith("m.onnx")


def test_a_nest_of_graphs_without_end_is_refused() -> None:
    padding = b"\x52" + varint(PAYLOAD_BYTES) + b"d" * PAYLOAD_BYTES
    graph = padding
    for _ in range(150):  # graph -> node -> attribute -> graph
        attribute = b"\x32" + varint(len(graph)) + graph
        node = b"\x2a" + varint(len(attribute)) + attribute
        graph = b"\x0a" + varint(len(node)) + node
    model = b"\x3a" + varint(len(graph)) + graph
    with pytest.raises(ModelFormatError, match="nests"):
        skeleton(MemoryStream(model), name="m.onnx")


def test_what_stays_is_bounded() -> None:
    model = model_of(graph_of([]), doc_string="d" * 100_000).SerializeToString()
    with pytest.raises(ModelFormatError, match="keeps more than 50,000 bytes"):
        skeleton(MemoryStream(model), name="m.onnx", limit_bytes=50_000)


@pytest.mark.parametrize("size_known", [True, False])
def test_a_length_that_lies_costs_nothing(size_known: bool) -> None:
    model = b"\x08\x08\x3a" + varint(1 << 60) + b"\x0a\x02\x22\x00"
    with pytest.raises(ModelFormatError, match="ends before a length that it states"):
        skeleton(MemoryStream(model), name="m.onnx", size=len(model) if size_known else None)


@given(data=st.binary(max_size=300))
def test_any_bytes_give_a_model_or_a_clear_error(data: bytes) -> None:
    try:
        skeleton(MemoryStream(data), name="m.onnx", size=len(data))
    except JoulecastError as error:
        assert str(error).startswith("m.onnx")


MODEL = gemm_model(width=40, count=3)


@settings(max_examples=300)
@given(end=st.integers(0, len(MODEL) - 1), size_known=st.booleans())
def test_a_truncated_model_is_never_taken_for_another(end: int, size_known: bool) -> None:
    data = MODEL[:end]
    try:
        copy = parsed(skeleton(MemoryStream(data), name="m.onnx", size=end if size_known else None))
    except ModelFormatError:
        return
    whole = parsed(data)  # cut between two fields: then it is what onnx reads, too
    assert [node.op_type for node in copy.graph.node] == [node.op_type for node in whole.graph.node]


@settings(max_examples=300)
@given(at=st.integers(0, len(MODEL) - 1), value=st.integers(0, 255))
def test_a_damaged_byte_gives_a_model_or_a_clear_error(at: int, value: int) -> None:
    data = bytearray(MODEL)
    data[at] = value
    try:
        skeleton(MemoryStream(bytes(data)), name="m.onnx", size=len(data))
    except ModelFormatError as error:
        assert str(error).startswith("m.onnx")


class Dribble(ByteStream):
    """The same bytes, in pieces of the sizes given."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        super().__init__()
        self._rest, self._sizes = data, sizes

    def _next(self) -> bytes:
        size = self._sizes.pop() if self._sizes else 97
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece


@given(sizes=st.lists(st.integers(1, 5000), max_size=30))
def test_the_skeleton_does_not_depend_on_how_bytes_arrive(sizes: list[int]) -> None:
    assert skeleton(Dribble(MODEL, sizes), name="m.onnx") == skeleton(
        MemoryStream(MODEL), name="m.onnx", size=len(MODEL)
    )
