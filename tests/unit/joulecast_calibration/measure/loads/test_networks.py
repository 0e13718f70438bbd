from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from joulecast.errors import MeasurementError
from joulecast.readers.module import graph_digest, trace
from joulecast.readers.named import Built, InputSpec
from joulecast_calibration.measure.loads.devices import Processor
from joulecast_calibration.measure.loads.networks import prepared_network
from tests.unit.joulecast_calibration.measure.loads.calls import Text, Vision

DEVICE = Processor(cache_bytes=1 << 16)


def built(module: nn.Module, **inputs: InputSpec) -> Built:
    """As ``named.build`` gives it: parameters are untouched memory."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(float("nan"))
    fed = tuple(torch.zeros(spec.shape, dtype=getattr(torch, spec.dtype)) for spec in inputs.values())
    return Built(module=module.eval(), args=fed, name="test:network", task="vision", inputs=inputs)


def vision(dtype: torch.dtype = torch.float32) -> Built:
    name = str(dtype).removeprefix("torch.")
    return built(Vision().to(dtype), x=InputSpec(shape=(1, 3, 16, 16), dtype=name))


def text() -> Built:
    return built(Text(), ids=InputSpec(shape=(1, 5), dtype="int64", below=50))


@pytest.mark.slow
@pytest.mark.parametrize("network", [vision, text])
@pytest.mark.parametrize("runtime", ["torch-eager", "torch-cudagraph"])
def test_three_batches_share_a_build(network: object, runtime: str) -> None:
    own = network()  # type: ignore[operator]
    with prepared_network(own, device=DEVICE) as prepared:
        weights = [parameter.clone() for parameter in own.module.parameters()]
        columns = []
        for batch_size in (1, 3, 2):
            with prepared.load(batch_size=batch_size, runtime=runtime) as made:
                before = made.load.completed()
                made.load.enqueue(2)
                assert made.load.completed() == before + 2
                columns.append(made.columns)
    assert all(torch.equal(a, b) for a, b in zip(weights, own.module.parameters(), strict=True))
    assert [row["batch_size"] for row in columns] == [1, 3, 2]
    assert columns[1]["macs"] == 3 * columns[0]["macs"]
    assert columns[0]["params"] == columns[1]["params"]
    for row in columns:
        assert (row["runtime"], row["precision"], row["valid"], row["finite"]) == (runtime, "default", True, True)
        assert 1e-3 < row["hidden_std"] < 1e3
        assert row["kernels"] > 0 and row["module_calls"] > 0


def test_the_digest_is_that_of_the_graph() -> None:
    own = vision()
    expected = graph_digest(trace(own.module, own.args))
    with prepared_network(own, device=DEVICE) as network, network.load(batch_size=1) as made:
        assert made.columns["digest"] == expected


def test_a_network_that_cannot_be_traced_is_measured_all_the_same() -> None:
    class Steered(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) if x.sum().item() > 0 else super().forward(-x)

    own = built(Steered(4, 4), x=InputSpec(shape=(1, 4), dtype="float32"))
    with prepared_network(own, device=DEVICE) as network, network.load(batch_size=2) as made:
        made.load.enqueue(1)
    assert made.columns["digest"] is None
    assert made.columns["untraced_reason"]
    assert made.columns["valid"] is True


def test_a_network_with_numbers_that_are_none_is_invalid() -> None:
    class Broken(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) / 0.0

    own = built(Broken(4, 4), x=InputSpec(shape=(1, 4), dtype="float32"))
    with prepared_network(own, device=DEVICE) as network, network.load(batch_size=1) as made:
        assert (made.columns["valid"], made.columns["invalid_reason"]) == (False, "not finite")


@pytest.mark.slow
def test_half_precision_is_built_not_converted() -> None:
    with prepared_network(vision(torch.bfloat16), device=DEVICE, precision="bf16") as network:
        with network.load(batch_size=1) as made:
            made.load.enqueue(1)
        assert (made.columns["precision"], made.columns["valid"]) == ("bf16", True)
    for own, precision in ((vision(), "bf16"), (vision(torch.bfloat16), "default"), (vision(torch.bfloat16), "fp16")):
        with (
            pytest.raises(MeasurementError, match="build it with dtype"),
            prepared_network(own, device=DEVICE, precision=precision),
        ):
            pass


class Hungry(nn.Linear):
    """Needs a petabyte for any batch but one."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + (torch.empty(10**15).sum() if x.shape[0] > 1 else 0.0)


@pytest.mark.slow
def test_a_run_goes_on_after_a_batch_that_does_not_fit() -> None:
    own = built(Hungry(4, 4), x=InputSpec(shape=(1, 4), dtype="float32"))
    with prepared_network(own, device=DEVICE) as network:
        with (
            pytest.raises(MeasurementError, match="test:network at batch size 32") as told,
            network.load(batch_size=32),
        ):
            pass
        assert told.value.reason == "OutOfMemory"
        with network.load(batch_size=1) as made:
            made.load.enqueue(1)
            assert made.columns["valid"] is True


@pytest.mark.slow
def test_what_goes_wrong_while_it_is_measured_is_named_too() -> None:
    own = vision()
    with prepared_network(own, device=DEVICE) as network:
        with pytest.raises(MeasurementError) as told, network.load(batch_size=1):
            raise torch.OutOfMemoryError("CUDA out of memory")
        assert told.value.reason == "OutOfMemory"


def test_a_network_is_gone_after_its_block() -> None:
    with prepared_network(vision(), device=DEVICE) as network, network.load(batch_size=1) as made:
        pass
    with pytest.raises(MeasurementError, match="closed"), network.load(batch_size=1):
        pass
    with pytest.raises(MeasurementError, match="closed"):
        made.load.enqueue(1)


def test_other_runtimes_are_refused() -> None:
    with (
        prepared_network(vision(), device=DEVICE) as network,
        pytest.raises(MeasurementError, match="'tensorrt'"),
        network.load(batch_size=1, runtime="tensorrt"),
    ):
        pass


@pytest.fixture
def without_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    yield


@pytest.mark.usefixtures("without_onnxruntime")
def test_without_onnxruntime_its_runtime_is_refused() -> None:
    with prepared_network(vision(), device=DEVICE) as network:
        with (
            pytest.raises(MeasurementError, match="onnxruntime-gpu") as told,
            network.load(batch_size=1, runtime="onnxruntime-cuda"),
        ):
            pass
        assert told.value.reason == "RuntimeUnavailable"


@pytest.mark.slow
def test_onnxruntime_runs_what_was_exported() -> None:
    pytest.importorskip("onnxruntime", reason="extra onnxruntime")
    own = built(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), x=InputSpec(shape=(1, 3, 8, 8), dtype="float32"))
    with (
        prepared_network(own, device=DEVICE) as network,
        network.load(batch_size=2, runtime="onnxruntime-cuda") as made,
    ):
        made.load.enqueue(2)
    assert made.columns["runtime"] == "onnxruntime-cuda"


@pytest.mark.slow
@pytest.mark.parametrize("fast", [True, False])
def test_a_row_says_whether_torch_fused_attention(fast: bool) -> None:
    layer = nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, batch_first=True)
    own = built(layer, src=InputSpec(shape=(1, 4, 8), dtype="float32"))
    torch.backends.mha.set_fastpath_enabled(fast)
    try:
        with prepared_network(own, device=DEVICE) as network, network.load(batch_size=2) as made:
            assert made.columns["fused_attention"] is fast
            digest = made.columns["digest"]
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    assert digest == graph_digest(trace(layer, (torch.zeros(2, 4, 8),)))
    assert isinstance(torch._transformer_encoder_layer_fwd, type(torch._native_multi_head_attention))


class Remembering(nn.Module):
    """Computes a table in its first pass and keeps it, as some vision transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.table: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.table is None:
            self.table = torch.arange(4.0).exp().cos()
        return self.linear(x) + self.table


def test_what_only_the_first_pass_computes_is_not_counted() -> None:
    own = built(Remembering(), x=InputSpec(shape=(1, 4), dtype="float32"))
    with prepared_network(own, device=DEVICE) as network:
        with network.load(batch_size=2) as first:
            pass
        with network.load(batch_size=2) as later:
            pass
    assert first.columns["digest"] == later.columns["digest"]
    assert first.columns["kernels"] == later.columns["kernels"] == 2
