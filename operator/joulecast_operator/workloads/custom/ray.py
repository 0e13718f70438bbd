"""Read KubeRay's RayService, whose models stand in a text of YAML; pure.

Sources: kuberay/ray-operator/apis/ray/v1/{rayservice,raycluster}_types.go, and Ray's references of LLMConfig and of
Serve's deployments (num_replicas, autoscaling_config).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import yaml

from joulecast_operator.api.annotations import CONTAINER, annotations_of
from joulecast_operator.api.objects import Resource, mapping, mappings
from joulecast_operator.workloads import placement
from joulecast_operator.workloads.custom.reading import NOT_NAMED, CustomWorkload, count, text
from joulecast_operator.workloads.engines.commands import LONGEST_LINE

_MOST_CARDS: Final = 1_000_000  # of a bundle; more is nothing that a cluster has
_LOADER: Final = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_UNREADABLE: Final = f"serveConfigV2 is missing, longer than {LONGEST_LINE} characters, or no YAML without aliases"
_OWN_PROGRAM: Final = "serveConfigV2 has no application with args.llm_configs, so that it runs a program of its own"


def ray_service(service: Resource) -> CustomWorkload:
    """Return what a RayService asks for: its models as containers that serve them, and the pods of its GPU groups."""
    spec = mapping(service.get("spec"))
    configuration = _parsed(spec.get("serveConfigV2"))
    models = [] if configuration is None else list(_models(configuration))
    model = _chosen(models, annotations_of(service).get(CONTAINER, "").strip())
    groups = _groups(mapping(spec.get("rayClusterConfig")))
    pod = {**placement.either([pod for pod, _ in groups]), "containers": [*map(_served, models)]}
    said = _UNREADABLE if configuration is None else "" if models else _OWN_PROGRAM
    return CustomWorkload(
        pod=pod,
        pods=sum(number for _, number in groups),
        replicas=None if model is None else _replicas(model),
        cards=None if model is None else _bundled(model),
        accelerator_type="" if model is None else text(model, "accelerator_type"),
        problem=f"the RayService's {said}: {NOT_NAMED}" if said else "",
    )


def _groups(cluster: Resource) -> list[tuple[Resource, int]]:
    """Return the pods of the groups that ask for GPUs and their numbers; of all groups of workers if none does."""
    head = mapping(cluster.get("headGroupSpec"))
    workers = [(_pod(group), _pods_of_group(group)) for group in mappings(cluster.get("workerGroupSpecs"))]
    with_gpus = [(pod, number) for pod, number in ((_pod(head), 1), *workers) if placement.devices(pod)]
    return with_gpus or workers


def _pod(group: Resource) -> Resource:
    return mapping(mapping(group.get("template")).get("spec"))


def _pods_of_group(group: Resource) -> int:
    if group.get("suspend") is True:
        return 0
    replicas = count(group, "replicas", count(group, "minReplicas", 0))
    return replicas * max(count(group, "numOfHosts"), 1)


def _parsed(written: object) -> Resource | None:
    """Return a tenant's YAML document; None if it is malformed, too long, or has aliases, which may double its size."""
    if not isinstance(written, str) or len(written) > LONGEST_LINE:
        return None
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(written, _LOADER)):
            return None
        return mapping(yaml.load(written, _LOADER))  # noqa: S506  # a safe loader
    except (yaml.YAMLError, ValueError, RecursionError):
        return None


def _models(configuration: Resource) -> Iterator[Resource]:
    """Yield what a configuration says of each language model."""
    for application in mappings(configuration.get("applications")):
        yield from mappings(mapping(application.get("args")).get("llm_configs"))


def _chosen(models: Sequence[Resource], named: str) -> Resource | None:
    """Return the model whose requests name it ``named``, or the only one; None if that leaves several or none."""
    found = [each for each in models if text(each, "model_loading_config", "model_id") == named] if named else models
    return found[0] if len(found) == 1 else None


def _replicas(model: Resource) -> int | None:
    """Return how many times Ray serves a model, of an autoscaled one the least times; None if replicas share cards.

    Ray serves it once where nothing is said, and ``num_replicas: auto`` stands for an autoscaling from 1.
    """
    deployment = mapping(model.get("deployment_config"))
    scaled = deployment.get("autoscaling_config")
    if not all(share.is_integer() for share in _shares(model)):
        return None
    return count(mapping(scaled), "min_replicas") if scaled is not None else count(deployment, "num_replicas")


def _bundled(model: Resource) -> int | None:
    """Return the cards of the bundles that a model asks Ray for; None where its degrees decide."""
    return int(sum(_shares(model))) or None


def _shares(model: Resource) -> list[float]:
    """Return the cards of each bundle that a model asks Ray for; [] where its degrees decide."""
    bundles = mappings(mapping(model.get("placement_group_config")).get("bundles"))
    asked = [each.get("GPU", 0) for each in bundles]
    return [float(each) for each in asked if isinstance(each, (int, float)) and 0 < each <= _MOST_CARDS]


def _served(model: Resource) -> dict[str, Any]:
    """Return a container for a language model, named as its requests name it."""
    loading = mapping(model.get("model_loading_config"))
    source = loading.get("model_source")
    where = text(mapping(source), "bucket_uri") if isinstance(source, dict) else text(loading, "model_source")
    name = text(loading, "model_id")
    arguments = [where or name, *_arguments(mapping(model.get("engine_kwargs")))]
    return {"name": name, "command": ["vllm", "serve"], "args": arguments}


def _arguments(given: Resource) -> Iterator[str]:
    """Yield the arguments of vLLM's engine as options of its command line."""
    for name, value in given.items():
        option = f"--{str(name).replace('_', '-')}"
        if value is True:
            yield option
        elif isinstance(value, (str, int, float)) and value is not False:
            yield f"{option}={value}"
