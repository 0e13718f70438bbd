"""Parts that several custom resources are made of: names, labels, conditions, and rules in CEL."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from joulecast.energy.profile import PRODUCT
from joulecast_operator.api.bounds import NAME_CHARACTERS, TEXT_CHARACTERS

OBJECT_NAME_CHARACTERS: Final = 253  # RFC 1123 subdomain, the longest name of a Kubernetes object
_MESSAGE_CHARACTERS: Final = 32768  # as metav1.Condition

Name = Annotated[str, Field(min_length=1, max_length=OBJECT_NAME_CHARACTERS)]
Label = Annotated[str, Field(max_length=63)]
Accelerator = Annotated[str, Field(min_length=PRODUCT.shortest, max_length=PRODUCT.longest)]

StatusText = Annotated[str, Field(max_length=TEXT_CHARACTERS)]
"""A text of a status; the controller cuts what is longer."""

StatusName = Annotated[str, Field(max_length=NAME_CHARACTERS)]

Runtime = Literal["torch-eager", "torch-cudagraph", "onnxruntime-cuda"]

SET: Final[dict[str, Any]] = {"x-kubernetes-list-type": "set"}


class Part(BaseModel):
    """Common settings: camelCase on the wire, unknown fields ignored as the API server prunes them."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, allow_inf_nan=False)


def rules(*pairs: tuple[str, str]) -> dict[str, Any]:
    """Return CEL rules with their messages, for ``json_schema_extra``."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in pairs]}


class NodeSelector(Part):
    """Nodes by their labels."""

    match_labels: dict[Annotated[str, Field(max_length=317)], Label] = Field(min_length=1, max_length=16)


class SecretReference(Part):
    """A Secret of the same namespace, of type kubernetes.io/dockerconfigjson."""

    name: Name


class Condition(Part):
    """As metav1.Condition."""

    type: str = Field(max_length=316)
    status: Literal["True", "False", "Unknown"]
    observed_generation: int | None = Field(None, ge=0, json_schema_extra={"format": "int64"})
    last_transition_time: str = Field(json_schema_extra={"format": "date-time"})
    reason: str = Field(min_length=1, max_length=1024, pattern="^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
    message: str = Field(max_length=_MESSAGE_CHARACTERS)


Conditions = Annotated[
    list[Condition],
    Field(max_length=8, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
]
