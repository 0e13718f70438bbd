"""Define how the model of an estimate is run: the field ``spec.workload``."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from joulecast.energy.profile import BOOST_CLOCK_MHZ, POWER_LIMIT_WATTS
from joulecast.serving.requests import LONGEST_TOKENS, MOST_REQUESTS
from joulecast.workloads import DEFAULT_INPUT_TOKENS
from joulecast_operator.api.parts import SET, Part, rules

DEFAULT_OUTPUT_TOKENS: Final = 128  # as GenerationRequest of the library, which a test compares
BATCH: Final = "batch"
"""Stands for the batch size in an input shape. The N of the command line would be a boolean in YAML."""

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
CachePrecision = Literal["default", "bf16", "fp16", "fp8"]
Phase = Literal["forward", "prefill", "decode", "request"]
TensorParallel = Literal[1, 2, 4, 8]
PowerLimit = Annotated[int, Field(ge=int(POWER_LIMIT_WATTS.low), le=int(POWER_LIMIT_WATTS.high))]
Clock = Annotated[int, Field(ge=int(BOOST_CLOCK_MHZ.low), le=int(BOOST_CLOCK_MHZ.high))]

CLOCK_FIELD: Final = "clockMHz"
"""The name of a clock in resources; the camel case of ``clock_mhz`` would hide the unit."""

_RATE_RULE: Final = (
    "type(self) == int || (quantity(self).isGreaterThan(quantity('0')) &&"
    f" !quantity(self).isGreaterThan(quantity('{MOST_REQUESTS}')))"
)

RequestRate = Annotated[
    int | str,
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "minimum": 1,
            "maximum": MOST_REQUESTS,
            "pattern": "^[0-9]{1,6}([.][0-9]{1,6})?m?$",
            "maxLength": 14,
            **rules((_RATE_RULE, f"must be above 0 and at most {MOST_REQUESTS}")),
        }
    ),
]
"""A Kubernetes quantity: 20, "0.5" or 500m. YAML's bare 0.5 is a float, which the API server refuses."""

_FORWARD: Final = "!has(self.phase) || self.phase == 'forward'"
_GENERATION: Final = (
    "has(self.outputTokens) || has(self.cachedTokens) || has(self.concurrency) || has(self.requestsPerSecond)"
)
_LEFT_OUT: Final = "leave out outputTokens, cachedTokens, concurrency and requestsPerSecond"
_GIVEN_TOKENS: Final = f"(has(self.inputTokens) ? self.inputTokens : {DEFAULT_INPUT_TOKENS})"


def quantity(text: int | str) -> float:
    """Return the number that a Kubernetes quantity such as 20, "0.5" or 500m means."""
    if isinstance(text, str) and text.endswith("m"):
        return float(text[:-1]) / 1000
    return float(text)


class WorkloadSpec(Part):
    """How the model is run: what of it, on how much at once, the shapes and content of its inputs, and precision."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                f"!has(self.batchSizes) || {_FORWARD}",
                "batchSizes are of the phase forward: give concurrency for a generation",
            ),
            (
                f"!has(self.batchSizes) || !({_GENERATION})",
                f"batchSizes are of one forward pass: leave them out, or {_LEFT_OUT}",
            ),
            (
                f"!has(self.phase) || self.phase != 'forward' || !({_GENERATION})",
                f"the phase forward takes inputTokens and batchSizes: {_LEFT_OUT}",
            ),
            (
                "!(has(self.concurrency) && has(self.requestsPerSecond))",
                "give at most one of concurrency and requestsPerSecond",
            ),
            (
                "!(has(self.utilizationPercent) && has(self.requestsPerSecond))",
                "give at most one of utilizationPercent and requestsPerSecond",
            ),
            (
                f"!has(self.cachedTokens) || self.cachedTokens < {_GIVEN_TOKENS}",
                "cachedTokens are a part of inputTokens: give fewer",
            ),
        )
    )

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
        description="Number format that the arithmetic runs in; default is what torch uses unless told otherwise, and"
        " for a language model the format of its files.",
    )
    cache_precision: CachePrecision | None = Field(
        None,
        description="Number format in which a language model's keys and values are cached; default is what the model's"
        " files say, else that of the arithmetic. When left out: what the target's command says, else default.",
    )
    phase: Phase | None = Field(
        None,
        description="What to forecast: forward (one pass), or of a language model prefill (reading the input), decode"
        " (one output token of each sequence) or request (both). When left out: request for a model that generates,"
        " unless batchSizes are given; else forward.",
    )
    input_tokens: Annotated[int, Field(ge=1, le=LONGEST_TOKENS)] | None = Field(
        None, description=f"Tokens of a request's input; {DEFAULT_INPUT_TOKENS} when left out."
    )
    output_tokens: Annotated[int, Field(ge=1, le=LONGEST_TOKENS)] | None = Field(
        None, description=f"Tokens that a request generates; {DEFAULT_OUTPUT_TOKENS} when left out."
    )
    cached_tokens: Annotated[int, Field(ge=0, le=LONGEST_TOKENS)] | None = Field(
        None,
        description="How many of the input tokens the engine has in its prefix cache, so that it need not compute them;"
        " 0 when left out.",
    )
    concurrency: Annotated[int, Field(ge=1, le=MOST_REQUESTS)] | None = Field(
        None,
        description="Requests that the engine works on at once; 1 when left out. Give either this or"
        " requestsPerSecond.",
    )
    requests_per_second: RequestRate | None = Field(
        None,
        description='Requests that arrive per second at each replica, such as 20, "0.5" or 500m, from which the'
        " concurrency follows. Give either this or concurrency.",
    )
    utilization_percent: Annotated[int, Field(ge=1, le=100)] | None = Field(
        None,
        description="Share of the time in which each replica is busy, in percent, from which the power of all replicas"
        " of the target follows. It changes no forecast. Give either this or requestsPerSecond.",
    )
    tensor_parallel: TensorParallel | None = Field(
        None,
        description="Accelerators that share a language model. When left out: as many as the target's command says,"
        " else 1.",
    )
    power_limit_watts: PowerLimit | None = Field(
        None,
        description="A power limit that is set on each accelerator, in watts, below its own; none when left out. An"
        " inference engine under a power limit cannot be forecast: give clockMHz.",
    )
    clock_mhz: Clock | None = Field(
        None,
        alias=CLOCK_FIELD,
        description="A clock to which the multiprocessors of each accelerator are locked, in MHz; none when left out.",
    )
