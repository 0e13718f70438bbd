"""Define the custom resource EnergyCalibration of joulecast.dev/v1alpha1: a Job that measures a GPU, and its result."""

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
    ObservedGeneration,
    Part,
    SecretReference,
    StatusText,
    rules,
)

NAME_CHARACTERS: Final = 40
"""Most characters of a calibration's name: "NAME-RUN" is the value of a label on its pods, which may have 63."""

MAXIMUM_VERDICTS: Final = 32
"""Most checks that a status lists."""

_DURATION: Final = "^([0-9]+(h|m|s))+$"
_CRON: Final = r"^(@[a-z]+|[-0-9A-Za-z*?/,]+( [-0-9A-Za-z*?/,]+){4})$"
_IMAGE_CHARACTERS: Final = 512

_QUANTITY: Final = r"^[0-9]+([.][0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
Quantity = Annotated[
    int | str,
    WithJsonSchema({"x-kubernetes-int-or-string": True, "pattern": _QUANTITY, "maxLength": 20}),
]
CalibrationRuntime = Literal["torch-eager", "torch-cudagraph"]
"""The runtimes that `joulecast measure` can run and that a forecast can name."""

CalibrationPrecision = Literal["default", "tf32", "bf16", "fp16"]
"""The precisions that `joulecast measure` can run."""

SuiteSlice = Literal[
    "llm",
    "networks",
    "cudagraph",
    "additivity",
    "layers",
    "repeats",
    "crosscheck",
    "bf16",
    "compile",
    "hot",
    "serving",
]
"""The parts of the measuring plan that can be chosen, as `joulecast measure --slice` takes them."""

Phase = Literal[
    "Refused",
    "Waiting",
    "Suspended",
    "Scheduled",
    "Queued",
    "Starting",
    "Measuring",
    "Fitting",
    "Done",
    "Failed",
]
"""The phases of a calibration; the field ``phase`` of the status says what each means."""


class Toleration(Part):
    """Lets the pod run on nodes that carry a matching taint, as in core/v1."""

    key: str | None = Field(
        None, max_length=317, description="Key of the taint; when left out, with operator Exists, every taint matches."
    )
    operator: Literal["Exists", "Equal"] | None = Field(
        None,
        description="Exists matches every value of the key, Equal only the given value; Equal when left out.",
    )
    value: Label | None = Field(None, description="Value of the taint, for operator Equal.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        None, description="Effect of the taint; every effect matches when left out."
    )


class ResourceAmounts(Part):
    """Amounts of CPU, memory and storage. GPUs cannot be given, because every run has exactly one."""

    cpu: Quantity | None = Field(None, description="CPUs, such as 2 or 500m.")
    memory: Quantity | None = Field(None, description="Memory in bytes, such as 8Gi.")
    ephemeral_storage: Quantity | None = Field(
        None, alias="ephemeral-storage", description="Local storage of the node in bytes, such as 10Gi."
    )


class ResourceRequirements(Part):
    """What the pod's container requests, and the most that it may use, as in core/v1."""

    requests: ResourceAmounts | None = Field(
        None, description="What the scheduler reserves; 2 CPUs and 8Gi of memory when left out."
    )
    limits: ResourceAmounts | None = Field(
        None, description="The most that the container may use; no limit when left out."
    )


class Storage(Part):
    """Where the measured rows are kept after the pod is gone."""

    claim_name: Name = Field(description="Name of a PersistentVolumeClaim of the same namespace.")


class CalibrationSpec(Part):
    """What to measure, on which nodes, and when."""

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
        None,
        description="Product name of the accelerator to measure, as in the node label nvidia.com/gpu.product. Give"
        " either this or nodeSelector.",
    )
    node_selector: NodeSelector | None = Field(
        None,
        description="Measure on a node that carries these labels; all such nodes must have the same product. Give"
        " either this or accelerator.",
    )
    runtime: CalibrationRuntime = Field("torch-eager", description="The runtime that executes the networks.")
    precision: CalibrationPrecision = Field(
        "default",
        description="Number format that the arithmetic runs in; default is what torch uses unless told otherwise.",
    )
    quick: bool = Field(
        False,
        description="Measure only a few layers, in at most five GPU-minutes, and take the rest of the profile from"
        " other accelerators.",
    )
    slices: list[SuiteSlice] = Field(
        default_factory=list,
        max_length=len(SuiteSlice.__args__),  # type: ignore[attr-defined]  # of a Literal
        description="Parts of the measuring plan to run. When left out, the whole plan runs in its order until the"
        " budget is spent.",
        json_schema_extra=SET,
    )
    budget: str | None = Field(
        None,
        min_length=2,
        max_length=16,
        pattern=_DURATION,
        description="GPU time of a run, from 5m to 24h. When left out: 25m, or 5m if quick is true.",
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
            "When to run, in the syntax of a CronJob and in UTC, such as 0 3 * * SUN or @daily. When left out, there is"
            " one run, at once."
        ),
    )
    queue_name: str | None = Field(
        None,
        min_length=1,
        max_length=63,
        pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        description="Name of a LocalQueue of Kueue. The Job then starts when Kueue admits it.",
    )
    storage: Storage | None = Field(
        None,
        description="Where the measured rows are kept. When left out, they are lost with the pod, and only the summary"
        " and the profile are kept.",
    )
    image: str | None = Field(
        None,
        min_length=1,
        max_length=_IMAGE_CHARACTERS,
        description="Image with joulecast and torch that measures; the chart's calibration.image when left out.",
    )
    image_pull_secrets: list[SecretReference] = Field(
        default_factory=list,
        max_length=10,
        description="Secrets of this namespace to pull the measuring image with.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    runtime_class_name: Name | None = Field(
        None, description="RuntimeClass of the pod, for clusters whose GPUs need one."
    )
    tolerations: list[Toleration] = Field(
        default_factory=list,
        max_length=16,
        description="Further tolerations of the pod. It always tolerates the taint nvidia.com/gpu:NoSchedule.",
    )
    priority_class_name: Name | None = Field(None, description="PriorityClass of the pod.")
    resources: ResourceRequirements | None = Field(
        None, description="CPU and memory of the pod, which has one GPU in addition."
    )
    suspend: bool = Field(
        False, description="While true, nothing is measured. A Job that runs when it becomes true is deleted."
    )


class HeldOutErrors(Part):
    """Relative errors of the forecasts for rows that the fit did not use."""

    median_error: float | None = Field(None, description="Median relative error, 0 to 1.")
    mean_error: float | None = Field(None, description="Mean relative error, 0 to 1.")
    max_error: float | None = Field(None, description="Largest relative error.")
    interval_coverage: float | None = Field(
        None, description="Share of the rows whose energy lies within the 90 % interval of its forecast, 0 to 1."
    )
    rows: int | None = Field(None, description="Number of these rows.")


class QualityCheck(Part):
    """The result of one check of the measured rows."""

    name: StatusText = Field(description="What was checked.")
    state: StatusText = Field(description="Whether the rows pass the check.")
    says: StatusText = Field(description="What was found, in a sentence.")


class Quality(Part):
    """How exact the last profile is, and whether it is better than the profile in use before."""

    held_out: HeldOutErrors | None = Field(
        None, description="Relative errors of the new profile for rows that the fit did not use."
    )
    against_median_error: float | None = Field(
        None, description="Median relative error of the profile in use before, for the same rows, 0 to 1."
    )
    better: bool | None = Field(None, description="Whether the new profile is better than the one in use before.")
    simulated: bool | None = Field(
        None, description="Whether the rows come from a simulated accelerator; their profile is never used."
    )
    verdict: list[QualityCheck] | None = Field(
        None, max_length=MAXIMUM_VERDICTS, description="The results of the checks of the measured rows."
    )


class ProducedProfile(Part):
    """The profile that the last run made."""

    name: StatusText = Field(
        description="Name of the AcceleratorEnergyProfile that holds the profile, or would hold it if it were used."
    )
    digest: StatusText = Field(description="sha256 of the profile.")
    taken: bool = Field(description="Whether forecasts are made with the profile.")


class CalibrationSummary(Part):
    """The state of the calibration as text, which `kubectl get` prints in columns."""

    accelerator: StatusText = Field(description="Product name of the accelerator.")
    progress: StatusText = Field(description="How far the last run is, in percent.")
    rows: StatusText = Field(description="Number of rows that the last run measured.")
    error: StatusText = Field(description="Median relative error of the last profile, in percent.")
    better: StatusText = Field(
        description="Whether the last profile is better than the one in use before, and whether it is used."
    )


class CalibrationStatus(Part):
    """How far the last run is, what it measured, and the profile that it made."""

    observed_generation: ObservedGeneration = None
    phase: Phase | None = Field(
        None,
        description="Refused: the spec is invalid or not allowed, or the accelerator is shared. Waiting: for a node or"
        " for another calibration. Suspended: spec.suspend is true. Scheduled: until the next time of the schedule."
        " Queued: until Kueue admits the Job. Starting: the Job's pod is being created. Measuring, Fitting: the run is"
        " under way. Done: the last run ended with a profile. Failed: it ended without one.",
    )
    run: int | None = Field(
        None, description="Number of the last run, counted from 1. A run whose Job is created again keeps its number."
    )
    starts: int | None = Field(None, description="How often the Job of the last run was created.")
    spec_hash: StatusText | None = Field(
        None, description="Hash of the fields of the spec that say what the last run was to measure."
    )
    placement_hash: StatusText | None = Field(
        None, description="Hash of the fields of the spec that say where and how its pod was to run."
    )
    refresh: StatusText | None = Field(
        None, description="Value of the annotation joulecast.dev/refresh that the last run answered."
    )
    job: StatusText | None = Field(None, description="Name of the last run's Job.")
    accelerator: StatusText | None = Field(None, description="Product name of the accelerator.")
    runtime: StatusText | None = Field(None, description="The runtime that executes the networks.")
    waiting_since: StatusText | None = Field(
        None,
        description="Since when this calibration waits for another one of the same accelerator and runtime. The one"
        " that has waited longest is next.",
        json_schema_extra={"format": "date-time"},
    )
    against: StatusText | None = Field(None, description="Digest of the profile in use when the last run began.")
    started_at: str | None = Field(
        None, description="When the last run began.", json_schema_extra={"format": "date-time"}
    )
    finished_at: str | None = Field(
        None, description="When the last run ended.", json_schema_extra={"format": "date-time"}
    )
    schedule: StatusText | None = Field(
        None,
        description="The schedule that nextRunAt was computed from. A changed schedule does not start a run at once.",
    )
    next_run_at: str | None = Field(
        None, description="When the next run is due.", json_schema_extra={"format": "date-time"}
    )
    failed: bool | None = Field(None, description="Whether the last run ended without a profile.")
    progress: float | None = Field(None, description="How far the last run is, 0 to 1.")
    rows: int | None = Field(None, description="Number of rows that the last run measured.")
    networks: int | None = Field(None, description="Number of networks among them.")
    layers: int | None = Field(None, description="Number of layers among them.")
    quality: Quality | None = Field(
        None, description="How exact the last profile is, and whether it is better than the profile in use before."
    )
    profile: ProducedProfile | None = Field(None, description="The profile that the last run made.")
    summary: CalibrationSummary | None = Field(None, description="The state of the calibration as text.")
    conditions: Conditions | None = Field(
        None, description="Accepted: the spec can be carried out. Calibrated: the last run ended with a profile."
    )


class EnergyCalibration(Part):
    """Measures an accelerator of this cluster and, if the resulting profile is better, makes forecasts with it."""

    model_config = Part.model_config | {
        "json_schema_extra": rules(
            (
                f"self.metadata.name.size() <= {NAME_CHARACTERS}",
                f"metadata.name may have at most {NAME_CHARACTERS} characters",
            ),
        )
    }

    spec: CalibrationSpec = Field(description="What to measure, on which nodes, and when.")
    status: CalibrationStatus | None = Field(
        None, description="How far the last run is, what it measured, and the profile that it made."
    )
