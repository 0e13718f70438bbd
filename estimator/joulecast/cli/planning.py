"""Options of ``joulecast plan``, and the plan that they ask for."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from joulecast.cli.generation import GenerationOptions, PhaseChoice, asked_phase
from joulecast.cli.language import LanguageSource, TracedSource, forward_profiles
from joulecast.cli.models import passes
from joulecast.errors import NotCalibratedError
from joulecast.planning.plans import Profiles, Question, plan_generation, plan_passes
from joulecast.planning.settings import Objective, Setting
from joulecast.planning.sweep import Served
from joulecast.serving.kernels import graph_runtime
from joulecast.serving.requests import GenerationRequest

if TYPE_CHECKING:
    from joulecast.cli.options import ModelRequest
    from joulecast.layers import ModelProfile
    from joulecast.planning.choice import Plan
    from joulecast.sources import FetchedModel

_PANEL = "Objective"


class UnitChoice(StrEnum):
    """What joules are counted by."""

    INFERENCE = "inference"
    REQUEST = "request"
    OUTPUT_TOKEN = "output-token"  # noqa: S105 - a unit, and no password


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveOptions:
    """What a plan has to hold. ``requests_per_second`` is an option of generation already."""

    per: Annotated[
        UnitChoice | None,
        typer.Option(
            help="What joules are counted by.",
            show_default="inference; request of a model that generates",
            rich_help_panel=_PANEL,
        ),
    ] = None
    latency_milliseconds: Annotated[
        float | None, typer.Option(help="Longest time of a pass or of a whole request.", rich_help_panel=_PANEL)
    ] = None
    time_to_first_token_milliseconds: Annotated[
        float | None, typer.Option(help="Longest time to the first token.", rich_help_panel=_PANEL)
    ] = None
    inter_token_latency_milliseconds: Annotated[
        float | None, typer.Option(help="Longest time between tokens.", rich_help_panel=_PANEL)
    ] = None
    today: Annotated[
        str | None,
        typer.Option(
            metavar="ACCELERATOR[,b=N][,c=N][,tp=N][,p=PRECISION]",
            help="How the model runs now, to say what the choice saves.",
            rich_help_panel=_PANEL,
        ),
    ] = None

    def objective(self, requests_per_second: float | None) -> Objective:
        """Return the objective. Raises WorkloadError for a limit that cannot be held."""
        return Objective(
            unit=None if self.per is None else self.per.value.replace("-", "_"),  # type: ignore[arg-type]
            latency_milliseconds=self.latency_milliseconds,
            time_to_first_token_milliseconds=self.time_to_first_token_milliseconds,
            inter_token_latency_milliseconds=self.inter_token_latency_milliseconds,
            requests_per_second=requests_per_second,
        )


_KEYS = {"b": "batch_size", "c": "concurrency", "tp": "tensor_parallel", "p": "precision"}


def setting(text: str, *, generates: bool) -> Setting:
    """Return the setting that ``--today`` writes. Raises a usage error for anything else."""
    accelerator, *parts = text.split(",")
    found: dict[str, int | str] = {"concurrency" if generates else "batch_size": 1}
    for part in parts:
        key, _, value = part.partition("=")
        name = _KEYS.get(key.strip())
        if name is None or not value or (name != "precision" and not value.isdigit()):
            raise typer.BadParameter(
                f"{part!r} is not b=BATCH, c=CONCURRENCY, tp=CARDS or p=PRECISION", param_hint="--today"
            )
        found[name] = value if name == "precision" else int(value)
    wrong = "batch_size" if generates else "concurrency"
    if wrong in found:
        what = "generation has requests at once, c=" if generates else "a pass has batches, b="
        raise typer.BadParameter(f"{text!r}: {what}", param_hint="--today")
    return Setting(accelerator=accelerator, runtime="", **{"precision": "default", **found})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """All options of a plan together."""

    model: ModelRequest
    generation: GenerationOptions
    objective: ObjectiveOptions
    accelerators: Sequence[str]
    batch_sizes: Sequence[int]
    precisions: Sequence[str]
    runtime: str | None
    power_limits_watts: Sequence[float] = ()
    clocks_mhz: Sequence[float] = ()
    tries_limits: bool = False

    def of_graph(self, opened: TracedSource | FetchedModel | None) -> tuple[Plan, ModelProfile]:
        """Plan a pass of a model that is no language model by its configuration; also return a profile of it."""
        made: list[ModelProfile] = []

        def profile_of(_precision: str, size: int | None, default: int) -> ModelProfile:
            own = passes(self.model, self._without_rate(), None if size is None else [size], opened, default=default)
            made.append(own[0])
            return own[0]

        return plan_passes(self._question(self.batch_sizes), profile_of), made[0]

    def of_language_model(self, found: LanguageSource) -> tuple[Plan, ModelProfile | None]:
        """Plan what a language model generates, or its pass."""
        phase = asked_phase(self._without_rate(), found.model, list(self.batch_sizes))
        if phase is PhaseChoice.FORWARD:
            profile_of = self._forward(found)
            plan = plan_passes(self._question(self.batch_sizes), profile_of)
            return plan, profile_of(self.precisions[0], None, 1)
        asked = GenerationRequest(phase=phase.value, **self.generation.stated)  # type: ignore[arg-type]
        served = Served(model=self.generation.cached(found.model), asked=asked, fetched=found.fetched)
        return plan_generation(self._question(self.generation.concurrency or (), generates=True), served), None

    def _forward(self, found: LanguageSource) -> Profiles:
        def profile_of(precision: str, size: int | None, default: int) -> ModelProfile:
            tokens = self.generation.input_tokens
            sizes = None if size is None else [size]
            return forward_profiles(found, sizes, tokens, default=default, precision=precision)[0]

        return profile_of

    def _without_rate(self) -> GenerationOptions:
        """Return the options of generation less the rate, which a plan of any model has."""
        return replace(self.generation, requests_per_second=None)

    def _question(self, sizes: Sequence[int], *, generates: bool = False) -> Question:
        today = self.objective.today
        return Question(
            accelerators=self.accelerators,
            sizes=sizes,
            precisions=self.precisions,
            degrees=self.generation.tensor_parallel or (),
            runtime=self.runtime,
            power_limits_watts=self.power_limits_watts,
            clocks_mhz=self.clocks_mhz,
            tries_limits=self.tries_limits,
            objective=self.objective.objective(self.generation.requests_per_second),
            today=None if today is None else setting(today, generates=generates),
        )


def require_known(names: Sequence[str], runtime: str | None) -> None:
    """Raise UnknownAcceleratorError for a name that no accelerator has, before a model is read."""
    from joulecast.accelerators.catalogue import accelerator_named

    for name in names:
        with contextlib.suppress(NotCalibratedError):
            accelerator_named(name, graph_runtime(runtime))
