"""What a workload is told by the estimate that applies to it."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast_operator.api.annotations import (
    BATCH_SIZE,
    ESTIMATE,
    FAILED,
    FOR_ACCELERATOR,
    JOULES,
    MODEL,
    PENDING,
    PRECISION,
    READY,
    RUNTIME,
    STATE,
)
from joulecast_operator.workloads.verdict import Verdict, verdict_on
from tests.unit.joulecast_operator.samples.workloads import A100, H200, IMAGE, deployment, estimate, row


def verdict(found: dict[str, Any] | None, **annotations: str) -> Verdict:
    named = {ESTIMATE: "detector", BATCH_SIZE: "32"} | {
        key.replace("__", "/"): text for key, text in annotations.items()
    }
    told = verdict_on(deployment(image=IMAGE, annotations=named), found, "shop")
    assert told is not None
    return told


def on(**changes: str) -> Verdict:
    words = {"batch_size": BATCH_SIZE, "precision": PRECISION, "runtime": RUNTIME, "accelerator": FOR_ACCELERATOR}
    return verdict(estimate(), **{words[name]: value for name, value in changes.items()})


def not_ready(ready: str, reason: str, message: str = "because") -> dict[str, Any]:
    found = estimate(ready=ready)
    found["status"]["conditions"] = [{"type": "Ready", "status": ready, "reason": reason, "message": message}]
    return found


def test_a_forecast_is_said_with_interval_origin_and_comparison() -> None:
    found = on(accelerator=H200)
    assert (found.state, found.reason, found.outputs[JOULES]) == (READY, None, "0.421")
    assert found.sentence == (
        f"0.421 J per batch of 32 on {H200} (0.392–0.463, public), 31 % below {A100};"
        ' by the estimate "detector", precision default, torch-eager'
    )


def test_two_accelerators_that_differ_by_less_than_a_percent_need_as_much() -> None:
    rows = [row(), row(A100, joules=0.4225)]
    assert f", as much as {A100};" in verdict(estimate(rows=rows), **{FOR_ACCELERATOR: H200}).sentence


def test_a_row_at_another_batch_size_precision_or_runtime_is_not_compared_with() -> None:
    others = ({"batch_size": 1}, {"precision": "fp16"}, {"runtime": "onnxruntime-cuda"})
    rows = [row(), *(row(A100, joules=0.1, **each) for each in others)]
    found = verdict(estimate(rows=rows), **{FOR_ACCELERATOR: H200})
    assert A100 not in found.sentence


def test_a_share_of_the_flops_without_a_price_is_said() -> None:
    rows = [row(coverage=0.9996)]
    assert ", priced for 99 % of its FLOPs;" in verdict(estimate(rows=rows)).sentence


@pytest.mark.parametrize(
    ("asked", "reason", "says"),
    [
        (
            {"batch_size": "8"},
            "BatchSizeNotEstimated",
            "no result for batch size 8, but for 32: add it to its workload.batchSizes",
        ),
        (
            {"precision": "fp16"},
            "PrecisionNotEstimated",
            "precision fp16, but for default: apply an estimate with that",
        ),
        (
            {"runtime": "onnxruntime-cuda"},
            "RuntimeNotEstimated",
            "no result for runtime onnxruntime-cuda, but for torch-eager",
        ),
        ({"accelerator": "NVIDIA-L40S"}, "AcceleratorNotEstimated", "add it to its accelerators.names"),
        ({"batch_size": "many"}, "InvalidBatchSize", f'{BATCH_SIZE} is "many": give one of the batch sizes'),
    ],
)
def test_what_the_estimate_does_not_hold_is_named_with_a_way_out(asked: dict[str, str], reason: str, says: str) -> None:
    found = on(**asked)
    assert (found.state, found.reason) == (FAILED, reason)
    assert found.sentence.startswith("no forecast: ")
    assert says in found.sentence
    assert JOULES not in found.outputs


def test_values_that_are_held_but_not_together_are_said_so() -> None:
    rows = [row(precision="fp16"), row(A100)]
    found = verdict(estimate(rows=rows), **{PRECISION: "fp16", FOR_ACCELERATOR: A100})
    assert (found.state, found.reason) == (FAILED, "CombinationNotEstimated")
    assert "together" in found.sentence


def test_an_estimate_that_is_named_and_absent_is_asked_for() -> None:
    found = verdict(None)
    assert (found.state, found.reason) == (PENDING, "EstimateNotFound")
    assert found.sentence.startswith('no estimate "detector" in namespace "shop": create it')


def test_what_passes_by_itself_has_no_reason() -> None:
    for reason in ("Estimating", "Queued"):
        found = verdict(not_ready("Unknown", reason))
        assert (found.state, found.reason) == (PENDING, None)


def test_a_failure_has_its_reason_and_its_message_within_bounds() -> None:
    found = verdict(not_ready("False", "Unauthorized", "m" * 5000))
    assert (found.outputs[STATE], found.reason) == (FAILED, "Unauthorized")
    assert found.sentence.startswith('no forecast: the estimate "detector" failed: mmm')
    assert len(found.sentence) < 600


def test_a_workload_with_a_model_and_no_estimate_is_told_that_one_is_made() -> None:
    told = verdict_on(deployment(annotations={MODEL: IMAGE}), None, "shop")
    assert told is not None
    assert (told.state, told.reason) == (PENDING, None)
    assert told.sentence == f"no forecast yet of {IMAGE}: it is being made, and `kubectl get iee` shows it then"


def test_a_workload_that_asks_for_nothing_is_told_nothing() -> None:
    assert verdict_on(deployment(), None, "shop") is None


def test_an_estimate_of_another_image_than_the_workload_runs_now_is_overtaken() -> None:
    targeted = estimate(spec={"targetRef": {"name": "web"}})
    targeted["status"]["image"] = "registry.example/models/detector:0"
    told = verdict_on(deployment(image=IMAGE, annotations={MODEL: IMAGE}), targeted, "shop")
    assert told is not None
    assert (told.state, JOULES in told.outputs) == (PENDING, False)


def test_the_estimate_of_another_workload_stands_in_only_while_it_is_ready_and_holds_the_row() -> None:
    def told(found: dict[str, Any], **annotations: str) -> Verdict | None:
        return verdict_on(deployment(image=IMAGE, annotations={MODEL: IMAGE} | annotations), found, "shop")

    ready, missing = told(estimate()), told(estimate(), **{PRECISION: "fp16"})
    failed = told(not_ready("False", "Unauthorized"))
    assert ready is not None and missing is not None and failed is not None
    assert (ready.state, missing.state, failed.state) == (READY, PENDING, PENDING)
    assert missing.sentence == failed.sentence
    assert failed.sentence.startswith(f"no forecast yet of {IMAGE}: it is being made")
