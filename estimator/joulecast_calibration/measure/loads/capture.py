"""Keep a device busy without gaps between kernels by CUDA graphs.

Follows torch's notes on CUDA semantics ("CUDA Graphs"): warm up on a side stream, capture, replay.
"""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from joulecast.errors import MeasurementError
from joulecast_calibration.measure.loads.streams import ClosableLoad, ProcessorLoad, RotatingRuns, Runnable, StreamLoad

WARM_UPS = 3  # as torch's notes on CUDA semantics do
REPLAY_SECONDS = 1e-3  # two replays lie a few microseconds apart: less than 1 % of this
MOST_EXECUTIONS = 4096  # in one graph: about a second of capturing


def graph_load(runs: Sequence[Runnable], device: torch.device) -> ClosableLoad:
    """Capture ``runs`` in turn, each at least once and often enough that one replay lasts ``REPLAY_SECONDS``.

    On a processor, which does not have graphs, the runs are repeated. Raises MeasurementError (CaptureFailed,
    DeviceLost).
    """
    if device.type == "cpu":
        return ProcessorLoad(RotatingRuns(runs))
    warm_up(runs)
    graph = Graph(runs, len(runs))
    wanted = executions_wanted(replay_seconds(graph.replay), len(runs))
    if wanted > len(runs):
        graph.reset()
        graph = Graph(runs, wanted)
    return StreamLoad(graph.replay, multiple=wanted)


def executions_wanted(seconds: float, executions: int) -> int:
    """Return how many executions make a replay long enough, where ``executions`` of them take ``seconds``."""
    rounds = math.ceil(REPLAY_SECONDS / max(seconds, 1e-7))
    return max(executions, min(rounds * executions, MOST_EXECUTIONS // executions * executions))


def warm_up(runs: Sequence[Runnable]) -> None:
    """Run each of ``runs`` on a side stream; the last one must not wait for the device, which a graph cannot hold.

    ``set_sync_debug_mode`` reports such a wait in a sentence, while a failed capture would leave the allocator in an
    undefined state.
    """
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream), torch.inference_mode():
        for turn in range(max(WARM_UPS, len(runs))):
            runs[turn % len(runs)]()
        with _capturable(), _no_waiting():
            runs[0]()
    torch.cuda.current_stream().wait_stream(stream)
    torch.cuda.synchronize()


@contextmanager
def _no_waiting() -> Iterator[None]:
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


class Graph:
    """A captured graph of some executions of ``runs`` in turn. It owns the memory of their outputs."""

    def __init__(self, runs: Sequence[Runnable], executions: int) -> None:
        self._turns = RotatingRuns(runs)
        self._graph = torch.cuda.CUDAGraph()
        pool = torch.cuda.graph_pool_handle()
        with (
            _capturable(self._graph, pool),
            torch.cuda.stream(torch.cuda.current_stream()),  # after a failed capture torch keeps its own one current
            torch.inference_mode(),
            torch.cuda.graph(self._graph, pool=pool),
        ):
            for _ in range(executions):
                self._turns()

    def replay(self) -> None:
        self._graph.replay()

    def reset(self) -> None:
        """Free the graph's memory."""
        self._turns.kept.clear()
        self._graph.reset()


@contextmanager
def _capturable(graph: torch.cuda.CUDAGraph | None = None, pool: tuple[int, int] = (0, 0)) -> Iterator[None]:
    """Report why a capture failed, and close what it left open."""
    try:
        yield
    except torch.OutOfMemoryError:
        _abandon(graph, pool)
        raise
    except Exception as error:
        failure = MeasurementError(
            f"the forward pass cannot be captured in a CUDA graph ({_first_cause(error)}): measure it in torch-eager",
            reason="CaptureFailed",
        )
        traceback.clear_frames(error.__traceback__)
    else:
        return
    _abandon(graph, pool)
    _check_context()
    raise failure


_abandoned: list[torch.cuda.CUDAGraph] = []


def _abandon(graph: torch.cuda.CUDAGraph | None, pool: tuple[int, int]) -> None:
    """Free what a failed capture allocated.

    Where the capture did not end, torch leaves the allocator allocating to its pool, counts the graph among the pool's
    users, and asks the graph whether it should: so the pool is closed and released here, and the graph kept
    (``ATen/cuda/CUDAGraph.cpp``). Where it did end, as after running out of memory, torch releases the pool itself.
    """
    if graph is None:
        return
    device = torch.cuda.current_device()
    try:
        torch._C._cuda_endAllocateToPool(device, pool)
    except RuntimeError:  # closed already
        graph.reset()
        return
    _abandoned.append(graph)
    torch._C._cuda_releasePool(device, pool)


def _first_cause(error: BaseException) -> str:
    """Return the error that ended the capture, not the one that its end raised."""
    while error.__context__ is not None:
        error = error.__context__
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _check_context() -> None:
    try:
        _probe()
    except RuntimeError as error:
        raise MeasurementError(
            "the device's context is broken after a failed capture: start a new process", reason="DeviceLost"
        ) from error


def _probe() -> None:
    torch.cuda.synchronize()
    torch.ones(1, device="cuda").add_(1).item()


def replay_seconds(replay: Callable[[], None], repetitions: int = 3) -> float:
    """Return the seconds of one replay; the first one, which uploads the graph, is not counted."""
    replay()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(repetitions):
        replay()
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / repetitions
