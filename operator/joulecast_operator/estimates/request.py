"""Define the request for a forecast, which does not depend on the object that needs it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from joulecast_operator.estimates.hosts import kind_of
from joulecast_operator.profiles.usable import Override
from joulecast_operator.workers.cache import key
from joulecast_operator.workers.stored_models import READER_VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastRequest:
    """Everything that a forecast depends on.

    - ``image``: the image that holds the model, its address (``hf://…``, ``s3://…``), or ``configmap://NAME/KEY``.
    - ``alternatives``: images in which to look for the model if ``image`` holds none.
    - ``path``, ``format``: those of the model in the image; None to find them.
    - ``configuration``: the text of the ConfigMap's config.json; None for a model that is fetched.
    - ``architecture``: the model type to read a language model's configuration as; None for its own.
    - ``batch_sizes``: batch sizes; None stands for the one that the shapes give or the model fixes, else 1.
    - ``input_shapes``, ``input_values``: shapes and content of inputs, by the input's name.
    - ``phase``, ``generation``: what to forecast of a language model, and the fields of a GenerationRequest that are
      given; None stands for the phase that the model suggests.
    - ``precision``, ``runtime``: how the model is executed; None for the runtime that suits the model.
    - ``cache_precision``: of a language model's cached keys and values.
    - ``power_limit_watts``, ``clock_mhz``: caps that are set on each accelerator; None for none.
    - ``understood``: what the status says about the target's container that serves the model; None if none does.
    - ``accelerators``: product names.
    - ``dearest_first``: whether the results of the accelerator that needs most energy come first.
    - ``overrides``: accelerator profiles of the cluster that are used instead of the shipped ones.
    - ``docker_config``: the requester's credentials for registries as JSON; "" for none.
    - ``token``: the requester's token for the hub; "" for none.
    - ``object_keys``: the requester's keys for the object store, fields of ``ObjectAccess`` as JSON; "" for none.
    - ``missing_secrets``: a message for each Secret that could not be read.
    - ``question``: what a plan may choose from and what is asked of it, with JSON values; None for a forecast.
    - ``refresh``: the annotations that ask for a new look-up of the tag; a changed text asks again.
    """

    image: str
    alternatives: tuple[str, ...] = ()
    path: str | None = None
    format: str | None = None
    batch_sizes: tuple[int | None, ...] = (None,)
    input_shapes: Mapping[str, list[int | str]] = field(default_factory=dict)
    input_values: Mapping[str, int | str] = field(default_factory=dict)
    configuration: str | None = field(default=None, repr=False)
    architecture: str | None = None
    phase: str | None = None
    generation: Mapping[str, Any] = field(default_factory=dict)
    precision: str = "default"
    cache_precision: str = "default"
    power_limit_watts: int | None = None
    clock_mhz: int | None = None
    runtime: str | None = None
    understood: Mapping[str, Any] | None = None
    accelerators: tuple[str, ...]
    dearest_first: bool = False
    overrides: tuple[Override, ...] = ()
    docker_config: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    object_keys: str = field(default="", repr=False)
    missing_secrets: tuple[str, ...] = ()
    question: Mapping[str, Any] | None = None
    refresh: str = ""

    @property
    def images(self) -> tuple[str, ...]:
        """Return all images that may hold the model, the most likely first."""
        return (self.image, *self.alternatives)

    @property
    def credentials(self) -> str:
        """Return the credentials that the model is fetched with, for a cache key: each goes to its own kind of host."""
        return {"hub": self.token, "objects": self.object_keys, "image": self.docker_config}[kind_of(self.image)]

    @property
    def pricing(self) -> list[Any]:
        """Return what the price of a profiled model depends on, as a part of a cache key."""
        overrides = [[override.product, override.runtime, override.digest] for override in self.overrides]
        return [
            list(self.batch_sizes),
            self.precision,
            self.cache_precision,
            self.runtime,
            self.phase,
            dict(self.generation),
            self.architecture,
            list(self.accelerators),
            *(("dearest first",) if self.dearest_first else ()),
            *((["caps", self.power_limit_watts, self.clock_mhz],) if self.power_limit_watts or self.clock_mhz else ()),
            overrides,
            *(() if self.question is None else (dict(self.question),)),
            READER_VERSION,
        ]

    @property
    def workload(self) -> list[Any]:
        """Return what, beside the batch size, the rows of a model depend on, as a part of a cache key."""
        return [dict(self.input_shapes), dict(self.input_values)]

    @property
    def hash(self) -> str:
        """Return a hash that identifies the request; it does not depend on the credentials."""
        text = self.configuration
        digest = None if text is None else hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        asked = [self.path, self.format, digest, self.understood]
        return key(self.images, asked, self.workload, self.pricing)[:16]
