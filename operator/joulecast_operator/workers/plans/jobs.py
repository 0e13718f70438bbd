"""Define a job that plans: the model, the question about it, and the profiles that are there already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from joulecast.energy.profile import AcceleratorProfile
from joulecast.errors import NotCalibratedError
from joulecast.planning.settings import LIMITS
from joulecast.serving.kernels import graph_runtime
from joulecast.sources import FetchedModel
from joulecast.workloads import DEFAULT_RUNTIME, WorkloadRequest
from joulecast_operator.api.objects import camel
from joulecast_operator.workers.frames import Header
from joulecast_operator.workers.priced import accelerator_of, priced_by_product

_FIELDS: Final = {
    **{name: f"spec.slo.{camel(name)}" for name in LIMITS},
    "spec.workload.batchSizes": "spec.candidates.batchSizes",
    "the unit": "spec.countedBy",
    "clock_mhz": "spec.candidates.clocksMHz",
}
"""Fields of a plan's spec, by what the library's messages call them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job that plans.

    - ``header``: its header, whose ``question`` says what may be chosen and what is asked.
    - ``fetched``: the model.
    - ``ready``: profiles that were made before, by batch size.
    - ``made``: those that are made now.
    """

    header: Header
    fetched: FetchedModel
    ready: Mapping[int | None, bytes]
    made: dict[str, bytes]

    @property
    def question(self) -> Mapping[str, Any]:
        """Return what may be chosen and what is asked, or where to cut."""
        found: Mapping[str, Any] = self.header["question"]
        return found

    def accelerators(self, products: Sequence[str]) -> tuple[list[AcceleratorProfile], dict[str, Header]]:
        """Return the profiles of ``products``, and reason and message of each that has none."""
        runtime = graph_runtime(self.header["runtime"] or DEFAULT_RUNTIME)
        return priced_by_product(products, lambda each: [accelerator_of(each, runtime, self.header["overrides"])])

    def workload(self, size: int | None, default: int) -> WorkloadRequest:
        """Return the workload of a batch size; None stands for the one that the model says, else ``default``."""
        return WorkloadRequest(
            batch_size=size,
            default_batch_size=default,
            input_shapes=self.header["input_shapes"],
            input_values=self.header["values"],
        )


def in_fields(message: str) -> str:
    """Replace the names of the library in a message by fields of a plan's spec."""
    for name, field in _FIELDS.items():
        message = message.replace(name, field)
    return message


def unpriced_error(unpriced: Mapping[str, Header]) -> NotCalibratedError:
    """Return the error of the first accelerator that has no profile."""
    first = next(iter(unpriced.values()))
    return NotCalibratedError(first["message"], reason=first["reason"])
