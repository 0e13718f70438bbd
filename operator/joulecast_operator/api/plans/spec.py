"""Define the spec of an EnergyPlan: the model, what may be chosen, and what is asked."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from joulecast.serving.requests import LONGEST_TOKENS, MOST_REQUESTS
from joulecast_operator.api.estimates import Accelerators
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
    Part,
    rules,
)
from joulecast_operator.api.workload import (
    CLOCK_FIELD,
    CachePrecision,
    Clock,
    InputValue,
    Phase,
    PowerLimit,
    Precision,
    RequestRate,
    ShapeDimension,
    TensorName,
    TensorParallel,
)

MAXIMUM_CANDIDATES: Final = 1000
"""Settings that one plan may price: twice as many as 20 accelerators × 8 concurrencies × 3 degrees."""
SIZES: Final = 8
"""Most batch sizes or concurrencies; as many are tried where none are named."""

_MILLISECONDS: Final = 86_400_000  # a day

Size = Annotated[int, Field(ge=1, le=65536)]
Concurrency = Annotated[int, Field(ge=1, le=MOST_REQUESTS)]
Milliseconds = Annotated[int, Field(ge=1, le=_MILLISECONDS)]
Unit = Literal["Inference", "Request", "OutputToken"]
"""What joules are counted by."""


class PlanCandidates(Part):
    """What a plan may choose from. What is left out is varied as joulecast plan does."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!(has(self.batchSizes) && has(self.concurrencies))",
                "batchSizes are of one forward pass, concurrencies of a generation: give one of the two",
            )
        )
    )

    accelerators: Accelerators | None = Field(
        None,
        description="Accelerators to choose from, by name or by node; those of all nodes of the cluster when left out.",
    )
    batch_sizes: list[Size] | None = Field(
        None,
        min_length=1,
        max_length=SIZES,
        description="Batch sizes of one forward pass to choose from. When left out: the one that the model fixes, else"
        " powers of two from 1 to 128.",
        json_schema_extra=SET,
    )
    concurrencies: list[Concurrency] | None = Field(
        None,
        min_length=1,
        max_length=SIZES,
        description="Requests at once of a generation to choose from; powers of two from 1 to 128 when left out.",
        json_schema_extra=SET,
    )
    precisions: list[Precision] | None = Field(
        None,
        min_length=1,
        max_length=5,
        description="Number formats to choose from. When left out: the target's own, else default. Another one changes"
        " the model's results.",
        json_schema_extra=SET,
    )
    tensor_parallel: list[TensorParallel] | None = Field(
        None,
        min_length=1,
        max_length=4,
        description="How many accelerators may share a language model; 1, 2, 4 and 8 of one that generates when left"
        " out.",
        json_schema_extra=SET,
    )
    power_limits_watts: list[PowerLimit] | None = Field(
        None,
        max_length=SIZES,
        description="Power limits to try on each accelerator beside none, in watts.",
        json_schema_extra=SET,
    )
    clocks_mhz: list[Clock] | None = Field(
        None,
        alias="clocksMHz",
        max_length=SIZES,
        description="Locked clocks to try on each accelerator beside none, in MHz.",
        json_schema_extra=SET,
    )
    try_power_limits: bool = Field(
        False,
        description="Also try power limits of 95 to 40 % of its own on the accelerator of the fewest joules.",
    )


class PlannedWorkload(Part):
    """How the model is run, apart from what is chosen."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.phase) || self.phase != 'forward' || !(has(self.outputTokens) || has(self.cachedTokens))",
                "the phase forward takes inputTokens: leave out outputTokens and cachedTokens",
            )
        )
    )

    input_shapes: dict[TensorName, Annotated[list[ShapeDimension], Field(max_length=16)]] = Field(
        default_factory=dict,
        max_length=32,
        description="Full shape of each input whose dimensions the model leaves open, as in an"
        " InferenceEnergyEstimate.",
    )
    input_values: dict[TensorName, InputValue] = Field(
        default_factory=dict,
        max_length=32,
        description="Content of each input on which shapes or branches depend, as in an InferenceEnergyEstimate.",
    )
    phase: Phase | None = Field(
        None,
        description="What to plan: forward (one pass), or of a language model prefill, decode or request; request for a"
        " model that generates when left out, unless batchSizes are given.",
    )
    input_tokens: Annotated[int, Field(ge=1, le=LONGEST_TOKENS)] | None = Field(
        None, description="Tokens of a request's input; 512 when left out."
    )
    output_tokens: Annotated[int, Field(ge=1, le=LONGEST_TOKENS)] | None = Field(
        None, description="Tokens that a request generates; 128 when left out."
    )
    cached_tokens: Annotated[int, Field(ge=0, le=LONGEST_TOKENS)] | None = Field(
        None, description="How many of the input tokens are in the engine's prefix cache; 0 when left out."
    )
    cache_precision: CachePrecision | None = Field(
        None, description="Number format of cached keys and values; what the target's command says when left out."
    )


class Slo(Part):
    """The longest times that the plan may have, in milliseconds."""

    latency_milliseconds: Milliseconds | None = Field(
        None, description="From the arrival of an input or a request to its result."
    )
    time_to_first_token_milliseconds: Milliseconds | None = Field(
        None, description="From the arrival of a request to its first output token."
    )
    inter_token_latency_milliseconds: Milliseconds | None = Field(
        None, description="Between two output tokens of a request."
    )


class Today(Part):
    """How the model runs now."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("!(has(self.batchSize) && has(self.concurrency))", "give at most one of batchSize and concurrency")
        )
    )

    accelerator: Accelerator | None = Field(
        None, description="Product name of the accelerator; that of the target when left out."
    )
    batch_size: Size | None = Field(None, description="Inputs of a pass; what the target says when left out.")
    concurrency: Concurrency | None = Field(
        None, description="Requests at once of a generation; what the target says when left out."
    )
    precision: Precision | None = Field(None, description="Number format; what the target says when left out.")
    tensor_parallel: TensorParallel | None = Field(
        None, description="Accelerators that share the model; what the target's command says when left out, else 1."
    )
    power_limit_watts: PowerLimit | None = Field(None, description="Power limit of each accelerator, in watts.")
    clock_mhz: Clock | None = Field(None, alias=CLOCK_FIELD, description="Locked clock of each accelerator, in MHz.")


class PlanLink(Part):
    """What joins two machines."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.nanojoulesPerByte) != has(self.over)",
                "give exactly one of nanojoulesPerByte and over: what a byte costs differs from link to link",
            )
        )
    )

    megabits_per_second: Annotated[int, Field(ge=1, le=100_000_000)] = Field(description="How much it carries.")
    nanojoules_per_byte: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = Field(
        None, description="Energy of a byte, of both ends and what lies between. Give either this or over."
    )
    over: Literal["internet"] | None = Field(
        None, description="The kind of link whose published energy is taken. Give either this or nanojoulesPerByte."
    )
    latency_microseconds: Annotated[int, Field(ge=0, le=1_000_000_000)] = Field(
        0, description="Time before the first byte arrives."
    )


class PlanSplit(Part):
    """Two machines between which the graph is cut at its layer boundaries."""

    between: Annotated[list[Accelerator], Field(min_length=2, max_length=2)] = Field(
        description="Product name of the accelerator where the inputs are, and of the other one."
    )
    link: PlanLink = Field(description="What joins the two machines.")
    batch_size: Size | None = Field(
        None, description="Batch size; the one that the model fixes when left out, else 32."
    )
    precision: Precision = Field("default", description="Number format that the arithmetic runs in.")


_OF_CHOICE: Final = "has(self.candidates) || has(self.slo) || has(self.requestsPerSecond) || has(self.countedBy)"


class PlanSpec(Part):
    """Which model, what may be chosen, and what the choice has to keep."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("has(self.model) != has(self.targetRef)", "give exactly one of model and targetRef"),
            (
                f"!has(self.split) || !({_OF_CHOICE} || has(self.today) || has(self.siteName))",
                "beside split leave out candidates, slo, requestsPerSecond, countedBy, today and siteName",
            ),
        )
    )

    model: ModelSource | None = Field(None, description="Where the model is. Give either this or targetRef.")
    target_ref: TargetReference | None = Field(
        None,
        description="The workload that runs the model. How it runs now is what the choice is compared with. Give either"
        " this or model.",
    )
    workload: PlannedWorkload = Field(
        default_factory=lambda: PlannedWorkload.model_validate({}),
        description="How the model is run, apart from what is chosen: shapes and content of inputs, phase, tokens.",
        json_schema_extra={"default": {}},
    )
    candidates: PlanCandidates | None = Field(
        None,
        description=f"What the plan may choose from, at most {MAXIMUM_CANDIDATES} settings in all.",
    )
    slo: Slo | None = Field(None, description="The longest times that the plan may have.")
    requests_per_second: RequestRate | None = Field(
        None,
        description='Requests of all clients per second, such as 20, "0.5" or 500m, from which replicas follow.',
    )
    counted_by: Unit | None = Field(
        None,
        description="What joules are counted by. When left out: Inference of a pass, Request of a generation.",
    )
    today: Today | None = Field(None, description="How the model runs now; what it leaves out is read from the target.")
    split: PlanSplit | None = Field(
        None, description="Price cuts of the graph between two machines in place of a choice."
    )
    runtime: GivenRuntime = None
    resolve_interval: ResolveInterval = "15m"
    suspend: bool = Field(False, description="While true, nothing is fetched or planned, and the present plan is kept.")
    site_name: SiteName = None
    image_pull_secrets: ImagePullSecrets = Field(default_factory=list)
