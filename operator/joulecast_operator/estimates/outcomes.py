"""The outcome of a request: a forecast, or the failure that prevents it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from joulecast_operator.workers.frames import Header
from joulecast_operator.workers.stored_models import StoredModel

_LISTED: Final = 3  # accelerators named in a message; the rest are counted

NO_MODEL: Final = "ModelNotFound"
"""Reason of a failure that says that the image was read and holds no model."""

Stage = Literal["resolve", "profile", "price"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Results as they stand in a status. ``unavailable``: reason and message by accelerator that nothing prices."""

    image: str
    digest: str
    path: str
    verification: str | None
    results: tuple[Header, ...]
    top_layers: tuple[Header, ...]
    totals: Mapping[str, int]
    unsupported: tuple[str, ...] = ()
    unavailable: Mapping[str, Header] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Where it went wrong, why, and whether trying again may help.

    ``digest``: of the image, if it was resolved. ``image``: the one that is meant, None where it is the first.
    """

    stage: Stage
    reason: str
    message: str
    transient: bool
    digest: str | None = None
    image: str | None = None


Outcome = Forecast | Failure


def holds_no_model(outcome: Outcome) -> bool:
    """Tell whether the image was read and holds none."""
    return isinstance(outcome, Failure) and outcome.reason == NO_MODEL


def model_in_no_image(first: Outcome, others: Sequence[str]) -> Outcome:
    """Return the failure of the likeliest image; its message names the other images that were read."""
    if not others or isinstance(first, Forecast):
        return first
    return replace(first, message=f"{first.message}; nor is there one in {', '.join(others)}")


def reasons_without_forecast(unavailable: Mapping[str, Header]) -> str:
    """Say why the first accelerators have no forecast, each by its name."""
    return "; ".join(f"{name}: {entry['message']}" for name, entry in list(unavailable.items())[:_LISTED])


def priced_outcome(image: str, digest: str, model: StoredModel, priced: Header) -> Outcome:
    """Convert the worker's answer into an outcome: a failure where no accelerator could be priced."""
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
        unavailable=unavailable,
    )
