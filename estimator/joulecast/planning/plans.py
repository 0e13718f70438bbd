"""From a model and what is asked of it to a plan: ``joulecast.plan``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from joulecast.accelerators.catalogue import accelerator_named, installed
from joulecast.energy.engines.intervals import refuse_limit
from joulecast.errors import NotCalibratedError, WorkloadError
from joulecast.planning.candidates import Candidate, Excluded
from joulecast.planning.choice import Plan, decide
from joulecast.planning.settings import LIMIT_SHARES, Objective, Setting, Unit, unit_of
from joulecast.planning.sweep import Accelerators, Axes, Found, Served, of_passes, of_requests
from joulecast.serving.kernels import ENGINES, graph_runtime
from joulecast.serving.requests import DEGREES, GenerationRequest
from joulecast.workloads import DEFAULT_ENGINE, DEFAULT_PRECISION, DEFAULT_RUNTIME, WorkloadRequest

if TYPE_CHECKING:
    from joulecast.energy.profile import AcceleratorProfile
    from joulecast.layers import ModelProfile
    from joulecast.readers.module import Module
    from joulecast.sources import FetchBudget, FetchedModel, RegistryAccess

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
"""Batch sizes that are tried where none are given: powers of two up to the largest that published studies measure."""
CONCURRENCIES = (1, 2, 4, 8, 16, 32, 64, 128)
"""Requests at once that are tried where none are given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a plan may choose from, and what it has to hold.

    - ``accelerators``: product names, files of profiles, or profiles; empty for every one that has more behind it than
      a data sheet.
    - ``sizes``: batch sizes of a pass or concurrencies of generation; empty for powers of two up to 128.
    - ``degrees``: cards that may share a language model; empty for 1, 2, 4 and 8 of one that generates.
    - ``runtime``: None for the model's own.
    - ``power_limits_watts``, ``clocks_mhz``: caps to try on each card, beside none.
    - ``tries_limits``: also try power limits on the card of the fewest joules, at its size.
    - ``today``: how the model runs now; it is a candidate, too.
    - ``today_on``: the profile of today's accelerator; None for the one installed by its name.
    """

    accelerators: Sequence[str | AcceleratorProfile] = ()
    sizes: Sequence[int] = ()
    precisions: Sequence[str] = (DEFAULT_PRECISION,)
    degrees: Sequence[int] = ()
    runtime: str | None = None
    objective: Objective = field(default_factory=Objective)
    power_limits_watts: Sequence[float] = ()
    clocks_mhz: Sequence[float] = ()
    tries_limits: bool = False
    today: Setting | None = None
    today_on: AcceleratorProfile | None = None


def plan(
    source: str | os.PathLike[str] | FetchedModel | Module | ModelProfile,
    accelerators: Sequence[str | AcceleratorProfile] = (),
    *,
    batch_sizes: Sequence[int] = (),
    request: GenerationRequest | None = None,
    concurrencies: Sequence[int] = (),
    precisions: Sequence[str] = (DEFAULT_PRECISION,),
    tensor_parallel: Sequence[int] = (),
    runtime: str | None = None,
    power_limits_watts: Sequence[float] = (),
    clocks_mhz: Sequence[float] = (),
    tries_limits: bool = False,
    objective: Objective | None = None,
    today: Setting | None = None,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    input_values: Mapping[str, object] | None = None,
    architecture: str | None = None,
    path: str | None = None,
    budget: FetchBudget | None = None,
    access: RegistryAccess | None = None,
    platform: str = "linux/amd64",
) -> Plan:
    """Rank accelerators and settings by joules, and choose the cheapest that keeps ``objective``.

    No choice is named that the intervals of the forecasts do not tell from the others: the plan then says which
    measurement would decide.

    - ``source``: anything that ``joulecast.profile`` takes, or a profile that it returned.
    - ``accelerators``: product names, files of profiles, or profiles; by default every one that has more behind it
      than a data sheet.
    - ``batch_sizes``: of a pass; by default those that the model leaves open, 1 to 128.
    - ``request``: phase and tokens of a language model that generates; its concurrency and degree are what is planned.
    - ``concurrencies``, ``tensor_parallel``: of generation; by default 1 to 128, and 1, 2, 4 and 8 cards.
    - ``precisions``: by default what the model runs in unasked; others change its results, so name them.
    - ``power_limits_watts``, ``clocks_mhz``: caps to try on each card, beside none.
    - ``tries_limits``: also try power limits of 95 to 40 % of its own on the card of the fewest joules.
    - ``objective``: limits of time, a rate of requests, and what joules are counted by.
    - ``today``: how the model runs now.

    The other arguments are those of ``joulecast.profile`` and ``joulecast.estimate_generation``.

    Raises UnknownAcceleratorError, WorkloadError, and what ``joulecast.profile`` raises.
    """
    from joulecast.api.language_models import is_language_model, language_model
    from joulecast.layers import ModelProfile
    from joulecast.readers.named import is_named
    from joulecast.sources import FetchedModel, RegistryAccess, fetch

    question = Question(
        accelerators=accelerators,
        sizes=concurrencies or batch_sizes,
        precisions=precisions,
        degrees=tensor_parallel,
        runtime=runtime,
        power_limits_watts=power_limits_watts,
        clocks_mhz=clocks_mhz,
        tries_limits=tries_limits,
        objective=objective or Objective(),
        today=today,
    )
    if isinstance(source, ModelProfile):
        return plan_passes(question, fixed(source))
    opened = source
    if isinstance(source, str | os.PathLike) and not is_named(os.fspath(source)):
        opened = fetch(
            os.fspath(source),
            path=path,
            budget=budget,
            access=access or RegistryAccess.of_user(),
            platform=platform,
        )
    if isinstance(opened, FetchedModel) and is_language_model(opened):
        model = language_model(opened, architecture=architecture)
        if model.generates:
            if batch_sizes:
                raise WorkloadError("generation runs requests at once: give concurrencies in place of batch_sizes")
            return plan_generation(question, Served(model=model, asked=request or GenerationRequest(), fetched=opened))
    if request or concurrencies:
        raise WorkloadError(f"{source} generates nothing: give batch_sizes, and leave request and concurrencies out")
    return plan_passes(question, _profiles(opened, input_shapes, input_values))


Profiles = Callable[[str, int | None, int], "ModelProfile"]
"""Returns the profile of a model by precision, batch size (None: what the model says) and default batch size."""


def fixed(profile: ModelProfile) -> Profiles:
    """Return a saved profile for its own batch size. Another one raises WorkloadError."""

    def profile_of(_precision: str, size: int | None, _default: int) -> ModelProfile:
        own = profile.workload.batch_size
        if size not in (None, own):
            raise WorkloadError(
                f"the profile of {profile.source} was made for batch size {own}, not {size}: give the model itself"
            )
        return profile

    return profile_of


def _profiles(
    source: str | os.PathLike[str] | FetchedModel | Module,
    shapes: Mapping[str, Sequence[int]] | None,
    values: Mapping[str, object] | None,
) -> Profiles:
    from joulecast.api.profiling import ProfileRequest, profile_request

    def profile_of(precision: str, size: int | None, default: int) -> ModelProfile:
        workload = WorkloadRequest(
            batch_size=size, default_batch_size=default, input_shapes=shapes or {}, input_values=values or {}
        )
        return profile_request(ProfileRequest(source=source, workload=workload, precision=precision))

    return profile_of


def plan_passes(question: Question, profile_of: Profiles) -> Plan:
    """Plan one pass of a model. ``profile_of`` is called once for each precision and batch size."""
    from joulecast.layers import ENGINE_GRAPH

    unit = unit_of(question.objective, generates=False)
    precision = question.precisions[0]
    known: dict[tuple[str, int], ModelProfile] = {}

    def remembered(precision: str, size: int) -> ModelProfile:
        if (precision, size) not in known:
            known[precision, size] = profile_of(precision, size, size)
        return known[precision, size]

    sizes = tuple(question.sizes)
    if not sizes:
        tried = [profile_of(precision, None, default) for default in BATCH_SIZES[:2]]
        known |= {(precision, each.workload.batch_size): each for each in tried}
        sizes = _open_sizes(*tried)
    engine = remembered(precision, sizes[0]).graph == ENGINE_GRAPH
    runtime = question.runtime or (DEFAULT_ENGINE if engine else DEFAULT_RUNTIME)
    named = _Named(question, runtime)
    settings = named.settings(sizes, (1,))
    found = of_passes(settings, named.profiles, remembered, question.objective)
    if question.tries_limits:
        more = of_passes(_limits(found, named.profiles), named.profiles, remembered, question.objective)
        found = ([*found[0], *_binding(more[0], found[0])], [*found[1], *more[1]])
    return named.decided(found, unit)


def _limits(found: Found, accelerators: Accelerators) -> list[Setting]:
    """Return settings with lower and lower power limits of the candidate with the fewest joules."""
    free = [each for each in found[0] if each.setting.power_limit_watts is None and each.setting.clock_mhz is None]
    if not free:
        return []
    best = min(free, key=lambda each: each.joules).setting
    own = accelerators[best.accelerator].power_limit_watts
    return [replace(best, power_limit_watts=share * own) for share in LIMIT_SHARES]


def _open_sizes(one: ModelProfile, other: ModelProfile) -> tuple[int, ...]:
    """Return the batch sizes to try: the one that the model fixes, which two defaults did not change, or all."""
    fixed_size = one.workload.batch_size
    return (fixed_size,) if fixed_size == other.workload.batch_size else BATCH_SIZES


def _binding(limited: Sequence[Candidate], free: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates whose power limit changes what they cost, and that are not among ``free`` already."""
    joules, known = {each.joules for each in free}, {each.setting for each in free}
    return [each for each in limited if each.joules not in joules and each.setting not in known]


def plan_generation(question: Question, served: Served) -> Plan:
    """Plan what a language model generates."""
    unit = unit_of(question.objective, generates=True)
    if unit == "output_token" and served.asked.phase == "prefill":
        raise WorkloadError("prefill writes no output tokens: plan it by request")
    runtime = question.runtime or DEFAULT_ENGINE
    named = _Named(question, runtime)
    if question.tries_limits:
        refuse_limit(runtime, min(named.limits))
    degrees = DEGREES if runtime in ENGINES else (1,)
    settings = named.settings(tuple(question.sizes) or CONCURRENCIES, degrees, generates=True)
    found = of_requests(settings, named.profiles, served, question.objective, unit)
    return named.decided(found, unit)


class _Named:
    """The accelerators of a question by their product names, and those that cannot be priced at all."""

    def __init__(self, question: Question, runtime: str) -> None:
        self._question, self._runtime = question, runtime
        self.profiles: dict[str, AcceleratorProfile] = {}
        self._excluded: list[Excluded] = []
        for asked in question.accelerators or backed():
            self._add(asked)
        if not self.profiles:
            raise _first(self._excluded)
        self._cards = tuple(self.profiles)  # those to choose from, without today's
        self._today = self._resolved(question.today)

    def _resolved(self, today: Setting | None) -> Setting | None:
        """Return today's setting by its accelerator's product name; None where that cannot be priced."""
        product = None if today is None else self._add(self._question.today_on or today.accelerator)
        if today is None or product is None:
            return None
        return replace(today, accelerator=product, runtime=today.runtime or self._runtime)

    def _add(self, asked: str | AcceleratorProfile) -> str | None:
        try:
            found = accelerator_named(asked, graph_runtime(self._runtime)) if isinstance(asked, str) else asked
        except NotCalibratedError as error:
            self._excluded.append(
                Excluded(accelerator=str(asked), why="profile", reason=error.reason, message=str(error))
            )
            return None
        self.profiles[found.product] = found
        return found.product

    @property
    def limits(self) -> list[float]:
        """The own power limits of the cards to choose from."""
        return [self.profiles[card].power_limit_watts for card in self._cards]

    def settings(self, sizes: tuple[int, ...], degrees: tuple[int, ...], *, generates: bool = False) -> list[Setting]:
        """Return every combination, and today's setting beside them; ``degrees``: where the question names none."""
        axes = Axes(
            accelerators=self._cards,
            runtime=self._runtime,
            precisions=tuple(self._question.precisions),
            sizes=sizes,
            degrees=tuple(self._question.degrees) or degrees,
            generates=generates,
            power_limits_watts=tuple(self._question.power_limits_watts),
            clocks_mhz=tuple(self._question.clocks_mhz),
        )
        found = list(axes.settings())
        return found if self._today is None else list(dict.fromkeys([*found, self._today]))

    def decided(self, found: Found, unit: Unit) -> Plan:
        """Return the plan of what was found. Raises NotCalibratedError where nothing can be forecast at all."""
        candidates, excluded = found
        if not candidates:
            raise _first([*excluded, *self._excluded])
        today = next((each for each in candidates if each.setting == self._today), None)
        return decide(unit, self._question.objective, candidates, [*self._excluded, *excluded], today)


def _first(excluded: Sequence[Excluded]) -> NotCalibratedError:
    return NotCalibratedError(excluded[0].message, reason=excluded[0].reason)


def backed() -> list[str]:
    """Return the accelerators with more behind them than a data sheet, or all if there are no such."""
    found = [name for name, accelerator in installed().items() if accelerator.origin != "datasheet"]
    return found or list(installed())
