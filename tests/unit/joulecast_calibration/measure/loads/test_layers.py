from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from joulecast.errors import MeasurementError
from joulecast.readers.module.calls import Call, TensorRef
from joulecast_calibration.measure.loads.callables import callable_of, invocation
from joulecast_calibration.measure.loads.devices import Processor
from joulecast_calibration.measure.loads.health import leaves
from joulecast_calibration.measure.loads.layers import LayerRuns, layer_load
from tests.unit.joulecast_calibration.measure.loads import calls

DEVICE = Processor(cache_bytes=1 << 16)
COUNTED = ("rows", "macs", "params", "activations", "input_numel", "bytes_moved", "kernels", "views", "module_calls")


@pytest.mark.parametrize("call", [*calls.vision(), *calls.text()], ids=lambda call: f"{call.function}-{call.digest}")
def test_a_traced_call_runs_again_as_it_was_recorded(call: Call) -> None:
    """On data of our own, the function gives the shapes, dtypes and strides that the trace has."""
    layer = LayerRuns(call, DEVICE, sets=1)
    result = leaves(layer.runs[0]())
    assert [tuple(tensor.shape) for tensor in result] == [spec.shape for spec in call.outputs]
    assert [str(tensor.dtype) for tensor in result] == [f"torch.{spec.dtype}" for spec in call.outputs]
    assert [tensor.stride() for tensor in result] == [spec.strides for spec in call.outputs]
    assert layer.finite
    assert layer.call == call


def test_a_layer_is_ready_to_be_measured() -> None:
    call = calls.linear()
    with layer_load(call, device=DEVICE) as made:
        made.load.enqueue(3)
        assert made.load.completed() == 3
    columns = made.columns
    assert columns["digest"] == call.digest
    assert columns["macs"] == 4 * 256 * 128
    assert columns["buffer_sets"] == 2  # 3 · 64 KiB over 137 KB
    assert columns["params"] == 128 * 256 + 128
    assert all(isinstance(columns[name], int) for name in COUNTED)
    assert (columns["valid"], columns["finite"], columns["l2_state"]) == (True, True, "rotated")
    with pytest.raises(MeasurementError, match="closed"):
        made.load.enqueue(1)


def test_a_hot_layer_has_one_set() -> None:
    with layer_load(calls.linear(), device=DEVICE, l2_state="hot") as made:
        assert (made.columns["buffer_sets"], made.columns["l2_state"]) == (1, "hot")
    with pytest.raises(MeasurementError, match="'cold'"), layer_load(calls.linear(), device=DEVICE, l2_state="cold"):
        pass


def test_each_set_has_data_of_its_own() -> None:
    layer = LayerRuns(calls.linear(), DEVICE)
    first, second = (leaves(run())[0] for run in layer.runs)
    assert not torch.equal(first, second)
    again = LayerRuns(calls.linear(), DEVICE)
    assert torch.equal(leaves(again.runs[1]())[0], second)


@pytest.mark.parametrize(
    "function", ["aten.add_.Tensor", "aten.mul_.Tensor", "aten.sub_.Tensor", "aten.div_.Tensor", "aten.copy_.default"]
)
def test_data_survive_ten_thousand_executions_in_place(function: str) -> None:
    call = calls.binary(function, 8, 32)
    with layer_load(call, device=Processor(cache_bytes=1)) as made:
        made.load.enqueue(1)
        first = leaves(_result(made.load))[0].clone()
        made.load.enqueue(10_000)
        last = leaves(_result(made.load))[0]
    assert torch.equal(first, last)
    assert made.columns["executed"] == function.replace("_.Tensor", ".Tensor")


@pytest.mark.parametrize("function", ["aten.relu_.default", "aten.silu_.default", "aten.sigmoid_.default"])
def test_activations_in_place_keep_their_inputs(function: str) -> None:
    call = Call(
        function=function, args=(TensorRef(0),), tensors=(calls.spec(1000),), outputs=(calls.spec(1000, positive=True),)
    )
    layer = LayerRuns(call, DEVICE, sets=1)
    first = leaves(layer.runs[0]())[0].clone()
    for _ in range(10_000):
        last = leaves(layer.runs[0]())[0]
    assert torch.equal(first, last)
    assert layer.executed == function.replace("_.", ".")


def test_an_in_place_sum_of_two_dtypes_stays_in_place() -> None:
    """Out of place it would be another kernel, with another result."""
    half, single = calls.spec(16, dtype="float16"), calls.spec(16)
    call = Call(function="aten.add_.Tensor", args=(TensorRef(0), TensorRef(1)), tensors=(half, single), outputs=(half,))
    assert LayerRuns(call, DEVICE, sets=1).executed == "aten.add_.Tensor"


def test_half_precision_converts_data_and_digest() -> None:
    call = calls.linear()
    with layer_load(call, device=DEVICE, precision="bf16") as made:
        made.load.enqueue(1)
        assert leaves(_result(made.load))[0].dtype is torch.bfloat16
    assert made.columns["digest"] != call.digest
    assert made.columns["bytes_moved"] * 2 == _columns(call)["bytes_moved"]
    assert made.columns["precision"] == "bf16"


def test_a_layer_that_computes_nonsense_is_marked() -> None:
    call = Call(
        function="aten.acosh.default", args=(TensorRef(0),), tensors=(calls.spec(99),), outputs=(calls.spec(99),)
    )
    columns = _columns(call)
    assert (columns["finite"], columns["valid"], columns["invalid_reason"]) == (False, False, "not finite")


def test_infinities_that_the_call_names_are_meant() -> None:
    call = Call(
        function="aten.masked_fill.Scalar",
        args=(TensorRef(0), TensorRef(1), float("-inf")),
        tensors=(calls.spec(99), calls.spec(99, dtype="bool")),
        outputs=(calls.spec(99),),
    )
    assert _columns(call)["valid"] is True


def test_another_shape_than_recorded_is_refused() -> None:
    call = replace(calls.linear(), outputs=(calls.spec(4, 127),))
    with pytest.raises(MeasurementError, match="rebuild the index") as refusal, layer_load(call, device=DEVICE):
        pass
    assert refusal.value.reason == "ExecutionFailed"


def test_hostile_names_and_sizes_are_refused() -> None:
    with pytest.raises(MeasurementError) as refusal, layer_load(Call(function="os.system"), device=DEVICE):
        pass
    assert refusal.value.reason == "RefusedFunction"
    huge = calls.binary("aten.add.Tensor", 1 << 40)
    with pytest.raises(MeasurementError) as refusal, layer_load(huge, device=DEVICE):
        pass
    assert refusal.value.reason == "OutOfMemory"


def test_a_call_that_is_wrong_in_itself_is_a_sentence() -> None:
    wrong = Call(
        function="aten.mm.default",
        args=(TensorRef(0), TensorRef(1)),
        tensors=(calls.spec(2, 3), calls.spec(2, 3)),
        outputs=(calls.spec(2, 3),),
    )
    with (
        pytest.raises(MeasurementError, match=r"aten\.mm\.default .* cannot be executed"),
        layer_load(wrong, device=DEVICE),
    ):
        pass


def test_arguments_of_a_recurrence_are_honoured() -> None:
    call = next(call for call in calls.text() if call.function.endswith(".lstm"))
    layer = LayerRuns(call, DEVICE, sets=1)
    output, hidden, cell = leaves(layer.runs[0]())
    assert output.abs().max() < 1  # an LSTM's gates hold
    assert (hidden.shape, cell.shape) == ((2, 2, 8), (2, 2, 8))
    args, _ = invocation(call, [torch.zeros(spec.shape) for spec in call.tensors], torch.device("cpu"))
    assert callable_of(call.function)(*args)[0].abs().max() == 0


def _columns(call: Call) -> dict[str, object]:
    with layer_load(call, device=DEVICE) as made:
        return dict(made.columns)


def _result(load: object) -> object:
    return load._run.kept[0]  # type: ignore[attr-defined]
