"""What a served case costs, as a linear function of the seconds and watts between passes.

The kernels of a case are priced once. The time between tokens is then its kernels' part, plus the number of passes
between two tokens × the seconds of a step, plus their sequences × the seconds of a sequence: what a fit of the step
needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from joulecast.accelerators.catalogue import accelerator_named
from joulecast.api.generation import forecast_passes, spent
from joulecast.serving.execution import executed_on
from joulecast.serving.generation import Generated, Pricer, Spent, generate
from joulecast.serving.requests import GenerationRequest

if TYPE_CHECKING:
    from joulecast.blocks import LanguageModel
    from joulecast.serving.passes import Pass


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSeconds:
    """What an engine spends between passes: ``seconds`` a step and ``sequence_seconds`` a sequence in it."""

    seconds: float
    sequence_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Decomposed:
    """Parts of the seconds between tokens and to the first token: of kernels, a step, a sequence of a step."""

    between: tuple[float, float, float]
    first: tuple[float, float, float]

    def between_seconds(self, step: StepSeconds) -> float:
        return _with_step(self.between, step)

    def first_seconds(self, step: StepSeconds) -> float:
        return _with_step(self.first, step)


def _with_step(parts: tuple[float, float, float], step: StepSeconds) -> float:
    kernels, steps, sequences = parts
    return kernels + steps * step.seconds + sequences * step.sequence_seconds


class Kernels:
    """Prices passes of models on accelerators, each pass once."""

    def __init__(self) -> None:
        self._executed: dict[object, tuple[LanguageModel, LanguageModel]] = {}
        self._seconds: dict[object, dict[Pass, Spent]] = {}

    def decomposed(
        self, model: LanguageModel, accelerator: str, asked: GenerationRequest, engine: str = "vllm"
    ) -> Decomposed:
        """Return the parts of ``asked``. Raises WorkloadError, NotCalibratedError as a forecast does."""
        kernels = self._pricer(model, accelerator, asked.tensor_parallel, engine)
        parts = [generate(asked, asked.concurrency or 1, price) for price in (kernels, *_BETWEEN)]
        return Decomposed(
            between=_three([each.inter_token_latency_seconds for each in parts]),
            first=_three([each.time_to_first_token_seconds for each in parts]),
        )

    def _pricer(self, model: LanguageModel, accelerator: str, cards: int, engine: str) -> Pricer:
        run, profile = self._run(model, accelerator), accelerator_named(accelerator)
        known = self._seconds.setdefault((id(model), accelerator, cards, engine), {})

        def price(passes: Sequence[Pass]) -> list[Spent]:
            new = list(dict.fromkeys(each for each in passes if each not in known))
            for each, priced in zip(new, forecast_passes(run, new, profile, engine=engine, cards=cards), strict=True):
                known[each] = Spent(seconds=priced.busy_seconds)
            return [known[each] for each in passes]

        return price

    def _run(self, model: LanguageModel, accelerator: str) -> LanguageModel:
        key = (id(model), accelerator)
        if key not in self._executed:  # the model is kept, so that no other one gets its id
            self._executed[key] = model, _executed(model, accelerator)
        return self._executed[key][1]


def served(model: LanguageModel, accelerator: str, asked: GenerationRequest, step: StepSeconds) -> Generated:
    """Return the figures of ``asked`` under vLLM with ``step`` between passes, during which cards draw gap power."""
    profile, cards = accelerator_named(accelerator), asked.tensor_parallel
    run = _executed(model, accelerator)

    def price(passes: Sequence[Pass]) -> list[Spent]:
        waits = [step.seconds + step.sequence_seconds * each.sequences for each in passes]
        return [
            spent(each, cards) for each in forecast_passes(run, passes, profile, cards=cards, waiting_seconds=waits)
        ]

    return generate(asked, asked.concurrency or 1, price)


def _executed(model: LanguageModel, accelerator: str) -> LanguageModel:
    profile = accelerator_named(accelerator)
    return executed_on(model, architecture=profile.architecture, product=profile.product)


def _three(values: Sequence[float]) -> tuple[float, float, float]:
    one, other, last = values
    return float(one), float(other), float(last)


_BETWEEN: tuple[Pricer, ...] = (
    lambda passes: [Spent(seconds=1.0) for _ in passes],
    lambda passes: [Spent(seconds=float(run.sequences)) for run in passes],
)
"""What a second of a step, and of each sequence in it, adds."""
