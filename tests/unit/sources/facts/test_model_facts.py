"""The facts of a model folder: one small document, whatever its files are called and wherever they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from joulecast.errors import ModelFetchError, ModelFormatError
from joulecast.sources import FetchedModel, fetch, resolve
from joulecast.sources.facts.collecting import MAX_HEADERS, TENSOR_BYTES
from joulecast.sources.facts.model_facts import ModelFacts, StoredTensor, read_document
from tests import checkpoints


def written(folder: Path, files: dict[str, bytes]) -> str:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return str(folder)


def facts(fetched: FetchedModel) -> ModelFacts:
    return read_document(fetched.skeleton)


@pytest.mark.parametrize("count", [1, 3])
def test_a_folder_gives_configuration_and_tensors(count: int, tmp_path: Path) -> None:
    fetched = fetch(written(tmp_path, checkpoints.model_folder(count=count)))
    assert (fetched.format, fetched.path, fetched.verification) == ("huggingface", "", None)
    assert fetched.digest == resolve(str(tmp_path))
    found = facts(fetched)
    assert found.config == checkpoints.CONFIG
    assert found.generation_config == {"eos_token_id": 2}
    assert found.quantization is None
    assert found.known == "all"
    assert found.tensors == {
        name: StoredTensor(dtype=dtype, shape=shape) for name, (dtype, shape) in checkpoints.tensors().items()
    }
    assert found.document() == fetched.skeleton
    assert found.weight_bytes == (None if count == 1 else 2 * (2 * 256 * 64 + 2 * (3 * 64 * 128 + 12288 + 128) + 64))


def test_the_document_ignores_how_files_are_written(tmp_path: Path) -> None:
    files = checkpoints.model_folder()
    one = fetch(written(tmp_path / "one", files))
    files["config.json"] = json.dumps(dict(reversed(checkpoints.CONFIG.items()))).encode()
    files["more.txt"] = b"more"
    two = fetch(written(tmp_path / "two", files))
    assert one.skeleton == two.skeleton
    assert one.digest == two.digest
    files["config.json"] = json.dumps({**checkpoints.CONFIG, "vocab_size": 257}).encode()
    assert fetch(written(tmp_path / "three", files)).digest != one.digest


def test_a_configuration_alone_is_enough(tmp_path: Path) -> None:
    written(tmp_path, {name: checkpoints.model_folder()[name] for name in ("config.json",)})
    for reference in (tmp_path, tmp_path / "config.json"):
        assert facts(fetch(str(reference))) == ModelFacts(config=checkpoints.CONFIG)


def test_a_document_with_a_model_type_is_a_configuration_whatever_its_name(tmp_path: Path) -> None:
    written(tmp_path, {"llama.json": json.dumps(checkpoints.CONFIG).encode(), "notes.json": b'{"notes": 1}'})
    assert facts(fetch(str(tmp_path / "llama.json"))).config == checkpoints.CONFIG
    with pytest.raises(ModelFormatError, match=r"notes\.json is a JSON file"):
        fetch(str(tmp_path / "notes.json"))


def test_a_file_of_weights_takes_the_configuration_beside_it(tmp_path: Path) -> None:
    files = checkpoints.model_folder(count=1)
    written(tmp_path, files)
    whole = facts(fetch(str(tmp_path / "model.safetensors")))
    assert (whole.config, whole.known) == (checkpoints.CONFIG, "all")
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "w.safetensors").write_bytes(files["model.safetensors"])
    alone = facts(fetch(str(tmp_path / "alone" / "w.safetensors")))
    assert (alone.config, alone.tensors) == (None, whole.tensors)


def test_no_more_headers_are_read_than_the_limit(tmp_path: Path) -> None:
    many = {f"w{number}": ("BF16", (2, 2)) for number in range(MAX_HEADERS + 5)}
    parts = checkpoints.shards(many, MAX_HEADERS + 5)
    files = {name: checkpoints.safetensors_file(content) for name, content in parts.items()}
    files |= {"config.json": b'{"model_type": "llama"}', "model.safetensors.index.json": checkpoints.index_of(parts)}
    found = facts(fetch(written(tmp_path, files)))
    assert found.known == "some"
    assert len(found.tensors) == MAX_HEADERS + 5
    assert sum(tensor is None for tensor in found.tensors.values()) == 5


def test_headers_beyond_the_bytes_are_left_to_the_index(tmp_path: Path) -> None:
    parts = checkpoints.shards({"x" * 100_000 + str(number): ("BF16", (2,)) for number in range(6)}, 6)
    files = {name: checkpoints.safetensors_file(content) for name, content in parts.items()}
    files |= {"config.json": b'{"model_type": "llama"}', "model.safetensors.index.json": checkpoints.index_of(parts)}
    found = facts(fetch(written(tmp_path, files)))
    read = sum(tensor is not None for tensor in found.tensors.values())
    assert (found.known, read) == ("some", 4)
    assert 10 * 100_000 <= TENSOR_BYTES < 11 * 100_000


def test_an_index_that_is_too_large_leaves_the_configuration(tmp_path: Path) -> None:
    files = checkpoints.model_folder()
    files["model.safetensors.index.json"] = b'{"weight_map": {"' + b"x" * TENSOR_BYTES + b'": "a.safetensors"}}'
    fetched = fetch(written(tmp_path, files))
    assert (facts(fetched).known, facts(fetched).tensors) == ("none", {})
    assert fetched.bytes_fetched < 10_000


def test_files_that_were_not_downloaded_leave_their_tensors_unknown(tmp_path: Path) -> None:
    files = checkpoints.model_folder()
    del files["model-00002-of-00003.safetensors"]
    found = facts(fetch(written(tmp_path, files)))
    assert found.known == "some"
    assert any(tensor is None for tensor in found.tensors.values())
    for name in [name for name in files if name.endswith(".safetensors")]:
        (tmp_path / name).unlink()
    assert facts(fetch(str(tmp_path))).known == "names"


def test_a_hub_cache_of_links_is_read(tmp_path: Path) -> None:
    files = checkpoints.model_folder()
    written(tmp_path / "blobs", files)
    (tmp_path / "snapshots").mkdir()
    for name in files:
        (tmp_path / "snapshots" / name).symlink_to(tmp_path / "blobs" / name)
    assert fetch(str(tmp_path / "snapshots")).digest == fetch(str(tmp_path / "blobs")).digest


DAMAGED = {
    "config.json": [
        (b"", "is empty"),
        (b"{", "is not a JSON document"),
        (b"[1]", "is not a JSON object"),
        (b'{"a": ' * 70 + b"1" + b"}" * 70, "nests deeper than 64"),
        (b'{"a": ' * 100_000 + b"1" + b"}" * 100_000, "nests deeper than 64"),
        (b'{"a": "' + b"x" * (1 << 20) + b'"}', "is larger than 1,048,576 bytes"),
        (b'{"a": ' + b"9" * 5000 + b"}", "is not a JSON document"),
    ],
    "model.safetensors": [
        (b"\1\2\3", "ends within its header"),
        ((10 << 30).to_bytes(8, "little") + b"{}", "states a header of 10,737,418,240 bytes"),
        ((1 << 40).to_bytes(8, "little") + b"{}" * 100, "states a header of 1,099,511,627,776 bytes"),
        ((64).to_bytes(8, "little") + b'{"w": 1}', "states a header of 64 bytes"),
        ((8).to_bytes(8, "little") + b'{"w": 1}', "describes the tensor 'w' without dtype and shape"),
        ((35).to_bytes(8, "little") + b'{"w":{"dtype":"BF16","shape":[-1]}}', "without dtype and shape"),
        ((7).to_bytes(8, "little") + b"nothing", "header is not a JSON document"),
    ],
    "model.safetensors.index.json": [
        (b'{"weight_map": 3}', "has no weight_map of file names"),
        (b'{"weight_map": {"a": "../../etc/passwd"}}', "has no weight_map of file names"),
        (b"no", "is not a JSON document"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "words"), [(name, *case) for name in DAMAGED for case in DAMAGED[name]])
def test_a_damaged_file_is_named(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    files = checkpoints.model_folder(count=1 if name == "model.safetensors" else 3) | {name: content}
    with pytest.raises(ModelFormatError, match=words) as caught:
        fetch(written(tmp_path, files))
    assert name in str(caught.value)


def test_infinity_in_a_configuration_is_kept(tmp_path: Path) -> None:
    written(tmp_path, {"config.json": b'{"model_type": "mamba2", "time_step_limit": [0.0, Infinity]}'})
    fetched = fetch(str(tmp_path))
    assert facts(fetched).config == {"model_type": "mamba2", "time_step_limit": [0.0, float("inf")]}


def test_several_models_are_listed_and_one_is_chosen(tmp_path: Path) -> None:
    model = checkpoints.model_folder(count=1)
    files = {f"{name}/{file}": content for name in ("base", "chat") for file, content in model.items()}
    written(tmp_path, files)
    with pytest.raises(ModelFetchError, match=r"holds 2 models: base, chat; name one as the path") as caught:
        fetch(str(tmp_path))
    assert caught.value.reason == "AmbiguousModel"
    one = fetch(str(tmp_path), path="chat")
    assert one.path == "chat"
    assert one.skeleton == fetch(str(tmp_path), path="/chat/config.json").skeleton
    with pytest.raises(ModelFetchError, match=r"holds no model at other: it has base, chat"):
        fetch(str(tmp_path), path="other")


def test_another_format_than_requested_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path, checkpoints.model_folder())
    assert fetch(folder, format="huggingface").format == "huggingface"
    with pytest.raises(ModelFormatError, match="holds a model of format huggingface, not onnx") as caught:
        fetch(folder, format="onnx")
    assert caught.value.reason == "UnsupportedFormat"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"tensors": 3}', b'{"tensors": {"a": ["x"]}}', b'{"tensors":{}}']
)
def test_a_document_of_another_form_is_refused(content: bytes) -> None:
    with pytest.raises(ModelFormatError, match="fetch the model again"):
        read_document(content)


@pytest.mark.parametrize("name", ["config.json", "llama.json"])
def test_a_configuration_counts_as_read_once(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"model_type": "llama", "hidden_size": 64}')
    fetched = fetch(str(tmp_path / name))
    assert fetched.bytes_fetched == (tmp_path / name).stat().st_size
