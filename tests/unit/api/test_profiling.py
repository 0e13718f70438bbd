from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from joulecast.api import profiling
from joulecast.errors import ModelFetchError, ModelFormatError, UnresolvedShapeError, WorkloadError
from joulecast.sources import FetchedModel, fetch
from joulecast.workloads import WorkloadRequest
from tests import images, small_models


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    return small_models.classifier(tmp_path / "model.onnx")


def test_a_file_is_counted_exactly(classifier: Path) -> None:
    profile = profiling.profile(classifier)
    assert profile.totals.macs == small_models.CLASSIFIER_MACS
    assert profile.totals.params == small_models.CLASSIFIER_PARAMS
    assert profile.totals.activations == 8 * 32 * 32 + 10
    assert profile.totals.mac_rows == 2
    assert profile.coverage.flops == profile.coverage.ops == 1.0
    assert profile.input_shapes == {"image": (1, 3, 32, 32)}


def test_a_profile_knows_what_it_is_of(classifier: Path) -> None:
    profile = profiling.profile(str(classifier))
    assert profile.source == str(classifier)
    assert profile.digest.startswith("sha256:")
    assert (profile.format, profile.graph, profile.phase) == ("onnx", "exported", "forward")
    assert profile.verification is None


def test_the_batch_size_multiplies_the_macs(classifier: Path) -> None:
    profile = profiling.profile(classifier, batch_size=8)
    assert profile.totals.macs == 8 * small_models.CLASSIFIER_MACS
    assert profile.totals.params == small_models.CLASSIFIER_PARAMS
    assert profile.workload.batch_size == 8


def test_a_value_steers_the_shapes(tmp_path: Path) -> None:
    speech = small_models.speech(tmp_path / "speech.onnx")
    profile = profiling.profile(speech, input_shapes={"audio": [1, 16_000]}, input_values={"frames": [1, 100, 160]})
    assert profile.totals.macs == 100 * small_models.SPEECH_MACS_PER_FRAME


def test_a_value_that_is_missing_is_asked_for(tmp_path: Path) -> None:
    speech = small_models.speech(tmp_path / "speech.onnx")
    with pytest.raises(UnresolvedShapeError, match="--value"):
        profiling.profile(speech, input_shapes={"audio": [1, 16_000]})


def test_what_was_fetched_once_is_profiled_many_times(classifier: Path) -> None:
    fetched = fetch(str(classifier))
    small, large = (profiling.profile(fetched, batch_size=size) for size in (1, 4))
    assert large.totals.macs == 4 * small.totals.macs
    assert large.digest == small.digest


def test_a_model_is_read_out_of_an_image(classifier: Path, tmp_path: Path) -> None:
    layers = [{"etc/motd": b"hello"}, {"models/a.onnx": classifier.read_bytes(), "models/b.onnx": b"another"}]
    folder = images.write_layout(images.build(layers), tmp_path / "image")
    profile = profiling.profile(folder, path="/models/a.onnx", verify=True)
    assert profile.totals.macs == small_models.CLASSIFIER_MACS
    assert profile.verification == "Full"


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_size_below_one_is_refused(classifier: Path, size: int) -> None:
    with pytest.raises(WorkloadError, match="not a whole number from 1 up"):
        profiling.profile(classifier, batch_size=size)


def test_a_negative_dimension_is_refused(classifier: Path) -> None:
    with pytest.raises(WorkloadError, match="'image' has a dimension that is not a whole number"):
        profiling.profile(classifier, input_shapes={"image": (1, -3, 32, 32)})


def test_a_shape_says_its_batch(classifier: Path) -> None:
    profile = profiling.profile(classifier, input_shapes={"image": (8, 3, 32, 32)})
    assert profile.workload.batch_size == 8
    assert profile.totals.macs == 8 * small_models.CLASSIFIER_MACS
    assert profile == profiling.profile(classifier, batch_size=8, input_shapes={"image": (8, 3, 32, 32)})


@pytest.mark.parametrize("size", [1, 32])
def test_a_batch_size_that_contradicts_a_shape_is_refused(classifier: Path, size: int) -> None:
    with pytest.raises(WorkloadError, match=f"batch size {size} contradicts --input image, by which it is 8"):
        profiling.profile(classifier, batch_size=size, input_shapes={"image": (8, 3, 32, 32)})


def test_the_word_batch_takes_what_other_inputs_say(classifier: Path) -> None:
    fetched = fetch(str(classifier))
    asked = WorkloadRequest(input_shapes={"image": ["batch", 3, 32, 32]}, default_batch_size=4)
    word = profiling.workload_for(fetched, asked)
    assert (word.batch_size, word.input_shapes["image"]) == (4, (4, 3, 32, 32))


def test_a_format_without_a_reader_is_named(classifier: Path) -> None:
    fetched = fetch(str(classifier))
    foreign = FetchedModel(
        **{name: getattr(fetched, name) for name in FetchedModel.__slots__ if name != "format"}, format="gguf"
    )
    with pytest.raises(ModelFormatError, match=r"'gguf'.*onnx"):
        profiling.read(foreign)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFetchError, match=r"absent\.onnx"):
        profiling.profile(tmp_path / "absent.onnx")


def test_the_stages_one_by_one_give_the_rows_of_the_whole(classifier: Path) -> None:
    from joulecast.canonical import canonicalise
    from joulecast.counting import count

    graph = profiling.read(fetch(str(classifier)))
    assert [node.op_type for node in graph.nodes] == ["Conv", "Relu", "GlobalAveragePool", "Flatten", "Gemm"]
    assert count(canonicalise(graph)) == profiling.profile(classifier).layers


def test_the_optimised_graph_has_the_same_macs_in_fewer_launches(classifier: Path) -> None:
    pytest.importorskip("onnxruntime")
    exported, optimized = (profiling.profile(classifier, graph=graph) for graph in ("exported", "optimized"))
    assert optimized.totals.macs == exported.totals.macs
    assert optimized.graph == "optimized"
    assert len(optimized.layers) < len(exported.layers)


def test_fractions_and_unknown_forms_are_refused(classifier: Path) -> None:
    fraction: Any = 2.5
    with pytest.raises(WorkloadError, match=r"batch size 2\.5 is not a whole number"):
        profiling.profile(classifier, batch_size=fraction)
    with pytest.raises(WorkloadError, match="'image' has a dimension that is not a whole number"):
        profiling.profile(classifier, input_shapes={"image": (1, 3, 32 + fraction, 32)})
    unknown: Any = "bogus"
    with pytest.raises(WorkloadError, match="one of exported, optimized"):
        profiling.profile(classifier, graph=unknown)
