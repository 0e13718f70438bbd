"""Test which changes of an object concern other objects."""

from __future__ import annotations

from joulecast_operator.api.annotations import JOULES, MODEL, REST_UNTIL
from joulecast_operator.api.kinds import DEPLOYMENTS
from joulecast_operator.controllers import changes
from joulecast_operator.index import slim
from tests.unit.joulecast_operator.samples import custom
from tests.unit.joulecast_operator.samples.workloads import workload


def test_an_absent_object_has_nothing_to_compare() -> None:
    for read in (changes.labels, changes.devices, changes.taints, changes.inputs, changes.pods, changes.outputs):
        assert read(None) is None
    assert changes.rest(None) is None


def test_inputs_of_a_workload_change_with_its_model_its_uid_and_its_owner() -> None:
    plain = workload("Deployment")
    assert changes.inputs(plain) == changes.inputs(workload("Deployment", annotations={JOULES: "1"}))
    owned = workload("Deployment", ownerReferences=[{"controller": True, "kind": "Owner"}])
    for other in (workload("Deployment", image="o"), workload("Deployment", uid="u"), owned):
        assert changes.inputs(other) != changes.inputs(plain)
    assert changes.inputs(workload("Deployment", annotations={MODEL: "m"})) != changes.inputs(plain)


def test_pods_are_those_that_the_index_has_counted() -> None:
    scaled = workload("Deployment")
    scaled["spec"]["replicas"] = 3
    assert changes.pods(slim.workload(DEPLOYMENTS, scaled)) == (3, None, None)
    group = custom.ALL["LeaderWorkerSet"]
    assert changes.pods(custom.kept(group)) == (6, 3, 2)


def test_outputs_labels_devices_and_rest_are_read_from_their_places() -> None:
    assert changes.outputs(workload("Deployment", annotations={JOULES: "1", MODEL: "m"})) == {JOULES: "1"}
    node = {"metadata": {"labels": {"a": "b"}}, "status": {"allocatable": {"nvidia.com/gpu": "8"}}}
    assert (changes.labels(node), changes.devices(node)) == ({"a": "b"}, {"nvidia.com/gpu": "8"})
    assert changes.taints({"spec": {"taints": [{"key": "k"}]}}) == [{"key": "k"}]
    assert changes.rest({"metadata": {"annotations": {REST_UNTIL: "later"}}}) == "later"
