from __future__ import annotations

import weakref

import pytest
import torch

from joulecast.errors import MeasurementError, WorkloadError
from joulecast_calibration.measure.loads.devices import Cuda, Processor, described, described_errors


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB"), "OutOfMemory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "OutOfMemory"),
        (MemoryError(), "OutOfMemory"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), "OutOfMemory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_NOT_SUPPORTED when calling"), "ExecutionFailed"),
        (torch.AcceleratorError("CUDA error: device-side assert triggered"), "DeviceLost"),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), "DeviceLost"),
        (ValueError("shape mismatch\nmore"), "ExecutionFailed"),
    ],
)
def test_errors_are_named(error: Exception, reason: str) -> None:
    told = described(error, "layer x")
    assert told.reason == reason
    assert "layer x" in str(told) and "\n" not in str(told)


def test_an_error_lets_go_of_the_memory_below_it() -> None:
    held: list[weakref.ref[torch.Tensor]] = []

    def fills() -> None:
        tensor = torch.zeros(1000)
        held.append(weakref.ref(tensor))
        torch.zeros(10**15)

    with pytest.raises(MeasurementError, match="does not fit") as told, described_errors(Processor(), "network y"):
        fills()
    assert told.value.reason == "OutOfMemory"
    assert held[0]() is None


def test_a_measurement_error_passes_untouched() -> None:
    mine = MeasurementError("mine", reason="Mine")
    with pytest.raises(MeasurementError) as told, described_errors(Processor(), "x"):
        raise mine
    assert told.value is mine


class Lost(Processor):
    """A device whose context is beyond repair."""

    def synchronize(self) -> None:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")


@pytest.mark.parametrize(("device", "reason"), [(Processor(), "ExecutionFailed"), (Lost(), "DeviceLost")])
def test_a_device_is_lost_only_if_it_does_not_compute_any_more(device: Processor, reason: str) -> None:
    with pytest.raises(MeasurementError) as told, described_errors(device, "x"):
        raise torch.AcceleratorError("CUDA error: invalid configuration argument")
    assert told.value.reason == reason


def test_another_error_that_names_itself_passes_untouched() -> None:
    with pytest.raises(WorkloadError, match="mine"), described_errors(Processor(), "x"):
        raise WorkloadError("mine")


def test_a_processor_tells_its_memory_and_cache() -> None:
    device = Processor()
    assert 1 << 20 <= device.cache_bytes() < 1 << 34
    assert device.free_bytes() > 1 << 26
    assert device.peak_bytes() is None
    assert device.versions()["torch"] == torch.__version__
    assert Processor(123).cache_bytes() == 123


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_without_a_gpu_cuda_is_refused_with_a_way_out() -> None:
    with pytest.raises(MeasurementError, match="measure on cpu") as refusal:
        Cuda()
    assert refusal.value.reason == "NoDevice"
