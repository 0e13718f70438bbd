"""Define what the status of an estimate holds: results, their summary, layers, and what was understood of a target."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from joulecast.energy.model import Origin
from joulecast_operator.api.bounds import LISTED
from joulecast_operator.api.parts import Accelerator, Part, StatusClause, StatusName, StatusText
from joulecast_operator.api.sites.costs import CostTexts
from joulecast_operator.api.workload import CLOCK_FIELD, CachePrecision, Phase

MAXIMUM_RESULT_LAYERS: Final = 3  # of each result: those of twenty results are 2.8 kB of a status of 15 kB
MAXIMUM_REASONS: Final = 10  # clauses on one forecast; most have none to three


class ResultLayer(Part):
    """One of the layers that need most energy in a result."""

    name: StatusName = Field(description="Name of the layer in the model.")
    share: float = Field(description="Share of the joules of the pass that the layer is in, 0 to 1.")


class Result(Part):
    """The forecast for one accelerator, runtime, precision, and batch size or generation workload.

    One forward pass has batchSize, joulesPerBatch and latencySeconds; the other phases have the fields of requests and
    tokens.
    """

    accelerator: Accelerator = Field(description="Product name of the accelerator.")
    runtime: StatusText = Field(description="The runtime that executes the model.")
    precision: StatusText = Field(description="Number format that the arithmetic runs in.")
    phase: Phase | None = Field(None, description="What the forecast is of: forward, prefill, decode or request.")
    batch_size: int | None = Field(None, description="Number of samples in one batch.")
    joules_per_batch: float | None = Field(None, description="Energy of one batch, in joules.")
    joules_per_batch_lower: float | None = Field(
        None, description="Lower end of the interval of joulesPerBatch, in joules."
    )
    joules_per_batch_upper: float | None = Field(
        None, description="Upper end of the interval of joulesPerBatch, in joules."
    )
    latency_seconds: float | None = Field(None, description="Time of one batch, in seconds.")
    concurrency: int | None = Field(None, description="Requests in flight, given or derived from their rate.")
    input_tokens: int | None = Field(None, description="Tokens of a request's input.")
    output_tokens: int | None = Field(None, description="Tokens that a request generates.")
    cached_tokens: int | None = Field(None, description="Input tokens that are in the engine's prefix cache.")
    cache_precision: CachePrecision | None = Field(
        None, description="Number format in which keys and values are cached, as asked for; default as the files say."
    )
    parallel: int | None = Field(None, description="Accelerators that share the model. Joules are those of all.")
    power_limit_watts: int | None = Field(
        None, description="The power limit of each accelerator that was asked for, in watts."
    )
    clock_mhz: int | None = Field(
        None, alias=CLOCK_FIELD, description="The locked clock of each accelerator that was asked for, in MHz."
    )
    joules_per_request: float | None = Field(None, description="Energy of one request, in joules.")
    joules_per_request_lower: float | None = Field(
        None, description="Lower end of the interval of joulesPerRequest, in joules."
    )
    joules_per_request_upper: float | None = Field(
        None, description="Upper end of the interval of joulesPerRequest, in joules."
    )
    joules_per_input_token: float | None = Field(None, description="Energy of reading one input token, in joules.")
    joules_per_input_token_lower: float | None = Field(
        None, description="Lower end of the interval of joulesPerInputToken, in joules."
    )
    joules_per_input_token_upper: float | None = Field(
        None, description="Upper end of the interval of joulesPerInputToken, in joules."
    )
    joules_per_output_token: float | None = Field(None, description="Energy of one output token, in joules.")
    joules_per_output_token_lower: float | None = Field(
        None, description="Lower end of the interval of joulesPerOutputToken, in joules."
    )
    joules_per_output_token_upper: float | None = Field(
        None, description="Upper end of the interval of joulesPerOutputToken, in joules."
    )
    time_to_first_token_seconds: float | None = Field(
        None, description="Time from the start of a request's input to its first output token, in seconds."
    )
    time_to_first_token_seconds_lower: float | None = Field(
        None, description="Lower end of the interval of timeToFirstTokenSeconds, in seconds."
    )
    time_to_first_token_seconds_upper: float | None = Field(
        None, description="Upper end of the interval of timeToFirstTokenSeconds, in seconds."
    )
    inter_token_latency_seconds: float | None = Field(
        None, description="Time between two output tokens of a request, the inputs of others included, in seconds."
    )
    inter_token_latency_seconds_lower: float | None = Field(
        None, description="Lower end of the interval of interTokenLatencySeconds, in seconds."
    )
    inter_token_latency_seconds_upper: float | None = Field(
        None, description="Upper end of the interval of interTokenLatencySeconds, in seconds."
    )
    tokens_per_second: float | None = Field(
        None, description="Output tokens of all requests per second; input tokens for the phase prefill."
    )
    memory_bytes: int | None = Field(
        None,
        description="Bytes on each accelerator: weights, key-value caches and activations.",
        json_schema_extra={"format": "int64"},
    )
    interval_level: float = Field(description="Probability that the value lies within its interval, 0 to 1.")
    average_power_watts: float = Field(
        description="Average power while the model runs, of all accelerators together, in watts."
    )
    idle_power_watts: float | None = Field(
        None, description="Power of these accelerators while the model waits for work, in watts."
    )
    coverage: float = Field(description="Share of the model's FLOPs that the forecast covers, 0 to 1.")
    origin: Origin = Field(
        description="What the forecast rests on: measured (joulecast's own measurements of this accelerator), public"
        " (published energy measurements of it), transferred (energy measurements of other accelerators), datasheet"
        " (its published limits alone). Each is less certain than the one before."
    )
    top_layers: list[ResultLayer] | None = Field(
        None,
        max_length=MAXIMUM_RESULT_LAYERS,
        description="The layers that need most energy in this result, in descending order: of a batch, of a decode step"
        " of a request, or of its input for the phase prefill.",
    )
    interval_reasons: list[StatusClause] | None = Field(
        None,
        max_length=MAXIMUM_REASONS,
        description="Why the interval of this result is wider than the accelerator's profile alone makes it; empty if"
        " nothing widens it.",
    )


class EstimateSummary(CostTexts):
    """The first result as text, which `kubectl get` prints in columns."""

    model: StatusText = Field(description="The image or address without its registry.")
    accelerator: StatusText = Field(
        description="Product name of the accelerator, after their number if several share the model."
    )
    load: StatusText | None = Field(
        None, description="What runs at once: the batch, or requests with the tokens of input and output."
    )
    joules: StatusText = Field(description="Energy of one batch, request or token, with its unit.")
    interval: StatusText = Field(description="Interval of that energy, with its unit.")
    coverage: StatusText = Field(description="Share of the model's FLOPs that the forecast covers, in percent.")
    origin: StatusText = Field(description="What the forecast rests on: measured, public, transferred or datasheet.")
    batch_size: StatusText | None = Field(None, description="Number of samples in one batch.")


class UnderstoodTarget(Part):
    """What was understood of the target's container that serves the model."""

    engine: StatusName = Field(description="The inference engine that the container starts.")
    container: StatusName = Field(description="Name of the container.")
    model: StatusText = Field(description="The model that it serves: an address, or a path in an image.")
    used: list[StatusName] = Field(
        default_factory=list, max_length=LISTED, description="Options of the command that the forecast follows."
    )
    ignored: list[StatusName] = Field(
        default_factory=list,
        max_length=LISTED,
        description="Options of the command that may change the energy and that the forecast does not follow.",
    )


class TargetAccelerators(Part):
    """The accelerators that the target may run on."""

    source: (
        Literal["annotation", "nodeSelector", "nodeAffinity", "acceleratorType", "resource", "claim", "queue", "nodes"]
        | None
    ) = Field(
        None,
        description="What says so: the annotation joulecast.dev/for-accelerator, the node selector or the required node"
        " affinity of the pods, the accelerator_type that a model asks Ray for, the extended resource that the pods ask"
        " for together with the nodes that have it, their resource claims, the flavours of their Kueue queue, or the"
        " nodes alone. None where no price can be given; the message says why.",
    )
    products: list[StatusName] = Field(
        default_factory=list, max_length=LISTED, description="Product names of the accelerators."
    )
    decides: StatusName | None = Field(
        None, description="Of several, the one that the annotations and the summary are of: it needs most energy."
    )
    range: StatusText | None = Field(
        None, description="Of several, the least and the most energy that a result has, with its unit."
    )
    message: StatusText | None = Field(None, description="What was left out, or why no accelerator is known.")


class TargetPowerLimit(Part):
    """The power limit of the target's accelerators, which the forecast takes unless the spec gives a limit or clock."""

    watts: int | None = Field(None, description="The limit of each accelerator, in watts.")
    source: Literal["podAnnotation", "nodeLabel"] | None = Field(
        None,
        description="What says so: the annotation dynamo.nvidia.com/gpu-power-limit of the pod template, or the label"
        " joulecast.dev/power-limit-watts of all nodes that may run the pods.",
    )
    message: StatusText | None = Field(None, description="Why no limit is taken although there is one.")


class TargetFacts(Part):
    """What the target asks for now; it changes without a new forecast."""

    kind: StatusName = Field(description="Kind of the workload.")
    name: StatusText = Field(description="Name of the workload.")
    pods: int | None = Field(
        None,
        description="Pods that it asks for at once: replicas, the nodes of a DaemonSet, parallelism of a Job and of"
        " one run of a CronJob, replicas × size of a LeaderWorkerSet; 0 while it is suspended or after a Job has"
        " ended.",
        json_schema_extra={"format": "int64"},
    )
    replicas: int | None = Field(
        None,
        description="How many times these pods serve the model at once: each pod of a built-in kind does; of a custom"
        " kind several may share one model. Absent where it is not known.",
        json_schema_extra={"format": "int64"},
    )
    message: StatusText | None = Field(
        None, description="Why the power of all replicas is not known by the first result; absent where it is."
    )
    model: StatusText | None = Field(
        None, description="What it most likely runs: an image that may hold the model, or the model's address."
    )
    accelerators: TargetAccelerators | None = Field(None, description="The accelerators that it may run on.")
    power_limit: TargetPowerLimit | None = Field(
        None, description="The power limit of these accelerators; none where nothing limits them."
    )
    average_power_watts: float | None = Field(
        None,
        description="Mean power of all replicas by the first result, at workload.requestsPerSecond or"
        " workload.utilizationPercent, in watts; absent where neither is given, and where the message says why.",
    )


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
