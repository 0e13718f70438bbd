"""What one namespace and one registry may take of the workers."""

from __future__ import annotations

import pytest

from joulecast_operator.estimates.shares import of_fetchers, of_profilers
from joulecast_operator.settings import Settings


@pytest.mark.parametrize(
    ("workers", "per_namespace", "per_registry"), [(1, 1, 1), (2, 1, 1), (4, 2, 3), (8, 4, 6), (9, 4, 6)]
)
def test_a_namespace_has_half_of_the_fetchers_and_a_registry_three_quarters(
    workers: int, per_namespace: int, per_registry: int
) -> None:
    found = of_fetchers(Settings(fetchers=workers))
    assert found.running == workers
    assert (found.running_per_namespace, found.running_per_registry) == (per_namespace, per_registry)


def test_settings_take_the_place_of_the_shares() -> None:
    found = of_fetchers(Settings(fetchers=8, fetches_per_namespace=7, fetches_per_registry=1))
    assert (found.running_per_namespace, found.running_per_registry) == (7, 1)


def test_a_registry_does_not_limit_the_profilers() -> None:
    found = of_profilers(Settings(profilers=6, profiles_per_namespace=2, fetches_per_registry=1))
    assert (found.running, found.running_per_namespace, found.running_per_registry) == (6, 2, 6)
    assert of_profilers(Settings(profilers=6)).running_per_namespace == 3
