from __future__ import annotations

from typing import Any

import pytest

from joulecast.serving.requests import GenerationRequest
from joulecast.workloads import DEFAULT_INPUT_TOKENS
from joulecast_operator.api.conditions import Waiting, Wrong
from joulecast_operator.api.estimates import EstimateSpec
from joulecast_operator.api.kinds import ANNOTATED, CUSTOM, DEPLOYMENTS, NODES
from joulecast_operator.api.models import TargetReference
from joulecast_operator.api.objects import Scope
from joulecast_operator.api.results import TargetFacts
from joulecast_operator.api.workload import DEFAULT_OUTPUT_TOKENS
from joulecast_operator.cluster.access import merged_docker_configs
from joulecast_operator.cluster.model_objects import ReadObjects
from joulecast_operator.estimates import inputs
from joulecast_operator.estimates.request import ForecastRequest
from joulecast_operator.estimates.targets import facts_of, target_of, target_reference
from joulecast_operator.index.index import Index
from joulecast_operator.profiles.usable import Override
from tests.unit.joulecast_operator.samples import custom
from tests.unit.joulecast_operator.samples.estimates import estimate
from tests.unit.joulecast_operator.samples.workloads import generation, workload


def asked(
    index: Index | None = None, overrides: tuple[Override, ...] = (), **spec: Any
) -> ForecastRequest | Waiting | Wrong:
    resource = estimate(**spec)
    checked = inputs.spec_of(resource)
    assert isinstance(checked, EstimateSpec), checked
    held = index or Index()
    target = target_of(resource, checked, held)
    if isinstance(target, Wrong):
        return target
    return inputs.request_of(resource, checked, held, overrides, ReadObjects(), target)


def index_with(*nodes: tuple[str, dict[str, str]]) -> Index:
    index = Index()
    for name, labels in nodes:
        index.put(NODES, {"metadata": {"name": name, "resourceVersion": "1", "labels": labels}})
    return index


NAMED = {"names": ["NVIDIA-H200"]}


def test_a_model_and_named_accelerators() -> None:
    found = asked(
        model={"image": "i", "path": "p"},
        accelerators=NAMED,
        workload={"batchSizes": [4], "inputShapes": {"x": ["batch", 3]}},
    )
    assert isinstance(found, ForecastRequest)
    assert (found.image, found.path, found.batch_sizes, found.accelerators) == ("i", "p", (4,), ("NVIDIA-H200",))
    assert found.input_shapes == {"x": ["batch", 3]}


@pytest.mark.parametrize("kind", tuple(ANNOTATED))
def test_a_target_of_every_kind_gives_its_model_and_the_pods_that_it_asks_for(kind: str) -> None:
    index = Index()
    index.put(ANNOTATED[kind], workload(kind, image="r/m:1"))
    for version in ({}, {"apiVersion": ANNOTATED[kind].api_version}):
        target = {"kind": kind, "name": "web", **version}
        found = asked(index, targetRef=target, accelerators=NAMED)
        assert isinstance(found, ForecastRequest)
        assert found.images == ("r/m:1",)
        facts = facts_of(TargetReference.model_validate(target), "shop", index)
        assert facts == {"kind": kind, "name": "web", "model": "r/m:1"} | (
            {} if kind == "DaemonSet" else {"pods": 1, "replicas": 1}
        )


@pytest.mark.parametrize(
    ("target", "named"),
    [
        ({"kind": "ReplicaSet"}, "the kind ReplicaSet"),
        ({"kind": "Job", "apiVersion": "batch.volcano.sh/v1alpha1"}, "the kind batch.volcano.sh/v1alpha1 Job"),
        ({"apiVersion": "apps/v1beta2"}, "the kind apps/v1beta2 Deployment"),
    ],
)
def test_a_target_of_a_kind_that_is_not_covered_is_told(target: dict[str, str], named: str) -> None:
    found = asked(targetRef={"name": "web"} | target, accelerators=NAMED)
    assert isinstance(found, Wrong)
    assert found.reason == "TargetKindNotSupported"
    assert found.message.startswith(f"spec.targetRef names {named}, which joulecast does not cover: name one of")
    assert "CronJob (batch/v1), " in found.message
    assert found.message.endswith("NIMService (apps.nvidia.com/v1alpha1), or give spec.model instead")


@pytest.mark.parametrize("kind", tuple(CUSTOM))
def test_a_target_of_a_custom_kind_gives_its_model_and_the_pods_that_it_asks_for(kind: str) -> None:
    index, group = Index(), CUSTOM[kind].group
    for version in ({}, {"apiVersion": CUSTOM[kind].api_version}, {"apiVersion": f"{group}/v9"}):
        target = {"kind": kind, "name": "chat", **version}
        missing = asked(index, targetRef=target, accelerators=NAMED)
        assert isinstance(missing, Wrong)
        assert missing.reason == "TargetKindNotServed"
        assert missing.message.startswith(f"this cluster has no kind {kind} of the API group {group}: ")
    index.note_served(CUSTOM[kind], served=True)
    assert isinstance(absent := asked(index, targetRef=target, accelerators=NAMED), Wrong)
    assert absent.reason == "TargetNotFound"
    index.put(CUSTOM[kind], custom.ALL[kind])
    found = asked(index, targetRef=target, runtime="vllm")
    assert isinstance(found, ForecastRequest)
    assert (found.images, found.accelerators) == ((custom.HUB,), ("NVIDIA-L4",))
    facts = facts_of(TargetReference.model_validate(target), "shop", index)
    assert facts is not None
    assert facts.pop("accelerators") == {"source": "nodeSelector", "products": ["NVIDIA-L4"]}
    counted = {"pods": custom.PODS[kind], "replicas": custom.REPLICAS[kind]}
    assert facts == {"kind": kind, "name": "chat", "model": custom.HUB, **counted}
    told = facts_of(TargetReference.model_validate(target), "shop", index, [generation(parallel=8)])
    assert told is not None
    assert told["message"].endswith("make them agree, by spec.workload.tensorParallel or by what the pods ask for")
    TargetFacts.model_validate(told)
    other = asked(index, targetRef=target | {"apiVersion": "other.example/v1"}, accelerators=NAMED)
    assert isinstance(other, Wrong)
    assert other.reason == "TargetKindNotSupported"


def test_a_target_of_a_kind_that_may_not_be_read_is_told() -> None:
    index, scope = Index(), Scope(kind=ANNOTATED["StatefulSet"])
    index.note_unreadable(scope, unreadable=True)
    found = asked(index, targetRef={"kind": "StatefulSet", "name": "web"}, accelerators=NAMED)
    assert isinstance(found, Wrong)
    assert (found.reason, "may not read StatefulSets in namespace 'shop'" in found.message) == ("TargetForbidden", True)
    index.note_unreadable(scope, unreadable=False)
    found = asked(index, targetRef={"kind": "StatefulSet", "name": "web"}, accelerators=NAMED)
    assert isinstance(found, Wrong)
    assert found.message.startswith("there is no StatefulSet 'web' in namespace 'shop'")


def test_a_target_that_is_not_there() -> None:
    found = asked(targetRef={"name": "web"}, accelerators=NAMED)
    assert isinstance(found, Wrong)
    assert (found.reason, "'web'" in found.message) == ("TargetNotFound", True)


def test_a_target_gives_its_images_likeliest_first_and_the_annotated_one_alone() -> None:
    index = Index()
    volumes = [{"name": "m", "image": {"reference": "model:1"}}]
    containers = [{"name": "a", "image": "app:1"}, {"name": "b", "image": "app:1"}, {"name": "s", "image": "proxy:1"}]
    template = {"spec": {"volumes": volumes, "containers": containers}}
    metadata = {"name": "web", "namespace": "shop", "resourceVersion": "1"}
    index.put(DEPLOYMENTS, {"metadata": metadata, "spec": {"template": template}})
    found = asked(index, targetRef={"name": "web"}, accelerators=NAMED)
    assert isinstance(found, ForecastRequest)
    assert found.images == ("model:1", "app:1", "proxy:1")
    metadata = metadata | {"resourceVersion": "2", "annotations": {"joulecast.dev/model": "named:1"}}
    index.put(DEPLOYMENTS, {"metadata": metadata, "spec": {"template": template}})
    found = asked(index, targetRef={"name": "web"}, accelerators=NAMED)
    assert isinstance(found, ForecastRequest)
    assert found.images == ("named:1",)


def test_the_estimate_or_its_target_asks_for_a_new_look() -> None:
    index = Index()
    metadata = {"name": "web", "namespace": "shop", "annotations": {"joulecast.dev/refresh": "now"}}
    spec = {"template": {"spec": {"containers": [{"name": "c", "image": "served:1"}]}}}
    index.put(DEPLOYMENTS, {"metadata": metadata | {"resourceVersion": "1"}, "spec": spec})
    found = asked(index, targetRef={"name": "web"}, accelerators=NAMED)
    assert isinstance(found, ForecastRequest)
    assert found.refresh == "now"
    found = asked(index, model={"image": "served:1"}, accelerators=NAMED)
    assert isinstance(found, ForecastRequest)
    assert found.refresh == ""


def test_a_target_gives_its_image() -> None:
    index = Index()
    containers = [{"name": "c", "image": "served:1"}]
    index.put(
        DEPLOYMENTS,
        {
            "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "1"},
            "spec": {"template": {"spec": {"containers": containers}}},
        },
    )
    found = asked(index, targetRef={"name": "web"}, accelerators=NAMED)
    assert isinstance(found, ForecastRequest)
    assert found.image == "served:1"


def serving(*words: str) -> Index:
    """Return an index with a Deployment that serves a model of the hub."""
    index = Index()
    container = {"name": "engine", "image": "vllm:1", "command": ["vllm", "serve", "org/model"], "args": list(words)}
    metadata = {"name": "chat", "namespace": "shop", "resourceVersion": "1"}
    index.put(DEPLOYMENTS, {"metadata": metadata, "spec": {"template": {"spec": {"containers": [container]}}}})
    return index


def test_a_target_that_serves_a_model_says_how_it_runs() -> None:
    index = serving("--tensor-parallel-size=4", "--max-num-seqs=16", "--dtype=half", "--kv-cache-dtype=fp8_e5m2")
    found = asked(index, targetRef={"name": "chat"}, accelerators=NAMED, workload={"concurrency": 32})
    assert isinstance(found, ForecastRequest)
    assert (found.image, found.runtime, found.precision) == ("hf://org/model", "vllm", "fp16")
    assert found.cache_precision == "fp8"
    assert found.generation == {"tensor_parallel": 4, "concurrency": 16}, "further requests wait"
    assert found.understood is not None


def test_the_spec_goes_before_the_target() -> None:
    index = serving("--tensor-parallel-size=4", "--dtype=half", "--kv-cache-dtype=fp8")
    own = {"tensorParallel": 2, "precision": "bf16", "cachePrecision": "default"}
    found = asked(index, targetRef={"name": "chat"}, accelerators=NAMED, workload=own, runtime="sglang")
    assert isinstance(found, ForecastRequest)
    assert (found.generation, found.precision, found.runtime) == ({"tensor_parallel": 2}, "bf16", "sglang")
    assert found.cache_precision == "default"


def test_another_command_of_the_target_makes_another_request() -> None:
    hashes = set()
    for words in ([], ["--tensor-parallel-size=2"], ["--enforce-eager"]):
        found = asked(serving(*words), targetRef={"name": "chat"}, accelerators=NAMED)
        assert isinstance(found, ForecastRequest)
        hashes.add(found.hash)
    assert len(hashes) == 3


def test_requests_that_the_targets_engine_refuses_are_not_forecast() -> None:
    index = serving("--max-model-len=768")
    assert isinstance(asked(index, targetRef={"name": "chat"}, accelerators=NAMED), ForecastRequest)
    found = asked(index, targetRef={"name": "chat"}, accelerators=NAMED, workload={"outputTokens": 512})
    assert isinstance(found, Wrong)
    assert "at most 768 tokens" in found.message


@pytest.mark.parametrize(("text", "number"), [(20, 20.0), ("20", 20.0), ("0.5", 0.5), ("500m", 0.5)])
def test_a_rate_is_a_quantity_of_kubernetes(text: int | str, number: float) -> None:
    found = asked(model={"uri": "hf://org/model"}, accelerators=NAMED, workload={"requestsPerSecond": text})
    assert isinstance(found, ForecastRequest)
    assert found.generation == {"requests_per_second": number}


def test_defaults_are_those_of_the_library() -> None:
    of_library = GenerationRequest()
    assert of_library.input_tokens == DEFAULT_INPUT_TOKENS
    assert of_library.output_tokens == DEFAULT_OUTPUT_TOKENS


def test_accelerators_of_nodes() -> None:
    index = index_with(
        ("a", {"nvidia.com/gpu.product": "NVIDIA-H200", "pool": "x"}),
        ("b", {"nvidia.com/gpu.product": "NVIDIA-L40S"}),
        ("c", {"pool": "x"}),
    )
    everything = asked(index, model={"image": "i"})
    assert isinstance(everything, ForecastRequest)
    assert everything.accelerators == ("NVIDIA-H200", "NVIDIA-L40S")
    chosen = asked(index, model={"image": "i"}, accelerators={"nodeSelector": {"matchLabels": {"pool": "x"}}})
    assert isinstance(chosen, ForecastRequest)
    assert chosen.accelerators == ("NVIDIA-H200",)
    nothing = asked(model={"image": "i"})
    assert isinstance(nothing, Waiting)
    assert nothing.reason == "NoAccelerator"


def test_too_many_results() -> None:
    index = index_with(*((str(number), {"nvidia.com/gpu.product": f"GPU-{number}"}) for number in range(7)))
    found = asked(index, model={"image": "i"}, workload={"batchSizes": [1, 2, 3]})
    assert isinstance(found, Wrong)
    assert found.reason == "TooManyResults"


def test_only_profiles_of_these_accelerators_decide() -> None:
    overrides = tuple(
        Override(product=product, runtime=runtime, digest="d", document="{}")
        for product, runtime in (
            ("NVIDIA-H200", "torch-eager"),
            ("NVIDIA-L40S", "torch-eager"),
            ("NVIDIA-H200", "torch-cudagraph"),
        )
    )
    found = asked(overrides=overrides, model={"image": "i"}, accelerators=NAMED)
    assert isinstance(found, ForecastRequest)
    assert found.overrides == overrides[:1]
    plain = asked(model={"image": "i"}, accelerators=NAMED)
    assert isinstance(plain, ForecastRequest)
    assert plain.hash != found.hash


@pytest.mark.parametrize(
    "spec",
    [
        {"model": [1, 2]},
        {"model": {"image": 7}},
        {"model": {"image": "i"}, "workload": "many"},
        {"model": {"image": "i"}, "workload": {"batchSizes": ["x"]}},
        {"model": {"image": "i"}, "workload": {"batchSizes": [0]}},
        {"targetRef": {"kind": ["StatefulSet"], "name": "x"}},
    ],
)
def test_a_malformed_spec_is_one_sentence(spec: dict[str, Any]) -> None:
    found = inputs.spec_of(estimate(**spec))
    assert isinstance(found, Wrong)
    assert found.reason == "InvalidSpec"
    assert "\n" not in found.message


def test_the_first_pull_secret_that_names_a_registry_wins() -> None:
    configs = [{"auths": {"a": 1}}, {"auths": {"a": 2, "b": 3}}, {"auths": "nonsense"}, {}]
    assert merged_docker_configs(configs) == {"auths": {"a": 1, "b": 3}}


def test_a_card_is_asked_about_once_however_it_is_spelt() -> None:
    names = {"names": ["NVIDIA L40S", "nvidia-l40s", "NVIDIA-L40S-SHARED", "NVIDIA-L40S-MIG-1g.5gb"]}
    override = Override(product="NVIDIA-L40S", runtime="torch-eager", digest="sha256:1", document="{}")
    found = asked(overrides=(override,), model={"image": "i"}, accelerators=names)
    assert isinstance(found, ForecastRequest)
    assert found.accelerators == ("NVIDIA-L40S", "NVIDIA-L40S-MIG-1g.5gb")
    assert found.overrides == (override,)
    label = "nvidia.com/gpu.product"
    index = index_with(("a", {label: "nvidia-l40s"}), ("b", {label: "NVIDIA-L40S-SHARED"}))
    found = asked(index, model={"image": "i"})
    assert isinstance(found, ForecastRequest)
    assert found.accelerators == ("NVIDIA-L40S",)


@pytest.mark.parametrize("wrong", [None, {}, {"name": ""}, 7, {"name": "web", "kind": "x" * 64}])
def test_a_reference_to_a_target_is_read_of_a_spec_whatever_else_is_wrong_with_it(wrong: Any) -> None:
    found = target_reference({"spec": {"targetRef": {"name": "web"}, "workload": "many"}})
    assert found == TargetReference(name="web")
    assert target_reference({"spec": {"targetRef": wrong}}) is None
    assert target_reference({}) is None
