"""Define the status of an EnergyPlan: settings and what they cost, savings, exclusions, cuts, and the summary."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from joulecast.energy.model import Origin
from joulecast_operator.api.parts import Accelerator, Conditions, ObservedGeneration, Part, StatusText
from joulecast_operator.api.plans.spec import Unit
from joulecast_operator.api.sites.costs import LEADERS, CostTexts, PlanCost
from joulecast_operator.api.workload import CLOCK_FIELD

RUNNERS_UP: Final = LEADERS - 1  # as joulecast.plan has: all leaders but the first
MAXIMUM_DECIDING: Final = 10
MAXIMUM_EXAMPLES: Final = 5


class PlannedSetting(Part):
    """A setting and what it costs."""

    accelerator: Accelerator = Field(description="Product name of the accelerator.")
    runtime: StatusText = Field(description="The runtime that executes the model.")
    precision: StatusText = Field(description="Number format that the arithmetic runs in.")
    batch_size: int | None = Field(None, description="Inputs of a pass.")
    concurrency: int | None = Field(None, description="Requests at once of a generation.")
    tensor_parallel: int = Field(description="Accelerators that share the model.")
    power_limit_watts: float | None = Field(None, description="Power limit of each accelerator, in watts.")
    clock_mhz: float | None = Field(None, alias=CLOCK_FIELD, description="Locked clock of each accelerator, in MHz.")
    replicas: int = Field(description="Replicas that complete the requests; 1 where no rate is given.")
    cards: int = Field(description="Accelerators of all replicas.")
    joules: float = Field(
        description="Energy of what joules are counted by, in joules, with what replicas draw while they wait where a"
        " rate is given."
    )
    joules_lower: float = Field(description="Lower end of the interval of joules.")
    joules_upper: float = Field(description="Upper end of the interval of joules.")
    latency_seconds: float = Field(description="From the arrival of an input or a request to its result, in seconds.")
    time_to_first_token_seconds: float | None = Field(
        None, description="From the arrival of a request to its first output token, in seconds."
    )
    inter_token_latency_seconds: float | None = Field(
        None, description="Between two output tokens of a request, in seconds."
    )
    average_power_watts: float = Field(description="Average power of all accelerators of all replicas, in watts.")
    origin: Origin = Field(description="What the forecast rests on: measured, public, transferred or datasheet.")
    interval_level: float = Field(description="Probability that the energy lies within its interval, 0 to 1.")
    may_miss: list[StatusText] = Field(
        default_factory=list,
        max_length=3,
        description="Limits of slo that the forecast keeps and the upper end of its interval does not.",
    )


class PlannedSaving(Part):
    """What is saved of today's joules, in percent; below 0 where more is needed."""

    percent: float = Field(description="Saving by the forecasts.")
    percent_lower: float = Field(description="Lower end of its interval.")
    percent_upper: float = Field(description="Upper end of its interval.")
    worthwhile: bool = Field(description="Whether even the lower end saves 10 % or more, which a warning tells.")


class DecidingMeasurement(Part):
    """A measurement that would tell rivals apart."""

    accelerator: Accelerator = Field(description="Where joules of the model have to be measured.")
    settings: list[StatusText] = Field(max_length=MAXIMUM_DECIDING, description="At which settings.")


class ExcludedCounts(Part):
    """How many settings are no candidates, by reason."""

    memory: int = Field(0, description="The accelerators do not hold the model and its caches.")
    slo: int = Field(0, description="They are slower than slo allows.")
    profile: int = Field(0, description="Nothing prices the model there.")
    degree: int = Field(0, description="So many accelerators cannot share the model.")
    examples: list[StatusText] = Field(
        default_factory=list, max_length=MAXIMUM_EXAMPLES, description="A sentence for the first of each reason."
    )


class PlannedCut(Part):
    """A cut of the graph, for one batch."""

    after: StatusText | None = Field(
        None, description="The last layer of the first machine; missing where all runs on the second."
    )
    joules: float = Field(description="Energy of both machines and the link, in joules.")
    joules_lower: float = Field(description="Lower end of the interval of joules.")
    joules_upper: float = Field(description="Upper end of the interval of joules.")
    seconds: float = Field(description="Time of both machines and the link, one after the other.")
    first_joules: float = Field(description="Energy of the first machine, in joules.")
    second_joules: float = Field(description="Energy of the second machine, in joules.")
    link_joules: float = Field(description="Energy of the link, in joules.")
    link_bytes: int = Field(description="Bytes that cross the link.", json_schema_extra={"format": "int64"})


class PlannedCuts(Part):
    """The best cuts between two machines."""

    batch_size: int = Field(description="Inputs of the batch that the figures are of.")
    by_joules: PlannedCut = Field(description="The cut of the fewest joules.")
    by_latency: PlannedCut = Field(description="The cut of the least time.")
    all_on_first: PlannedCut = Field(description="The whole model on the first machine.")
    all_on_second: PlannedCut = Field(description="The whole model on the second machine.")
    priced: int = Field(description="Cuts that were priced.")
    left_out: int = Field(description="Cuts of a large graph that were not priced.")


class PlanSummary(CostTexts):
    """The plan as text, which `kubectl get` prints in columns."""

    model: StatusText = Field(description="The image or address without its registry.")
    choice: StatusText = Field(description="The setting to run, or undecided; of a split where to cut.")
    replicas: StatusText | None = Field(None, description="Replicas of the choice, where a rate is given.")
    joules: StatusText | None = Field(None, description="Energy of the choice, with its unit.")
    watts: StatusText | None = Field(None, description="Power of all replicas, where a rate is given.")
    saves: StatusText | None = Field(None, description="What it saves of today's joules, with the interval.")
    saves_per_month: StatusText | None = Field(
        None, description="What it saves of today's cost and carbon in a month, with the interval."
    )


class PlanStatus(Part):
    """The choice, what comes after it, what was excluded, and why."""

    observed_generation: ObservedGeneration = None
    image: StatusText | None = Field(
        None, description="The reference that was resolved: an image, an address, or configmap://NAME/KEY."
    )
    model_digest: StatusText | None = Field(None, description="What identifies the model, as in an estimate.")
    model_path: StatusText | None = Field(None, description="The model's path inside the image or address.")
    planned_at: str | None = Field(
        None, description="When the plan last changed.", json_schema_extra={"format": "date-time"}
    )
    inputs_hash: StatusText | None = Field(None, description="Hash of everything that the plan depends on.")
    counted_by: Unit | None = Field(None, description="What joules are counted by.")
    choice: PlannedSetting | None = Field(
        None, description="What to run; missing where the intervals do not tell it from others."
    )
    today: PlannedSetting | None = Field(None, description="How the model runs now.")
    saving: PlannedSaving | None = Field(
        None,
        description="What the choice saves of today's joules, or without a choice the one of the leaders that saves"
        " least.",
    )
    leaders: list[PlannedSetting] | None = Field(
        None,
        max_length=LEADERS,
        description="Without a choice: the cheapest and those that the intervals do not tell from it.",
    )
    runners_up: list[PlannedSetting] | None = Field(
        None, max_length=RUNNERS_UP, description="The three settings after the first, by joules."
    )
    deciding: list[DecidingMeasurement] | None = Field(
        None, max_length=MAXIMUM_DECIDING, description="Without a choice: the fewest measurements that would decide."
    )
    candidates: int | None = Field(None, description="Settings that keep what is asked.")
    excluded: ExcludedCounts | None = Field(None, description="Settings that are no candidates.")
    notes: list[StatusText] | None = Field(
        None, max_length=MAXIMUM_EXAMPLES, description="What could not be taken into account, and what to do about it."
    )
    split: PlannedCuts | None = Field(None, description="Of a plan with spec.split: the best cuts.")
    cost: PlanCost | None = Field(
        None, description="What the settings cost and emit at an EnergySite; absent where none prices them."
    )
    summary: PlanSummary | None = Field(None, description="The plan as text.")
    conditions: Conditions | None = Field(
        None,
        description="ModelResolved: the image and the model in it were found. Profiled: the model's operators were"
        " counted. Costed: the plan is priced at an EnergySite, if one concerns it. Ready: there is a plan; the reason"
        " says whether it has a choice.",
    )
