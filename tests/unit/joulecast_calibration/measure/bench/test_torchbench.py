"""The bench of real work, on the processor beneath a simulated meter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from joulecast.errors import MeasurementError, WorkloadError
from joulecast.readers.named import Built, InputSpec
from joulecast_calibration.measure.bench import torchbench
from joulecast_calibration.measure.bench.torchbench import TorchBench, processor_bench
from joulecast_calibration.measure.plan.configuration import Configuration
from joulecast_calibration.suite.decoders import PHASES
from tests.unit.joulecast_calibration.suite.test_decoders import TINY


class Builds:
    """Stands for ``named.build``: counts, remembers how it was asked, and fails if it is told to."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.error: Exception | None = None

    def __call__(self, name: str, **how: Any) -> Built:
        self.asked.append({"name": name, **how})
        if self.error:
            raise self.error
        shape = (how["batch_size"], 4)
        return Built(
            module=nn.Linear(4, 4).eval().requires_grad_(False).to(getattr(torch, how["dtype"])),
            args=(torch.zeros(shape),), name=name, task="vision",
            inputs={"x": InputSpec(shape=shape, dtype=how["dtype"])},
        )  # fmt: skip


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> Builds:
    own = Builds()
    monkeypatch.setattr(torchbench.named, "build", own, raising=False)
    return own


@pytest.fixture
def bench() -> Iterator[TorchBench]:
    own = processor_bench(seed=0)
    yield own
    own.close()


def network(batch_size: int = 1, **more: Any) -> Configuration:
    return Configuration(kind="network", slice="networks", name="torchvision:n", batch_size=batch_size, **more)


def prepared(bench: TorchBench, configuration: Configuration) -> dict[str, Any]:
    with bench.prepare(configuration) as made:
        made.load.enqueue(1)
        return dict(made.columns)


@pytest.mark.slow
def test_batches_in_turn_share_one_build_on_the_device(bench: TorchBench, builds: Builds) -> None:
    rows = [prepared(bench, network(size)) for size in (32, 1)]
    assert [row["batch_size"] for row in rows] == [32, 1]
    assert [row["fused_attention"] for row in rows] == [False, False]
    (asked,) = builds.asked
    assert (asked["device"], asked["batch_size"], asked["dtype"]) == ("cpu", 1, "float32")
    prepared(bench, network(precision="bf16"))
    assert [each["dtype"] for each in builds.asked] == ["float32", "bfloat16"]


def test_no_room_for_a_network_is_a_reason_of_its_own_and_the_next_is_built(bench: TorchBench, builds: Builds) -> None:
    builds.error = torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(MeasurementError, match="torchvision:n") as told:
        prepared(bench, network())
    assert told.value.reason == "OutOfMemory"
    builds.error = None
    assert prepared(bench, network())["valid"] is True


def test_what_a_library_lacks_is_told_in_its_own_words(bench: TorchBench, builds: Builds) -> None:
    builds.error = WorkloadError("too long for it")
    with pytest.raises(WorkloadError, match="too long for it"):
        prepared(bench, network())


def test_codecarbon_is_not_asked_about_a_simulated_meter(bench: TorchBench, builds: Builds) -> None:
    nothing: Any = None
    with bench.prepare(network()) as made, pytest.raises(MeasurementError, match="simulated") as told:
        bench.compare("n", made, nothing)
    assert told.value.reason == "NoCodeCarbon"
    assert builds.asked


@pytest.mark.slow
def test_passes_of_a_decoder_share_its_build(bench: TorchBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(torchbench.CONFIGURATIONS, "decoder:tiny", TINY)
    own = [
        Configuration(kind="network", slice="serving", name="decoder:tiny", batch_size=2, phase=phase, context_tokens=8,
                      runtime="torch-cudagraph", precision="bf16")
        for phase in PHASES
    ]  # fmt: skip
    held = []
    for configuration in own:
        columns = prepared(bench, configuration)
        held.append(bench._network)
        assert (columns["phase"], columns["context_tokens"], columns["valid"]) == (configuration.phase, 8, True)
    assert held[0] is held[1]
