"""Settings of both processes: each is a flag and an environment variable `JOULECAST_…`; the flag takes precedence."""

from __future__ import annotations

import argparse
import ipaddress
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from joulecast.sources.registries.object_access import DEFAULT_REGION
from joulecast_operator.calibrations.allowed import Allowed, AllowedSetting

PREFIX: Final = "JOULECAST_"
NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

MIB: Final = 2**20

_NAMESPACE_NAME: Final = re.compile("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")  # RFC 1123, as the API server requires

Words = Annotated[
    tuple[str, ...],
    BeforeValidator(
        lambda text: tuple(word.strip() for word in text.split(",") if word.strip()) if isinstance(text, str) else text
    ),
]
"""Several words; on the command line they are separated by commas."""


def _networks(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(ipaddress.ip_network(word)) for word in words)


Networks = Annotated[Words, AfterValidator(_networks)]
"""Address ranges, which are checked when the process starts and not only at the first fetch."""


def _namespaces(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        if not _NAMESPACE_NAME.fullmatch(word):
            raise ValueError(f"{word!r} is not the name of a namespace: lower-case letters, digits and hyphens")
    return tuple(dict.fromkeys(words))


Namespaces = Annotated[Words, AfterValidator(_namespaces)]
"""Names of namespaces, each once."""


def _own_namespace() -> str:
    return NAMESPACE_FILE.read_text().strip() if NAMESPACE_FILE.exists() else "default"


class Settings(BaseModel):
    """The settings of a process; the description of each field is the help of its flag."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    log_level: str = Field(
        "info", pattern="^(?i:debug|info|warning|error)$", description="debug, info, warning or error"
    )
    namespace: str = Field(
        default_factory=_own_namespace,
        description="joulecast's own namespace, where the ConfigMaps of profiles and sites lie",
    )
    namespaces: Namespaces = Field((), description="namespaces to watch; all when empty")
    status_only: bool = Field(
        False, description="whether forecasts go into statuses and metrics alone, and workloads are not annotated"
    )
    profile_status: bool = Field(
        True,
        description="whether the status of AcceleratorEnergyProfiles and EnergySites is written; by one controller of"
        " a cluster",
    )
    deployment: str = Field(
        "",
        description="name of the controller's own Deployment, whose annotation rest-until stops writes of annotations",
    )
    metrics_all_results: bool = Field(
        False, description="serve every result of each estimate, not only the one that its summary names"
    )
    metrics_workloads: bool = Field(
        True, description="serve the pods, joules and watts of each workload that has a forecast: three series of each"
    )
    health_port: int = Field(8081, ge=0, le=65535, description="port of /healthz and /readyz, in plain HTTP")
    metrics_port: int = Field(
        8443, ge=0, le=65535, description="port of /metrics, over TLS and for accounts that may get that URL"
    )
    metrics_insecure: bool = Field(False, description="whether /metrics is served over plain HTTP and to everybody")
    metrics_certfile: str = Field("", description="certificate of /metrics; a self-signed one is made when empty")
    metrics_keyfile: str = Field("", description="private key of that certificate")

    webhook_host: str = Field("0.0.0.0", description="address that the webhook listens on")  # noqa: S104  # a pod's own address
    webhook_port: int = Field(9443, ge=0, le=65535, description="port that the webhook listens on")
    webhook_certfile: str = Field("/etc/joulecast/tls/tls.crt", description="the webhook's certificate")
    webhook_keyfile: str = Field("/etc/joulecast/tls/tls.key", description="the webhook's private key")
    webhook_client_ca_file: str = Field(
        "",
        description="PEM file of the authority that signs the API server's client certificate; if given, other clients"
        " are refused",
    )
    webhook_client_names: Words = Field(
        (), description="common names that the API server's client certificate may have; any when empty"
    )

    webhook_await_certificate: bool = Field(
        False, description="whether the webhook waits for files of its certificate that do not exist yet"
    )
    webhook_secret: str = Field(
        "",
        description="Secret in joulecast's own namespace in which the controller keeps the webhook's certificate and"
        " the authority that signs it; it makes none when empty",
    )
    webhook_configuration: str = Field(
        "", description="MutatingWebhookConfiguration in which the controller keeps the caBundle of that authority"
    )
    webhook_names: Words = Field((), description="DNS names of the webhook's Service, for that certificate")
    webhook_certificate_days: float = Field(90, gt=0, description="days that the webhook's certificate is valid")
    webhook_authority_days: float = Field(365, gt=0, description="days that the authority is valid which signs it")
    webhook_check_seconds: float = Field(
        60, gt=0, description="seconds between two looks of the controller at the webhook's certificate"
    )
    webhook_settle_seconds: float = Field(
        30, ge=0, description="seconds after which every API server knows a changed caBundle"
    )
    webhook_deployment: str = Field(
        "", description="the webhook's Deployment, on which the controller posts events about its certificate"
    )
    webhook_public_certfile: str = Field(
        "",
        description="file with the webhook's certificate, if the controller does not make it, to warn before it ends",
    )

    site_poll_seconds: float = Field(
        10, gt=0, description="seconds between two looks at the ConfigMap of an EnergySite"
    )

    calibration: bool = Field(True, description="whether EnergyCalibrations are reconciled")
    calibration_namespaces: Words = Field(
        (), description="namespaces whose EnergyCalibrations are reconciled; joulecast's own when empty"
    )
    calibration_image: str = Field(
        "", description="image with joulecast and torch that measures, for calibrations that name none"
    )
    calibration_allowed: AllowedSetting = Field(
        Allowed(), description="what calibrations may name, as JSON like the chart's calibration.allowed"
    )
    calibration_arguments: Words = Field((), description="further arguments of `joulecast calibrate`")
    calibration_poll_seconds: float = Field(
        10, gt=0, description="seconds between two looks at the Job of a calibration"
    )

    cache_dir: Path = Field(
        default_factory=lambda: Path(tempfile.gettempdir()) / "joulecast",
        description="folder of the cache of skeletons and profiles",
    )
    cache_bytes: int = Field(512 * MIB, ge=0, description="bytes that the cache may hold")

    fetchers: int = Field(4, ge=1, le=64, description="models fetched at a time")
    profilers: int = Field(2, ge=1, le=64, description="models profiled at a time")
    reconcilers: int = Field(32, ge=1, le=256, description="objects reconciled at a time")
    api_requests: int = Field(16, ge=1, le=256, description="API requests under way at a time")
    fetches_per_namespace: int = Field(
        0, ge=0, le=64, description="models fetched at a time for one namespace; half of the fetchers when 0"
    )
    fetches_per_registry: int = Field(
        0, ge=0, le=64, description="models fetched at a time from one registry; three quarters of the fetchers when 0"
    )
    profiles_per_namespace: int = Field(
        0, ge=0, le=64, description="models profiled at a time for one namespace; half of the profilers when 0"
    )
    queued_jobs: int = Field(10_000, ge=1, description="jobs that may wait for a fetcher, and as many for a profiler")
    queued_jobs_per_namespace: int = Field(
        2_500, ge=1, description="jobs of one namespace that may wait for a fetcher, and as many for a profiler"
    )

    fetch_bytes: int = Field(512 * MIB, ge=1, description="most bytes to fetch for a model")
    fetch_seconds: float = Field(60, gt=0, description="most seconds to fetch a model")
    fetch_memory_bytes: int = Field(
        1024 * MIB, ge=64 * MIB, description="bytes of address space that one job of a fetcher may add"
    )
    profile_seconds: float = Field(60, gt=0, description="most seconds to profile a model")
    profile_memory_bytes: int = Field(
        2048 * MIB, ge=64 * MIB, description="bytes of address space that one job of a profiler may add"
    )

    resolves_per_second: float = Field(5, gt=0, description="most tags to look up again per second, over all estimates")
    sweep_seconds: float = Field(
        600, gt=0, description="seconds between two sweeps, each of which reconciles all objects"
    )
    kinds_seconds: float = Field(
        10.0, gt=0, description="how often the controller asks the API server which optional kinds it serves"
    )
    retry_seconds: float = Field(
        5, gt=0, description="seconds before the first retry after a transient failure; doubled each time up to 300"
    )

    insecure_registries: Words = Field((), description="HOST[:PORT] of registries that are read over plain HTTP")
    allowed_registries: Words = Field((), description="hosts that images may come from; any when empty")
    denied_registries: Words = Field((), description="hosts that images may not come from")
    permitted_hosts: Words = Field(
        (), description="hosts that may have denied addresses, such as a registry in the cluster"
    )
    denied_networks: Networks = Field(
        (),
        description="further address ranges that may not be connected to, beside those of this host, of cloud metadata"
        " and of the cluster",
    )
    hub_endpoint: str = Field(
        "",
        description="address of the hub that hf:// means, https://huggingface.co or a mirror; no hub is used when"
        " empty",
    )
    objects_endpoint: str = Field(
        "",
        description="address of the object store that s3:// means, such as https://s3.eu-central-1.amazonaws.com; none"
        " is used when empty",
    )
    objects_region: str = Field(
        DEFAULT_REGION, pattern="^[a-z0-9-]{1,32}$", description="region of that store, as signatures name it"
    )
    registry_ca_file: str = Field(
        "", description="PEM file of further certificate authorities of registries, beside the system's"
    )
    trial_name: str = Field(
        "joulecast-trial",
        description="name of the estimate that the command trial makes, and of the ConfigMap with the configuration of"
        " its model",
    )
    trial_namespace: str = Field("", description="namespace of both; when empty the one that joulecast runs in")
    trial_seconds: float = Field(240, gt=0, description="most seconds that the command trial waits for the forecast")

    platform: str = Field("linux/amd64", description="platform to choose from a multi-platform image")


def load(arguments: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Load settings from flags and the environment. Ends the program with a message if a value is invalid."""
    parser = _parser()
    given = {name: value for name, value in vars(parser.parse_args(list(arguments))).items() if value is not None}
    named = {name: environ[PREFIX + name.upper()] for name in Settings.model_fields if PREFIX + name.upper() in environ}
    try:
        return Settings.model_validate(named | given)
    except ValidationError as error:
        problem = error.errors()[0]
        parser.error(f"--{_flag(str(problem['loc'][0]))} {problem['input']!r}: {problem['msg']}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m joulecast_operator COMMAND", description=__doc__)
    for name, field in Settings.model_fields.items():
        parser.add_argument(
            f"--{_flag(name)}", metavar=_metavar(field.annotation), help=f"{field.description} ({PREFIX}{name.upper()})"
        )
    return parser


def _flag(name: str) -> str:
    return name.replace("_", "-")


def _metavar(annotation: Any) -> str:
    return "A,B,…" if get_origin(annotation) is tuple else getattr(annotation, "__name__", "VALUE").upper()
