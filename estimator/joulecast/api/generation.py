"""From a language model and a generation workload to a forecast on an accelerator."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING

from joulecast.blocks import Experts, LanguageModel
from joulecast.energy.engines.intervals import Widths, widenings, widths
from joulecast.energy.engines.pricing import PassForecast, price_counted, step_seconds
from joulecast.energy.engines.table import Passes, passes_of
from joulecast.energy.interval import Widening
from joulecast.energy.model import ORIGINS, LayerEnergy, Origin
from joulecast.errors import WorkloadError
from joulecast.layers import Coverage
from joulecast.serving.execution import executed_on
from joulecast.serving.fitting import DOES_NOT_FIT, Memory, memory_of, require_fit
from joulecast.serving.generation import Generated, Spent, concurrency_of, generate
from joulecast.serving.outline import Outline, SameModel
from joulecast.serving.passes import Pass, decode, prefill
from joulecast.serving.requests import GenerationRequest, Phase
from joulecast.units import Seconds, Watts
from joulecast.workloads import DEFAULT_ENGINE, DEFAULT_PRECISION

if TYPE_CHECKING:
    from joulecast.energy.profile import AcceleratorProfile
    from joulecast.layers import LayerProfile

_LEVEL = 0.9

# Log half-widths that reasons add in quadrature; ADR 0157 says why each is what it is.
_IGNORED = 0.1
_SKEW = 0.1
_LISTED_KEYS = 5
_MOST_SEQUENCES = 1024
"""vLLM's default of ``max_num_seqs`` when it serves on cards of 70 GiB and more (vllm/engine/arg_utils.py)."""
_MOST_UNKNOWN = 256
"""The same for smaller cards, taken where the memory is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A forecast value with its interval."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseLayers:
    """One pass of ``phase``: the reading of one input, or one decode step at the middle of the output.

    - ``different``: its rows, those of layers that are alike only once; ``layers`` has them all.
    """

    phase: Phase
    different: tuple[LayerEnergy, ...]
    outline: Outline = field(repr=False, compare=False)

    @property
    def layers(self) -> tuple[LayerEnergy, ...]:
        """The rows of the pass, in order."""
        return self.outline.expanded(self.different)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationEstimate:
    """A forecast of a generation workload; joules are those of all cards together.

    - ``concurrency``: requests in flight, given or derived from the rate.
    - ``parallel``: cards that share the model.
    - ``joules_per_request``: of input and output; ``joules_per_input_token``, ``joules_per_output_token``: what each
      costs of the passes that it shares with others; 0 where the phase has none of it.
    - ``inter_token_latency_seconds``: between a request's output tokens, the inputs of others included.
    - ``tokens_per_second``: of all requests together, output tokens; of ``prefill``, input tokens.
    - ``memory_bytes``: on each card.
    - ``reasons``: why the intervals are wider than those of a scored case, one clause each.
    """

    accelerator: str
    runtime: str
    precision: str
    phase: Phase
    concurrency: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    parallel: int
    joules_per_request: Figure
    joules_per_input_token: Figure
    joules_per_output_token: Figure
    time_to_first_token_seconds: Figure
    inter_token_latency_seconds: Figure
    request_seconds: Seconds
    tokens_per_second: float
    average_power_watts: Watts
    memory_bytes: int
    coverage: Coverage
    origin: Origin
    interval_level: float = _LEVEL
    interval_guaranteed: bool = False
    reasons: tuple[str, ...] = ()
    phases: tuple[PhaseLayers, ...] = ()


def forecast_generation(
    model: LanguageModel,
    accelerator: AcceleratorProfile,
    asked: GenerationRequest,
    *,
    precision: str = DEFAULT_PRECISION,
    runtime: str = DEFAULT_ENGINE,
    clock_mhz: float | None = None,
    cache_precision: str = DEFAULT_PRECISION,
) -> GenerationEstimate:
    """Forecast ``asked`` of ``model``. Raises what ``estimate_generation`` raises after the model was read."""
    from joulecast.api.language_models import in_cache_precision, in_precision, require_engine

    require_engine(runtime)
    if not model.generates:
        raise WorkloadError(
            f"{model.architecture} makes one pass over a text and generates nothing: leave the phase out, or give"
            " forward"
        )
    cached = in_cache_precision(in_precision(model, precision), cache_precision)
    run = executed_on(cached, architecture=accelerator.architecture, product=accelerator.product)
    return _Served(run, accelerator, asked, runtime, precision, clock_mhz).estimate()


def forecast_concurrencies(
    model: LanguageModel,
    accelerator: AcceleratorProfile,
    asked: GenerationRequest,
    concurrencies: Sequence[int],
    *,
    precision: str = DEFAULT_PRECISION,
    runtime: str = DEFAULT_ENGINE,
    clock_mhz: float | None = None,
) -> list[GenerationEstimate | WorkloadError]:
    """Forecast ``asked``, which names its precision but does not convert ``model`` to it, at each of ``concurrencies``.

    All passes are priced together, which takes a fraction of the time of as many forecasts. A concurrency that does
    not fit has its error in place of a forecast. Raises what ``forecast_generation`` raises otherwise.
    """
    run = executed_on(model, architecture=accelerator.architecture, product=accelerator.product)
    each = [replace(asked, concurrency=count, requests_per_second=None) for count in concurrencies]
    served = [_Served(run, accelerator, own, runtime, precision, clock_mhz) for own in each]
    problems = [own.problem() for own in served]
    fitting = [own.passes() for own, problem in zip(served, problems, strict=True) if not problem]
    shown = dict.fromkeys(run for _, layered in fitting for run in layered)
    runs = [*dict.fromkeys(run for plain, _ in fitting for run in plain if run not in shown), *shown]
    known = dict(zip(runs, served[0].forecasts(runs, with_layers=len(shown)), strict=True)) if runs else {}
    return [problem or own.estimate(known) for own, problem in zip(served, problems, strict=True)]


def forecast_passes(
    model: LanguageModel,
    passes: Sequence[Pass],
    accelerator: AcceleratorProfile,
    *,
    engine: str = DEFAULT_ENGINE,
    cards: int = 1,
    clock_mhz: float | None = None,
    waiting_seconds: Sequence[float] | None = None,
    with_layers: int = 0,
) -> tuple[PassForecast, ...]:
    """Forecast passes of ``model`` on one of ``cards`` cards that share it; layers that are alike are priced once.

    ``waiting_seconds``: after each pass, in which the cards wait for the engine. ``with_layers``: how many of the last
    passes have an entry for each row. Raises WorkloadError where the model cannot be divided among the cards, and what
    ``price_counted`` raises.
    """
    counted, rows = _counted(SameModel(model), tuple(passes), cards, engine)
    return price_counted(
        counted,
        rows,
        accelerator,
        engine=engine,
        cards=cards,
        clock_mhz=clock_mhz,
        waiting_seconds=waiting_seconds,
        with_layers=with_layers,
    )


@lru_cache(maxsize=8)
def _counted(
    same: SameModel, passes: tuple[Pass, ...], cards: int, engine: str
) -> tuple[Passes, tuple[tuple[LayerProfile, ...], ...]]:
    """Return the kernels of passes, and their rows. Those of the last calls are kept: other cards run the same."""
    counted = [Outline.of(same.model).rows(run, cards=cards) for run in passes]
    rows = tuple(each.rows for each in counted)
    return passes_of(rows, engine, [each.times for each in counted]), rows


def spent(priced: PassForecast, cards: int) -> Spent:
    """Return what a pass and the wait after it cost ``cards`` cards together."""
    return Spent(seconds=priced.step_seconds, joules=priced.step_joules * cards)


class _Served:
    """One model on one accelerator under one engine, with what its passes cost."""

    def __init__(
        self,
        model: LanguageModel,
        accelerator: AcceleratorProfile,
        asked: GenerationRequest,
        engine: str,
        precision: str,
        clock_mhz: float | None,
    ) -> None:
        self._model, self._accelerator, self._asked = model, accelerator, asked
        self._engine, self._precision, self._clock_mhz = engine, precision, clock_mhz
        self._cards = asked.tensor_parallel
        self._outline = Outline.of(model)
        self._known: Mapping[Pass, PassForecast] = {}

    def problem(self) -> WorkloadError | None:
        """Return the error where the concurrency asked for does not fit."""
        try:
            self._memory(self._concurrency())
        except WorkloadError as error:
            return error
        return None

    def passes(self) -> tuple[list[Pass], list[Pass]]:
        """Return the passes that a forecast prices, which do not depend on what they cost, and those with layers."""
        asked, seen = self._concurrency(), list[Pass]()

        def note(passes: Sequence[Pass]) -> list[Spent]:
            seen.extend(passes)
            return [Spent(seconds=1.0, joules=1.0)] * len(passes)

        generate(self._asked, asked, note)
        return seen, list(self._shown(asked).values())

    def estimate(self, known: Mapping[Pass, PassForecast] | None = None) -> GenerationEstimate:
        """Return the forecast; ``known``: its passes, where they are priced already."""
        self._known = known or {}
        concurrency = self._concurrency()
        memory = self._memory(concurrency)
        shown, layered = self._shown(concurrency), list[PassForecast]()
        found = generate(self._asked, concurrency, partial(self._price, shown=list(shown.values()), layered=layered))
        phases = list(zip(shown, layered, strict=True))
        wider = tuple(self._widenings())
        return replace(
            self._figures(found, widths(self._engine, wider)),
            memory_bytes=memory.needed(concurrency),
            coverage=self._coverage(phases),
            origin=self._origin(phases),
            reasons=tuple(each.reason for each in wider),
            phases=tuple(
                PhaseLayers(phase=phase, different=priced.layers, outline=self._outline) for phase, priced in phases
            ),
        )

    def _price(
        self, passes: Sequence[Pass], *, shown: Sequence[Pass] = (), layered: list[PassForecast] | None = None
    ) -> list[Spent]:
        """Price passes on all cards, with what the engine does between the kernels of two of them.

        Those ``shown`` by layer are priced in the same call, which costs little more, and go to ``layered``.
        """
        priced = self.forecasts([*passes, *shown], with_layers=len(shown))
        if layered is not None:
            layered += priced[len(passes) :]
        return [spent(each, self._cards) for each in priced[: len(passes)]]

    @cached_property
    def _card_bytes(self) -> int | None:
        from joulecast.accelerators.memory import memory_bytes

        return memory_bytes(self._accelerator.product)

    def _concurrency(self) -> int:
        if self._asked.concurrency is not None:
            return self._asked.concurrency
        rate = float(self._asked.requests_per_second or 0)
        most = self._most_sequences()
        found = concurrency_of(rate, most, lambda count: generate(self._asked, count, self._price).request_seconds)
        if found is not None:
            return found
        reached = most / generate(self._asked, most, self._price).request_seconds
        raise WorkloadError(
            f"{rate:g} requests a second are more than {self._cards} × {self._accelerator.product} complete:"
            f" {reached:.3g} with {most} at once; ask for fewer, or for more cards or replicas",
            reason=DOES_NOT_FIT,
        )

    def _most_sequences(self) -> int:
        if self._card_bytes is None:
            return _MOST_UNKNOWN
        most = memory_of(self._model, self._asked, self._cards).most_sequences(self._card_bytes)
        if not most:
            require_fit(self._model, self._asked, 1, self._card_bytes, self._accelerator.product)
        return min(most, _MOST_SEQUENCES)

    def _memory(self, concurrency: int) -> Memory:
        if self._card_bytes is None:
            return memory_of(self._model, self._asked, self._cards)
        return require_fit(self._model, self._asked, concurrency, self._card_bytes, self._accelerator.product)

    def _shown(self, concurrency: int) -> dict[Phase, Pass]:
        """Return the passes that are shown by layer: one input, and the middle decode step."""
        asked = self._asked
        middle = asked.input_tokens + (asked.output_tokens - 1) // 2
        passes: list[tuple[Phase, Pass]] = [
            ("prefill", prefill(1, min(asked.new_tokens, asked.batched_tokens), asked.cached_tokens)),
            ("decode", decode(concurrency, middle)),
        ]
        return {
            phase: run
            for phase, run in passes
            if asked.phase == phase or (asked.phase == "request" and (phase == "prefill" or asked.output_tokens > 1))
        }

    def forecasts(self, passes: Sequence[Pass], *, with_layers: int = 0) -> tuple[PassForecast, ...]:
        """Price passes, those that are not known."""
        if self._known:
            return tuple(self._known[run] for run in passes)
        return forecast_passes(
            self._model,
            passes,
            self._accelerator,
            engine=self._engine,
            cards=self._cards,
            clock_mhz=self._clock_mhz,
            waiting_seconds=[step_seconds(self._engine, run.sequences) for run in passes],
            with_layers=with_layers,
        )

    def _coverage(self, phases: Sequence[tuple[Phase, PassForecast]]) -> Coverage:
        found = [priced.coverage for _, priced in phases]
        unsupported = dict.fromkeys(name for each in found for name in each.unsupported)
        return Coverage(
            flops=min(each.flops for each in found),
            ops=min(each.ops for each in found),
            unsupported=tuple(unsupported),
        )

    def _origin(self, phases: Sequence[tuple[Phase, PassForecast]]) -> Origin:
        """Return the weakest origin of layers that carry joules; no row of an engine's was measured on this card."""
        found = [layer.origin for _, priced in phases for layer in priced.layers if layer.joules > 0]
        return max([self._accelerator.origin, *found], key=ORIGINS.index)

    def _figures(self, found: Generated, width: Widths) -> GenerationEstimate:
        asked = self._asked
        joules = [found.joules_per_request, found.prefill.joules / asked.input_tokens]
        written = (
            found.decode.joules if asked.phase == "decode" else found.decode.joules / max(asked.output_tokens - 1, 1)
        )
        request, read, wrote = (_figure(value, width.joules) for value in (*joules, written))
        return GenerationEstimate(
            accelerator=self._accelerator.product,
            runtime=self._engine,
            precision=self._precision,
            phase=asked.phase,
            concurrency=found.concurrency,
            input_tokens=asked.input_tokens,
            output_tokens=asked.output_tokens,
            cached_tokens=asked.cached_tokens,
            parallel=self._cards,
            joules_per_request=request,
            joules_per_input_token=read,
            joules_per_output_token=wrote,
            time_to_first_token_seconds=_figure(found.time_to_first_token_seconds, width.seconds),
            inter_token_latency_seconds=_figure(found.inter_token_latency_seconds, width.seconds),
            request_seconds=found.request_seconds,
            tokens_per_second=found.tokens_per_second,
            average_power_watts=Watts(found.average_power_watts),
            memory_bytes=0,
            coverage=Coverage(flops=1.0, ops=1.0),
            origin=self._accelerator.origin,
        )

    def _widenings(self) -> list[Widening]:
        """Return what makes this case less certain than those that were scored."""
        found = widenings(self._engine, self._accelerator.product, self._clock_mhz)
        if self._model.ignored:
            keys = ", ".join(self._model.ignored[:_LISTED_KEYS])
            found.append(Widening(reason=f"keys of config.json that nothing reads: {keys}", log_half_width=_IGNORED))
        if self._model.differences:
            told = "; ".join(self._model.differences[:_LISTED_KEYS])
            found.append(Widening(reason=f"files and config.json disagree: {told}", log_half_width=_IGNORED))
        if any(isinstance(layer.feed_forward, Experts) for layer, _ in self._model.decoder.layers):
            reason = "experts: routing is taken as even, and real routing is skewed"
            found.append(Widening(reason=reason, log_half_width=_SKEW))
        if self._card_bytes is None:
            reason = f"the memory of {self._accelerator.product} is not known: whether the model fits was not checked"
            found.append(Widening(reason=reason, log_half_width=0.0))
        return found


def _figure(value: float, width: float) -> Figure:
    return Figure(value=value, lower=value * math.exp(-width), upper=value * math.exp(width))
