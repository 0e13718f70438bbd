from __future__ import annotations

import math

import pytest
import torch

from joulecast.errors import MeasurementError
from joulecast.readers.module.calls import Call, TensorRef, TensorSpec
from joulecast_calibration.measure.loads.data import Content, contents, fan_in, filled, storage_numel, tensors_of
from tests.unit.joulecast_calibration.measure.loads import calls

CPU = torch.device("cpu")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def only(name: str) -> Call:
    """The one traced call of that function."""
    return next(call for call in (*calls.vision(), *calls.text()) if name in call.function)


def drawn(call: Call) -> list[torch.Tensor]:
    return tensors_of(call, CPU, generator())


@pytest.mark.parametrize("call", [*calls.vision(), *calls.text()], ids=lambda call: f"{call.function}-{call.digest}")
def test_tensors_have_recorded_shapes_strides_and_dtypes(call: Call) -> None:
    for tensor, spec in zip(drawn(call), call.tensors, strict=True):
        assert tuple(tensor.shape) == spec.shape
        assert tensor.stride() == spec.strides
        assert str(tensor.dtype) == f"torch.{spec.dtype}"


def test_the_seed_decides_the_data() -> None:
    call = calls.linear()
    first, again = drawn(call), drawn(call)
    other = tensors_of(call, CPU, generator(1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_weights_are_scaled_by_what_they_add_up() -> None:
    inputs, weight, bias = drawn(calls.linear(batch=64, inputs=400, outputs=300))
    assert inputs.std().item() == pytest.approx(1, rel=0.02)
    assert weight.std().item() == pytest.approx(400**-0.5, rel=0.02)
    assert 0 < bias.std().item() < 0.05
    result = torch.nn.functional.linear(inputs, weight, bias)
    assert result.std().item() == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("name", ["convolution", "linear", "batch_norm", "native_group_norm"])
def test_what_layers_give_stays_near_unit_variance(name: str) -> None:
    call = only(name)
    from joulecast_calibration.measure.loads.callables import callable_of, invocation

    args, kwargs = invocation(call, drawn(call), CPU)
    result = callable_of(call.function)(*args, **kwargs)
    result = result[0] if isinstance(result, tuple) else result
    assert 0.3 < result.std().item() < 3


def test_fan_in_of_convolutions() -> None:
    assert fan_in((64, 3, 7, 7)) == 147
    assert fan_in((32, 8, 3), transposed=True) == 96
    assert fan_in((8, 1, 3, 3)) == 9


def test_behind_a_relu_nothing_is_negative() -> None:
    spec = calls.spec(1000, positive=True)
    content = contents(Call(function="aten.abs.default", args=(TensorRef(0),), tensors=(spec,)))[0]
    values = filled(spec, content, CPU, generator())
    assert values.min().item() == 0
    assert (values == 0).float().mean().item() == pytest.approx(0.5, abs=0.06)


def test_statistics_of_normalisation_are_valid() -> None:
    call = only("batch_norm")
    _, mean, variance, weight, _ = drawn(call)
    assert (variance > 0).all()
    assert variance.mean().item() == pytest.approx(1, abs=0.2)
    assert weight.mean().item() == pytest.approx(1, abs=0.2)
    assert mean.abs().max().item() < 1


def test_ids_lie_in_their_table() -> None:
    call = only("embedding")
    table, ids = drawn(Call(**{**_fields(call), "tensors": (call.tensors[0], calls.spec(4000, dtype="int64"))}))
    assert (ids.min().item(), ids.max().item()) == (0, table.shape[0] - 1)
    assert table.std().item() == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize(
    ("function", "args", "index"),
    [
        ("aten.index.Tensor", (TensorRef(0), (None, TensorRef(1))), (600,)),
        ("aten.index_select.default", (TensorRef(0), 1, TensorRef(1)), (600,)),
        ("aten.gather.default", (TensorRef(0), 1, TensorRef(1)), (100, 6)),
        ("aten.gather.default", (TensorRef(0), -1, TensorRef(1)), (100, 6)),
    ],
)
def test_indices_lie_within_the_dimension_they_index(
    function: str, args: tuple[object, ...], index: tuple[int, ...]
) -> None:
    tensors = (calls.spec(100, 7), calls.spec(*index, dtype="int64"))
    indices = drawn(Call(function=function, args=args, tensors=tensors))[1]
    assert (indices.min().item(), indices.max().item()) == (0, 6)


def test_nothing_is_divided_by_zero() -> None:
    call = calls.binary("aten.div.Tensor", 1000)
    assert drawn(call)[1].abs().min().item() >= 0.5
    whole = calls.binary("aten.floor_divide.default", 1000, dtype="int64")
    assert drawn(whole)[1].min().item() >= 1


def attention(mask: TensorSpec) -> Call:
    query = calls.spec(1, 2, 5, 8)
    return Call(
        function="torch.nn.functional.scaled_dot_product_attention",
        args=(TensorRef(0), TensorRef(1), TensorRef(2), TensorRef(3)),
        tensors=(query, query, query, mask),
        outputs=(query,),
    )


def test_masks_are_causal() -> None:
    seen = drawn(attention(calls.spec(5, 5, dtype="bool")))[3]
    assert torch.equal(seen, torch.ones(5, 5, dtype=torch.bool).tril())


def test_real_masks_are_added_and_shared_elements_are_written_once() -> None:
    mask = drawn(attention(calls.spec(1, 2, 5, 5, strides=(25, 0, 5, 1))))[3]
    assert mask.stride() == (25, 0, 5, 1)
    assert torch.equal(mask[0, 0], mask[0, 1])
    assert (mask[0, 0].tril() == 0).all()
    assert mask[0, 0, 0, 4].item() == torch.finfo(torch.float32).min
    result = torch.nn.functional.scaled_dot_product_attention(*drawn(attention(calls.spec(1, 1, 5, 5))))
    assert result.isfinite().all()


def test_masks_of_one_row_hide_nothing() -> None:
    assert drawn(attention(calls.spec(1, 1, 1, 5, dtype="bool")))[3].all()


@pytest.mark.parametrize(
    ("shape", "strides", "numel"),
    [((2, 3), (3, 1), 6), ((2, 3), (0, 1), 3), ((2, 3), (10, 2), 15), ((), (), 1), ((0, 3), (3, 1), 0)],
)
def test_memory_of_a_tensor(shape: tuple[int, ...], strides: tuple[int, ...], numel: int) -> None:
    assert storage_numel(TensorSpec(shape=shape, dtype="float32", strides=strides)) == numel


@pytest.mark.parametrize(
    "spec",
    [
        TensorSpec(shape=(2,), dtype="float32", strides=(-1,)),
        TensorSpec(shape=(2, 2), dtype="float32", strides=(1,)),
        TensorSpec(shape=(-2,), dtype="float32", strides=(1,)),
        TensorSpec(shape=(2,), dtype="load", strides=(1,)),
        TensorSpec(shape=(2,), dtype="nn.functional", strides=(1,)),
    ],
)
def test_tensors_that_cannot_be_are_refused(spec: TensorSpec) -> None:
    with pytest.raises(MeasurementError) as refusal:
        filled(spec, Content(), CPU, generator())
    assert refusal.value.reason == "RefusedFunction"


def test_real_numbers_of_every_width_are_drawn() -> None:
    for dtype in ("float64", "float16", "bfloat16", "complex64"):
        values = filled(calls.spec(2000, dtype=dtype), Content(), CPU, generator())
        assert math.isclose(values.abs().float().square().mean().item(), 1, rel_tol=0.15)


def _fields(call: Call) -> dict[str, object]:
    return {"function": call.function, "args": call.args, "kwargs": call.kwargs, "outputs": call.outputs}
