"""Test what is understood of a LeaderWorkerSet."""

from __future__ import annotations

from joulecast_operator.index import slim
from joulecast_operator.workloads import discovery, placement
from joulecast_operator.workloads.pods import pod_spec
from tests.unit.joulecast_operator.samples import custom
from tests.unit.joulecast_operator.samples.custom import HUB, asking, kept, on, understood


def test_without_a_template_of_its_own_a_leader_is_like_its_workers() -> None:
    command = {"name": "all", "image": "vllm/vllm-openai:1", "args": ["--model=Qwen/Qwen2.5-0.5B-Instruct"]}
    worker = {"spec": {"nodeSelector": on("NVIDIA-H200"), "containers": [command | {"resources": asking(8)}]}}
    found = custom.leader_worker_set(leaderTemplate=None, workerTemplate=worker, size=4)
    assert understood(found).images == (HUB,)
    assert discovery.products(kept(found)) == ("NVIDIA-H200",)
    assert kept(found)[slim.PODS] == 12


def test_a_leader_without_gpus_is_placed_apart_from_the_cards() -> None:
    found = custom.leader_worker_set()
    leader = found["spec"]["leaderWorkerTemplate"]["leaderTemplate"]["spec"]
    leader["nodeSelector"] = {"pool": "cpu"}
    del leader["containers"][0]["resources"]
    assert understood(found).images == (HUB,)
    assert discovery.products(kept(found)) == ("NVIDIA-L4",)
    assert placement.devices(pod_spec(kept(found))) == {custom.GPU: 1}
