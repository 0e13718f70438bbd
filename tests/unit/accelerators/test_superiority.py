"""The bound by which profiles are compared, in the laboratory and in the cluster."""

from __future__ import annotations

import pytest

from joulecast.accelerators.superiority import bound


def test_the_bound_is_the_lesser_of_two_and_no_less_than_repeats_differ_by() -> None:
    assert bound(0.5) == 0.02
    assert bound(0.1) == pytest.approx(0.01)
    assert bound(0.03) == pytest.approx(0.003)
    assert bound(0.01) == bound(0.0) == 0.003
