"""The request that a forecast answers, without who asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from joulecast_operator.profiles.usable import Override
from joulecast_operator.workers.cache import key
from joulecast_operator.workers.stored_models import READER_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastRequest:
    """Everything that decides a forecast.

    ``batch_sizes``: None stands for the one that the shapes say, or that the model fixes, or 1. ``alternatives``:
    where to look for the model if ``image`` holds none. ``docker_config``: pull credentials of the requester as
    JSON text, or "". ``missing_secrets``: sentences on credentials that could not be had. ``refresh``: whatever
    asks to look the tag up again; another text asks again.
    """

    image: str
    alternatives: tuple[str, ...] = ()
    path: str | None = None
    format: str | None = None
    batch_sizes: tuple[int | None, ...] = (None,)
    input_shapes: Mapping[str, list[int | str]] = field(default_factory=dict)
    input_values: Mapping[str, int | str] = field(default_factory=dict)
    precision: str = "default"
    runtime: str = "torch-eager"
    accelerators: tuple[str, ...]
    overrides: tuple[Override, ...] = ()
    docker_config: str = field(default="", repr=False)
    missing_secrets: tuple[str, ...] = ()
    refresh: str = ""

    @property
    def images(self) -> tuple[str, ...]:
        """Return all images that may hold the model, likeliest first."""
        return (self.image, *self.alternatives)

    @property
    def pricing(self) -> list[Any]:
        overrides = [[override.product, override.runtime, override.digest] for override in self.overrides]
        return [
            list(self.batch_sizes),
            self.precision,
            self.runtime,
            list(self.accelerators),
            overrides,
            READER_VERSION,
        ]

    @property
    def workload(self) -> list[Any]:
        return [dict(self.input_shapes), dict(self.input_values)]

    @property
    def hash(self) -> str:
        """Return the identity of the request, without credentials."""
        return key(self.images, self.path, self.format, self.workload, self.pricing)[:16]
