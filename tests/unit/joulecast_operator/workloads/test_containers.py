from __future__ import annotations

from typing import Any

import pytest

from joulecast_operator.api.conditions import Wrong
from joulecast_operator.api.kinds import DEPLOYMENTS
from joulecast_operator.index import slim
from joulecast_operator.workloads.containers import is_address, reference_of, serving
from joulecast_operator.workloads.discovery import inputs_hash, model_references
from joulecast_operator.workloads.engines.served import ServedModel
from tests.unit.joulecast_operator.samples.workloads import deployment, engine
from tests.unit.joulecast_operator.workloads.engines.test_served import any_pods

LLAMA, QWEN = "meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3-8B"
TWO = [engine("chat", LLAMA, "-tp", "2"), engine("embed", QWEN)]


def served(containers: list[dict[str, Any]], **annotations: str) -> ServedModel | Wrong | None:
    notes = {f"joulecast.dev/{name}": value for name, value in annotations.items()}
    return serving(deployment(containers=containers, annotations=notes))


def model(containers: list[dict[str, Any]], **annotations: str) -> ServedModel:
    found = served(containers, **annotations)
    assert isinstance(found, ServedModel)
    return found


def wrong(containers: list[dict[str, Any]], **annotations: str) -> Wrong:
    found = served(containers, **annotations)
    assert isinstance(found, Wrong)
    return found


def test_the_only_container_that_serves_decides() -> None:
    found = model([{"name": "proxy", "image": "envoy:1"}, TWO[0]])
    assert (found.container, reference_of(found), found.tensor_parallel) == ("chat", f"hf://{LLAMA}", 2)
    assert served([{"name": "proxy", "image": "envoy:1"}]) is None


def test_several_containers_that_serve_are_listed() -> None:
    found = wrong(TWO)
    assert found.reason == "AmbiguousModel"
    assert found.message == (
        f'several containers serve a language model, "chat" (hf://{LLAMA} by vLLM), "embed" (hf://{QWEN} by vLLM):'
        " name one in the annotation joulecast.dev/container"
    )


def test_containers_that_serve_the_same_alike_are_one_model() -> None:
    assert model([engine("a", LLAMA), engine("b", LLAMA, "--port", "1")]).container == "a"
    assert wrong([engine("a", LLAMA), engine("b", LLAMA, "-tp", "2")]).reason == "AmbiguousModel"


def test_an_annotation_chooses_the_container() -> None:
    assert model(TWO, container="embed").container == "embed"


@pytest.mark.parametrize(
    ("containers", "said"),
    [
        (TWO, f'name one of "chat" (hf://{LLAMA} by vLLM), "embed" (hf://{QWEN} by vLLM)'),
        ([], "remove it, and name the model in joulecast.dev/model"),
    ],
)
def test_an_annotation_that_names_no_serving_container_is_wrong(containers: list[dict[str, Any]], said: str) -> None:
    found = wrong(containers, container="proxy")
    assert found.reason == "ContainerServesNoModel"
    assert said in found.message


def test_an_annotation_of_the_model_chooses_the_container_that_serves_it() -> None:
    assert model(TWO, model=f"hf://{LLAMA}").container == "chat"
    assert wrong(TWO, model="hf://other/model").reason == "AmbiguousModel"


@pytest.mark.parametrize(
    ("named", "place"), [("hf://org/base", ("uri", "hf://org/base")), ("r/m:1", ("image", "r/m:1"))]
)
def test_an_annotation_of_the_model_says_where_the_engines_model_is(named: str, place: tuple[str, str]) -> None:
    found = model([engine("chat", "gs://bucket/llama", "-tp", "4")], model=named)
    assert (found.place.source, reference_of(found)) == place
    assert (found.tensor_parallel, found.runtime) == (4, "vllm")


def test_an_annotation_of_the_engines_own_image_keeps_the_path_in_it() -> None:
    found = model([engine("chat", "/models/llama", image="r/m:1")], model="oci://r/m:1")
    assert (found.place.image, found.place.path) == ("r/m:1", "/models/llama")


def test_a_container_of_many_is_named_and_the_rest_is_counted() -> None:
    found = wrong([engine(f"c{n}", f"org/model-{n}") for n in range(12)])
    assert '"c7"' in found.message and '"c8"' not in found.message
    assert "and 4 more: name one" in found.message


@pytest.mark.parametrize(("text", "is_one"), [("hf://a/b", True), ("s3://a", True), ("r/m:1", False), ("", False)])
def test_an_address_is_told_from_an_image(text: str, is_one: bool) -> None:
    assert is_address(text) is is_one


def test_what_the_index_keeps_of_a_deployment_serves_the_same() -> None:
    for pod in any_pods(2000):
        whole = deployment(**pod)
        kept = slim.workload(DEPLOYMENTS, whole)
        assert serving(kept) == serving(whole)
        assert model_references(kept) == model_references(whole)
        assert inputs_hash(kept) == inputs_hash(whole)
