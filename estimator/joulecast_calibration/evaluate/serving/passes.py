"""What a served case costs, as a linear function of the seconds and watts between passes.

The kernels of a case are priced once. The time between tokens is then its kernels' part, plus the number of passes
between two tokens × the seconds of a step, plus their sequences × the seconds of a sequence: what a fit of the step
needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from joulecast.accelerators.catalogue import accelerator_named
from joulecast.energy.engines.pricing import gap_watts, price_passes
from joulecast.serving.execution import executed_on
from joulecast.serving.generation import Generated, Spent, generate
from joulecast.serving.requests import GenerationRequest
from joulecast.serving.rows import rows

if TYPE_CHECKING:
    from joulecast.blocks import LanguageModel
    from joulecast.serving.passes import Pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Decomposed:
    """Parts of the seconds between tokens and to the first token: of kernels, a step, a sequence of a step.

    ``prefill_seconds``: kernels of reading one input alone.
    """

    between: tuple[float, float, float]
    first: tuple[float, float, float]
    prefill_seconds: float

    def between_seconds(self, step: float, sequence: float) -> float:
        kernels, steps, sequences = self.between
        return kernels + steps * step + sequences * sequence

    def first_seconds(self, step: float, sequence: float) -> float:
        kernels, steps, sequences = self.first
        return kernels + steps * step + sequences * sequence


def decomposed(model: LanguageModel, accelerator: str, asked: GenerationRequest, engine: str = "vllm") -> Decomposed:
    """Return the parts of ``asked``. Raises WorkloadError, NotCalibratedError as a forecast does."""
    concurrency = asked.concurrency or 1
    parts = [generate(asked, concurrency, price) for price in _bases(model, accelerator, asked, engine)]
    kernels = parts[0]
    return Decomposed(
        between=_three([each.inter_token_latency_seconds for each in parts]),
        first=_three([each.time_to_first_token_seconds for each in parts]),
        prefill_seconds=kernels.prefill.seconds,
    )


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    one, other, last = values
    return float(one), float(other), float(last)


def _bases(
    model: LanguageModel, accelerator: str, asked: GenerationRequest, engine: str
) -> tuple[Callable[[Sequence[Pass]], list[Spent]], ...]:
    kernels = _kernels(model, accelerator, asked.tensor_parallel, engine)
    return (
        kernels,
        lambda passes: [Spent(seconds=1.0) for _ in passes],
        lambda passes: [Spent(seconds=float(run.sequences)) for run in passes],
    )


def _kernels(
    model: LanguageModel, accelerator: str, cards: int, engine: str
) -> Callable[[Sequence[Pass]], list[Spent]]:
    profile = accelerator_named(accelerator)
    run = executed_on(model, architecture=profile.architecture, product=profile.product)

    def price(passes: Sequence[Pass]) -> list[Spent]:
        counted = [rows(run, each, cards=cards) for each in passes]
        priced = price_passes(counted, profile, engine=engine, cards=cards)
        return [Spent(seconds=each.busy_seconds, joules=each.joules * cards) for each in priced]

    return price


def served(
    model: LanguageModel,
    accelerator: str,
    asked: GenerationRequest,
    *,
    step: float,
    sequence: float,
    engine: str = "vllm",
) -> Generated:
    """Return the figures of ``asked`` with these seconds between passes, during which cards draw gap power."""
    kernels = _kernels(model, accelerator, asked.tensor_parallel, engine)
    watts = gap_watts(accelerator_named(accelerator)) * asked.tensor_parallel

    def price(passes: Sequence[Pass]) -> list[Spent]:
        between = [step + sequence * run.sequences for run in passes]
        own = kernels(passes)
        return [each + Spent(seconds=s, joules=s * watts) for each, s in zip(own, between, strict=True)]

    return generate(asked, asked.concurrency or 1, price)
