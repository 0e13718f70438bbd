"""Make the loads of a simulated card: a configuration's own rows, as the law forecasts them on a data sheet.

A preset of ``meter.simulated`` simulates a real card. With that card's peaks, bandwidth, multiprocessors and host,
``energy.physical`` gives the time and power of a forward pass or a layer below the power limit. The device adds waits
for the host, clocks, temperature and noise.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from joulecast.accelerators.catalogue import find
from joulecast.energy.features import Features, features
from joulecast.energy.physical import Networks, chip_of, compose, host_seconds
from joulecast.energy.profile import AcceleratorProfile
from joulecast_calibration.measure.plan.configuration import Configuration
from joulecast_calibration.meter.simulated import Phase, SimulatedDevice, SimulatedLoad
from joulecast_calibration.rows.counted import Counted, row_document
from joulecast_calibration.rows.graphs import PackedGraph
from joulecast_calibration.suite.configuration import ACCELERATOR, RUNTIME
from joulecast_calibration.suite.contents import rows_of_layer, rows_of_network, rows_of_pass
from joulecast_calibration.suite.decoders import DecoderPass
from joulecast_calibration.suite.index import committed

_LEAST_SECONDS = 1e-6  # the start of one kernel: no execution is shorter
_MOST_WATTS = 1.2  # of the limit: what a made-up load asks for at boost; above 1 the card is capped


class SimulatedLoads:
    """Makes loads for ``device``, which was made from a preset."""

    def __init__(self, device: SimulatedDevice) -> None:
        self._device = device

    @cached_property
    def profile(self) -> AcceleratorProfile:
        """Return the profile of the card that the device simulates."""
        return find(self._device.spec.product)

    def load(self, configuration: Configuration) -> SimulatedLoad:
        """Return one execution of ``configuration``: the suite's forecast where it is of this card, else the law's."""
        rows = None if self._is_forecast(configuration) else rows_of(configuration)
        return self._by_law(configuration, rows) if rows else self._in_proportion(configuration)

    def _is_forecast(self, configuration: Configuration) -> bool:
        """Return whether the suite's own forecast is of this card, this arithmetic and this way to launch."""
        launched = bool(configuration.op_type) or configuration.runtime == RUNTIME
        return self.profile.product == ACCELERATOR and configuration.precision == "default" and launched

    def _by_law(self, configuration: Configuration, rows: Counted) -> SimulatedLoad:
        """Compute the load at the clock at which the law holds the power limit, so that the device does not cap it
        again."""
        law, chip = self.profile.law, chip_of(self.profile)
        table = features([row for row, _ in rows], precision=self._precision(configuration), runtime=RUNTIME,
                         lacks=self.profile.lacks)  # fmt: skip
        sums = Networks(index=np.zeros(len(rows), dtype=np.intp), count=np.array([n for _, n in rows], float), size=1)
        waits = self._host_seconds(configuration, table, sums)
        cost = compose(table, law, chip, sums, np.ones(1), np.array([waits])).busy
        seconds, joules, memory_joules = (
            float(sums.sum(values)[0]) for values in (cost.seconds, cost.joules, cost.memory_joules)
        )
        dynamic_watts = max(joules / seconds - self._device.spec.chip.busy_watts(1.0, 25.0), 0.0)
        memory_watts = min(memory_joules / seconds, dynamic_watts)
        phase = Phase(seconds=seconds, compute_watts=dynamic_watts - memory_watts, memory_watts=memory_watts)
        return self._device.load(phases=(phase,), host_seconds=waits, memory_bytes=_memory_bytes(configuration))

    def _precision(self, configuration: Configuration) -> str:
        """Return the precision that torch falls back to where the card does not have the arithmetic: its default."""
        return configuration.precision if configuration.precision in self.profile.peak_flops else "default"

    def _host_seconds(self, configuration: Configuration, table: Features, sums: Networks) -> float:
        """Return the seconds in which the host launches a network kernel by kernel; 0 for a captured graph."""
        if configuration.op_type or configuration.runtime != RUNTIME:
            return 0.0
        views, modules = (float(configuration.counts.get(name, 0)) for name in ("views", "module_calls"))
        return float(host_seconds(table, self.profile.hosts[RUNTIME], sums, views=views, modules=modules)[0])

    def _in_proportion(self, configuration: Configuration) -> SimulatedLoad:
        """Scale the suite's forecast by bandwidth and power limit; on the card of the forecast the factors are 1."""
        known, chip = find(ACCELERATOR), self._device.spec.chip
        once = max(configuration.forward_seconds, _LEAST_SECONDS)
        limit_watts = chip.power_limit_watts
        watts = configuration.forward_joules / once * limit_watts / known.power_limit_watts
        slower = known.bandwidth_bytes_per_second / self.profile.bandwidth_bytes_per_second
        drawn = min(max(watts, chip.busy_watts(1.0, 25.0)), _MOST_WATTS * limit_watts)
        return self._device.load(once * slower, watts=drawn)


def graph_of(configuration: Configuration) -> PackedGraph | None:
    """Return the graph that the suite's index holds of ``configuration``, as a real machine would trace it."""
    rows = rows_of(configuration)
    if rows is None or not configuration.digest:
        return None
    contents = [[row_document(row), times] for row, times in rows]
    layer = committed().known.get(configuration.digest) if configuration.op_type else None
    families = layer.families if layer else ()
    return PackedGraph(
        digest=configuration.digest, name=configuration.name, families=families, unsupported=0, contents=contents
    )


def rows_of(configuration: Configuration) -> Counted | None:
    """Return the rows of ``configuration``, or None where the committed suite does not have it."""
    if configuration.op_type:
        return rows_of_layer(configuration.digest)
    if configuration.phase:
        found = _pass_of(configuration)
        return rows_of_pass(found) if found else None
    return rows_of_network(
        (configuration.name, configuration.batch_size, configuration.sequence_length, configuration.audio_seconds)
    )


def _pass_of(configuration: Configuration) -> DecoderPass | None:
    """Return the pass of a decoder that the committed index has of ``configuration``."""
    return committed().decoders.find(
        (configuration.name, configuration.phase, configuration.batch_size, configuration.context_tokens or 0)
    )


def _memory_bytes(configuration: Configuration) -> int:
    """Return the bytes in memory at once; of a layer what it reads and writes."""
    if configuration.op_type:
        return configuration.counts["bytes_moved"]
    if configuration.phase:
        found = _pass_of(configuration)
        return found.peak_bytes if found else 0
    fed = configuration.sequence_length, configuration.audio_seconds
    peaks = [
        batch.peak_bytes
        for entry in committed().architectures
        if entry.name == configuration.name
        for network in entry.workloads
        if (network.sequence_length, network.seconds) == fed
        for batch in network.batches
        if batch.batch_size == configuration.batch_size
    ]
    return int(max(peaks, default=0))
