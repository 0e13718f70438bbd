"""Forecasts of generation as transformers runs it in torch: a static batch, one step after the other.

The class is traced (``readers.decoding``), products of bitsandbytes are put in the place of quantised ones
(``serving.eager``), and each pass is priced by the law of networks, whose host launches every kernel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from joulecast.counting import coverage, totals
from joulecast.energy.model import EnergyEstimate
from joulecast.energy.pricing import OTHER_HOST, price
from joulecast.errors import WorkloadError
from joulecast.layers import LayerProfile, ModelProfile, Workload
from joulecast.readers.decoding.tracing import Decoder, path_of
from joulecast.serving.eager.bitsandbytes import Options, quantised
from joulecast.serving.eager.loop import loop_rows
from joulecast.serving.fitting import memory_of, require_fit
from joulecast.serving.outline import Outline
from joulecast.units import Seconds, Watts

if TYPE_CHECKING:
    from joulecast.api.generation import GenerationEstimate
    from joulecast.blocks import LanguageModel
    from joulecast.energy.profile import AcceleratorProfile
    from joulecast.serving.requests import GenerationRequest, Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Log half-widths of a pass's 90 % intervals."""

    seconds: float
    watts: float
    joules: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EagerPass:
    """The forecast of one pass of a batch, with its intervals."""

    estimate: EnergyEstimate
    interval: Interval

    @property
    def seconds(self) -> float:
        return float(self.estimate.latency_seconds)

    @property
    def joules(self) -> float:
        return float(self.estimate.joules_per_batch)


@dataclass(frozen=True, slots=True, kw_only=True)
class EagerModel:
    """A language model as transformers runs it: its class, and how its weights are stored.

    ``options``: of their quantisation; None where they are not quantised.
    """

    decoder: Decoder
    model: LanguageModel
    options: Options | None = None

    @classmethod
    def of(cls, config: Mapping[str, Any], model: LanguageModel) -> EagerModel:
        """Return ``model``, which was read of ``config`` (the object of a ``config.json``), with its class built.

        Raises UnsupportedOperatorError for a quantisation other than bitsandbytes and a class that is not there.
        """
        options = Options.of(config)
        return cls(decoder=Decoder(config, model.dtype), model=model, options=options)

    def step(self, *, sequences: int, cached_tokens: int) -> ModelProfile:
        """Return the rows of a decode step, those of ``generate`` around it included."""
        rows = self.decoder.step(sequences=sequences, cached_tokens=cached_tokens)
        return self._profile(rows, sequences, 1, cached_tokens + 1)

    def prompt(self, *, sequences: int, tokens: int) -> ModelProfile:
        """Return the rows of the pass that reads a prompt."""
        rows = self.decoder.prompt(sequences=sequences, tokens=tokens)
        return self._profile(rows, sequences, tokens, tokens)

    def _profile(self, traced: Sequence[LayerProfile], sequences: int, tokens: int, longest: int) -> ModelProfile:
        executed = quantised(traced, self.model, self.options, path_of) if self.options else tuple(traced)
        around = loop_rows(sequences, _vocabulary(traced), longest, self.model.dtype)
        layers = (*executed, *around)
        return ModelProfile(
            source=self.model.architecture,
            digest="",
            format="torch-module",
            workload=Workload(batch_size=sequences, input_shapes={"input_ids": (sequences, tokens)}),
            layers=layers,
            totals=totals(layers),
            coverage=coverage(layers),
        )


def _vocabulary(rows: Sequence[LayerProfile]) -> int:
    """Return the outputs of the last product."""
    return next((row.contractions[0].n for row in reversed(rows) if row.contractions), 0)


def price_eager(
    profile: ModelProfile,
    accelerator: AcceleratorProfile,
    *,
    runtime: str = "torch-eager",
    clock_mhz: float | None = None,
) -> EagerPass:
    """Forecast a pass, and how far each figure moves on a host that launches at another pace.

    The half-widths are that of joules without a host's part, and what the host moves, in quadrature.
    """
    found = price(profile, accelerator, runtime=runtime, clock_mhz=clock_mhz)
    slower = price(profile, _slowed(accelerator, runtime), runtime=runtime, clock_mhz=clock_mhz)
    joules = math.log(found.joules_per_batch_upper / found.joules_per_batch)
    moved = [
        abs(math.log(float(other) / float(own)))
        for own, other in (
            (found.latency_seconds, slower.latency_seconds),
            (found.average_power_watts, slower.average_power_watts),
            (found.joules_per_batch, slower.joules_per_batch),
        )
    ]
    rest = math.sqrt(max(joules**2 - moved[2] ** 2, accelerator.interval.log_half_width**2))
    seconds, watts = (math.hypot(rest, each) for each in moved[:2])
    return EagerPass(estimate=found, interval=Interval(seconds=seconds, watts=watts, joules=max(joules, rest)))


def _slowed(accelerator: AcceleratorProfile, runtime: str, times: float = OTHER_HOST) -> AcceleratorProfile:
    """Return the profile with a host whose launches take ``times`` as long."""
    return replace(accelerator, hosts={**accelerator.hosts, runtime: accelerator.hosts[runtime].paced(times)})


def forecast_eager(
    config: Mapping[str, Any],
    model: LanguageModel,
    accelerator: AcceleratorProfile,
    asked: GenerationRequest,
    *,
    precision: str = "default",
    runtime: str = "torch-eager",
    clock_mhz: float | None = None,
) -> GenerationEstimate:
    """Forecast ``asked`` of a static batch under torch, on one card.

    Raises WorkloadError for a rate of requests, cached prefixes, several cards and what does not fit, and what tracing
    and pricing raise.
    """
    from joulecast.accelerators.memory import memory_bytes

    sequences = _sequences(asked)
    known = memory_bytes(accelerator.product)
    memory = (
        memory_of(model, asked, 1)
        if known is None
        else require_fit(model, asked, sequences, known, accelerator.product)
    )
    traced = EagerModel.of(config, model)
    passes: list[tuple[Phase, EagerPass]] = []
    if asked.phase != "decode":
        read = traced.prompt(sequences=sequences, tokens=asked.input_tokens)
        passes.append(("prefill", price_eager(read, accelerator, runtime=runtime, clock_mhz=clock_mhz)))
    if asked.phase == "decode" or (asked.phase == "request" and asked.output_tokens > 1):
        middle = asked.input_tokens + (asked.output_tokens - 1) // 2
        step = traced.step(sequences=sequences, cached_tokens=middle)
        passes.append(("decode", price_eager(step, accelerator, runtime=runtime, clock_mhz=clock_mhz)))
    found = _composed(dict(passes), asked, sequences)
    return replace(
        found,
        accelerator=accelerator.product,
        runtime=runtime,
        precision=precision,
        memory_bytes=memory.needed(sequences),
        phases=_shown(passes, model),
    )


def _sequences(asked: GenerationRequest) -> int:
    if asked.concurrency is None:
        raise WorkloadError("torch runs a batch of a fixed size: give the concurrency in place of requests a second")
    for name, value, only in (
        ("cached_tokens", asked.cached_tokens, 0),
        ("tensor_parallel", asked.tensor_parallel, 1),
    ):
        if value != only:
            raise WorkloadError(f"{name} is {value}: torch alone has {only}, so leave it out or take the runtime vllm")
    return asked.concurrency


def _composed(passes: Mapping[Phase, EagerPass], asked: GenerationRequest, sequences: int) -> GenerationEstimate:
    """Return the figures of a batch that is read at once and then written step by step."""
    from joulecast.api.generation import Figure, GenerationEstimate

    read, step = passes.get("prefill"), passes.get("decode")
    steps = 1 if asked.phase == "decode" else asked.output_tokens - 1
    parts = [(each, times) for each, times in ((read, 1), (step, steps)) if each is not None and times]
    seconds, joules = (sum(getattr(each, name) * times for each, times in parts) for name in ("seconds", "joules"))
    # one host and one law price both passes, so their errors are alike
    seconds_width = max(each.interval.seconds for each, _ in parts)
    joules_width = max(each.interval.joules for each, _ in parts)

    def figure(value: float, width: float) -> Figure:
        return Figure(value=value, lower=value * math.exp(-width), upper=value * math.exp(width))

    first = parts[0][0].estimate
    tokens = asked.input_tokens if asked.phase == "prefill" else (steps if step is not None else 0) + (read is not None)
    reasons = dict.fromkeys(reason for each, _ in parts for reason in each.estimate.reasons)
    return GenerationEstimate(
        accelerator=first.accelerator,
        runtime=first.runtime,
        precision=first.precision,
        phase=asked.phase,
        concurrency=sequences,
        input_tokens=asked.input_tokens,
        output_tokens=asked.output_tokens,
        cached_tokens=0,
        parallel=1,
        joules_per_request=figure(joules / sequences, joules_width),
        joules_per_input_token=figure(
            read.joules / sequences / asked.input_tokens if read is not None else 0.0, joules_width
        ),
        joules_per_output_token=figure(step.joules / sequences if step is not None else 0.0, joules_width),
        time_to_first_token_seconds=figure(read.seconds if read is not None else 0.0, seconds_width),
        inter_token_latency_seconds=figure(step.seconds if step is not None else 0.0, seconds_width),
        request_seconds=Seconds(seconds),
        tokens_per_second=sequences * tokens / seconds,
        average_power_watts=Watts(joules / seconds),
        memory_bytes=0,
        coverage=min((each.estimate.coverage for each, _ in parts), key=lambda found: found.flops),
        origin=first.origin,
        reasons=tuple(reasons),
    )


def _shown(passes: Sequence[tuple[Phase, EagerPass]], model: LanguageModel) -> tuple[Any, ...]:
    from joulecast.api.generation import PhaseLayers

    every_row = Outline(model=model, places=(), counts=())
    return tuple(
        PhaseLayers(phase=phase, different=priced.estimate.layers, outline=every_row) for phase, priced in passes
    )
