"""The bench of real work: torch on a CUDA device under NVML, or on the processor under a simulated meter."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from importlib import metadata, util
from typing import Any

from joulecast.errors import MeasurementError
from joulecast.readers import named
from joulecast_calibration import suite
from joulecast_calibration.measure.bench.ceilings import busy_load, ceilings
from joulecast_calibration.measure.bench.companion import Companion
from joulecast_calibration.measure.bench.gaps import gap_watts
from joulecast_calibration.measure.bench.host import host_constants
from joulecast_calibration.measure.loads.devices import Cuda, Device, Processor, described_errors
from joulecast_calibration.measure.loads.exported import PROVIDERS, available_providers
from joulecast_calibration.measure.loads.layers import layer_load
from joulecast_calibration.measure.loads.networks import PreparedNetwork, prepared_network
from joulecast_calibration.measure.loads.passes.decoders import PreparedDecoder, prepared_decoder
from joulecast_calibration.measure.loads.precision import built_dtype
from joulecast_calibration.measure.loads.prepared import Prepared
from joulecast_calibration.measure.plan.configuration import Configuration
from joulecast_calibration.meter import CounterConstants, Policy, Window, characterise, measure
from joulecast_calibration.meter.crosscheck import CodeCarbonProcess
from joulecast_calibration.meter.sensor import Clock, Load, MonotonicClock, Sensor
from joulecast_calibration.suite.decoders import CONFIGURATIONS

_PACKAGES = ("joulecast", "torchvision", "timm", "transformers", "nvidia-ml-py", "numpy")
_LIBRARIES = {"torchvision": "torchvision", "timm": "timm", "hf": "transformers", "decoder": "transformers"}
_ONNXRUNTIME = "onnxruntime-cuda"
_REHEARSAL_CACHE_BYTES = 1 << 20  # few sets of buffers, so that a processor is done with a layer soon


class TorchBench:
    """A bench that executes loads with torch.

    - ``index``: number of the device as NVML counts.
    - ``metered``: wraps a load that the simulated meter has to see before it runs.
    """

    def __init__(
        self,
        device: Device,
        sensor: Sensor,
        clock: Clock,
        *,
        seed: int,
        index: int = 0,
        metered: Callable[[Load], Load] = lambda load: load,
    ) -> None:
        self.sensor, self.clock = sensor, clock
        self._device, self._seed, self._metered = device, seed, metered
        self._codecarbon = Companion(partial(CodeCarbonProcess.start, index=index))
        self._network: PreparedNetwork | PreparedDecoder | None = None
        self._group = ""
        self._held = contextlib.ExitStack()
        self._layers = _calls()

    def versions(self) -> Mapping[str, str | None]:
        packages = {name: _version(name) for name in _PACKAGES}
        return {"python": platform.python_version(), **packages, **self._device.versions()}

    def missing(self, runtimes: Collection[str]) -> Mapping[str, str]:
        absent = {prefix: name for prefix, name in _LIBRARIES.items() if not _installed(name)}
        provider = PROVIDERS[self._device.torch.type]
        if _ONNXRUNTIME in runtimes and provider not in available_providers():
            absent[_ONNXRUNTIME] = f"onnxruntime with {provider}"
        if not _installed("codecarbon"):
            absent["codecarbon"] = "codecarbon"
        return absent

    def constants(self) -> Mapping[str, Any]:
        with busy_load(self._device) as load:
            counter = characterise(self.sensor, self.clock, self._metered(load))

        def window(load: Load) -> Window:
            return measure(self._metered(load), self.sensor, self.clock, counter)

        gap = _part("gap", lambda: asdict(gap_watts(self._device, window)))
        host = _part("host", lambda: asdict(host_constants(self._device, self.clock)))
        reached = _part("ceilings", lambda: {"ceilings": [asdict(each) for each in ceilings(self._device, window)]})
        return {**counter.row(), "gap": gap, "gap_watts": gap.get("watts"), "host_constants": host, **reached}

    @contextlib.contextmanager
    def prepare(self, configuration: Configuration) -> Iterator[Prepared]:
        made = self._layer(configuration) if configuration.op_type else self._batch(configuration)
        with made as ready:
            yield replace(ready, load=self._metered(ready.load))

    def measure(self, prepared: Prepared, policy: Policy, counter: CounterConstants) -> Window:
        return measure(prepared.load, self.sensor, self.clock, counter, policy)

    def compare(self, name: str, prepared: Prepared, window: Window) -> Mapping[str, Any]:
        if self.sensor.card.simulated:
            raise MeasurementError("CodeCarbon cannot use a simulated meter", reason="NoCodeCarbon")
        return self._codecarbon.compare(name, prepared.load, self.sensor, self.clock, window)

    def close(self) -> None:
        self._codecarbon.close()
        self._held.close()
        self.sensor.close()

    def _layer(self, configuration: Configuration) -> Any:
        self._release()
        layer = self._layers[configuration.digest]
        return layer_load(
            layer.call,
            families=layer.families,
            device=self._device,
            precision=configuration.precision,
            l2_state=configuration.l2_state,
            seed=self._seed,
        )

    def _batch(self, configuration: Configuration) -> Any:
        network, size = self._built(configuration), configuration.batch_size
        if isinstance(network, PreparedNetwork):
            return network.load(batch_size=size, runtime=configuration.runtime)
        assert configuration.phase  # noqa: S101 (a decoder is built for these alone)
        assert configuration.context_tokens  # noqa: S101
        return network.load(
            phase=configuration.phase, batch_size=size, context_tokens=configuration.context_tokens,
            runtime=configuration.runtime,
        )  # fmt: skip

    def _built(self, configuration: Configuration) -> PreparedNetwork | PreparedDecoder:
        """Return the network of the last row if this one shares its build, else build it."""
        if self._network is None or self._group != configuration.group:
            self._release()
            self._network, self._group = self._held.enter_context(self._prepared(configuration)), configuration.group
        return self._network

    def _prepared(self, configuration: Configuration) -> Any:
        how: dict[str, Any] = {"device": self._device, "precision": configuration.precision, "seed": self._seed}
        if configuration.phase:
            return prepared_decoder(configuration.name, CONFIGURATIONS[configuration.name], **how)
        return prepared_network(_made(configuration, self._device), **how)

    def _release(self) -> None:
        """Close the network that is held, and free its memory."""
        self._network, self._group = None, ""
        self._held.close()


def _made(configuration: Configuration, device: Device) -> named.Built:
    """Build a network or layer with its parameters on the device.

    Copying the parameters of a network of six billion would take ten seconds, and they have no values yet.
    """
    with described_errors(device, configuration.name):
        return named.build(
            configuration.name,
            batch_size=1,
            sequence_length=configuration.sequence_length,
            seconds=configuration.audio_seconds,
            dtype=built_dtype(configuration.precision),
            device=str(device.torch),
        )


def cuda_bench(index: int, *, seed: int) -> TorchBench:
    """Make a bench of the GPU that CUDA calls ``index``. Raises MeasurementError for a shared or missing GPU."""
    from joulecast_calibration.meter.nvml import NvmlSensor, nvml_index

    own = nvml_index(index)
    sensor = NvmlSensor(own)  # before this process has a context, so that it knows itself
    return TorchBench(Cuda(index), sensor, MonotonicClock(), seed=seed, index=own)


def processor_bench(*, seed: int) -> TorchBench:
    """Make a bench of real work on the processor with a simulated meter, which marks its rows as simulated."""
    from joulecast_calibration.meter.simulated.realtime import RealTimeDevice

    meter = RealTimeDevice(MonotonicClock(), seed=seed)
    device = Processor(_REHEARSAL_CACHE_BYTES)
    return TorchBench(device, meter.sensor, meter.clock, seed=seed, metered=meter.metered)


def _calls() -> Mapping[str, suite.SuiteLayer]:
    summed = (layer for sum_of in suite.committed().additivity for layer, _ in sum_of.layers)
    return {layer.digest: layer for layer in (*suite.committed().layers, *suite.committed().anchors, *summed)}


def _part(name: str, measured: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """Return what was measured, or the reason for a failure, because rows are useful without this part."""
    try:
        return dict(measured())
    except MeasurementError as error:
        if error.reason in ("DeviceLost", "ForeignProcessOnDevice"):
            raise
        return {f"{name}_error": str(error)}


def _installed(package: str) -> bool:
    try:
        return util.find_spec(package) is not None
    except ImportError:
        return False


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
