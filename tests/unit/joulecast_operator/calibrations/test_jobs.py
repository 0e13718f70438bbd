"""Test the objects that are created for a run."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from joulecast_calibration.measure.plan.configuration import PRECISIONS, RUNTIMES, SLICES
from joulecast_operator.api import calibrations
from joulecast_operator.api.calibrations import CalibrationSpec
from joulecast_operator.calibrations import jobs
from joulecast_operator.calibrations.jobs import CalibrationRun, account, job, profile_name, spec_hash
from joulecast_operator.calibrations.nodes import Target
from joulecast_operator.calibrations.pod import _parser
from tests.unit.joulecast_operator.samples.calibrations import L40S, calibration


def run(*, against: str | None = None, labels: dict[str, str] | None = None, **spec: Any) -> CalibrationRun:
    body = {"accelerator": L40S} | spec
    return CalibrationRun(
        calibration=calibration(**body),
        spec=CalibrationSpec.model_validate(body),
        number=3,
        target=Target(product=L40S, labels=labels or {}),
        image="registry.example/torch:1",
        arguments=("--device", "0"),
        against=against,
    )


def pod(made: CalibrationRun) -> dict[str, Any]:
    found: dict[str, Any] = job(made)["spec"]["template"]["spec"]
    return found


def command(made: CalibrationRun) -> list[str]:
    words = pod(made)["containers"][0]["args"]
    after: list[str] = words[words.index("--") + 1 :]
    return after


def test_one_gpu_and_one_pod_at_a_time_which_a_node_that_goes_does_not_fail() -> None:
    spec = job(run())["spec"]
    assert (spec["parallelism"], spec["completions"], spec["podReplacementPolicy"]) == (1, 1, "Failed")
    ignore, fail = spec["podFailurePolicy"]["rules"]
    assert (ignore["action"], ignore["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    assert (fail["action"], fail["onExitCodes"]["values"]) == ("FailJob", [2])
    assert fail["onExitCodes"]["containerName"] == pod(run())["containers"][0]["name"]
    assert pod(run())["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    assert pod(run())["restartPolicy"] == "Never"


def test_a_pod_has_its_budget_and_half_an_hour() -> None:
    assert pod(run())["activeDeadlineSeconds"] == (25 + 30) * 60
    assert pod(run(budget="2h"))["activeDeadlineSeconds"] == 150 * 60
    assert "activeDeadlineSeconds" not in job(run())["spec"], "waiting for a GPU fails nobody"


def test_the_account_may_patch_its_own_result() -> None:
    made = {kind.kind: body for kind, body in account(run())}
    (rule,) = made["Role"]["rules"]
    assert rule == {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "resourceNames": ["l40s-calibration"],
        "verbs": ["patch"],
    }
    assert made["RoleBinding"]["roleRef"]["name"] == made["Role"]["metadata"]["name"]
    assert made["RoleBinding"]["subjects"][0]["name"] == pod(run())["serviceAccountName"]
    assert made["ConfigMap"]["data"] == {"run": "3"}
    assert pod(run())["automountServiceAccountToken"] is False


def test_all_of_it_goes_with_the_calibration() -> None:
    for made in (job(run()), *(body for _, body in account(run()))):
        (owner,) = made["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"], owner["blockOwnerDeletion"]) == ("EnergyCalibration", "uid-of-l40s", False)


def test_the_pod_is_confined_as_the_restricted_standard_asks() -> None:
    found = pod(run())
    (container,) = found["containers"]
    assert found["securityContext"]["runAsNonRoot"] is True
    assert found["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {volume for each in found["volumes"] for volume in each} - {"name"} <= {"emptyDir", "projected", "configMap"}


def test_it_runs_on_whole_cards_of_the_product_alone() -> None:
    found = pod(run(labels={"pool": "lab"}))
    assert found["nodeSelector"] == {"pool": "lab"}
    (term,) = found["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    product, sharing = term["matchExpressions"]
    assert (product["operator"], product["values"]) == ("In", [L40S])
    assert (sharing["operator"], sharing["values"]) == ("NotIn", ["time-slicing", "mps"])


def test_rows_lie_on_the_claim_in_a_folder_of_the_run() -> None:
    found = pod(run(storage={"claimName": "rows"}))
    assert {"name": "rows", "persistentVolumeClaim": {"claimName": "rows"}} in found["volumes"]
    assert command(run())[:4] == ["joulecast", "calibrate", "--folder", "/calibration/l40s-uid-of-l/3/rows"]


def test_what_is_asked_reaches_the_command() -> None:
    assert command(run())[4:] == ["--device", "0"]
    chosen = run(budget="1h", slices=["layers", "bf16"], runtime="torch-cudagraph", precision="bf16")
    words = ["--budget", "1h", "--runtime", "torch-cudagraph", "--precision", "bf16", "--slice", "layers"]
    assert command(chosen)[4:] == [*words, "--slice", "bf16", "--device", "0"]
    assert "--quick" in command(run(quick=True))


def test_the_pod_understands_its_arguments() -> None:
    words = pod(run(against="{}"))["containers"][0]["args"]
    given = _parser().parse_args(words)
    assert (given.config_map, given.namespace, given.run) == ("l40s-calibration", "lab", "3")
    mounts = {mount["mountPath"] for mount in pod(run(against="{}"))["containers"][0]["volumeMounts"]}
    assert str(given.against.parent) in mounts
    assert str(given.credentials) in mounts
    assert given.command[0] == "joulecast"


def test_the_profile_in_use_is_mounted_where_there_is_one() -> None:
    assert "input" not in [volume["name"] for volume in pod(run())["volumes"]]
    (volume,) = [each for each in pod(run(against="{}"))["volumes"] if each["name"] == "input"]
    assert volume["configMap"] == {
        "name": "l40s-calibration",
        "items": [{"key": "against.json", "path": "against.json"}],
    }


def test_kueue_starts_what_has_a_queue() -> None:
    assert job(run())["spec"]["suspend"] is False
    queued = job(run(queueName="gpus"))
    assert queued["spec"]["suspend"] is True
    assert queued["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"


def test_what_a_run_is_asked_does_not_hang_on_when() -> None:
    assert spec_hash(run().spec) == spec_hash(run(suspend=True, schedule="0 3 * * *").spec)
    assert spec_hash(run().spec) != spec_hash(run(budget="30m").spec)
    assert spec_hash(run().spec) == spec_hash(run(runtime="torch-eager", quick=False, slices=[]).spec), (
        "as the server defaults it"
    )


def test_where_a_run_is_decides_its_job_and_not_what_is_measured() -> None:
    placed = run(queueName="q", priorityClassName="low", tolerations=[{"key": "a"}], storage={"claimName": "rows"})
    assert spec_hash(run().spec) == spec_hash(placed.spec)
    assert jobs.placement_hash(run().spec) == jobs.placement_hash(run(budget="1h").spec)
    assert jobs.placement_hash(run().spec) != jobs.placement_hash(placed.spec)
    fields = set(CalibrationSpec.model_fields)
    assert fields >= jobs._WHEN | jobs._PLACEMENT, "of the spec, each"


def test_a_tainted_gpu_node_takes_it_and_others_by_the_spec() -> None:
    gpus = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    assert pod(run())["tolerations"] == [gpus]
    lab = {"key": "lab", "operator": "Equal", "value": "yes", "effect": "NoExecute"}
    assert pod(run(tolerations=[lab]))["tolerations"] == [gpus, lab]


@pytest.mark.parametrize(
    ("given", "requests", "limits"),
    [
        ({}, {"cpu": "2", "memory": "8Gi"}, {}),
        ({"requests": {"cpu": 4}}, {"cpu": 4, "memory": "8Gi"}, {}),
        ({"limits": {"memory": "4Gi"}}, {"cpu": "2"}, {"memory": "4Gi"}),
        (
            {"requests": {"ephemeral-storage": "1Gi"}, "limits": {"cpu": "1", "memory": "6Gi"}},
            {"ephemeral-storage": "1Gi"},
            {"cpu": "1", "memory": "6Gi"},
        ),
    ],
)
def test_cpu_and_memory_may_be_asked_for_beside_one_gpu(
    given: dict[str, Any], requests: dict[str, Any], limits: dict[str, Any]
) -> None:
    (container,) = pod(run(resources=given))["containers"]
    assert container["resources"] == {"requests": requests, "limits": {"nvidia.com/gpu": "1"} | limits}


def test_a_priority_and_pull_secrets_reach_the_pod() -> None:
    found = pod(run(priorityClassName="low", imagePullSecrets=[{"name": "registry"}]))
    assert (found["priorityClassName"], found["imagePullSecrets"]) == ("low", [{"name": "registry"}])
    assert "priorityClassName" not in pod(run())


@pytest.mark.parametrize(
    ("product", "name"),
    [
        (L40S, "calibrated-nvidia-l40s-torch-eager"),
        ("NVIDIA_A (x)", "calibrated-nvidia-a--x--torch-eager"),
        ("A.-é", "calibrated-a----torch-eager"),
    ],
)
def test_a_profile_is_named_after_its_product(product: str, name: str) -> None:
    assert profile_name(product, "torch-eager") == name


def test_what_can_be_asked_is_what_is_measured() -> None:
    assert set(get_args(calibrations.SuiteSlice)) == set(SLICES) - {"constants", "smoke"}  # which open every run
    assert set(get_args(calibrations.CalibrationRuntime)) <= set(RUNTIMES)
    assert set(get_args(calibrations.CalibrationPrecision)) == set(PRECISIONS)


def test_names_fit_their_labels() -> None:
    longest = calibration("n" * calibrations.NAME_CHARACTERS)
    assert len(jobs.job_name(longest, 10**9)) <= 63
