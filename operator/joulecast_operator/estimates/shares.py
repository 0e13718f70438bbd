"""Compute from the settings how many workers and places in the queue one namespace and one registry may take."""

from __future__ import annotations

from typing import Final

from joulecast_operator.settings import Settings
from joulecast_operator.workers.fair_queue import Bounds

_OF_NAMESPACE: Final = 1 / 2  # share of the workers, so that a slow namespace leaves as many to the others
_OF_REGISTRY: Final = 3 / 4  # share of the fetchers, above a namespace's so that no namespace can block a registry


def of_fetchers(settings: Settings) -> Bounds:
    """Return the bounds of jobs of fetchers, which wait for registries."""
    return Bounds(
        running=settings.fetchers,
        running_per_namespace=settings.fetches_per_namespace or _part(_OF_NAMESPACE, settings.fetchers),
        running_per_registry=settings.fetches_per_registry or _part(_OF_REGISTRY, settings.fetchers),
        waiting=settings.queued_jobs,
        waiting_per_namespace=settings.queued_jobs_per_namespace,
    )


def of_profilers(settings: Settings) -> Bounds:
    """Return the bounds of jobs of profilers, which do not depend on a registry."""
    return Bounds(
        running=settings.profilers,
        running_per_namespace=settings.profiles_per_namespace or _part(_OF_NAMESPACE, settings.profilers),
        running_per_registry=settings.profilers,
        waiting=settings.queued_jobs,
        waiting_per_namespace=settings.queued_jobs_per_namespace,
    )


def _part(share: float, workers: int) -> int:
    return max(1, int(share * workers))
