"""Why a number is what it is, from the status of an estimate alone."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest

from joulecast.errors import JoulecastError
from joulecast_operator.api.annotations import BATCH_SIZE, FOR_ACCELERATOR
from joulecast_operator.estimates.accelerators import Source
from joulecast_operator.kubectl.explanation import (
    SAYS,
    Explanation,
    accelerator_facts,
    chosen_by,
    explained,
    explanation_document,
    model_facts,
    result_asked,
    standing_of_estimate,
)
from joulecast_operator.kubectl.standing import Estimates, standing_of
from tests.unit.joulecast_operator.samples.workloads import A100, H200, estimate, generation, row, workload

LAYERS = [{"name": "/Conv", "opType": "Conv", "joules": 0.2, "share": 0.5}]
OWN_LAYERS = [{"name": "/Gemm", "share": 0.25}]


def held(*rows: dict[str, Any], **status: Any) -> dict[str, Any]:
    found = estimate(rows=rows or None)
    found["status"] |= {"topLayers": LAYERS, **status}
    for each in found["status"]["results"]:
        each |= {"topLayers": OWN_LAYERS, "intervalReasons": [f"no rows of {each['accelerator']}"]}
    return found


def of_estimate(found: dict[str, Any]) -> Explanation:
    return explained(standing_of_estimate(found, state="Ready", message="2 forecasts"))


def test_the_first_result_of_an_estimate_is_explained_with_its_layers_and_reasons() -> None:
    found = of_estimate(held())
    assert found.row is not None
    assert (found.row["accelerator"], found.is_first, found.phases) == (H200, True, ())
    assert list(found.layers) == LAYERS
    assert found.reasons == (f"no rows of {H200}",)
    assert [each["accelerator"] for each in found.others] == [A100]


def test_the_result_that_fits_a_workload_is_explained_with_its_own_layers_and_reasons() -> None:
    named = workload("Deployment", annotations={FOR_ACCELERATOR: A100, BATCH_SIZE: "32"})
    found = explained(standing_of(named, Estimates([held(cost={"site": "hall"})]), "shop"))
    assert found.row is not None
    assert (found.row["accelerator"], found.is_first) == (A100, False)
    assert list(found.layers) == [{"name": "/Gemm", "share": 0.25, "joules": pytest.approx(0.25 * 0.61)}]
    assert found.reasons == (f"no rows of {A100}",)
    assert "cost" not in explanation_document(found), "that of the status is of the first result"
    assert explanation_document(of_estimate(held(cost={"site": "hall"})))["cost"] == {"site": "hall"}
    assert chosen_by(named) == {"for-accelerator": A100, "batch-size": "32"}


def test_the_power_of_an_estimates_target_is_that_of_its_replicas_or_has_a_reason() -> None:
    target = {"kind": "LeaderWorkerSet", "name": "chat", "pods": 6, "replicas": 3}
    known = of_estimate(held(generation(), target=target)).standing
    assert (known.pods, known.busy_watts) == (6, 3300.0)
    said = "the power of all replicas is not known, because a replica has 4 accelerators and the forecast is of 2"
    unknown = of_estimate(held(generation(), target=target | {"message": said}))
    assert (unknown.standing.busy_watts, unknown.standing.uncounted) == (None, said)
    assert explanation_document(unknown)["object"]["powerMessage"] == said


def test_a_request_is_split_into_what_it_reads_and_what_it_writes() -> None:
    read, written = of_estimate(held(generation(joules=3.1))).phases
    assert (read.name, read.tokens, written.name, written.tokens) == ("prefill", 512, "decode", 256)
    assert read.joules == pytest.approx(512 * 0.0006)
    assert read.joules + written.joules == pytest.approx(3.1)
    assert read.share + written.share == pytest.approx(1.0)


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_a_single_phase_is_not_split(phase: str) -> None:
    assert of_estimate(held(generation(phase=phase))).phases == ()


def test_another_result_is_explained_where_the_command_line_asks_for_it() -> None:
    rows = [row(product, batch_size=size) for product in (H200, A100) for size in (1, 32)]
    standing = standing_of_estimate(held(*rows), state="Ready", message="4 forecasts")
    found = explained(standing, result_asked("nvidia a100-sxm4-80gb", None))
    assert found.row is not None
    assert (found.row["accelerator"], found.row["batchSize"]) == (A100, 1), "the rest is as of the one that applies"
    assert found.standing.sentence.startswith("0.421 J per batch of 1 on NVIDIA-A100-SXM4-80GB")
    assert len(found.others) == 3
    assert explanation_document(found)["asked"] == {"accelerator": A100}
    both = explained(standing, result_asked(A100, 32))
    assert both.row is not None
    assert (both.row["accelerator"], both.row["batchSize"]) == (A100, 32)
    assert "asked" not in explanation_document(explained(standing, result_asked(None, None)))


def test_a_workload_without_a_fitting_result_can_be_explained_by_another() -> None:
    standing = standing_of(workload("Deployment", annotations={BATCH_SIZE: "7"}), Estimates([held()]), "shop")
    assert standing.row is None
    found = explained(standing, result_asked(A100, None))
    assert found.row is not None
    assert found.row["accelerator"] == A100


@pytest.mark.parametrize(
    ("rows", "accelerator", "batch_size", "said"),
    [
        ((), None, 7, "the estimate 'detector' has no result for batch size 7: its batch sizes are 32"),
        ((), "NVIDIA-L4", 32, f"NVIDIA-L4: its batch sizes are 32; its accelerators are {H200}, {A100}"),
        ((generation(),), None, 8, "batch size 8: its results have no batch size, so leave that out"),
    ],
)  # fmt: skip
def test_a_result_that_is_not_there_is_said_with_those_that_are(
    rows: tuple[Any, ...], accelerator: str | None, batch_size: int | None, said: str
) -> None:
    standing = standing_of_estimate(held(*rows), state="Ready", message="")
    with pytest.raises(JoulecastError, match=re.escape(said)):
        explained(standing, result_asked(accelerator, batch_size))


def test_where_there_are_no_results_none_can_be_chosen() -> None:
    lone = standing_of(workload("Deployment"), Estimates([]), "shop")
    with pytest.raises(JoulecastError, match="deployment/web has no result to choose from: no estimate is about it"):
        explained(lone, result_asked(None, 32))


def test_the_joules_of_a_layer_of_another_request_are_not_known() -> None:
    asked = workload("Deployment", annotations={FOR_ACCELERATOR: A100})
    found = explained(standing_of(asked, Estimates([held(generation(), generation(A100))]), "shop"))
    assert list(found.layers) == OWN_LAYERS


def test_a_status_of_an_older_release_has_no_reasons_and_none_are_made_up() -> None:
    old = held()
    old["status"]["results"] = [row(), row(A100)]
    del old["status"]["topLayers"]
    found = of_estimate(old)
    assert (found.reasons, found.layers) == (None, ())
    without = held()
    without["status"]["results"][0]["intervalReasons"] = []
    assert of_estimate(without).reasons == ()


def test_without_a_result_there_are_the_results_of_other_settings() -> None:
    other = workload("Deployment", annotations={BATCH_SIZE: "7"})
    found = explained(standing_of(other, Estimates([held()]), "shop"))
    assert found.row is None
    assert len(found.others) == 2
    nothing = explained(standing_of(other, Estimates([]), "shop"))
    assert (nothing.estimate, nothing.others, nothing.conditions) == (None, (), [])


def test_what_said_which_accelerator_is_told() -> None:
    by_nodes = {"source": "resource", "products": [H200, A100], "decides": A100, "range": "0.4–0.6 J/batch"}
    found = accelerator_facts(held(target={"kind": "Deployment", "name": "web", "accelerators": by_nodes}))
    assert found["accelerators by"] == "the extended resource that the pods ask for, and the nodes that have it"
    assert found["decides"] == f"{A100}, which needs most energy"
    assert found["may run on"] == f"{H200}, {A100}"
    given = held() | {"spec": {"model": {}, "accelerators": {"names": [H200]}}}
    assert accelerator_facts(given)["accelerators by"] == "spec.accelerators of the estimate"
    assert accelerator_facts(held())["accelerators by"] == "the nodes of the cluster"
    without = accelerator_facts(held(target={"accelerators": {"message": "the pods ask for a slice"}}))
    assert (without["accelerators by"], without["left out"]) == ("", "the pods ask for a slice")


def test_which_model_was_read_is_told() -> None:
    understood = {"engine": "vLLM", "container": "main", "used": ["--dtype"], "ignored": ["--enforce-eager"]}
    totals = {"macs": 4_089_184_256, "params": 25_557_032}
    found = model_facts(held(image="r.example/m:1", modelPath="m.onnx", understood=understood, totals=totals))
    assert found["model"] == "r.example/m:1, m.onnx in it"
    assert (found["engine"], found["ignores"]) == ("vLLM in container main", "--enforce-eager")
    assert found["counted"] == "4,089,184,256 MACs, 25,557,032 parameters"


def test_the_document_has_the_status_that_it_rests_on() -> None:
    found = explanation_document(of_estimate(held(generation(), totals={"macs": 1, "params": 2})))
    assert found["totals"] == {"macs": 1, "params": 2}
    assert [each["name"] for each in found["phases"]] == ["prefill", "decode"]
    assert found["object"]["energy"]["per"] == "request"
    assert found["conditions"][0]["type"] == "Ready"
    assert generation().items() <= found["result"].items()
    assert explanation_document(of_estimate(held(row())))["phases"] == []


def test_every_source_of_accelerators_has_a_meaning() -> None:
    assert SAYS.keys() == set(get_args(Source))
