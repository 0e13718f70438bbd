"""Forecasts of many settings of one model: those that can be made are candidates, and the others have a reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from joulecast.accelerators.memory import memory_bytes
from joulecast.api.forecasting import estimate
from joulecast.api.generating import TORCH, forecast_fetched
from joulecast.api.generation import GenerationEstimate, forecast_concurrencies
from joulecast.api.language_models import in_precision, require_engine
from joulecast.api.language_profiles import price_forward
from joulecast.blocks import LanguageModel
from joulecast.energy.engines.intervals import refuse_limit
from joulecast.energy.engines.pricing import gap_watts
from joulecast.energy.model import EnergyEstimate
from joulecast.energy.profile import AcceleratorProfile
from joulecast.errors import JoulecastError, NotCalibratedError, WorkloadError
from joulecast.graph import ITEMSIZE_BYTES
from joulecast.layers import ENGINE_GRAPH, ModelProfile
from joulecast.planning.candidates import Candidate, Excluded, Why, of_generation, of_pass
from joulecast.planning.settings import Objective, Setting, Unit
from joulecast.serving.fitting import DOES_NOT_FIT, memory_of
from joulecast.serving.requests import GenerationRequest
from joulecast.sources import FetchedModel

Accelerators = Mapping[str, AcceleratorProfile]
"""Profiles by the name that settings call them."""

Found = tuple[list[Candidate], list[Excluded]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    """What is varied.

    - ``sizes``: batch sizes of passes, or concurrencies of generation.
    - ``power_limits_watts``, ``clocks_mhz``: caps, each alone; a card always runs without one, too.
    """

    accelerators: tuple[str, ...]
    runtime: str
    precisions: tuple[str, ...]
    sizes: tuple[int, ...]
    degrees: tuple[int, ...] = (1,)
    generates: bool = False
    power_limits_watts: tuple[float, ...] = ()
    clocks_mhz: tuple[float, ...] = ()

    def settings(self) -> Iterator[Setting]:
        """Yield every combination."""
        name = "concurrency" if self.generates else "batch_size"
        for card, precision, degree, size in product(
            self.accelerators, self.precisions, self.degrees, dict.fromkeys(self.sizes)
        ):
            common = Setting(accelerator=card, runtime=self.runtime, precision=precision, tensor_parallel=degree)
            plain = replace(common, **{name: size})
            yield plain
            yield from (replace(plain, power_limit_watts=watts) for watts in self.power_limits_watts)
            yield from (replace(plain, clock_mhz=clock) for clock in self.clocks_mhz)


def of_passes(
    settings: Iterable[Setting],
    accelerators: Accelerators,
    profile_of: Callable[[str, int], ModelProfile],
    objective: Objective,
) -> Found:
    """Forecast one pass at each setting. ``profile_of``: the model's profile by precision and batch size."""
    candidates, excluded = list[Candidate](), list[Excluded]()
    for setting in settings:
        card = accelerators[setting.accelerator]
        profile = profile_of(setting.precision, setting.batch_size or 1)
        try:
            _require_memory(profile, setting)
            found = _pass(profile, card, setting)
        except (NotCalibratedError, WorkloadError) as error:
            excluded.append(_excluded(setting, error))
            continue
        candidates.append(of_pass(found, setting, objective, gap_watts(card, setting.clock_mhz)))
    return candidates, excluded


def _pass(profile: ModelProfile, card: AcceleratorProfile, setting: Setting) -> EnergyEstimate:
    if profile.graph != ENGINE_GRAPH:
        return estimate(
            profile,
            card,
            precision=setting.precision,
            runtime=setting.runtime,
            tensor_parallel=setting.tensor_parallel,
            clock_mhz=setting.clock_mhz,
            power_limit_watts=setting.power_limit_watts,
        )
    refuse_limit(setting.runtime, setting.power_limit_watts)
    return price_forward(
        profile,
        card,
        precision=setting.precision,
        runtime=setting.runtime,
        cards=setting.tensor_parallel,
        clock_mhz=setting.clock_mhz,
    )


def _require_memory(profile: ModelProfile, setting: Setting) -> None:
    """Raise WorkloadError (DoesNotFit) where a card does not even hold the parameters and the largest activations.

    What a runtime keeps beside them is not known of a graph, so that more may not fit than is refused here.
    """
    held = memory_bytes(setting.accelerator)
    width = 2.0 if setting.precision in ("bf16", "fp16") else None
    most = max((_moved(row.input_numel + row.output_numel, row.dtype, width) for row in profile.layers), default=0.0)
    weights = _moved(profile.totals.params, _stored(profile), width) / setting.tensor_parallel
    if held is not None and weights + most > held:
        raise WorkloadError(
            f"{setting}: parameters and the largest activations take {(weights + most) / 1e9:.3g} GB, and"
            f" {setting.accelerator} has {held / 1e9:.3g} GB: take a smaller batch or another accelerator",
            reason=DOES_NOT_FIT,
        )


def _moved(elements: int, dtype: str, width: float | None) -> float:
    return elements * (width or ITEMSIZE_BYTES[dtype])


def _stored(profile: ModelProfile) -> str:
    """Return the dtype of the row with the most parameters."""
    return max(profile.layers, key=lambda row: row.params).dtype if profile.layers else "float32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A language model and the request that is planned. ``fetched``: what it was read of, which torch needs."""

    model: LanguageModel
    asked: GenerationRequest
    fetched: FetchedModel | None = None


def of_requests(
    settings: Iterable[Setting], accelerators: Accelerators, served: Served, objective: Objective, unit: Unit
) -> Found:
    """Forecast generation at each setting. Settings that differ in their concurrency alone are priced together."""
    candidates, excluded = list[Candidate](), list[Excluded]()
    models: dict[str, LanguageModel] = {}
    for group in _alike(settings):
        first, card = group[0], accelerators[group[0].accelerator]
        asked = replace(served.asked, tensor_parallel=first.tensor_parallel, requests_per_second=None, concurrency=1)
        if first.precision not in models:
            models[first.precision] = in_precision(served.model, first.precision)
        own = replace(served, model=models[first.precision], asked=asked)
        for setting, found in zip(group, _generation(own, card, group), strict=True):
            if isinstance(found, JoulecastError):
                excluded.append(_excluded(setting, found))
            else:
                idle = gap_watts(card, setting.clock_mhz)
                candidates.append(of_generation(found, setting, objective, unit, idle))
    return candidates, excluded


def _alike(settings: Iterable[Setting]) -> list[list[Setting]]:
    groups: dict[Setting, list[Setting]] = defaultdict(list)
    for setting in settings:
        groups[replace(setting, concurrency=None)].append(setting)
    return list(groups.values())


def _generation(
    served: Served, card: AcceleratorProfile, group: Sequence[Setting]
) -> Sequence[GenerationEstimate | JoulecastError]:
    """Return the forecast of each setting of ``group``, or the error that it has."""
    first, counts = group[0], [setting.concurrency or 1 for setting in group]
    if first.runtime in TORCH:
        return [_eager(served, card, first, count) for count in counts]
    require_engine(first.runtime)
    try:
        memory_of(served.model, served.asked, first.tensor_parallel)
    except WorkloadError as error:
        return [WorkloadError(str(error), reason=_DEGREE)] * len(group)
    try:
        refuse_limit(first.runtime, first.power_limit_watts)
        return forecast_concurrencies(
            served.model,
            card,
            served.asked,
            counts,
            precision=first.precision,
            runtime=first.runtime,
            clock_mhz=first.clock_mhz,
        )
    except NotCalibratedError as error:
        return [error] * len(group)


def _eager(
    served: Served, card: AcceleratorProfile, setting: Setting, count: int
) -> GenerationEstimate | JoulecastError:
    asked = replace(served.asked, concurrency=count)
    try:
        refuse_limit(setting.runtime, setting.power_limit_watts)
        return forecast_fetched(
            served.fetched,
            served.model,
            card,
            asked,
            precision=setting.precision,
            runtime=setting.runtime,
            clock_mhz=setting.clock_mhz,
        )
    except (NotCalibratedError, WorkloadError) as error:
        return error


_DEGREE = "DegreeNotPossible"
_WHY: Mapping[str, Why] = {DOES_NOT_FIT: "memory", _DEGREE: "degree"}


def _excluded(setting: Setting, error: JoulecastError) -> Excluded:
    """Return why ``setting`` is no candidate. Raises an error that concerns all settings alike."""
    if not isinstance(error, NotCalibratedError) and error.reason not in _WHY:
        raise error
    why = _WHY.get(error.reason, "profile")
    return Excluded(accelerator=setting.accelerator, setting=setting, why=why, reason=error.reason, message=str(error))
