"""Define in what the results of estimates differ, and what annotations of a workload choose of it; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from joulecast.serving.requests import LONGEST_TOKENS, MOST_REQUESTS
from joulecast_operator.api.annotations import (
    BATCH_SIZE,
    CONCURRENCY,
    FOR_ACCELERATOR,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    PHASE,
    PRECISION,
    RUNTIME,
    annotations_of,
)
from joulecast_operator.api.objects import Resource
from joulecast_operator.api.workload import CLOCK_FIELD, Phase

_BATCH_SIZES: Final = range(1, 65537)  # as in the CRD
_FORWARD: Final = "forward"

Inputs = Mapping[str, str]
"""The annotations of a workload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """One property in which the results of estimates differ.

    - ``field``: its field in a result.
    - ``words``, ``plural``: its name in a sentence.
    - ``annotation``: the annotation of a workload that chooses its value; "" if none does.
    - ``reason``: the reason of a missing forecast, if no result has the chosen value.
    - ``way_out``: what to do about that.
    - ``counts``, ``choices``: the values that the annotation may have; both empty if any text is looked for.
    - ``invalid``: the reason of a missing forecast, if the annotation has another one.
    - ``absent``: the value of a result that lacks the field; "" if it has none.
    """

    field: str
    words: str
    plural: str
    annotation: str = ""
    reason: str
    way_out: str
    counts: range = range(0)
    choices: tuple[str, ...] = ()
    invalid: str = ""
    absent: str = ""

    @property
    def is_checked(self) -> bool:
        """Tell whether only certain values of the annotation are valid."""
        return bool(self.counts or self.choices)

    @property
    def accepted(self) -> str:
        """Return in words which values are valid."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        return f"a whole number from {self.counts[0]} to {self.counts[-1]}"

    def given(self, inputs: Inputs) -> str:
        """Return the value of the annotation as written; "" if there is none."""
        return inputs.get(self.annotation, "").strip()

    def chosen(self, inputs: Inputs) -> str | int | None:
        """Return the value that the annotation chooses; None if it is absent or invalid."""
        text = self.given(inputs)
        if not self.counts:
            return text if text and (not self.choices or text in self.choices) else None
        short = text.isascii() and text.isdigit() and len(text) <= len(str(self.counts[-1]))
        return int(text) if short and int(text) in self.counts else None

    def value(self, row: Resource) -> str:
        """Return the value of a result; "" if it has none."""
        return str(row.get(self.field, self.absent))


BATCHES: Final = Dimension(
    field="batchSize", words="batch size", plural="batch sizes", annotation=BATCH_SIZE, counts=_BATCH_SIZES,
    invalid="InvalidBatchSize", reason="BatchSizeNotEstimated", way_out="add it to its workload.batchSizes",
)  # fmt: skip
PHASES: Final = Dimension(
    field="phase", words="phase", plural="phases", annotation=PHASE, choices=get_args(Phase), invalid="InvalidPhase",
    reason="PhaseNotEstimated", way_out="apply an estimate with that workload.phase, or correct the annotation",
    absent=_FORWARD,
)  # fmt: skip
REQUESTS: Final = Dimension(
    field="concurrency", words="concurrency", plural="concurrencies", annotation=CONCURRENCY,
    counts=range(1, MOST_REQUESTS + 1), invalid="InvalidConcurrency", reason="ConcurrencyNotEstimated",
    way_out="apply an estimate with that workload.concurrency, or correct the annotation",
)  # fmt: skip
INPUTS: Final = Dimension(
    field="inputTokens", words="number of input tokens", plural="numbers of input tokens", annotation=INPUT_TOKENS,
    counts=range(1, LONGEST_TOKENS + 1), invalid="InvalidInputTokens", reason="InputTokensNotEstimated",
    way_out="apply an estimate with those workload.inputTokens, or correct the annotation",
)  # fmt: skip
OUTPUTS: Final = Dimension(
    field="outputTokens", words="number of output tokens", plural="numbers of output tokens",
    annotation=OUTPUT_TOKENS, counts=range(1, LONGEST_TOKENS + 1), invalid="InvalidOutputTokens",
    reason="OutputTokensNotEstimated",
    way_out="apply an estimate with those workload.outputTokens, or correct the annotation",
)  # fmt: skip
DEGREES: Final = Dimension(
    field="parallel", words="tensor parallel degree", plural="tensor parallel degrees",
    reason="TensorParallelNotEstimated", absent="1",
    way_out="set its workload.tensorParallel to what the engine's command says",
)  # fmt: skip
PRECISIONS: Final = Dimension(
    field="precision", words="precision", plural="precisions", annotation=PRECISION, reason="PrecisionNotEstimated",
    way_out="apply an estimate with that workload.precision, or correct the annotation",
)  # fmt: skip
POWER_LIMITS: Final = Dimension(
    field="powerLimitWatts", words="power limit", plural="power limits", reason="PowerLimitNotEstimated",
    way_out="apply an estimate with that workload.powerLimitWatts",
)  # fmt: skip
CLOCKS: Final = Dimension(
    field=CLOCK_FIELD, words="clock", plural="clocks", reason="ClockNotEstimated",
    way_out=f"apply an estimate with that workload.{CLOCK_FIELD}",
)  # fmt: skip
RUNTIMES: Final = Dimension(
    field="runtime", words="runtime", plural="runtimes", annotation=RUNTIME, reason="RuntimeNotEstimated",
    way_out="apply an estimate with that runtime, or correct the annotation",
)  # fmt: skip
ACCELERATORS: Final = Dimension(
    field="accelerator", words="accelerator", plural="accelerators", annotation=FOR_ACCELERATOR,
    reason="AcceleratorNotEstimated", way_out="add it to its accelerators.names",
)  # fmt: skip

DIMENSIONS: Final = (
    BATCHES, PHASES, REQUESTS, INPUTS, OUTPUTS, DEGREES, PRECISIONS, POWER_LIMITS, CLOCKS, RUNTIMES, ACCELERATORS,
)  # fmt: skip

_OF_GENERATION: Final = (REQUESTS, OUTPUTS)


def caps(row: Resource) -> str:
    """Return the caps of a result's accelerators, such as "200 W and 900 MHz"; "" where they run as they come."""
    units = {POWER_LIMITS: "W", CLOCKS: "MHz"}
    return " and ".join(f"{value} {unit}" for each, unit in units.items() if (value := each.value(row)))


def invalid(workload: Resource) -> Dimension | None:
    """Return the first dimension whose annotation has no valid value; None if there is none."""
    inputs = annotations_of(workload)
    checked = (each for each in DIMENSIONS if each.is_checked)
    return next((each for each in checked if each.given(inputs) and each.chosen(inputs) is None), None)


def asked_workload(workload: Resource) -> dict[str, Any]:
    """Return how the model is run, as an estimate's ``spec.workload``, by annotations that it accepts together."""
    inputs = annotations_of(workload)
    left_out = _left_out(inputs)
    asked = {
        each.field: value
        for each in (BATCHES, PHASES, REQUESTS, INPUTS, OUTPUTS)
        if each not in left_out and (value := each.chosen(inputs)) is not None
    }
    batch_size = asked.pop(BATCHES.field, None)
    return ({"batchSizes": [batch_size]} if batch_size is not None else {}) | asked


def excluded(inputs: Inputs) -> Mapping[str, str]:
    """Return the annotations that ``asked_workload`` leaves out although they are valid, each with what excludes it."""
    present = [each for each in (PHASES, *_OF_GENERATION, BATCHES) if each.chosen(inputs) is not None]
    left_out = _left_out(inputs)
    return {each.annotation: present[0].annotation for each in present if each in left_out}


def _left_out(inputs: Inputs) -> tuple[Dimension, ...]:
    """Return the dimensions that do not apply: batch sizes are of one forward pass, concurrency and output tokens of a
    generation. Where both are given, the phase decides, and without one it is a generation."""
    phase = PHASES.chosen(inputs)
    if phase == _FORWARD:
        return _OF_GENERATION
    generates = phase is not None or any(each.chosen(inputs) is not None for each in _OF_GENERATION)
    return (BATCHES,) if generates else ()
