"""EnergyCalibration of joulecast.dev/v1alpha1: a Job on a GPU node that measures, and what came of it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, WithJsonSchema

from joulecast_operator.api.parts import (
    SET,
    Accelerator,
    Conditions,
    Label,
    Name,
    NodeSelector,
    Part,
    SecretReference,
    StatusText,
    rules,
)

NAME_CHARACTERS: Final = 40
"""Of a calibration's name: "NAME-RUN" is the value of a label on its pods, of 63 characters at most."""
MAXIMUM_VERDICTS: Final = 32

_DURATION: Final = "^([0-9]+(h|m|s))+$"
_CRON: Final = r"^(@[a-z]+|[-0-9A-Za-z*?/,]+( [-0-9A-Za-z*?/,]+){4})$"
_IMAGE_CHARACTERS: Final = 512

_QUANTITY: Final = r"^[0-9]+([.][0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
Quantity = Annotated[
    int | str,
    WithJsonSchema({"x-kubernetes-int-or-string": True, "pattern": _QUANTITY, "maxLength": 20}),
]
CalibrationRuntime = Literal[
    "torch-eager", "torch-cudagraph"
]  # of what `joulecast measure` runs, what forecasts can name
CalibrationPrecision = Literal["default", "tf32", "bf16", "fp16"]  # as `joulecast measure` takes it
SuiteSlice = Literal[
    "llm", "networks", "cudagraph", "additivity", "layers", "repeats", "crosscheck", "bf16", "compile", "hot"
]
Phase = Literal[
    "Refused",  # wrong as it stands, or the accelerator is shared
    "Waiting",  # for a node, or for another calibration
    "Suspended",
    "Scheduled",
    "Queued",  # Kueue has not admitted the Job
    "Starting",
    "Measuring",
    "Fitting",
    "Done",
    "Failed",
]


class Toleration(Part):
    """As core/v1."""

    key: str | None = Field(None, max_length=317)
    operator: Literal["Exists", "Equal"] | None = None
    value: Label | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class ResourceAmounts(Part):
    """As core/v1, without GPUs: a run has one."""

    cpu: Quantity | None = None
    memory: Quantity | None = None
    ephemeral_storage: Quantity | None = Field(None, alias="ephemeral-storage")


class ResourceRequirements(Part):
    """As core/v1: what the pod's container asks for, and what it may use at most."""

    requests: ResourceAmounts | None = Field(None, description="2 CPUs and 8Gi of memory when left out.")
    limits: ResourceAmounts | None = Field(None, description="None when left out.")


class Storage(Part):
    """Where rows stay when the pod goes."""

    claim_name: Name = Field(description="A PersistentVolumeClaim of the same namespace.")


class CalibrationSpec(Part):
    """What to measure, where and when."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            ("has(self.accelerator) != has(self.nodeSelector)", "give exactly one of accelerator and nodeSelector"),
            (
                "!self.quick || !has(self.slices) || self.slices.size() == 0",
                "quick chooses what is measured: give quick or slices",
            ),
        )
    }

    accelerator: Accelerator | None = Field(
        None, description="Product name as in the node label nvidia.com/gpu.product."
    )
    node_selector: NodeSelector | None = Field(None, description="Nodes of one product that carry these labels.")
    runtime: CalibrationRuntime = Field("torch-eager", description="What executes the networks.")
    precision: CalibrationPrecision = Field("default", description="What the arithmetic runs in.")
    quick: bool = Field(False, description="A few layers alone, the rest by transfer: at most five GPU-minutes.")
    slices: list[SuiteSlice] = Field(
        default_factory=list,
        max_length=len(SuiteSlice.__args__),  # type: ignore[attr-defined]  # of a Literal
        description="What to measure; in the usual order, as far as the budget goes, when left out.",
        json_schema_extra=SET,
    )
    budget: str | None = Field(
        None,
        min_length=2,
        max_length=16,
        pattern=_DURATION,
        description="GPU time of a run, from 5m to 24h; 25m when left out, 5m for a quick one.",
        json_schema_extra=rules(
            (
                "duration(self) >= duration('5m') && duration(self) <= duration('24h')",
                "must be from 5m to 24h",
            )
        ),
    )
    schedule: str | None = Field(
        None,
        min_length=6,
        max_length=100,
        pattern=_CRON,
        description=(
            "When to run, as a CronJob reads it, in UTC: 0 3 * * SUN, @daily; without it there is one run, at once."
        ),
    )
    queue_name: str | None = Field(
        None,
        min_length=1,
        max_length=63,
        pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        description="Kueue's LocalQueue; the Job then starts when Kueue admits it.",
    )
    storage: Storage | None = Field(
        None, description="Where rows stay; without it they go with the pod and a summary stays."
    )
    image: str | None = Field(
        None,
        min_length=1,
        max_length=_IMAGE_CHARACTERS,
        description="Image with joulecast and torch; the one that joulecast was installed with when left out.",
    )
    image_pull_secrets: list[SecretReference] = Field(
        default_factory=list,
        max_length=10,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    runtime_class_name: Name | None = Field(None, description="RuntimeClass of the pod, where GPUs need one.")
    tolerations: list[Toleration] = Field(
        default_factory=list,
        max_length=16,
        description="Of the pod, beside the one for the taint nvidia.com/gpu:NoSchedule, which it always has.",
    )
    priority_class_name: Name | None = Field(None, description="PriorityClass of the pod.")
    resources: ResourceRequirements | None = Field(None, description="CPU and memory of the pod, beside its one GPU.")
    suspend: bool = Field(False, description="While true nothing is measured; a Job that runs is taken away.")


class HeldOutErrors(Part):
    """Relative errors on rows that the fit never saw, 0 to 1."""

    median_error: float | None = None
    mean_error: float | None = None
    max_error: float | None = None
    interval_coverage: float | None = Field(None, description="Share of rows within the 90 % interval, 0 to 1.")
    rows: int | None = None


class QualityCheck(Part):
    """One check of the rows."""

    name: StatusText
    state: StatusText
    says: StatusText


class Quality(Part):
    """How good the last profile is, and whether it is better than the one it would replace."""

    held_out: HeldOutErrors | None = None
    against_median_error: float | None = Field(None, description="Of the profile in use, on the same rows.")
    better: bool | None = None
    simulated: bool | None = None
    verdict: list[QualityCheck] | None = Field(None, max_length=MAXIMUM_VERDICTS)


class ProducedProfile(Part):
    """The profile that the last run made."""

    name: StatusText = Field(description="The AcceleratorEnergyProfile that holds it, or would.")
    digest: StatusText
    taken: bool = Field(description="Whether it was put in use.")


class CalibrationSummary(Part):
    """The state as text, for columns and people."""

    accelerator: StatusText
    progress: StatusText
    rows: StatusText
    error: StatusText
    better: StatusText


class CalibrationStatus(Part):
    """How far it is and what came of it."""

    observed_generation: Annotated[int | None, Field(json_schema_extra={"format": "int64"})] = None
    phase: Phase | None = None
    run: int | None = Field(None, description="Counts runs; a run survives restarts of its Job.")
    starts: int | None = Field(None, description="How often this run's Job was created.")
    spec_hash: StatusText | None = Field(None, description="Hash of what the run was asked to measure.")
    placement_hash: StatusText | None = Field(None, description="Hash of where and how its pod was to run.")
    refresh: StatusText | None = Field(None, description="The refresh annotation that was answered last.")
    job: StatusText | None = Field(None, description="The Job that holds the accelerator.")
    accelerator: StatusText | None = None
    runtime: StatusText | None = None
    waiting_since: StatusText | None = Field(
        None,
        description="Since when another calibration makes this one wait: who waits longest is next.",
        json_schema_extra={"format": "date-time"},
    )
    against: StatusText | None = Field(None, description="Digest of the profile in use when the run began.")
    started_at: str | None = Field(None, json_schema_extra={"format": "date-time"})
    finished_at: str | None = Field(None, json_schema_extra={"format": "date-time"})
    schedule: StatusText | None = Field(
        None, description="The schedule that was seen last; what a new one missed is not made up."
    )
    next_run_at: str | None = Field(None, json_schema_extra={"format": "date-time"})
    failed: bool | None = Field(None, description="Whether the last run ended without a profile.")
    progress: float | None = Field(None, description="Of the run, 0 to 1.")
    rows: int | None = None
    networks: int | None = None
    layers: int | None = None
    quality: Quality | None = None
    profile: ProducedProfile | None = None
    summary: CalibrationSummary | None = None
    conditions: Conditions | None = None


class EnergyCalibration(Part):
    """Measures an accelerator of this cluster and has forecasts made with what was measured."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            (
                f"self.metadata.name.size() <= {NAME_CHARACTERS}",
                f"metadata.name may have at most {NAME_CHARACTERS} characters",
            ),
        )
    }

    spec: CalibrationSpec
    status: CalibrationStatus | None = None
