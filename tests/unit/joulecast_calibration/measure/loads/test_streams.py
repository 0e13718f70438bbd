from __future__ import annotations

import pytest

from joulecast.errors import MeasurementError
from joulecast_calibration.measure.loads.streams import ProcessorLoad, RotatingRuns, StreamLoad, eager_load
from tests.unit.joulecast_calibration.measure.loads.faked import FakeCuda


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    device = FakeCuda(kernel_seconds=0.01)
    device.install(monkeypatch)
    return device


def test_the_processor_runs_at_once() -> None:
    ran: list[int] = []
    load = ProcessorLoad(lambda: ran.append(1))
    load.enqueue(3)
    assert (load.completed(), len(ran)) == (3, 3)
    load.drain()
    load.close()
    with pytest.raises(MeasurementError, match="closed"):
        load.enqueue(1)


def test_a_stream_tells_what_is_completed_and_no_more(cuda: FakeCuda) -> None:
    load = StreamLoad(cuda.kernel)
    load.enqueue(5)
    assert load.completed() == 0
    cuda.elapse(0.025)
    assert load.completed() == 2
    load.enqueue(2)
    load.drain()
    assert load.completed() == 7


def test_a_stream_of_graphs_counts_executions(cuda: FakeCuda) -> None:
    load = StreamLoad(cuda.kernel, multiple=100)
    load.enqueue(300)
    cuda.elapse(0.011)
    assert (load.completed(), len(cuda.launched)) == (100, 3)
    with pytest.raises(MeasurementError, match="100 at a time"):
        load.enqueue(150)


def test_a_closed_stream_waited_for_its_work(cuda: FakeCuda) -> None:
    load = StreamLoad(cuda.kernel)
    load.enqueue(5)
    load.close()
    assert cuda.now >= 0.05
    with pytest.raises(MeasurementError, match="closed"):
        load.enqueue(1)


def test_events_are_used_again(cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    made: list[object] = []
    make = torch.cuda.Event
    monkeypatch.setattr(torch.cuda, "Event", lambda: made.append(event := make()) or event)
    load = StreamLoad(cuda.kernel)
    for _ in range(50):
        load.enqueue(2)
        load.drain()
    assert (load.completed(), len(made)) == (100, 2)


def test_turns_rotate_and_keep_each_result_until_its_next_turn() -> None:
    results = [object() for _ in range(6)]
    source = iter(results)
    turns = RotatingRuns([lambda: next(source)] * 3)
    assert [turns() for _ in range(4)] == results[:4]
    assert turns.kept == [results[3], results[1], results[2]]


def test_a_result_is_let_go_before_its_successor_is_made() -> None:
    kept_meanwhile: list[object] = []
    turns = RotatingRuns([lambda: kept_meanwhile.append(turns.kept[0]) or "result"])
    turns()
    turns()
    assert kept_meanwhile == [None, None]


def test_eager_loads_run_one_by_one(cuda: FakeCuda) -> None:
    import torch

    load = eager_load(cuda.kernel, torch.device("cuda", 0))
    assert load.multiple == 1
    load.enqueue(4)
    assert len(cuda.launched) == 4
    assert isinstance(eager_load(cuda.kernel, torch.device("cpu")), ProcessorLoad)
