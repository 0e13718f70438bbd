"""Estimate how long a row will take before it is measured, for order, budget and ETA only. No row depends on it.

The suite predicts one execution on one kind of card; the time that the present card takes is learned from its rows.
"""

from __future__ import annotations

from dataclasses import replace

from joulecast_calibration.measure.plan.configuration import Configuration

LONG_WINDOW_SECONDS = 8.0  # of the cross-check for executions that alias with the sensor: docs/measuring.md

_SHORTEST_WINDOW_SECONDS = 0.6  # docs/measuring.md
_LONGEST_WINDOW_SECONDS = 4.0  # docs/measuring.md
_EDGES = 5  # of the counter in a window: docs/measuring.md
_EDGE_SECONDS = 0.1  # the usual period of the counter (Yang, Adamek, Armour)
_WARM_UP_SECONDS = 0.3  # the lag of such a counter, measured at start
# Guesses, which the pace of the rows corrects:
_LAYER_BUILD_SECONDS = 0.15  # buffers filled on the device, one graph captured
_NETWORK_BUILD_SECONDS = 2.0  # module built, weights filled; shared by the batches of a network
_NETWORK_BATCH_SECONDS = 0.8  # inputs, trace, first execution
_PASS_SECONDS = 2.5  # of a decoder: cache filled, trace of some thousand calls, graph captured
_DECODER_BUILD_SECONDS = 5.0  # up to 16 GB of weights filled on the device
_COMPILE_SECONDS = 30.0  # inductor on a mid-sized network, cold cache
_CONSTANTS_SECONDS = 60.0  # counter, idle, gap power, ceilings, launch constants
_CODECARBON_SECONDS = 3.0  # start of its process
_CODECARBON_EXECUTIONS = 4000  # the publication's protocol: docs/measuring.md
_HALF = 0.5  # of the time that float32 takes: a memory-bound row in 16 bits


def timed(configuration: Configuration, *, shared_build: bool = False) -> Configuration:
    """Add ``expected_seconds`` to ``configuration``: build, warm-up and window.

    ``shared_build``: whether the previous row has built the network already.
    """
    return replace(configuration, expected_seconds=_expected_seconds(configuration, shared_build))


def _expected_seconds(configuration: Configuration, shared_build: bool) -> float:
    if configuration.kind == "constants":
        return _CONSTANTS_SECONDS
    foretold = bool(configuration.phase) or configuration.precision not in ("bf16", "fp16")
    once = configuration.forward_seconds * (1.0 if foretold else _HALF)
    warm = _WARM_UP_SECONDS + 3 * once  # the first execution, and what stands in the queue as the window ends
    return build_seconds(configuration, shared_build=shared_build) + warm + _window_seconds(configuration, once)


def build_seconds(configuration: Configuration, *, shared_build: bool) -> float:
    """Return the seconds before the load runs for the first time."""
    if configuration.op_type:
        return _LAYER_BUILD_SECONDS
    if configuration.phase:
        return (0.0 if shared_build else _DECODER_BUILD_SECONDS) + _PASS_SECONDS
    compiled = _COMPILE_SECONDS if configuration.runtime == "torch-compile" else 0.0
    return (0.0 if shared_build else _NETWORK_BUILD_SECONDS) + _NETWORK_BATCH_SECONDS + compiled


def _window_seconds(configuration: Configuration, once: float) -> float:
    if configuration.window == "long":
        return LONG_WINDOW_SECONDS
    shortest = max(_SHORTEST_WINDOW_SECONDS, _EDGES * _EDGE_SECONDS) + _EDGE_SECONDS
    own = max(min(max(shortest, 2 * once), _LONGEST_WINDOW_SECONDS), once)
    if configuration.window == "codecarbon":
        return own + _CODECARBON_SECONDS + _CODECARBON_EXECUTIONS * once
    return own


class Pace:
    """Ratio of measured to expected seconds of a row, learned by kind as rows are measured."""

    def __init__(self) -> None:
        self._expected: dict[str, float] = {}
        self._taken: dict[str, float] = {}

    def learn(self, configuration: Configuration, seconds: float) -> None:
        """Record that ``configuration`` took ``seconds`` from build to row."""
        kind = _kind(configuration)
        self._expected[kind] = self._expected.get(kind, 0.0) + configuration.expected_seconds
        self._taken[kind] = self._taken.get(kind, 0.0) + seconds

    def seconds(self, configuration: Configuration) -> float:
        """Return the seconds expected now; the prediction counts as one row, so the first does not dominate."""
        kind, prior = _kind(configuration), configuration.expected_seconds
        return prior * (self._taken.get(kind, 0.0) + prior) / (self._expected.get(kind, 0.0) + prior)


def _kind(configuration: Configuration) -> str:
    return f"{configuration.kind} {configuration.runtime} {configuration.window}"
