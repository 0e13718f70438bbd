from __future__ import annotations

from dataclasses import asdict

import pytest
import torch

from joulecast.errors import MeasurementError
from joulecast_calibration.measure.bench.host import MIXTURES, Mixture, Sample, fitted, host_constants
from joulecast_calibration.measure.loads.counts import network_counts
from joulecast_calibration.measure.loads.devices import Processor
from joulecast_calibration.meter.sensor import MonotonicClock

PLANTED = (13e-6, 3e-6, 14e-6, 20e-6)  # of one host, in the order kernel, view, module call, pass


def samples(noise: tuple[float, ...] = (0.0,)) -> list[Sample]:
    found = []
    for number, mixture in enumerate(MIXTURES):
        kernels, views, calls = (mixture.get(name, 0) for name in ("kernels", "views", "layers"))
        seconds = sum(c * n for c, n in zip(PLANTED, (kernels, views, calls + 1, 1), strict=True))
        seconds *= 1 + noise[number % len(noise)]
        found.append(Sample(kernels=kernels, views=views, module_calls=calls + 1, seconds=seconds))
    return found


def test_planted_constants_are_found() -> None:
    found = fitted(samples())
    constants = (found.kernel_seconds, found.view_seconds, found.module_call_seconds, found.forward_seconds)
    assert constants == pytest.approx(PLANTED, rel=1e-6)
    assert found.relative_residual < 1e-9


def test_noise_widens_the_residual_and_moves_little() -> None:
    found = fitted(samples(noise=(0.03, -0.03, 0.02, -0.01)))
    assert found.kernel_seconds == pytest.approx(13e-6, rel=0.1)
    assert found.module_call_seconds == pytest.approx(14e-6, rel=0.1)
    assert 0.005 < found.relative_residual < 0.05


def test_no_constant_is_negative() -> None:
    unlikely = [Sample(kernels=k, views=v, module_calls=1, seconds=1e-5 * k - 1e-7 * v + 1e-4)
                for k, v in ((1, 0), (100, 0), (0, 100), (50, 50))]  # fmt: skip
    found = fitted(unlikely)
    assert min(value for value in asdict(found).values() if value is not None) >= 0
    assert found.kernel_seconds == pytest.approx(1e-5, rel=0.1)


def test_a_clock_that_stands_still_is_refused() -> None:
    with pytest.raises(MeasurementError, match="did not advance"):
        fitted([Sample(kernels=1, views=1, module_calls=1, seconds=0.0)])


@pytest.mark.slow
@pytest.mark.parametrize("mixture", MIXTURES)
def test_a_mixture_is_what_it_says(mixture: dict[str, int]) -> None:
    counted = network_counts(Mixture(**mixture).eval(), (torch.zeros(64),), {}, name="mixture").columns
    assert counted["kernels"] == mixture.get("kernels", 0)
    assert counted["views"] == mixture.get("views", 0)
    assert counted["module_calls"] == 1 + mixture.get("layers", 0)


@pytest.mark.slow
def test_this_host_has_constants() -> None:
    found = host_constants(Processor(), MonotonicClock())
    assert 1e-8 < found.kernel_seconds < 1e-2
    assert 0 <= found.view_seconds < found.kernel_seconds * 10
    assert {name for name, value in asdict(found).items() if value is not None} == {
        "kernel_seconds", "view_seconds", "module_call_seconds", "forward_seconds", "relative_residual",
    }  # fmt: skip
