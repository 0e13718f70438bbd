"""Define where the model of an estimate is: the fields ``spec.model`` and ``spec.targetRef``."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from joulecast_operator.api.kinds import TARGETS
from joulecast_operator.api.parts import Name, Part, SecretKeys, SecretReference, ServingRuntime, rules

_IMAGE_CHARACTERS: Final = 512  # registry host 255 + repository 255, then a tag or digest; none longer was seen
_PATH_CHARACTERS: Final = 512

GivenRuntime = Annotated[
    ServingRuntime | None,
    Field(
        description="The runtime that executes the model. When left out: the inference engine of the target, else vllm"
        " for a language model and torch-eager for any other."
    ),
]
ResolveInterval = Annotated[
    str,
    Field(
        min_length=2,
        max_length=16,
        pattern="^([0-9]+(h|m|s))+$",
        description="How often the image's tag, the hub's revision or the ConfigMap is looked up again, such as 15m or"
        " 1h30m; at least 1m.",
        json_schema_extra=rules(("duration(self) >= duration('1m')", "must be 1m or longer")),
    ),
]
ImagePullSecrets = Annotated[
    list[SecretReference],
    Field(
        max_length=10,
        description="Secrets of this namespace to pull the image with. An admin of the namespace must allow joulecast"
        " to read them.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    ),
]
SiteName = Annotated[
    Name | None,
    Field(
        description="Name of the EnergySite that says what energy costs and emits. When left out: the site that says it"
        " is the default, if there is one."
    ),
]
"""Fields of the spec of every object that asks about a model."""

ConfigMapKeyName = Annotated[str, Field(min_length=1, max_length=253, pattern="^[-._a-zA-Z0-9]+$")]


class ConfigMapKey(Part):
    """Refers to a model's config.json in a ConfigMap of the same namespace."""

    name: Name = Field(description="Name of the ConfigMap.")
    key: ConfigMapKeyName = Field("config.json", description="Key whose value is the text of the model's config.json.")


class ModelSource(Part):
    """Names a model: inside an image, at a hub or in an object store, or by its configuration alone."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "[has(self.image), has(self.uri), has(self.configMapRef)].filter(given, given).size() == 1",
                "give exactly one of image, uri and configMapRef",
            ),
            ("!has(self.secretRef) || has(self.uri)", "secretRef belongs to uri; an image takes imagePullSecrets"),
            ("!has(self.configMapRef) || !has(self.path)", "a configMapRef names one configuration: leave out path"),
        )
    )

    image: str | None = Field(
        None,
        min_length=1,
        max_length=_IMAGE_CHARACTERS,
        description="Image that holds the model: REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@sha256:DIGEST.",
    )
    uri: str | None = Field(
        None,
        min_length=6,
        max_length=_IMAGE_CHARACTERS,
        pattern="^(hf|s3|oci)://",
        description="Address of the model: hf://ORGANISATION/NAME[@REVISION] at the hub that joulecast's administrator"
        " set, s3://BUCKET/FOLDER in the object store that the administrator set, or oci://IMAGE.",
    )
    config_map_ref: ConfigMapKey | None = Field(
        None,
        description="The ConfigMap of this namespace that holds the model's config.json, which is enough for a language"
        " model. An admin of the namespace must allow joulecast to read it.",
    )
    path: str | None = Field(
        None,
        min_length=1,
        max_length=_PATH_CHARACTERS,
        description="The model's path inside the image or address; needed only if several models are there.",
    )
    format: Literal["onnx", "huggingface", "gguf"] | None = Field(
        None, description="The model's format; recognised by its content when left out."
    )
    secret_ref: SecretKeys | None = Field(
        None,
        description="The Secret of this namespace with the credentials for uri: the key token for a hub; accessKeyId,"
        " secretAccessKey and, of a session, sessionToken for an object store. An admin of the namespace must allow"
        " joulecast to read it.",
    )
    architecture: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        pattern="^[A-Za-z0-9_.-]+$",
        description="The model_type to read a language model's configuration as, such as llama, if joulecast does not"
        " know its own.",
    )


class TargetReference(Part):
    """Refers to a workload of the same namespace that runs the model."""

    api_version: str | None = Field(
        None,
        min_length=1,
        max_length=317,  # of a group, as DNS names are, and of a version, as labels are
        description="API version of the workload, such as apps/v1; the one that joulecast covers when left out.",
    )
    kind: Annotated[str, Field(min_length=1, max_length=63)] = Field(
        "Deployment",
        description=f"Kind of the workload: {', '.join(TARGETS)}. Of any other kind the condition Ready says that it"
        " is not covered.",
    )
    name: Name = Field(description="Name of the workload.")
