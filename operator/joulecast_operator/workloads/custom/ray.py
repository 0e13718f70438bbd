"""Read KubeRay's RayService, whose models stand in a text of YAML; pure.

Sources: kuberay/ray-operator/apis/ray/v1/{rayservice,raycluster}_types.go, and Ray's reference of LLMConfig.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import yaml

from joulecast_operator.api.objects import Resource, mapping, mappings
from joulecast_operator.workloads import placement
from joulecast_operator.workloads.custom.reading import NOT_NAMED, CustomWorkload, count, text
from joulecast_operator.workloads.engines.commands import LONGEST_LINE

_LOADER: Final = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_UNREADABLE: Final = f"serveConfigV2 is missing, longer than {LONGEST_LINE} characters, or no YAML without aliases"
_OWN_PROGRAM: Final = "serveConfigV2 has no application with args.llm_configs, so that it runs a program of its own"


def ray_service(service: Resource) -> CustomWorkload:
    """Return what a RayService asks for: its models as containers that serve them, and the pods of its GPU groups."""
    spec = mapping(service.get("spec"))
    configuration = _parsed(spec.get("serveConfigV2"))
    served = [] if configuration is None else list(_served(configuration))
    groups = _groups(mapping(spec.get("rayClusterConfig")))
    pod = {**placement.either([pod for pod, _ in groups]), "containers": served}
    said = _UNREADABLE if configuration is None else "" if served else _OWN_PROGRAM
    problem = f"the RayService's {said}: {NOT_NAMED}" if said else ""
    return CustomWorkload(pod=pod, pods=sum(number for _, number in groups), problem=problem)


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


def _served(configuration: Resource) -> Iterator[dict[str, Any]]:
    """Yield a container for each language model of a configuration, named as its requests name it."""
    for application in mappings(configuration.get("applications")):
        for model in mappings(mapping(application.get("args")).get("llm_configs")):
            loading = mapping(model.get("model_loading_config"))
            source = loading.get("model_source")
            where = text(mapping(source), "bucket_uri") if isinstance(source, dict) else text(loading, "model_source")
            name = text(loading, "model_id")
            arguments = [where or name, *_arguments(mapping(model.get("engine_kwargs")))]
            yield {"name": name, "command": ["vllm", "serve"], "args": arguments}


def _arguments(given: Resource) -> Iterator[str]:
    """Yield the arguments of vLLM's engine as options of its command line."""
    for name, value in given.items():
        option = f"--{str(name).replace('_', '-')}"
        if value is True:
            yield option
        elif isinstance(value, (str, int, float)) and value is not False:
            yield f"{option}={value}"
