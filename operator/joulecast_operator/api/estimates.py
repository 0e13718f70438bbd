"""Define the custom resource InferenceEnergyEstimate of joulecast.dev/v1alpha1: its validation, documentation and CRD.

Everything in a spec is bounded, because the API server computes the cost of a CEL rule from the largest object that the
schema admits. Numbers in a spec are integers; those in a status are finite and rounded to six significant digits.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from pydantic import ConfigDict, Field

from joulecast_operator.api.bounds import LISTED
from joulecast_operator.api.models import (
    GivenRuntime,
    ImagePullSecrets,
    ModelSource,
    ResolveInterval,
    SiteName,
    TargetReference,
)
from joulecast_operator.api.parts import (
    SET,
    Accelerator,
    Conditions,
    NodeSelector,
    ObservedGeneration,
    Part,
    StatusName,
    StatusText,
    rules,
)
from joulecast_operator.api.results import EstimateSummary, ModelTotals, Result, TargetFacts, TopLayer, UnderstoodTarget
from joulecast_operator.api.sites.costs import EstimateCost
from joulecast_operator.api.workload import WorkloadSpec

MAXIMUM_RESULTS: Final = 20  # a status that is read at admission must stay small
MAXIMUM_TOP_LAYERS: Final = 20
MAXIMUM_NAMED_ACCELERATORS: Final = 10

_UNIT_SECONDS: Final = {"h": 3600, "m": 60, "s": 1}


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

    model: ModelSource | None = Field(None, description="Where the model is. Give either this or targetRef.")
    target_ref: TargetReference | None = Field(
        None,
        description="The workload that runs the model: one of its images holds it, or a container serves it by a known"
        " inference engine. Give either this or model.",
    )
    workload: WorkloadSpec = Field(
        default_factory=lambda: WorkloadSpec.model_validate({}),
        description="How the model is run: phase, batch sizes or requests at once, tokens, shapes and content of its"
        " inputs, and precision.",
        json_schema_extra={"default": {}},
    )
    accelerators: Accelerators | None = Field(
        None,
        description="The accelerators to forecast for, by name or by node; those of all nodes of the cluster when left"
        " out.",
    )
    runtime: GivenRuntime = None
    resolve_interval: ResolveInterval = "15m"
    suspend: bool = Field(
        False, description="While true, nothing is fetched or forecast, and the present results are kept."
    )
    site_name: SiteName = None
    image_pull_secrets: ImagePullSecrets = Field(default_factory=list)


class EstimateStatus(Part):
    """The forecasts, the model that they are of, and the conditions of the estimate."""

    observed_generation: ObservedGeneration = None
    image: StatusText | None = Field(
        None, description="The reference that was resolved: an image, an address, or configmap://NAME/KEY."
    )
    model_digest: StatusText | None = Field(
        None,
        description="What identifies the model: digest of the image's manifest for the platform that the controller"
        " chooses, commit of the hub's revision, or digest of the configuration.",
    )
    model_path: StatusText | None = Field(None, description="The model's path inside the image or address.")
    verification: Literal["Full", "Manifest"] | None = Field(
        None,
        description="How far the model's bytes were checked against the image's digests: Full (every byte of the layers"
        " that were read) or Manifest (the manifest and the configuration only, because a layer was read in part).",
    )
    estimated_at: str | None = Field(
        None, description="When the results last changed.", json_schema_extra={"format": "date-time"}
    )
    inputs_hash: StatusText | None = Field(None, description="Hash of everything that the results depend on.")
    understood: UnderstoodTarget | None = Field(
        None, description="What was understood of the target's container that serves a language model."
    )
    target: TargetFacts | None = Field(None, description="The workload that targetRef names, as it is now.")
    totals: ModelTotals | None = Field(
        None, description="The model's size at the first batch size, or for one input of a generation."
    )
    results: list[Result] | None = Field(
        None,
        max_length=MAXIMUM_RESULTS,
        description="The forecasts, one for each accelerator and batch size, or for each accelerator.",
        # written whole, by one manager: as a map by its keys, each row would have a second copy in managedFields
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
    )
    unsupported_operators: list[StatusName] | None = Field(
        None,
        max_length=LISTED,
        description="Operators of the model that joulecast has no rule for; their energy is missing from the results.",
    )
    summary: EstimateSummary | None = Field(None, description="The first result as text.")
    cost: EstimateCost | None = Field(
        None, description="What the first result costs and emits at an EnergySite; absent where none prices it."
    )
    top_layers: list[TopLayer] | None = Field(
        None,
        max_length=MAXIMUM_TOP_LAYERS,
        description="The layers that need most energy in the first result, in descending order.",
    )
    conditions: Conditions | None = Field(
        None,
        description="ModelResolved: the image and the model in it were found. Profiled: the model's operators were"
        " counted. Costed: the first result is priced at an EnergySite, if one concerns it. Ready: there is a"
        " forecast.",
    )


class InferenceEnergyEstimate(Part):
    """A forecast of the energy that a neural network needs on accelerators, made without running it: of one batch, or
    of a language model's requests and tokens."""

    spec: EstimateSpec = Field(description="What to forecast: a model, how it is run, and on which accelerators.")
    status: EstimateStatus | None = Field(
        None, description="The forecasts, the model that they are of, and the conditions of the estimate."
    )


def seconds_of(duration: str) -> float:
    """Convert a duration such as 1h30m into seconds."""
    return float(sum(int(number) * _UNIT_SECONDS[unit] for number, unit in re.findall(r"(\d+)([hms])", duration)))
