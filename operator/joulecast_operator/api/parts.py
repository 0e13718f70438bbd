"""Types and fields that several custom resources share: names, labels, conditions, and validation rules in CEL.

The docstrings of the classes and the descriptions of their fields become the descriptions in the CRDs, which
`kubectl explain` shows.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from joulecast.energy.profile import PRODUCT
from joulecast_operator.api.bounds import CLAUSE_CHARACTERS, NAME_CHARACTERS, TEXT_CHARACTERS

OBJECT_NAME_CHARACTERS: Final = 253  # RFC 1123 subdomain, the longest name of a Kubernetes object
_MESSAGE_CHARACTERS: Final = 32768  # as metav1.Condition

Name = Annotated[str, Field(min_length=1, max_length=OBJECT_NAME_CHARACTERS)]
Label = Annotated[str, Field(max_length=63)]
Accelerator = Annotated[str, Field(min_length=PRODUCT.shortest, max_length=PRODUCT.longest)]

StatusText = Annotated[str, Field(max_length=TEXT_CHARACTERS)]
"""A text in a status; the controller cuts longer ones."""

StatusName = Annotated[str, Field(max_length=NAME_CHARACTERS)]
"""The name of a layer or an operator in a status; the controller cuts longer ones."""

StatusClause = Annotated[str, Field(max_length=CLAUSE_CHARACTERS)]
"""A clause in a status, such as a reason of an interval; the controller cuts longer ones."""

Runtime = Literal["torch-eager", "torch-cudagraph", "onnxruntime-cuda"]
"""The runtimes that profiles of accelerators are made for."""

ServingRuntime = Literal["torch-eager", "torch-cudagraph", "onnxruntime-cuda", "vllm", "sglang"]
"""The runtimes of forecasts: those, and inference engines of language models."""

SET: Final[dict[str, Any]] = {"x-kubernetes-list-type": "set"}
"""Makes the API server refuse a list that holds a value twice."""


class Part(BaseModel):
    """Base class of all parts of the resources. JSON has the fields in camelCase, and unknown fields are ignored."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, allow_inf_nan=False)


def rules(*pairs: tuple[str, str]) -> dict[str, Any]:
    """Return CEL rules with their messages, for ``json_schema_extra``."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in pairs]}


class NodeSelector(Part):
    """Selects nodes by their labels."""

    match_labels: dict[Annotated[str, Field(max_length=317)], Label] = Field(
        min_length=1, max_length=16, description="Labels that a node must carry, all of them, each with its value."
    )


class SecretReference(Part):
    """Refers to a Secret of type kubernetes.io/dockerconfigjson in the same namespace."""

    name: Name = Field(description="Name of the Secret.")


class SecretKeys(Part):
    """Refers to a Secret in the same namespace that holds credentials by key."""

    name: Name = Field(description="Name of the Secret.")


class Condition(Part):
    """One aspect of the object's current state, in the form of metav1.Condition."""

    type: str = Field(max_length=316, description="Which aspect the condition is about, in CamelCase.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether the condition holds.")
    observed_generation: int | None = Field(
        None,
        ge=0,
        description="The metadata.generation that the condition was computed for; it is out of date when they differ.",
        json_schema_extra={"format": "int64"},
    )
    last_transition_time: str = Field(
        description="When the condition's status last changed.", json_schema_extra={"format": "date-time"}
    )
    reason: str = Field(
        min_length=1,
        max_length=1024,
        pattern="^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        description="Why the condition has this status, as one word in CamelCase for programs.",
    )
    message: str = Field(
        max_length=_MESSAGE_CHARACTERS, description="Why the condition has this status and what to do, for people."
    )


ObservedGeneration = Annotated[
    int | None,
    Field(
        description="The metadata.generation that this status was computed for.",
        json_schema_extra={"format": "int64"},
    ),
]
"""The generation of the object that a status is about."""

Conditions = Annotated[
    list[Condition],
    Field(max_length=8, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
]
