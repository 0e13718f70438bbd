"""The custom resource InferenceEnergyEstimate of joulecast.dev/v1alpha1: validation, documentation and CRD in one.

Everything in a spec is bounded: the API server prices a CEL rule by the largest object that a schema admits.
Spec numbers are integers; status numbers are finite and rounded to six significant digits.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from joulecast.energy.model import Origin
from joulecast_operator.api.bounds import LISTED
from joulecast_operator.api.parts import (
    SET,
    Accelerator,
    Conditions,
    Name,
    NodeSelector,
    Part,
    Runtime,
    SecretReference,
    StatusName,
    StatusText,
    rules,
)

MAXIMUM_RESULTS: Final = 20  # a status that is read at admission must stay small
MAXIMUM_TOP_LAYERS: Final = 20
MAXIMUM_NAMED_ACCELERATORS: Final = 10
BATCH: Final = "batch"
"""Stands for the batch size in an input shape; the N of the command line is a boolean in YAML."""

_IMAGE_CHARACTERS: Final = (
    512  # registry host 255 + repository 255, then a tag or digest; longer references do not occur
)
_PATH_CHARACTERS: Final = 512
_UNIT_SECONDS: Final = {"h": 3600, "m": 60, "s": 1}
_TENSOR_CHARACTERS: Final = 128
_DIMENSION: Final = 2**31 - 1  # onnxruntime and torch index dimensions with 64 bits, kernels with 32

ShapeDimension = Annotated[
    int | str,
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "minimum": 0,
            "maximum": _DIMENSION,
            "pattern": f"^{BATCH}$",
            "maxLength": len(BATCH),
        }
    ),
]
InputValue = Annotated[
    int | str,
    WithJsonSchema({"x-kubernetes-int-or-string": True, "pattern": "^[-+.,0-9A-Za-z \\[\\]]+$", "maxLength": 1024}),
]

TensorName = Annotated[str, Field(max_length=_TENSOR_CHARACTERS)]
Precision = Literal["default", "fp32", "tf32", "bf16", "fp16"]


class ModelImage(Part):
    """A model inside an image of an OCI registry."""

    image: str = Field(
        min_length=1,
        max_length=_IMAGE_CHARACTERS,
        description="Image that holds the model: REGISTRY/REPOSITORY:TAG or …@sha256:….",
    )
    path: str | None = Field(
        None,
        min_length=1,
        max_length=_PATH_CHARACTERS,
        description="The model's path inside the image; found by itself when left out.",
    )
    format: Literal["onnx"] | None = Field(None, description="The model's format; told from its bytes when left out.")


class TargetReference(Part):
    """A workload of the same namespace whose image holds the model."""

    api_version: Literal["apps/v1"] = "apps/v1"
    kind: Literal["Deployment"] = "Deployment"
    name: Name


class WorkloadSpec(Part):
    """What is asked of the model."""

    batch_sizes: list[Annotated[int, Field(ge=1, le=65536)]] | None = Field(
        None,
        min_length=1,
        max_length=8,
        description="Batch sizes to forecast, each once; when left out the one that inputShapes holds or the model"
        " fixes, else 1.",
        json_schema_extra=SET,
    )
    input_shapes: dict[TensorName, Annotated[list[ShapeDimension], Field(max_length=16)]] = Field(
        default_factory=dict,
        max_length=32,
        description=f"Full shape of an input by its name, outermost dimension first; {BATCH} is the batch size.",
    )
    input_values: dict[TensorName, InputValue] = Field(
        default_factory=dict,
        max_length=32,
        description="Content of an input that steers shapes or branches, by its name: "
        '16000 a scalar, "1,2,3" a list, "5," a list of one, "[[1,2],[3,4]]" nested ones.',
    )
    precision: Precision = Field(
        default="default", description="What the arithmetic runs in; default is what torch does unasked."
    )


class Accelerators(Part):
    """Which accelerators to forecast for."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("has(self.names) != has(self.nodeSelector)", "give exactly one of names and nodeSelector")
        )
    )

    names: list[Accelerator] | None = Field(
        None,
        min_length=1,
        max_length=MAXIMUM_NAMED_ACCELERATORS,
        description="Product names as in the node label nvidia.com/gpu.product.",
        json_schema_extra=SET,
    )
    node_selector: NodeSelector | None = Field(None, description="The products of the nodes that carry these labels.")


_RESULTS_RULE: Final = (
    "!has(self.accelerators) || !has(self.accelerators.names) || !has(self.workload.batchSizes) || "
    f"self.accelerators.names.size() * self.workload.batchSizes.size() <= {MAXIMUM_RESULTS}"
)


class EstimateSpec(Part):
    """What to forecast."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("has(self.model) != has(self.targetRef)", "give exactly one of model and targetRef"),
            (
                _RESULTS_RULE,
                f"accelerators × batch sizes may be at most {MAXIMUM_RESULTS}",
            ),
        )
    )

    model: ModelImage | None = None
    target_ref: TargetReference | None = None
    workload: WorkloadSpec = Field(
        default_factory=lambda: WorkloadSpec(batch_sizes=None), json_schema_extra={"default": {}}
    )
    accelerators: Accelerators | None = Field(
        None, description="Accelerators by name or by node; those of all nodes of the cluster when left out."
    )
    runtime: Runtime = Field("torch-eager", description="What executes the model.")
    resolve_interval: str = Field(
        "15m",
        min_length=2,
        max_length=16,
        pattern="^([0-9]+(h|m|s))+$",
        description="How often a tag is looked up again; at least 1m.",
        json_schema_extra=rules(("duration(self) >= duration('1m')", "must be 1m or longer")),
    )
    suspend: bool = Field(False, description="While true nothing is fetched or forecast; what is there stays.")
    image_pull_secrets: list[SecretReference] = Field(
        default_factory=list,
        max_length=10,
        description="Secrets of this namespace to pull the image with; its admin must allow joulecast to read them.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )


class Result(Part):
    """A forecast for one accelerator, precision and batch size."""

    accelerator: Accelerator
    runtime: StatusText
    precision: StatusText
    batch_size: int
    joules_per_batch: float = Field(description="Energy of one batch, in joules.")
    joules_per_batch_lower: float = Field(description="Lower end of the interval, in joules.")
    joules_per_batch_upper: float = Field(description="Upper end of the interval, in joules.")
    interval_level: float = Field(description="Probability that the interval holds the true value.")
    latency_seconds: float
    average_power_watts: float
    coverage: float = Field(description="Share of the model's FLOPs that a calibrated model priced, 0 to 1.")
    origin: Origin


class EstimateSummary(Part):
    """The first result as text, for columns and people."""

    model: StatusText
    accelerator: StatusText
    batch_size: StatusText
    joules: StatusText
    interval: StatusText
    coverage: StatusText
    origin: StatusText


class TopLayer(Part):
    """One of the rows that cost most in the summary's forecast."""

    name: StatusName
    op_type: StatusName
    joules: float
    share: float = Field(description="Share of the forecast's joules, 0 to 1.")


class ModelTotals(Part):
    """The model's size at the summary's batch size."""

    macs: int = Field(json_schema_extra={"format": "int64"})
    params: int = Field(json_schema_extra={"format": "int64"})
    activations: int = Field(json_schema_extra={"format": "int64"})
    bytes_moved: int = Field(json_schema_extra={"format": "int64"})


class EstimateStatus(Part):
    """What was forecast, and how it stands."""

    observed_generation: int | None = Field(None, json_schema_extra={"format": "int64"})
    image: StatusText | None = Field(None, description="The image reference that was resolved.")
    model_digest: StatusText | None = Field(None, description="Digest of the platform's manifest.")
    model_path: StatusText | None = Field(None, description="The model's path inside the image.")
    verification: Literal["Full", "Manifest"] | None = Field(
        None, description="How far the model's bytes were checked against the image's digests."
    )
    estimated_at: str | None = Field(None, json_schema_extra={"format": "date-time"})
    inputs_hash: StatusText | None = Field(None, description="Hash of everything that decided the results.")
    totals: ModelTotals | None = None
    results: list[Result] | None = Field(
        None,
        max_length=MAXIMUM_RESULTS,
        # written whole, by one manager: as a map by its keys, each row would have a second copy in managedFields
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    unsupported_operators: list[StatusName] | None = Field(None, max_length=LISTED)
    summary: EstimateSummary | None = None
    top_layers: list[TopLayer] | None = Field(None, max_length=MAXIMUM_TOP_LAYERS)
    conditions: Conditions | None = None


class InferenceEnergyEstimate(Part):
    """A forecast of the energy that one batch of a model costs on an accelerator."""

    spec: EstimateSpec
    status: EstimateStatus | None = None


def seconds_of(duration: str) -> float:
    """Convert a duration such as 1h30m into seconds."""
    return float(sum(int(number) * _UNIT_SECONDS[unit] for number, unit in re.findall(r"(\d+)([hms])", duration)))
