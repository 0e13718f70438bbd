"""Make workloads of custom kinds as their users write them."""

from __future__ import annotations

from typing import Any

from joulecast_operator.api.conditions import Wrong
from joulecast_operator.api.kinds import CUSTOM
from joulecast_operator.estimates.targets import FoundModel, model_of_workload
from joulecast_operator.index import slim

GPU = "nvidia.com/gpu"
LABEL = "nvidia.com/gpu.product"
HUB = "hf://Qwen/Qwen2.5-0.5B-Instruct"
SERVE_CONFIG = """\
applications:
- name: llms
  import_path: ray.serve.llm:build_openai_app
  route_prefix: /
  args:
    llm_configs:
    - model_loading_config:
        model_id: small
        model_source: Qwen/Qwen2.5-0.5B-Instruct
      accelerator_type: L4
      deployment_config: {autoscaling_config: {min_replicas: 1, max_replicas: 2}}
      engine_kwargs: {tensor_parallel_size: 2, max_num_seqs: 64, enforce_eager: true}
"""


def custom(kind: str, spec: dict[str, Any], name: str = "chat", **metadata: Any) -> dict[str, Any]:
    """Return an object of a custom kind."""
    of_object = {"name": name, "namespace": "shop", "uid": f"uid-{kind}", "resourceVersion": "1"} | metadata
    return {"apiVersion": CUSTOM[kind].api_version, "kind": kind, "metadata": of_object, "spec": spec}


def asking(number: int = 1) -> dict[str, Any]:
    """Return the resources of a container that asks for GPUs."""
    return {"limits": {GPU: str(number)}}


def on(product: str) -> dict[str, Any]:
    """Return the node selector of a product."""
    return {LABEL: product}


def inference_service(**model: Any) -> dict[str, Any]:
    """Return an InferenceService that a ServingRuntime for Hugging Face's models serves."""
    given = {"modelFormat": {"name": "huggingface"}, "storageUri": HUB, "resources": asking()} | model
    predictor = {"minReplicas": 2, "nodeSelector": on("NVIDIA-L4"), "model": given}
    return custom("InferenceService", {"predictor": predictor})


def llm_inference_service(**spec: Any) -> dict[str, Any]:
    """Return an LLMInferenceService that leaves the command to KServe's template."""
    more = {"name": "VLLM_ADDITIONAL_ARGS", "value": "--max-num-seqs 64"}
    container = {"name": "main", "env": [more], "resources": asking(2)}
    given = {
        "model": {"uri": HUB, "name": "chat"},
        "replicas": 3,
        "parallelism": {"tensor": 2},
        "template": {"nodeSelector": on("NVIDIA-L4"), "containers": [container]},
    }
    return custom("LLMInferenceService", given | spec)


def ray_service(configuration: str = SERVE_CONFIG, **spec: Any) -> dict[str, Any]:
    """Return a RayService with a head and two groups of workers, of which one has GPUs."""
    gpus = {"nodeSelector": on("NVIDIA-L4"), "containers": [{"name": "ray-worker", "resources": asking(2)}]}
    plain = {"containers": [{"name": "ray-worker"}]}
    cluster = {
        "headGroupSpec": {"rayStartParams": {}, "template": {"spec": {"containers": [{"name": "ray-head"}]}}},
        "workerGroupSpecs": [
            {"groupName": "gpu", "replicas": 2, "numOfHosts": 2, "rayStartParams": {}, "template": {"spec": gpus}},
            {"groupName": "cpu", "replicas": 5, "rayStartParams": {}, "template": {"spec": plain}},
        ],
    }
    return custom("RayService", {"serveConfigV2": configuration, "rayClusterConfig": cluster} | spec)


def leader_worker_set(**group: Any) -> dict[str, Any]:
    """Return a LeaderWorkerSet whose leaders serve a model on the cards of two pods."""
    command = ["sh", "-c", "ray start --head; vllm serve Qwen/Qwen2.5-0.5B-Instruct --tensor-parallel-size 2"]
    leader = {"containers": [{"name": "leader", "image": "vllm/vllm-openai:1", "command": command}]}
    worker = {"containers": [{"name": "worker", "image": "vllm/vllm-openai:1", "command": ["ray", "start"]}]}
    for pod in (leader, worker):
        pod["containers"][0]["resources"] = asking()
        pod["nodeSelector"] = on("NVIDIA-L4")  # type: ignore[assignment]
    template = {"size": 2, "leaderTemplate": {"spec": leader}, "workerTemplate": {"spec": worker}}
    return custom("LeaderWorkerSet", {"replicas": 3, "leaderWorkerTemplate": template | group})


def nim_service(**spec: Any) -> dict[str, Any]:
    """Return a NIMService whose image serves the model that a variable names."""
    given = {
        "image": {"repository": "nvcr.io/nim/nvidia/llm-nim", "tag": "1.15.0"},
        "authSecret": "ngc-api",
        "replicas": 2,
        "env": [{"name": "NIM_MODEL_NAME", "value": HUB}],
        "resources": asking(),
        "nodeSelector": on("NVIDIA-L4"),
    }
    return custom("NIMService", given | spec)


ALL = {
    "InferenceService": inference_service(),
    "LLMInferenceService": llm_inference_service(),
    "RayService": ray_service(),
    "LeaderWorkerSet": leader_worker_set(),
    "NIMService": nim_service(),
}
"""One of each kind, all with the same model."""

PODS = {"InferenceService": 2, "LLMInferenceService": 3, "RayService": 4, "LeaderWorkerSet": 6, "NIMService": 2}
"""The pods that each of ``ALL`` asks for."""

REPLICAS = {"InferenceService": 2, "LLMInferenceService": 3, "RayService": 1, "LeaderWorkerSet": 3, "NIMService": 2}
"""How many times each of ``ALL`` serves the model."""

PARALLEL = {"InferenceService": 1, "LLMInferenceService": 2, "RayService": 2, "LeaderWorkerSet": 2, "NIMService": 1}
"""The cards that share the model in each of ``ALL``."""


def kept(workload: dict[str, Any]) -> dict[str, Any]:
    """Return a workload as the index keeps it."""
    return dict(slim.workload(CUSTOM[workload["kind"]], workload))


def understood(workload: dict[str, Any], runtime: str | None = None) -> FoundModel:
    found = model_of_workload("chat", kept(workload), runtime)
    assert isinstance(found, FoundModel), found
    return found


def problem(workload: dict[str, Any]) -> Wrong:
    found = model_of_workload("chat", kept(workload))
    assert isinstance(found, Wrong), found
    return found
