from __future__ import annotations

import pytest
import torch

from joulecast.errors import MeasurementError
from joulecast_calibration.measure.loads import capture
from joulecast_calibration.measure.loads.capture import MOST_EXECUTIONS, REPLAY_SECONDS, executions_wanted, graph_load
from tests.unit.joulecast_calibration.measure.loads.faked import FakeCuda, FakeGraph

CUDA = torch.device("cuda", 0)


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    device = FakeCuda(kernel_seconds=2e-6)
    device.install(monkeypatch)
    return device


def test_a_short_layer_fills_a_replay(cuda: FakeCuda) -> None:
    load = graph_load([cuda.kernel] * 64, CUDA)
    assert load.multiple % 64 == 0
    assert load.multiple * cuda.kernel_seconds >= REPLAY_SECONDS


def test_a_long_layer_is_replayed_alone(cuda: FakeCuda) -> None:
    cuda.kernel_seconds = 0.01
    assert graph_load([cuda.kernel], CUDA).multiple == 1


def test_sets_take_turns_within_a_replay(cuda: FakeCuda) -> None:
    cuda.kernel_seconds = 1e-4
    load = graph_load([lambda name=name: cuda.kernel(name) for name in "abc"], CUDA)
    cuda.launched.clear()
    load.enqueue(load.multiple)
    assert "".join(cuda.launched) == "abc" * (load.multiple // 3)
    load.drain()
    assert load.completed() == load.multiple


@pytest.mark.parametrize(
    ("seconds", "executions", "wanted"),
    [(1e-3, 1, 1), (128e-6, 64, 512), (0.5, 3, 3), (1e-9, 64, MOST_EXECUTIONS), (0.0, 5, MOST_EXECUTIONS // 5 * 5)],
)
def test_executions_of_a_replay(seconds: float, executions: int, wanted: int) -> None:
    assert executions_wanted(seconds, executions) == wanted


def test_a_pass_that_waits_for_the_device_is_refused_before_the_capture(cuda: FakeCuda) -> None:
    with pytest.raises(MeasurementError, match="synchronizing CUDA operation") as refusal:
        graph_load([lambda: (cuda.kernel(), cuda.item())], CUDA)
    assert refusal.value.reason == "CaptureFailed"
    assert cuda.sync_mode == 0
    assert not cuda.closed_pools


def test_a_broken_capture_is_closed_and_its_graph_kept(cuda: FakeCuda) -> None:
    def breaks() -> None:
        cuda.kernel()
        if cuda.capturing:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")

    before = len(capture._abandoned)
    with pytest.raises(MeasurementError, match="not permitted") as refusal:
        graph_load([breaks], CUDA)
    assert refusal.value.reason == "CaptureFailed"
    assert cuda.closed_pools == cuda.released_pools == [(0, 7)]
    assert cuda.stream == "default"
    assert isinstance(capture._abandoned[before], FakeGraph)
    del capture._abandoned[before:]


def test_a_capture_that_costs_the_context_says_so(cuda: FakeCuda) -> None:
    def breaks() -> None:
        if cuda.capturing:
            cuda.lost = True
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(MeasurementError) as refusal:
        graph_load([breaks], CUDA)
    assert refusal.value.reason == "DeviceLost"
    capture._abandoned.clear()


def test_running_out_of_memory_in_a_capture_stays_that(cuda: FakeCuda) -> None:
    def breaks() -> None:
        if cuda.capturing:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        graph_load([breaks], CUDA)
    assert not cuda.closed_pools  # the capture has ended, so the graph itself gives back what it held
    assert cuda.released_pools == [(0, 7)]
    assert not capture._abandoned


def test_a_processor_repeats_plainly() -> None:
    ran: list[str] = []
    load = graph_load([lambda: ran.append("a"), lambda: ran.append("b")], torch.device("cpu"))
    load.enqueue(5)
    assert "".join(ran) == "ababa"
    assert load.multiple == 1
