from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import joulecast
from joulecast.api import profiling
from joulecast.api.documents import profile_document
from joulecast.cli.fetching import fetch_model
from joulecast.cli.models import is_saved, profiles
from joulecast.cli.options import GraphChoice, ModelRequest
from joulecast.errors import JoulecastError, ModelReferenceError, WorkloadError
from joulecast.readers.named import is_named
from tests import checkpoints
from tests.unit.api.test_documents import validate


def test_a_named_network_is_profiled_once_per_batch_size() -> None:
    one, four = profiles(ModelRequest(source="torchvision:squeezenet1_1"), [1, 4, 4])
    assert one.totals.params == 1_235_496  # as torchvision gives it for its weights
    assert four.totals.macs == 4 * one.totals.macs > 1e9
    assert (one.source, one.format) == ("torchvision:squeezenet1_1", "torch-module")
    assert one.digest.startswith("sha256:")
    assert one.digest != four.digest
    assert four.input_shapes == {"x": (4, 3, 224, 224)}
    validate(profile_document(one))


def test_an_input_takes_another_length() -> None:
    request = ModelRequest(source="transformers:bert_uncased_L-2_H-128_A-2", input=["input_ids=batch,64"])
    (profile,) = profiles(request, None)
    assert profile.workload.batch_size == 32
    assert profile.input_shapes == {"input_ids": (32, 64)}


@pytest.mark.parametrize(
    ("option", "given"),
    [
        ("--path", {"path": "/models/model.onnx"}),
        ("--value", {"value": ["x=1"]}),
        ("--verify", {"verify": True}),
        ("--graph", {"graph": GraphChoice.OPTIMIZED}),
        ("--platform", {"platform": "linux/arm64"}),
        ("--budget-bytes", {"budget_bytes": "1Mi"}),
        ("--ca-file", {"ca_file": Path("ca.pem")}),
    ],
)
def test_options_of_files_and_images_are_refused(option: str, given: dict[str, object]) -> None:
    with pytest.raises(typer.BadParameter, match=f"leave {option} out"):
        profiles(ModelRequest(source="torchvision:resnet50", **given), None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given", [{"path": "/m.onnx"}, {"graph": "optimized"}, {"verify": True}, {"input_values": {"x": 1}}]
)
def test_the_library_refuses_them_too(given: dict[str, object]) -> None:
    with pytest.raises(WorkloadError, match=f"takes no {next(iter(given))}"):
        profiling.profile("torchvision:resnet50", **given)  # type: ignore[arg-type]


def test_the_prefix_wins_over_a_folder_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "timm:no_such_network").write_bytes(b"no model either")
    with pytest.raises(ModelReferenceError, match="known under timm"):
        profiles(ModelRequest(source="timm:no_such_network"), None)


@pytest.mark.parametrize(
    "source", ["./timm:latest", "docker.io/library/timm:latest", "timm", "hf/model:1", "hf://team/model", "model.onnx"]
)
def test_other_sources_are_not_taken_for_one(source: str) -> None:
    assert not is_named(source)


def test_the_former_prefix_works_with_a_notice(capsys: pytest.CaptureFixture[str]) -> None:
    former, name = "hf:bert_uncased_L-2_H-128_A-2", "transformers:bert_uncased_L-2_H-128_A-2"
    (profile,) = profiles(ModelRequest(source=former), [1])
    assert profile.source == name
    assert capsys.readouterr().err == f"notice: {former} is now written {name}\n"
    (again,) = profiles(ModelRequest(source=name), [1])
    assert capsys.readouterr().err == ""
    assert again.digest == profile.digest
    with pytest.warns(FutureWarning, match=f"{former} is now written {name}"):
        assert joulecast.profile(former).digest == profile.digest


def test_a_json_file_with_a_model_type_is_a_configuration(tmp_path: Path) -> None:
    (tmp_path / "llama.json").write_text(json.dumps(checkpoints.CONFIG))
    assert fetch_model(ModelRequest(source=str(tmp_path / "llama.json"))).format == "huggingface"
    assert not is_saved(str(tmp_path / "llama.json"))
    (tmp_path / "config.json").write_text("{}")
    assert not is_saved(str(tmp_path / "config.json"))
    (tmp_path / "profile.json").write_text('{"schema_version": 1}')
    assert is_saved(str(tmp_path / "profile.json"))


def test_torch_is_not_imported_for_other_sources(tmp_path: Path) -> None:
    program = (
        "import sys, joulecast.cli.models, joulecast.readers.named as named; named.known(); named.is_named('a:b');"
        "sys.exit(any(name in sys.modules for name in ('torch', 'timm', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=False).returncode == 0


@pytest.mark.parametrize("source", ["torchvison:resnet50", "TIMM:resnet50", "huggingface:gpt2"])
def test_a_misspelt_prefix_asks_no_registry(source: str) -> None:
    with pytest.raises(ModelReferenceError, match=rf"did you mean \w+:{source.partition(':')[2]}\?.*docker.io"):
        joulecast.profile(source)


def test_what_lies_here_is_not_taken_for_a_misspelt_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tim").mkdir()
    with pytest.raises(JoulecastError, match=r"^(?!.*did you mean)"):
        joulecast.profile("tim:latest")
