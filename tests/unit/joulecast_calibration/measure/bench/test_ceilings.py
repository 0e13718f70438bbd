from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from joulecast_calibration.measure.bench.ceilings import busy_load, ceiling_load, ceilings, copies, products
from joulecast_calibration.measure.loads.devices import Processor
from joulecast_calibration.meter.sensor import Load


@dataclass
class Watched:
    watts: float = 100.0
    seconds: float = 0.5


@dataclass
class Cuda:
    torch = torch.device("cuda", 0)


def test_rates_come_from_bytes_and_operations() -> None:
    ran: list[int] = []

    def measure(load: Load) -> Watched:
        load.enqueue(1)
        ran.append(load.completed())
        return Watched()

    found = ceilings(Processor(), measure)
    assert ran == [1] * 4
    assert [(entry.what, entry.data) for entry in found] == [
        ("copy", "random"), ("copy", "zeros"), ("gemm", "random"), ("gemm", "zeros"),
    ]  # fmt: skip
    assert found[0].bytes_per_second == 2 * (1 << 27) / 0.5
    assert found[2].flops_per_second == 2 * 512**3 / 0.5
    assert found[0].joules == 50.0


def test_a_gpu_multiplies_in_every_arithmetic() -> None:
    assert [(c.dtype, c.data) for c in products(Cuda())] == [  # type: ignore[arg-type]
        (dtype, data) for dtype in ("float32", "tf32", "bfloat16", "float16") for data in ("random", "zeros")
    ]


@pytest.mark.parametrize("ceiling", [*copies(Processor()), *products(Processor())], ids=str)
def test_data_are_what_they_are_called(ceiling: object, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[torch.Tensor] = []
    make = torch.zeros
    monkeypatch.setattr(torch, "zeros", lambda *args, **kwargs: made.append(tensor := make(*args, **kwargs)) or tensor)
    with ceiling_load(ceiling, Processor()) as load:  # type: ignore[arg-type]
        load.enqueue(1)
    assert bool(made[0].any()) == (ceiling.data == "random")  # type: ignore[attr-defined]


def test_the_busy_load_runs() -> None:
    with busy_load(Processor()) as load:
        load.enqueue(2)
        assert load.completed() == 2
