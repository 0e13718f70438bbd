"""Measure the host's seconds to launch a forward pass: a·kernels + b·views + c·module calls + a constant.

The coefficients are fitted to small modules of different mixtures, each so light for the device that the host
determines the time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from joulecast.errors import MeasurementError
from joulecast_calibration.measure.loads.devices import Device
from joulecast_calibration.meter.sensor import Clock
from joulecast_calibration.rows.typed import HostConstants

WIDTH = 64  # elements of a tensor: a kernel on them is shorter than its launch
COUNT = 24  # operations of one sort in a mixture: far more than the constant of a pass
PASS_SECONDS = 0.05  # of one sample: some hundred passes
ROUNDS = 5  # the median of so many samples, so that one interruption does not count


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The host's ``seconds`` for a forward pass with these numbers of kernels, views and module calls."""

    kernels: int
    views: int
    module_calls: int
    seconds: float


class Mixture(nn.Module):
    """Contents of a small module.

    - ``kernels``: launches, alternately of operators and of layers with weights.
    - ``views``: views.
    - ``layers``: modules that do nothing.
    """

    def __init__(self, *, kernels: int = 0, views: int = 0, layers: int = 0) -> None:
        super().__init__()
        self.kernels, self.views = kernels, views
        self.weight = nn.Parameter(torch.randn(WIDTH, WIDTH) / WIDTH**0.5)
        self.bias = nn.Parameter(torch.zeros(WIDTH))
        self.layers = nn.ModuleList(nn.Identity() for _ in range(layers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for number in range(self.kernels):
            x = _KERNELS[number % len(_KERNELS)](x, self)
        for _ in range(self.views):
            x = x.view(WIDTH)
        for layer in self.layers:
            x = layer(x)
        return x


_KERNELS: tuple[Callable[[torch.Tensor, Mixture], torch.Tensor], ...] = (
    lambda x, own: torch.nn.functional.linear(x, own.weight, own.bias),
    lambda x, _: torch.relu(x),
    lambda x, own: torch.nn.functional.layer_norm(x, (WIDTH,), own.bias, own.bias),
    lambda x, own: x + own.bias,
)
"""Operators of one kernel each, mixed as in networks."""

MIXTURES: tuple[Mapping[str, int], ...] = (
    {"kernels": COUNT}, {"kernels": 4 * COUNT}, {"views": COUNT}, {"views": 4 * COUNT}, {"layers": COUNT},
    {"layers": 4 * COUNT}, {"kernels": COUNT, "views": COUNT}, {"kernels": COUNT, "layers": COUNT},
    {"kernels": 2 * COUNT, "views": COUNT, "layers": COUNT}, {},
)  # fmt: skip


def host_constants(device: Device, clock: Clock) -> HostConstants:
    """Measure and fit, in about 3 s. Raises MeasurementError where the clock does not advance."""
    return fitted([_sample(device, clock, **mixture) for mixture in MIXTURES])


def _sample(device: Device, clock: Clock, **mixture: int) -> Sample:
    module = Mixture(**mixture).eval().requires_grad_(False).to(device.torch)
    x = torch.zeros(WIDTH, device=device.torch)
    launch = partial(module, x)
    with torch.inference_mode():
        once = _host_seconds(launch, 10, device, clock)
        passes = max(10, int(PASS_SECONDS / max(once, 1e-6)))
        seconds = sorted(_host_seconds(launch, passes, device, clock) for _ in range(ROUNDS))[ROUNDS // 2]
    return Sample(kernels=module.kernels, views=module.views, module_calls=1 + len(module.layers), seconds=seconds)


def _host_seconds(launch: Any, passes: int, device: Device, clock: Clock) -> float:
    """Return the time of one pass until the last launch, or until the device is done if it is slower."""
    device.synchronize()
    began = clock.seconds()
    for _ in range(passes):
        launch()
    device.synchronize()
    return (clock.seconds() - began) / passes


def fitted(samples: Sequence[Sample]) -> HostConstants:
    """Fit the constants by least squares of relative residuals, none of them below 0.

    Negative constants are set to 0 and the others fitted again (an active set). ``relative_residual`` is the root mean
    square of the fit's errors relative to each sample.
    """
    seconds = np.array([sample.seconds for sample in samples])
    if not (seconds > 0).all():
        raise MeasurementError("the clock did not advance while the host's constants were measured: use a real clock")
    causes = np.array([(sample.kernels, sample.views, sample.module_calls, 1.0) for sample in samples])
    scaled = causes / seconds[:, None]
    constants = _non_negative(scaled)
    residual = float(np.sqrt(np.mean((scaled @ constants - 1.0) ** 2)))
    a, b, c, forward = (float(value) for value in constants)
    return HostConstants(
        kernel_seconds=a, view_seconds=b, module_call_seconds=c, forward_seconds=forward, relative_residual=residual
    )


def _non_negative(scaled: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return x ≥ 0 that brings ``scaled @ x`` nearest to 1."""
    kept = list(range(scaled.shape[1]))
    while True:
        solution = np.linalg.lstsq(scaled[:, kept], np.ones(len(scaled)), rcond=None)[0]
        if (solution >= 0).all():
            break
        kept.pop(int(solution.argmin()))
    constants = np.zeros(scaled.shape[1])
    constants[kept] = solution
    return constants
