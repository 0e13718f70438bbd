"""Define the request for a forecast, which does not depend on the object that needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from joulecast_operator.profiles.usable import Override
from joulecast_operator.workers.cache import key
from joulecast_operator.workers.stored_models import READER_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastRequest:
    """Everything that a forecast depends on.

    - ``image``: the image that holds the model.
    - ``alternatives``: images in which to look for the model if ``image`` holds none.
    - ``path``, ``format``: those of the model in the image; None to find them.
    - ``batch_sizes``: batch sizes; None stands for the one that the shapes give or the model fixes, else 1.
    - ``input_shapes``, ``input_values``: shapes and content of inputs, by the input's name.
    - ``precision``, ``runtime``: how the model is executed.
    - ``accelerators``: product names.
    - ``overrides``: accelerator profiles of the cluster that are used instead of the shipped ones.
    - ``docker_config``: credentials of the requester as JSON; "" for none.
    - ``missing_secrets``: a message for each Secret that could not be read.
    - ``refresh``: the annotations that ask for a new look-up of the tag; a changed text asks again.
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
        """Return all images that may hold the model, the most likely first."""
        return (self.image, *self.alternatives)

    @property
    def pricing(self) -> list[Any]:
        """Return what the price of a profiled model depends on, as a part of a cache key."""
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
        """Return what, beside the batch size, the rows of a model depend on, as a part of a cache key."""
        return [dict(self.input_shapes), dict(self.input_values)]

    @property
    def hash(self) -> str:
        """Return a hash that identifies the request; it does not depend on the credentials."""
        return key(self.images, self.path, self.format, self.workload, self.pricing)[:16]
