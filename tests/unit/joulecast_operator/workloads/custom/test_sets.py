"""Test what is understood of a LeaderWorkerSet."""

from __future__ import annotations

from typing import Any

import pytest

from joulecast_operator.workloads import discovery, placement
from joulecast_operator.workloads.pods import CARDS, PODS, REPLICAS, pod_spec
from tests.unit.joulecast_operator.samples import custom
from tests.unit.joulecast_operator.samples.custom import HUB, asking, kept, on, understood


def test_without_a_template_of_its_own_a_leader_is_like_its_workers() -> None:
    command = {"name": "all", "image": "vllm/vllm-openai:1", "args": ["--model=Qwen/Qwen2.5-0.5B-Instruct"]}
    worker = {"spec": {"nodeSelector": on("NVIDIA-H200"), "containers": [command | {"resources": asking(8)}]}}
    found = custom.leader_worker_set(leaderTemplate=None, workerTemplate=worker, size=4)
    assert understood(found).images == (HUB,)
    assert discovery.products(kept(found)) == ("NVIDIA-H200",)
    assert kept(found)[PODS] == 12


def group(words: list[str], worker: list[str] | None = None, *, gpus: int | None = 8, size: int = 2) -> dict[str, Any]:
    """Return a LeaderWorkerSet of two groups, whose leaders run ``words``, and whose workers run ``worker``."""

    def template(command: list[str]) -> dict[str, Any]:
        resources = {} if gpus is None else {"resources": asking(gpus)}
        return {"spec": {"containers": [{"name": "main", "image": "engine:1", "command": command, **resources}]}}

    leader = None if worker is None else template(words)
    spec = {"size": size, "leaderTemplate": leader, "workerTemplate": template(worker or words)}
    return kept(custom.custom("LeaderWorkerSet", {"replicas": 2, "leaderWorkerTemplate": spec}))


JOIN = ["--nnodes", "$(LWS_GROUP_SIZE)", "--node-rank", "$(LWS_WORKER_INDEX)"]
VLLM = ["vllm", "serve", "org/model"]
SGLANG = ["python3", "-m", "sglang.launch_server", "--model-path", "org/model"]
RAY = ["sh", "-c", "bash multi-node-serving.sh worker --ray_address=$(LWS_LEADER_ADDRESS)"]
SIXTEEN = ["--tensor-parallel-size", "8", "--pipeline_parallel_size", "2"]
LEADER = ["sh", "-c", f"bash multi-node-serving.sh leader; {' '.join(VLLM + SIXTEEN)}"]


@pytest.mark.parametrize(
    ("found", "replicas", "cards"),
    [
        (group(LEADER, RAY), 2, 16),
        (group(VLLM + SIXTEEN + JOIN, [*VLLM, *SIXTEEN, *JOIN, "--headless"]), 2, 16),
        (group([*SGLANG, "--tp", "2", "--dist-init-addr", "$(LWS_LEADER_ADDRESS):20000", *JOIN], gpus=1), 2, 2),
        (group([*SGLANG, "--tp", "16"]), 2, 16),
        (group([*VLLM, "--tensor-parallel-size=8"]), 4, 8),
        (group([*VLLM, "--tensor-parallel-size=8"], [*VLLM, "--tensor-parallel-size=8"], size=4), 8, 8),
        (group([*VLLM, "--data-parallel-size=4", "--data-parallel-address=$(LWS_LEADER_ADDRESS)"]), 2, 16),
        (group(VLLM, size=1, gpus=1), 2, 1),
        (group(VLLM, gpus=None), None, None),
        (group([*VLLM, "--tensor-parallel-size=$(GPUS)"]), None, None),
        (group(["my-server"], ["my-worker"], gpus=1), 2, 2),
    ],
)
def test_pods_of_a_group_share_a_model_or_serve_one_each(
    found: dict[str, Any], replicas: int | None, cards: int | None
) -> None:
    assert (found.get(REPLICAS), found.get(CARDS)) == (replicas, cards)


def test_a_leader_without_gpus_is_placed_apart_from_the_cards() -> None:
    found = custom.leader_worker_set()
    leader = found["spec"]["leaderWorkerTemplate"]["leaderTemplate"]["spec"]
    leader["nodeSelector"] = {"pool": "cpu"}
    del leader["containers"][0]["resources"]
    assert understood(found).images == (HUB,)
    assert discovery.products(kept(found)) == ("NVIDIA-L4",)
    assert placement.devices(pod_spec(kept(found))) == {custom.GPU: 1}
