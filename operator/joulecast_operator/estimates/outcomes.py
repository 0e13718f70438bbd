"""The outcome of a request: a forecast, or the failure that prevents it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from joulecast_operator.workers.frames import Header
from joulecast_operator.workers.stored_models import StoredModel

_LISTED: Final = 3  # accelerators that a message names

NO_MODEL: Final = "ModelNotFound"
"""Reason of a failure because the image was read and holds no model."""

Stage = Literal["resolve", "profile", "price"]
"""The stage of a forecast in which it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A forecast for at least one accelerator.

    - ``image``: the image that holds the model.
    - ``digest``: digest of its manifest.
    - ``path``: the model's path in the image; "" if the image or address is the model's alone.
    - ``verification``: how far the model's bytes were checked.
    - ``results``, ``top_layers``, ``totals``: these fields of the status; the names in ``totals`` are in snake_case.
    - ``unsupported``: operators without a rule.
    - ``notes``: what a language model's configuration left open.
    - ``unavailable``: ``reason`` and ``message`` for each accelerator without a forecast.
    """

    image: str
    digest: str
    path: str
    verification: str | None
    results: tuple[Header, ...]
    top_layers: tuple[Header, ...]
    totals: Mapping[str, int]
    unsupported: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unavailable: Mapping[str, Header] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The reason why there is no forecast.

    - ``stage``: the stage that failed.
    - ``reason``, ``message``: those of the condition.
    - ``transient``: whether a later try may succeed without a change.
    - ``digest``: digest of the image's manifest, if it was resolved.
    - ``image``: the image that was tried; None for the request's first one.
    """

    stage: Stage
    reason: str
    message: str
    transient: bool
    digest: str | None = None
    image: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan.

    - ``image``, ``digest``, ``path``, ``verification``: as of a forecast.
    - ``answer``: the choice or the cuts, as ``workers.plans`` returns them.
    """

    image: str
    digest: str
    path: str
    verification: str | None
    answer: Header


Outcome = Forecast | Failure | Planned


def holds_no_model(outcome: Outcome) -> bool:
    """Tell whether the image was read and holds no model."""
    return isinstance(outcome, Failure) and outcome.reason == NO_MODEL


def model_in_no_image(first: Outcome, others: Sequence[str]) -> Outcome:
    """Return the failure of the most likely image, with a message that also names the other images that were read."""
    if not others or not isinstance(first, Failure):
        return first
    return replace(first, message=f"{first.message}; there is none in {', '.join(others)} either")


def reasons_without_forecast(unavailable: Mapping[str, Header]) -> str:
    """Return the messages of the first accelerators without a forecast, each after the accelerator's name."""
    return "; ".join(f"{name}: {entry['message']}" for name, entry in list(unavailable.items())[:_LISTED])


def priced_outcome(image: str, digest: str, model: StoredModel, priced: Header) -> Outcome:
    """Convert the worker's answer into an outcome, which is a failure if there is no forecast for any accelerator."""
    unavailable = priced["unavailable"]
    if not priced["results"]:
        first = next(iter(unavailable.values()))
        return Failure(
            stage="price",
            reason=first["reason"],
            message=first["message"] if len(unavailable) == 1 else reasons_without_forecast(unavailable),
            transient=False,
            digest=digest,
            image=image,
        )
    return Forecast(
        image=image,
        digest=digest,
        path=model.path,
        verification=model.verification,
        results=tuple(priced["results"]),
        top_layers=tuple(priced["top_layers"]),
        totals=priced["totals"],
        unsupported=tuple(priced["unsupported"]),
        notes=tuple(priced["notes"]),
        unavailable=unavailable,
    )


def planned_outcome(image: str, digest: str, model: StoredModel, answer: Header) -> Outcome:
    """Convert the worker's answer into an outcome, which is a failure if no setting could be priced at all."""
    failed = answer.get("failed")
    if failed is not None:
        return Failure(
            stage="price",
            reason=failed["reason"],
            message=failed["message"],
            transient=False,
            digest=digest,
            image=image,
        )
    return Planned(image=image, digest=digest, path=model.path, verification=model.verification, answer=answer)
