"""Define the custom resource InferenceEnergyEstimate of joulecast.dev/v1alpha1: its validation, documentation and CRD.

Everything in a spec is bounded, because the API server computes the cost of a CEL rule from the largest object that the
schema admits. Numbers in a spec are integers; those in a status are finite and rounded to six significant digits.
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
"""Stands for the batch size in an input shape. The N of the command line would be a boolean in YAML."""

_IMAGE_CHARACTERS: Final = 512  # registry host 255 + repository 255, then a tag or digest; none longer was seen
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
    """Names a model inside an image of an OCI registry."""

    image: str = Field(
        min_length=1,
        max_length=_IMAGE_CHARACTERS,
        description="Image that holds the model: REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@sha256:DIGEST.",
    )
    path: str | None = Field(
        None,
        min_length=1,
        max_length=_PATH_CHARACTERS,
        description="The model's path inside the image; needed only if the image holds several models.",
    )
    format: Literal["onnx"] | None = Field(
        None, description="The model's format; recognised by its content when left out."
    )


class TargetReference(Part):
    """Refers to a workload of the same namespace, one of whose images holds the model."""

    api_version: Literal["apps/v1"] = Field("apps/v1", description="API version of the workload.")
    kind: Literal["Deployment"] = Field("Deployment", description="Kind of the workload.")
    name: Name = Field(description="Name of the workload.")


class WorkloadSpec(Part):
    """How the model is run: batch sizes, shapes and content of its inputs, and precision."""

    batch_sizes: list[Annotated[int, Field(ge=1, le=65536)]] | None = Field(
        None,
        min_length=1,
        max_length=8,
        description="Batch sizes to forecast for. When left out: the one that inputShapes gives or the model fixes,"
        " else 1.",
        json_schema_extra=SET,
    )
    input_shapes: dict[TensorName, Annotated[list[ShapeDimension], Field(max_length=16)]] = Field(
        default_factory=dict,
        max_length=32,
        description="Full shape of each input whose dimensions the model leaves open, by the input's name, outermost"
        f" dimension first; {BATCH} stands for the batch size.",
    )
    input_values: dict[TensorName, InputValue] = Field(
        default_factory=dict,
        max_length=32,
        description="Content of each input on which shapes or branches of the model depend, by the input's name: "
        '16000 is a scalar, "1,2,3" a list, "5," a list of one number, "[[1,2],[3,4]]" nested lists.',
    )
    precision: Precision = Field(
        default="default",
        description="Number format that the arithmetic runs in; default is what torch uses unless told otherwise.",
    )


class Accelerators(Part):
    """The accelerators to forecast for: by name, or those of the nodes that carry certain labels."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("has(self.names) != has(self.nodeSelector)", "give exactly one of names and nodeSelector")
        )
    )

    names: list[Accelerator] | None = Field(
        None,
        min_length=1,
        max_length=MAXIMUM_NAMED_ACCELERATORS,
        description="Product names as in the node label nvidia.com/gpu.product. Give either this or nodeSelector.",
        json_schema_extra=SET,
    )
    node_selector: NodeSelector | None = Field(
        None, description="Forecast for the products of the nodes that carry these labels. Give either this or names."
    )


_RESULTS_RULE: Final = (
    "!has(self.accelerators) || !has(self.accelerators.names) || !has(self.workload.batchSizes) || "
    f"self.accelerators.names.size() * self.workload.batchSizes.size() <= {MAXIMUM_RESULTS}"
)


class EstimateSpec(Part):
    """What to forecast: a model, how it is run, and on which accelerators."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("has(self.model) != has(self.targetRef)", "give exactly one of model and targetRef"),
            (
                _RESULTS_RULE,
                f"accelerators × batch sizes may be at most {MAXIMUM_RESULTS}",
            ),
        )
    )

    model: ModelImage | None = Field(None, description="The image that holds the model. Give either this or targetRef.")
    target_ref: TargetReference | None = Field(
        None, description="The workload one of whose images holds the model. Give either this or model."
    )
    workload: WorkloadSpec = Field(
        default_factory=lambda: WorkloadSpec(batch_sizes=None),
        description="How the model is run: batch sizes, shapes and content of its inputs, and precision.",
        json_schema_extra={"default": {}},
    )
    accelerators: Accelerators | None = Field(
        None,
        description="The accelerators to forecast for, by name or by node; those of all nodes of the cluster when left"
        " out.",
    )
    runtime: Runtime = Field("torch-eager", description="The runtime that executes the model.")
    resolve_interval: str = Field(
        "15m",
        min_length=2,
        max_length=16,
        pattern="^([0-9]+(h|m|s))+$",
        description="How often the image's tag is looked up again, such as 15m or 1h30m; at least 1m.",
        json_schema_extra=rules(("duration(self) >= duration('1m')", "must be 1m or longer")),
    )
    suspend: bool = Field(
        False, description="While true, nothing is fetched or forecast, and the present results are kept."
    )
    image_pull_secrets: list[SecretReference] = Field(
        default_factory=list,
        max_length=10,
        description="Secrets of this namespace to pull the image with. An admin of the namespace must allow joulecast"
        " to read them.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )


class Result(Part):
    """The forecast for one accelerator, runtime, precision and batch size."""

    accelerator: Accelerator = Field(description="Product name of the accelerator.")
    runtime: StatusText = Field(description="The runtime that executes the model.")
    precision: StatusText = Field(description="Number format that the arithmetic runs in.")
    batch_size: int = Field(description="Number of samples in one batch.")
    joules_per_batch: float = Field(description="Energy of one batch, in joules.")
    joules_per_batch_lower: float = Field(description="Lower end of the interval of joulesPerBatch, in joules.")
    joules_per_batch_upper: float = Field(description="Upper end of the interval of joulesPerBatch, in joules.")
    interval_level: float = Field(
        description="Probability that the energy of a batch lies within the interval, 0 to 1."
    )
    latency_seconds: float = Field(description="Time of one batch, in seconds.")
    average_power_watts: float = Field(description="Average power of the accelerator while a batch runs, in watts.")
    coverage: float = Field(description="Share of the model's FLOPs that the forecast covers, 0 to 1.")
    origin: Origin = Field(
        description="What the forecast rests on: measured (joulecast's own measurements of this accelerator), public"
        " (published energy measurements of it), transferred (energy measurements of other accelerators), datasheet"
        " (its published limits alone). Each is less certain than the one before."
    )


class EstimateSummary(Part):
    """The first result as text, which `kubectl get` prints in columns."""

    model: StatusText = Field(description="The image without its registry.")
    accelerator: StatusText = Field(description="Product name of the accelerator.")
    batch_size: StatusText = Field(description="Number of samples in one batch.")
    joules: StatusText = Field(description="Energy of one batch, with its unit.")
    interval: StatusText = Field(description="Interval of that energy, with its unit.")
    coverage: StatusText = Field(description="Share of the model's FLOPs that the forecast covers, in percent.")
    origin: StatusText = Field(description="What the forecast rests on: measured, public, transferred or datasheet.")


class TopLayer(Part):
    """One of the layers that need most energy in the first result."""

    name: StatusName = Field(description="Name of the layer in the model.")
    op_type: StatusName = Field(description="Operator of the layer, by its ONNX name.")
    joules: float = Field(description="Energy of the layer per batch, in joules.")
    share: float = Field(description="Share of the forecast's joules, 0 to 1.")


class ModelTotals(Part):
    """The model's size at the first batch size."""

    macs: int = Field(
        description="Multiply-accumulate operations of one batch; each is two FLOPs.",
        json_schema_extra={"format": "int64"},
    )
    params: int = Field(
        description="Trainable parameters, a shared one counted once.", json_schema_extra={"format": "int64"}
    )
    activations: int = Field(
        description="Output elements of the layers that multiply and accumulate, of one batch.",
        json_schema_extra={"format": "int64"},
    )
    bytes_moved: int = Field(
        description="Bytes of weights, inputs and outputs of all layers, of one batch.",
        json_schema_extra={"format": "int64"},
    )


class EstimateStatus(Part):
    """The forecasts, the model that they are of, and the conditions of the estimate."""

    observed_generation: int | None = Field(
        None,
        description="The metadata.generation that this status was computed for.",
        json_schema_extra={"format": "int64"},
    )
    image: StatusText | None = Field(None, description="The image reference that was resolved.")
    model_digest: StatusText | None = Field(
        None, description="Digest of the image's manifest for the platform that the controller chooses."
    )
    model_path: StatusText | None = Field(None, description="The model's path inside the image.")
    verification: Literal["Full", "Manifest"] | None = Field(
        None,
        description="How far the model's bytes were checked against the image's digests: Full (every byte of the layers"
        " that were read) or Manifest (the manifest and the configuration only, because a layer was read in part).",
    )
    estimated_at: str | None = Field(
        None, description="When the results last changed.", json_schema_extra={"format": "date-time"}
    )
    inputs_hash: StatusText | None = Field(None, description="Hash of everything that the results depend on.")
    totals: ModelTotals | None = Field(None, description="The model's size at the first batch size.")
    results: list[Result] | None = Field(
        None,
        max_length=MAXIMUM_RESULTS,
        description="The forecasts, one for each accelerator and batch size.",
        # written whole, by one manager: as a map by its keys, each row would have a second copy in managedFields
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    unsupported_operators: list[StatusName] | None = Field(
        None,
        max_length=LISTED,
        description="Operators of the model that joulecast has no rule for; their energy is missing from the results.",
    )
    summary: EstimateSummary | None = Field(None, description="The first result as text.")
    top_layers: list[TopLayer] | None = Field(
        None,
        max_length=MAXIMUM_TOP_LAYERS,
        description="The layers that need most energy in the first result, in descending order.",
    )
    conditions: Conditions | None = Field(
        None,
        description="ModelResolved: the image and the model in it were found. Profiled: the model's operators were"
        " counted. Ready: there is a forecast.",
    )


class InferenceEnergyEstimate(Part):
    """A forecast of the energy that one batch of a neural network needs on accelerators, made without running it."""

    spec: EstimateSpec = Field(description="What to forecast: a model, how it is run, and on which accelerators.")
    status: EstimateStatus | None = Field(
        None, description="The forecasts, the model that they are of, and the conditions of the estimate."
    )


def seconds_of(duration: str) -> float:
    """Convert a duration such as 1h30m into seconds."""
    return float(sum(int(number) * _UNIT_SECONDS[unit] for number, unit in re.findall(r"(\d+)([hms])", duration)))
