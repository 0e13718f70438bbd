from __future__ import annotations

import copy
from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulecast_operator.api import annotations as notes
from joulecast_operator.api.kinds import ANNOTATED
from joulecast_operator.workloads.admission import Decision, decide
from joulecast_operator.workloads.outputs import outputs_of
from tests.unit.joulecast_operator.samples.workloads import (
    A100,
    IMAGE,
    Estimates,
    deployment,
    engine,
    estimate,
    generation,
    row,
    workload,
)

MODEL = {"joulecast.dev/model": IMAGE}
FORGED = {notes.JOULES: "0.001", notes.STATE: "Ready", notes.ORIGIN: "measured", notes.REASON: "AllIsWell"}


def create(workload: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"uid": "1", "operation": "CREATE", "namespace": "shop", "object": workload, "oldObject": None} | more


def update(new: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    return create(new, operation="UPDATE", oldObject=old)


def first_outputs_of(found: dict[str, Any]) -> notes.Outputs:
    return outputs_of(found, found["status"]["results"][0])


def after(workload: dict[str, Any], decision: Decision) -> dict[str, str]:
    patched = jsonpatch.apply_patch(copy.deepcopy(workload), list(decision.patch))
    assert patched["spec"] == workload["spec"]
    return patched["metadata"].get("annotations", {})


def test_a_known_model_is_annotated_and_the_client_is_told() -> None:
    workload = deployment(image=IMAGE)
    decision = decide(create(workload), Estimates(estimate()))
    assert decision.outcome == "annotated"
    assert notes.outputs(after(workload, decision)) == first_outputs_of(estimate())
    (text,) = decision.warnings
    forecast, _, source = text.partition("; ")
    assert forecast == "0.421 J per batch of 32 on NVIDIA-H200 (0.392–0.463, public), 31 % below NVIDIA-A100-SXM4-80GB"
    assert source == 'by the estimate "detector", precision default, torch-eager'


def test_the_comparison_is_with_the_thriftiest_other_and_may_be_unfavourable() -> None:
    rows = [
        row(joules=0.5),
        row(A100, joules=0.61),
        row("NVIDIA-L40S", joules=0.4),
        row("NVIDIA-B200", joules=0.1, batch_size=1),
    ]
    (text,) = decide(create(deployment(image=IMAGE)), Estimates(estimate(rows=rows))).warnings
    assert ", 25 % above NVIDIA-L40S;" in text


def test_a_forecast_that_prices_part_of_the_model_says_so() -> None:
    rows = [row(coverage=0.937)]
    (text,) = decide(create(deployment(image=IMAGE)), Estimates(estimate(rows=rows))).warnings
    assert "(0.392–0.463, public), priced for 93 % of its FLOPs;" in text


def test_an_unknown_model_is_pending() -> None:
    workload = deployment(annotations=dict(MODEL))
    decision = decide(create(workload), Estimates())
    assert decision.outcome == "pending"
    assert after(workload, decision) == MODEL | {notes.STATE: "Pending"}
    assert IMAGE in decision.warnings[0]


def test_a_named_estimate_that_is_missing_is_pending_and_named() -> None:
    workload = deployment(annotations={"joulecast.dev/estimate": "gone"})
    decision = decide(create(workload), Estimates(estimate()))
    assert decision.outcome == "pending"
    assert 'no estimate "gone" in namespace "shop"' in decision.warnings[0]


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("NoAccelerator", 'no forecast yet: the estimate "detector" waits: add a node'),
        ("RegistryUnavailable", 'no forecast yet: the estimate "detector" waits: add a node'),
        ("Estimating", "no forecast yet: it is still being made, and `kubectl get iee detector` shows it then"),
    ],
)
def test_a_pending_estimate_says_what_it_waits_for(reason: str, text: str) -> None:
    waiting = estimate(ready="Unknown")
    waiting["status"]["conditions"][0] |= {"reason": reason, "message": "add a node"}
    assert decide(create(deployment(image=IMAGE)), Estimates(waiting)).warnings == (text,)
    waiting["metadata"]["generation"] = 2
    (outdated,) = decide(create(deployment(image=IMAGE)), Estimates(waiting)).warnings
    assert "still being made" in outdated


def test_a_failed_estimate_gives_its_reason() -> None:
    failed = estimate(ready="False")
    failed["status"]["conditions"][0]["message"] = "the registry answered 401"
    decision = decide(create(deployment(image=IMAGE)), Estimates(failed))
    assert decision.outcome == "failed"
    assert decision.warnings == ('no forecast: the estimate "detector" failed: the registry answered 401',)
    found = after(deployment(image=IMAGE), decision)
    assert (found[notes.STATE], found[notes.REASON], found[notes.ESTIMATED_BY]) == ("Failed", "Estimated", "detector")


@pytest.mark.parametrize(
    ("inputs", "reason", "said"),
    [
        ({notes.BATCH_SIZE: "8"}, "BatchSizeNotEstimated", "has a result for batch size 8; the estimate"),
        ({notes.BATCH_SIZE: "many"}, "InvalidBatchSize", 'is "many": give one of the batch sizes of "detector", 1, 32'),
        ({notes.PRECISION: "fp16"}, "PrecisionNotEstimated", "has no result for precision fp16, but for default: "),
        ({notes.RUNTIME: "vllm"}, "RuntimeNotEstimated", "has no result for runtime vllm, but for torch-eager: "),
        ({notes.FOR_ACCELERATOR: "B200"}, "AcceleratorNotEstimated", f"accelerator B200, but for {A100}, NVIDIA-H200"),
        (
            {notes.BATCH_SIZE: "1", notes.FOR_ACCELERATOR: A100},
            "CombinationNotEstimated",
            f"has no result for batch size 1, accelerator {A100} together",
        ),
    ],
)
def test_what_no_estimate_holds_is_said_and_not_replaced_by_a_strangers_number(
    inputs: dict[str, str], reason: str, said: str
) -> None:
    workload = deployment(image=IMAGE, annotations=inputs)
    decision = decide(create(workload), Estimates(estimate(rows=[row(), row(A100), row(batch_size=1)])))
    assert decision.outcome == "failed"
    found = notes.outputs(after(workload, decision))
    assert found == {notes.STATE: "Failed", notes.REASON: reason, notes.ESTIMATED_BY: "detector"}
    assert said in decision.warnings[0]


def test_a_named_estimate_is_not_said_to_be_one_of_many() -> None:
    workload = deployment(image=IMAGE, annotations={notes.ESTIMATE: "detector", notes.BATCH_SIZE: "8"})
    (text,) = decide(create(workload), Estimates(estimate())).warnings
    assert text == (
        'no forecast: the estimate "detector" has no result for batch size 8, but for 32:'
        " add it to its workload.batchSizes"
    )


@pytest.mark.parametrize(("reason", "shown"), [("NoAccelerator", "NoAccelerator"), ("Estimating", None)])
def test_a_pending_workload_says_what_it_waits_for_unless_it_is_merely_under_way(
    reason: str, shown: str | None
) -> None:
    waiting = estimate(ready="Unknown")
    waiting["status"]["conditions"][0] |= {"reason": reason, "message": "add a node"}
    workload = deployment(image=IMAGE)
    assert after(workload, decide(create(workload), Estimates(waiting))).get(notes.REASON) == shown


def test_a_named_estimate_that_is_missing_is_the_reason() -> None:
    workload = deployment(annotations={notes.ESTIMATE: "gone"})
    assert after(workload, decide(create(workload), Estimates()))[notes.REASON] == "EstimateNotFound"


def test_a_batch_size_that_was_not_estimated_says_which_were() -> None:
    workload = deployment(image=IMAGE, annotations={"joulecast.dev/batch-size": "8"})
    decision = decide(create(workload), Estimates(estimate()))
    assert decision.outcome == "failed"
    assert "has no result for batch size 8, but for 32" in decision.warnings[0]


def test_a_batch_size_that_is_no_number_is_named_with_its_annotation() -> None:
    workload = deployment(image=IMAGE, annotations={"joulecast.dev/batch-size": "many"})
    (text,) = decide(create(workload), Estimates(estimate())).warnings
    assert text == 'no forecast: joulecast.dev/batch-size is "many": give one of the batch sizes of "detector", 32'


@pytest.mark.parametrize("other", [estimate(ready="False"), estimate(rows=[row(batch_size=1)])])
def test_an_estimate_of_the_same_image_speaks_for_no_other_that_is_to_be_made(other: dict[str, Any]) -> None:
    workload = deployment(annotations=MODEL | {"joulecast.dev/batch-size": "8"})
    decision = decide(create(workload), Estimates(other))
    assert decision.outcome == "pending"
    assert decision.warnings == (f"no forecast yet of {IMAGE}: it is being made, and `kubectl get iee` shows it then",)


def test_a_workload_that_concerns_no_estimate_is_left_as_it_is() -> None:
    assert decide(create(deployment()), Estimates(estimate())) == Decision(outcome="unknown")


@pytest.mark.parametrize("inputs", [{}, MODEL, {"joulecast.dev/skip": "true"}])
def test_forged_outputs_go(inputs: dict[str, str]) -> None:
    workload = deployment(annotations=inputs | FORGED | {"team": "a"})
    found = after(workload, decide(create(workload), Estimates()))
    assert not {notes.JOULES, notes.ORIGIN, notes.REASON} & set(found)
    assert found.get(notes.STATE) in (None, "Pending")
    assert found["team"] == "a"


def test_forged_outputs_go_also_where_a_controller_owns_the_workload() -> None:
    workload = deployment(annotations=dict(FORGED))
    workload["metadata"]["ownerReferences"] = [{"kind": "InferenceService", "controller": True}]
    decision = decide(create(workload), Estimates(estimate()))
    assert decision.outcome == "skipped"
    assert after(workload, decision) == {}


def test_an_update_that_changes_nothing_of_ours_keeps_what_the_controller_wrote() -> None:
    old = deployment(image=IMAGE, annotations=first_outputs_of(estimate(rows=[row(joules=0.9)])))
    new = copy.deepcopy(old)
    new["spec"]["replicas"] = 3
    decision = decide(update(new, old), Estimates(estimate()))
    assert decision.patch == ()
    assert decision.outcome == "annotated"


def test_an_update_that_drops_our_outputs_gets_them_back() -> None:
    old = deployment(image=IMAGE, annotations=first_outputs_of(estimate()))
    new = deployment(image=IMAGE)
    assert after(new, decide(update(new, old), Estimates())) == first_outputs_of(estimate())


def test_a_rollout_undo_to_another_image_drops_its_stale_outputs() -> None:
    stale = first_outputs_of(estimate(rows=[row(joules=9.0)]))
    old = deployment(image="r/other:2", annotations=first_outputs_of(estimate()))
    new = deployment(image=IMAGE, annotations=stale)
    assert after(new, decide(update(new, old), Estimates(estimate()))) == first_outputs_of(estimate())
    gone = decide(update(new, old), Estimates())
    assert after(new, gone) == {}


def test_a_later_estimate_replaces_what_stood() -> None:
    old = deployment(image=IMAGE, annotations=first_outputs_of(estimate(rows=[row(joules=0.9)])))
    later = estimate()
    later["status"]["estimatedAt"] = "2027-01-01T00:00:00Z"
    assert after(old, decide(update(old, old), Estimates(later))) == first_outputs_of(later)


def test_taking_the_model_annotation_away_takes_the_outputs_away() -> None:
    old = deployment(annotations=MODEL | first_outputs_of(estimate()))
    new = deployment(annotations=first_outputs_of(estimate()))
    assert after(new, decide(update(new, old), Estimates(estimate()))) == {}


def made(**status: Any) -> dict[str, Any]:
    found = estimate("made", spec={"targetRef": {"kind": "Deployment", "name": "web"}})
    found["metadata"] |= {
        "labels": {"app.kubernetes.io/managed-by": "joulecast"},
        "ownerReferences": [{"kind": "Deployment", "name": "web", "uid": "uid-web"}],
    }
    found["status"] |= {"image": IMAGE} | status
    return found


def test_the_estimate_made_for_a_workload_speaks_for_it() -> None:
    workload = deployment(annotations=dict(MODEL))
    assert decide(create(workload), Estimates(made())).outcome == "annotated"


@pytest.mark.parametrize(("images", "outcome"), [(["app:1", IMAGE], "annotated"), (["app:1", "next:2"], "pending")])
def test_a_target_is_priced_by_any_of_its_images(images: list[str], outcome: str) -> None:
    workload = deployment(image=images[0], initContainers=[{"name": "model", "image": images[1]}])
    target = estimate(spec={"targetRef": {"kind": "Deployment", "name": "web"}})
    target["status"] |= {"image": IMAGE}
    assert decide(create(workload), Estimates(target)).outcome == outcome


@pytest.mark.parametrize(
    "inputs", [{notes.MODEL: "registry.example/models/next:2"}, {notes.MODEL: IMAGE, notes.BATCH_SIZE: "8"}]
)
def test_a_changed_model_or_batch_size_is_pending_until_it_is_estimated(inputs: dict[str, str]) -> None:
    old = deployment(annotations=MODEL | first_outputs_of(estimate()))
    new = deployment(annotations=inputs | first_outputs_of(estimate()))
    decision = decide(update(new, old), Estimates(made()))
    assert decision.outcome == "pending"
    assert after(new, decision) == inputs | {notes.STATE: "Pending"}
    assert f"no forecast yet of {inputs[notes.MODEL]}" in decision.warnings[0]


def test_a_failure_at_the_batch_size_before_is_not_this_ones() -> None:
    failed = made()
    failed["spec"]["workload"] = {"batchSizes": [16]}
    failed["status"] |= {
        "results": [],
        "conditions": [{"type": "Ready", "status": "False", "reason": "InvalidWorkload"}],
    }
    workload = deployment(annotations=dict(MODEL))
    assert decide(create(workload), Estimates(failed)).outcome == "pending"
    workload["metadata"]["annotations"][notes.BATCH_SIZE] = "16"
    assert decide(create(workload), Estimates(failed)).outcome == "failed"


def test_a_batch_size_that_is_no_number_waits_for_nothing() -> None:
    workload = deployment(annotations=MODEL | {notes.BATCH_SIZE: "many"})
    decision = decide(create(workload), Estimates(made()))
    assert decision.outcome == "failed"
    assert 'batch-size is "many"' in decision.warnings[0]


def test_a_warning_of_no_effect_comes_after_the_forecast() -> None:
    workload = deployment(image=IMAGE, annotations={"joulecast.dev/batchsize": "8"})
    forecast, hint = decide(create(workload), Estimates(estimate())).warnings
    assert forecast.startswith("0.421 J")
    assert hint == "unknown annotation joulecast.dev/batchsize: did you mean joulecast.dev/batch-size?"


@pytest.mark.parametrize("kind", tuple(ANNOTATED))
def test_every_kind_of_workload_gets_its_forecast_and_loses_forged_ones(kind: str) -> None:
    asked = {"group": ANNOTATED[kind].group, "kind": kind}
    decision = decide(create(workload(kind, annotations=FORGED), kind=asked), Estimates(estimate()))
    assert decision.outcome == "annotated"
    assert decision.warnings[0].startswith("0.421 J")
    owner = [{"kind": "Owner", "name": "o", "uid": "u", "controller": True}]
    owned = workload(kind, annotations=dict(FORGED), ownerReferences=owner)
    decision = decide(create(owned, kind=asked), Estimates(estimate()))
    assert (decision.outcome, decision.warnings) == ("skipped", ())
    assert {each["op"] for each in decision.patch} == {"remove"}


def test_an_object_of_another_kind_is_never_patched() -> None:
    other = deployment(image=IMAGE, annotations=MODEL | FORGED) | {"kind": "InferenceService"}
    decision = decide(
        create(other, kind={"group": "serving.kserve.io", "kind": "InferenceService"}), Estimates(estimate())
    )
    assert (decision.outcome, decision.patch) == ("unknown", ())
    assert "have no effect on an InferenceService by itself, which joulecast never writes" in decision.warnings[0]


def test_a_workload_that_is_skipped_is_told_nothing() -> None:
    workload = deployment(annotations={notes.SKIP: "true", "joulecast.dev/modle": IMAGE})
    assert decide(create(workload), Estimates()).warnings == ()


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["metadata", "spec", "annotations", "template", "name", "containers", "volumes", "ownerReferences"]), inner, max_size=4), max_leaves=12)  # fmt: skip # noqa: E501


@given(JSON, st.sampled_from(["Deployment", "CronJob", "Pod", "InferenceEnergyEstimate"]))
def test_an_object_of_any_shape_is_decided_without_touching_more_than_annotations(workload: Any, kind: str) -> None:
    decision = decide(create(workload, kind={"kind": kind}), Estimates(estimate()))
    assert all(operation["path"].startswith("/metadata/annotations") for operation in decision.patch)


WORDS = st.lists(st.sampled_from(["vllm", "serve", "sh", "-c", "-tp", "--model", "a/b", "/m", "$X", "2", "--", "'", ";"]) | st.text(max_size=8), max_size=8)  # fmt: skip # noqa: E501
CONTAINER = st.fixed_dictionaries(
    {"image": st.sampled_from(["vllm/vllm-openai:1", "sglang", "x"])},
    optional={
        "name": st.text(max_size=4),
        "command": WORDS | JSON,
        "args": WORDS | WORDS.map(lambda words: [" ".join(words)]) | JSON,
        "env": st.lists(st.fixed_dictionaries({"name": st.just("X"), "value": st.text(max_size=4) | JSON}), max_size=2),
        "volumeMounts": st.lists(
            st.fixed_dictionaries({"name": st.just("v"), "mountPath": st.text(max_size=3)}) | JSON
        ),
    },
)


@given(st.lists(CONTAINER | JSON, max_size=3), st.dictionaries(st.sampled_from(sorted(notes.INPUT_KEYS)), st.text()))
def test_any_command_line_is_decided_about_and_never_denied(containers: list[Any], inputs: dict[str, str]) -> None:
    volumes = [{"name": "v", "image": {"reference": IMAGE}}]
    workload = deployment(containers=containers, volumes=volumes, annotations=inputs)
    old = deployment(containers=containers[:1], annotations={})
    for request in (create(workload), update(workload, old)):
        decision = decide(request, Estimates(estimate(), estimate(rows=[generation()])))
        assert decision.outcome != "error"
        assert all(text.isprintable() and len(text) <= 1024 for text in decision.warnings)
        assert all(operation["path"].startswith("/metadata/annotations") for operation in decision.patch)


@pytest.mark.parametrize(
    "container",
    [
        engine("server", "a/b", "--chat-template", "x" * 1_000_000),
        engine("server", *["--x"] * 300_000),
        {"name": "server", "image": "vllm", "args": ["sh", "-c", "A=$A$A;" * 150_000]},
        {"name": "server", "image": "x", "command": ["sh", "-c", "vllm serve " + "'" * 1_000_000]},
        engine("server", "$(A)" * 4_000, env=[{"name": "A", "value": "a" * 1_000_000}]),
    ],
    ids=["a word", "words", "assignments", "quotes", "variables"],
)
def test_a_megabyte_of_words_is_decided_about(container: dict[str, Any]) -> None:
    workload = deployment(containers=[container], annotations=MODEL)
    assert decide(create(workload), Estimates(estimate())).outcome in ("annotated", "pending", "failed")


def failed(message: str) -> dict[str, Any]:
    found = estimate(ready="False")
    found["status"]["conditions"][0] |= {"reason": "NotFound", "message": message}
    return found


LOUD = "\x1b[31m\n" + "n" * 60_000


@pytest.mark.parametrize(
    ("annotations", "known"),
    [
        ({"joulecast.dev/estimate": LOUD}, []),
        ({"joulecast.dev/model": LOUD}, []),
        ({"joulecast.dev/batch-size": LOUD}, [estimate()]),
        ({}, [failed(LOUD)]),
        ({"joulecast.dev/precision": LOUD}, [estimate()]),
        ({}, [estimate(rows=[row("NVIDIA-H200", origin=LOUD)])]),
    ],
)
def test_whatever_is_said_is_escaped_and_bounded(annotations: dict[str, str], known: list[dict[str, Any]]) -> None:
    workload = deployment(image=IMAGE, annotations=annotations)
    decision = decide(create(workload), Estimates(*known))
    (text,) = decision.warnings
    assert text.isprintable()
    assert len(text) <= 1024
    written = [operation["value"] for operation in decision.patch if isinstance(operation.get("value"), str)]
    assert all(value.isprintable() and len(value) <= 512 for value in written)
