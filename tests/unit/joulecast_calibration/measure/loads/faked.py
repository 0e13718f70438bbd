"""A CUDA device in memory: one queue, kernels that take virtual time, graphs that repeat what they were shown.

It knows what the loads call of ``torch.cuda``, and breaks where the real one would.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from joulecast_calibration.measure.loads import capture


class FakeCuda:
    """``kernel`` launches one; ``elapse`` lets virtual time pass; ``item`` waits for the device."""

    def __init__(self, kernel_seconds: float = 2e-6) -> None:
        self.kernel_seconds = kernel_seconds
        self.now = 0.0
        self.free_at = 0.0
        self.capturing: FakeGraph | None = None
        self.sync_mode = 0
        self.launched: list[str] = []
        self.closed_pools: list[tuple[int, int]] = []
        self.released_pools: list[tuple[int, int]] = []
        self.pool_open = False
        self.stream = "default"
        self.synchronized = 0
        self.lost = False

    def kernel(self, name: str = "k") -> str:
        if self.capturing is not None:
            self.capturing.nodes.append(name)
        else:
            self.launch([name])
        return name

    def launch(self, names: list[str]) -> None:
        self.launched += names
        self.free_at = max(self.now, self.free_at) + len(names) * self.kernel_seconds

    def item(self) -> None:
        if self.sync_mode == 2:
            raise RuntimeError("called a synchronizing CUDA operation")
        if self.capturing is not None:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        self.synchronize()

    def elapse(self, seconds: float) -> None:
        self.now += seconds

    def synchronize(self, _: object = None) -> None:
        if self.lost:
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
        self.synchronized += 1
        self.now = max(self.now, self.free_at)

    def set_mode(self, mode: str | int) -> None:
        self.sync_mode = {"default": 0, "warn": 1, "error": 2}[mode] if isinstance(mode, str) else mode

    @contextmanager
    def graph(self, graph: FakeGraph, pool: tuple[int, int]) -> Iterator[None]:
        """As torch's: where the end of a capture fails, its pool stays open and its stream the current one."""
        assert pool == (0, 7)
        self.capturing, self.pool_open, self.stream = graph, True, "capture"
        try:
            yield
        except RuntimeError as error:
            if not isinstance(error, torch.OutOfMemoryError):
                raise
            self.pool_open, self.stream, graph.ended = False, "default", True
            raise
        else:
            self.pool_open, self.stream, graph.ended = False, "default", True
        finally:
            self.capturing = None

    @contextmanager
    def stream_of(self, stream: FakeStream) -> Iterator[None]:
        before, self.stream = self.stream, stream.name
        try:
            yield
        finally:
            self.stream = before

    def close_pool(self, _: int, pool: tuple[int, int]) -> None:
        if not self.pool_open:
            raise RuntimeError("endAllocatePool: not currently recording to mempool_id")
        self.pool_open = False
        self.closed_pools.append(pool)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        names: dict[str, Any] = {
            "synchronize": self.synchronize,
            "Event": lambda: FakeEvent(self),
            "Stream": lambda: FakeStream("side"),
            "stream": self.stream_of,
            "current_stream": lambda: FakeStream(self.stream),
            "CUDAGraph": lambda: FakeGraph(self),
            "graph": self.graph,
            "graph_pool_handle": lambda: (0, 7),
            "current_device": lambda: 0,
            "get_sync_debug_mode": lambda: self.sync_mode,
            "set_sync_debug_mode": self.set_mode,
        }
        for name, value in names.items():
            monkeypatch.setattr(torch.cuda, name, value)
        monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", self.close_pool, raising=False)
        monkeypatch.setattr(
            torch._C, "_cuda_releasePool", lambda _, pool: self.released_pools.append(pool), raising=False
        )
        monkeypatch.setattr(capture.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(capture, "_probe", self.synchronize)


class FakeEvent:
    def __init__(self, cuda: FakeCuda) -> None:
        self._cuda, self._due = cuda, float("inf")

    def record(self) -> None:
        self._due = self._cuda.free_at

    def query(self) -> bool:
        return self._cuda.now >= self._due


class FakeStream:
    def __init__(self, name: str) -> None:
        self.name = name

    def wait_stream(self, other: object) -> None:
        assert isinstance(other, FakeStream)


class FakeGraph:
    def __init__(self, cuda: FakeCuda) -> None:
        self._cuda = cuda
        self.nodes: list[str] = []
        self.ended = False

    def replay(self) -> None:
        assert self.nodes, "an empty graph was replayed"
        self._cuda.launch(self.nodes)

    def reset(self) -> None:
        self.nodes = []
        if self.ended:
            self._cuda.released_pools.append((0, 7))
        self.ended = False
