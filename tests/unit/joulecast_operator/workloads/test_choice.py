"""Test which of several estimates applies to a workload, and which of its results."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from joulecast_operator.api.annotations import (
    BATCH_SIZE,
    CONCURRENCY,
    ESTIMATE,
    FOR_ACCELERATOR,
    INPUT_TOKENS,
    MODEL,
    OUTPUT_TOKENS,
    PHASE,
    PRECISION,
    RUNTIME,
)
from joulecast_operator.api.kinds import MANAGED_BY_LABEL, MANAGER
from joulecast_operator.workloads import choice
from tests.unit.joulecast_operator.samples.workloads import (
    A100,
    H200,
    IMAGE,
    Estimates,
    deployment,
    engine,
    estimate,
    generation,
    row,
)

L40S = "NVIDIA-L40S"
ON_L40S = {"nodeSelector": {"nvidia.com/gpu.product": L40S}}


def born(name: str, day: int, *rows: dict[str, Any], ready: str = "True", **spec: Any) -> dict[str, Any]:
    """Return an estimate of IMAGE that was created on that day of a month, and has the results ``rows``."""
    found = estimate(name, ready=ready, rows=rows or None)
    found["metadata"]["creationTimestamp"] = f"2026-03-{day:02}T00:00:00Z"
    found["spec"] |= spec
    return found


def chosen(workload: dict[str, Any], *estimates: dict[str, Any]) -> str | None:
    """Return the name of the estimate that applies to ``workload``, in whatever order the index returns them."""
    names = set()
    for order in (estimates, estimates[::-1]):
        found = choice.estimate_for(workload, Estimates(*order))
        names.add(found["metadata"]["name"] if found else None)
    (name,) = names
    return name


FP16 = born("a-fp16", 1, row(precision="fp16"))
CUDAGRAPH = born("b-cudagraph", 2, row(runtime="torch-cudagraph"))
PLAIN = born("c-plain", 3)
SMALL = born("d-small", 4, row(batch_size=1))
LATEST = born("e-latest", 5, row(L40S))
ALL = (FP16, CUDAGRAPH, PLAIN, SMALL, LATEST)


@pytest.mark.parametrize(
    ("inputs", "pod", "name"),
    [
        ({}, {}, "e-latest"),
        ({PRECISION: "fp16"}, {}, "a-fp16"),
        ({PRECISION: "default"}, {}, "e-latest"),
        ({RUNTIME: "torch-cudagraph"}, {}, "b-cudagraph"),
        ({BATCH_SIZE: "1"}, {}, "d-small"),
        ({BATCH_SIZE: "32", FOR_ACCELERATOR: A100}, {}, "c-plain"),
        ({FOR_ACCELERATOR: "NVIDIA A100-SXM4-80GB-SHARED"}, {}, "c-plain"),
        ({BATCH_SIZE: "1", PRECISION: "fp16"}, {}, "e-latest"),
        ({}, ON_L40S, "e-latest"),
        ({BATCH_SIZE: "1"}, ON_L40S, "e-latest"),
        ({FOR_ACCELERATOR: H200}, ON_L40S, "d-small"),
        ({ESTIMATE: "c-plain", PRECISION: "fp16"}, {}, "c-plain"),
        ({ESTIMATE: "gone"}, {}, None),
    ],
)
def test_what_the_workload_says_of_itself_decides_else_the_newest(
    inputs: dict[str, str], pod: dict[str, Any], name: str | None
) -> None:
    assert chosen(deployment(image=IMAGE, annotations=inputs, **pod), *ALL) == name


def test_estimates_of_one_second_are_told_apart_by_name() -> None:
    assert chosen(deployment(image=IMAGE), born("b", 1), born("a", 1), born("c", 1)) == "a"


def test_numbers_that_answer_win_over_newer_ones_that_are_not_there() -> None:
    workload = deployment(image=IMAGE)
    assert chosen(workload, PLAIN, born("z", 9, ready="False"), born("y", 9, ready="Unknown")) == "c-plain"
    asking = deployment(image=IMAGE, annotations={PRECISION: "bf16"})
    coming = born("z", 1, ready="Unknown", workload={"precision": "bf16"})
    assert chosen(asking, PLAIN, coming) == "z", "of the other precision there never will be one"


def test_a_target_wins_over_what_fits_better() -> None:
    targeting = born("target", 1)
    targeting["spec"] = {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}
    assert chosen(deployment(image=IMAGE, annotations={PRECISION: "fp16"}), targeting, *ALL) == "target"


def test_the_row_has_all_that_is_wanted_and_else_is_the_summarys() -> None:
    rows = [row(L40S), row(batch_size=1), row(), row(A100), row(A100, batch_size=1)]
    found = estimate(rows=rows)
    for wanted, index in (
        ({}, 2),
        ({"batchSize": ("1",)}, 1),
        ({"accelerator": (A100,)}, 3),
        ({"accelerator": (A100, L40S), "batchSize": ("32",)}, 0),
        ({"accelerator": (A100,), "batchSize": ("1",)}, 4),
    ):
        assert choice.row_for(found, wanted) is found["status"]["results"][index], wanted
    assert choice.row_for(found, {"precision": ("fp16",)}) is None
    assert choice.row_for(found, {"accelerator": (L40S,), "batchSize": ("1",)}) is None


def test_an_estimate_is_made_for_what_the_workload_says_and_an_estimate_takes() -> None:
    inputs = {BATCH_SIZE: " 8 ", PRECISION: "fp16", RUNTIME: "torch-cudagraph"}
    assert choice.asked_spec(deployment(annotations=inputs, **ON_L40S)) == {
        "workload": {"batchSizes": [8], "precision": "fp16"},
        "runtime": "torch-cudagraph",
        "accelerators": {"names": [L40S]},
    }
    odd = {BATCH_SIZE: "many", PRECISION: "half", RUNTIME: "tea", FOR_ACCELERATOR: "x" * 1000}
    assert choice.asked_spec(deployment(annotations=odd)) == {}


def test_defaults_that_the_server_fills_in_make_no_other_question() -> None:
    filled = {"workload": {"precision": "default"}, "runtime": "torch-eager", "resolveInterval": "15m"}
    assert choice.same_request(filled, {})
    for other in ({"runtime": "vllm"}, {"workload": {"batchSizes": [1]}}, {"accelerators": {"names": [L40S]}}):
        assert not choice.same_request(filled, other)


GENERATION = {PHASE: "request", CONCURRENCY: "32", INPUT_TOKENS: "512", OUTPUT_TOKENS: "256"}


def test_an_estimate_is_made_for_a_generation_as_the_annotations_say() -> None:
    workload = deployment(annotations={MODEL: "hf://a/b", RUNTIME: "sglang"} | GENERATION)
    of_model = {"phase": "request", "concurrency": 32, "inputTokens": 512, "outputTokens": 256}
    assert choice.asked_spec(workload) == {"workload": of_model, "runtime": "sglang"}
    assert choice.asked_spec(deployment(annotations={PHASE: "chat", CONCURRENCY: "0", INPUT_TOKENS: "x"})) == {}


@pytest.mark.parametrize("field", ["phase", "concurrency", "inputTokens", "outputTokens"])
def test_another_generation_is_another_question(field: str) -> None:
    asked = {"phase": "request", "concurrency": 32, "inputTokens": 512, "outputTokens": 256}
    spec = {"workload": asked | {"precision": "default"}}
    assert choice.same_request(spec, {"workload": asked})
    assert not choice.same_request(spec, {"workload": {key: value for key, value in asked.items() if key != field}})


def test_a_runtime_that_is_asked_for_is_not_the_one_that_follows_the_engine() -> None:
    assert not choice.same_request({}, {"runtime": "torch-eager"})
    assert choice.same_request({"runtime": "torch-eager"}, {"runtime": "torch-eager"})
    assert choice.same_request({}, {})


def test_an_engine_requires_its_runtime_and_its_degree() -> None:
    workload = deployment(containers=[engine("server", "a/b", "-tp", "2")])
    assert choice.wanted_by(workload) == {"runtime": ("vllm",), "parallel": ("2",)}
    assert choice.wanted_by(deployment(containers=[engine("server", "a/b")]))["parallel"] == ("1",)
    other = deployment(containers=[{"name": "x", "image": "x", "command": ["llama-server", "-hf", "a/b"]}])
    assert choice.wanted_by(other) == {"runtime": ("llama.cpp",)}
    limited = deployment(containers=[engine("server", "a/b", "--max-num-seqs", "16")], annotations=GENERATION)
    assert choice.wanted_by(limited)["concurrency"] == ("16",)
    named = deployment(containers=[engine("server", "a/b")], annotations={RUNTIME: "torch-eager"})
    assert choice.wanted_by(named)["runtime"] == ("torch-eager",)


def test_of_estimates_of_one_address_the_one_of_the_engines_degree_wins() -> None:
    workload = deployment(containers=[engine("server", "a/b", "-tp", "2")])
    of_one = estimate("z-one", rows=[generation(parallel=1)], spec={"model": {"uri": "hf://a/b"}})
    of_two = estimate("a-two", rows=[generation()], spec={"model": {"uri": "hf://a/b"}})
    other = estimate("other", rows=[generation()], spec={"model": {"uri": "hf://a/c"}})
    assert chosen(workload, of_one, of_two, other) == "a-two"


def test_the_order_of_lookup() -> None:
    named = estimate("named")
    targeting = estimate(
        "targeting", spec={"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}
    )
    by_image = estimate("by-image")
    index = Estimates(by_image, targeting, named)
    workload = deployment(image=IMAGE, annotations={"joulecast.dev/estimate": "named"})
    assert choice.estimate_for(workload, index) is named
    workload = deployment(image=IMAGE)
    assert choice.estimate_for(workload, index) is targeting
    assert choice.estimate_for(deployment("other", image=IMAGE), index) is by_image


def test_a_named_estimate_that_is_missing_is_not_replaced_by_another() -> None:
    workload = deployment(image=IMAGE, annotations={"joulecast.dev/estimate": "gone"})
    assert choice.estimate_for(workload, Estimates(estimate())) is None


def test_another_namespaces_estimate_is_never_used() -> None:
    index = Estimates(
        estimate("a", namespace="other"),
        estimate("b", namespace="other", spec={"targetRef": {"kind": "Deployment", "name": "web"}}),
    )
    for inputs in ({}, {"joulecast.dev/estimate": "a"}, {"joulecast.dev/estimate": "other/a"}):
        assert choice.estimate_for(deployment(image=IMAGE, annotations=inputs), index) is None


def test_an_annotated_model_is_not_confused_with_the_containers() -> None:
    workload = deployment(image=IMAGE, annotations={"joulecast.dev/model": "r/another:1"})
    assert choice.estimate_for(workload, Estimates(estimate())) is None


def test_of_several_with_the_image_the_workloads_own_wins_then_a_users() -> None:
    made = estimate("a-made")
    made["metadata"]["labels"] = {MANAGED_BY_LABEL: MANAGER}
    made["metadata"]["ownerReferences"] = [{"kind": "Deployment", "uid": "uid-another"}]
    own = copy.deepcopy(made)
    own["metadata"] |= {"name": "z-own", "ownerReferences": [{"kind": "Deployment", "uid": "uid-web"}]}
    users = estimate("b-users")
    workload = deployment(image=IMAGE)
    assert choice.estimate_for(workload, Estimates(made, users, own)) is own
    assert choice.estimate_for(workload, Estimates(made, users)) is users


def test_of_a_users_estimates_the_one_with_the_batch_size_wins() -> None:
    small = estimate("z-small", rows=[row(batch_size=1)])
    workload = deployment(image=IMAGE, annotations={"joulecast.dev/batch-size": "1"})
    assert choice.estimate_for(workload, Estimates(estimate("a-large"), small)) is small
    assert choice.estimate_for(deployment(image=IMAGE), Estimates(small, estimate("a-large"))) is not small


@pytest.mark.parametrize("cap", ["powerLimitWatts", "clockMHz"])
def test_cards_that_run_as_they_come_win_over_capped_ones_unless_something_names_those(cap: str) -> None:
    capped = born("a-capped", 9, row(**{cap: 300}), workload={cap: 300})
    waiting = born("b-waiting", 8, ready="Unknown", workload={cap: 300})
    assert chosen(deployment(image=IMAGE), capped, waiting, PLAIN) == "c-plain"
    assert chosen(deployment(image=IMAGE), capped, waiting) == "a-capped"
    named = deployment(image=IMAGE, annotations={ESTIMATE: "a-capped"})
    assert chosen(named, capped, PLAIN) == "a-capped"
    targeting = born("d-target", 1, row(**{cap: 300}))
    targeting["spec"] = {"targetRef": {"kind": "Deployment", "name": "web"}, "workload": {cap: 300}}
    assert chosen(deployment(image=IMAGE), targeting, PLAIN) == "d-target"


def test_a_workload_under_admission_takes_the_requests_namespace() -> None:
    workload = deployment(image=IMAGE)
    del workload["metadata"]["namespace"], workload["metadata"]["name"]
    assert choice.estimate_for(workload, Estimates(estimate()), namespace="shop") is not None
    assert choice.estimate_for(workload, Estimates(estimate())) is None
