from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from joulecast.errors import MeasurementError
from joulecast.readers.module.calls import Call, TensorRef
from joulecast_calibration.measure.loads.callables import callable_of, invocation, out_of_place, parameter_names


@pytest.mark.parametrize(
    "name",
    [
        "os.system", "builtins.exec", "torch.load", "torch.hub.load", "torch.ops.load_library", "torch.os.system",
        "torch.nn.functional.torch.load", "torch.nn.functional.importlib.import_module", "torch._C._VariableFunctions",
        "torch.serialization.pickle.loads",
        "aten.from_file.default", "aten.set_.source_Storage", "aten.resize_.default",
        "aten.add.nowhere", "aten.nothing.default", "aten.__class__.default", "aten.add.__init__", "aten.add", "aten",
        "", ".", "torch", "aten.add.Tensor.__globals__", "prim.Print.default", "torchvision.nms.default",
    ],
)  # fmt: skip
def test_what_is_not_an_operator_or_a_recorded_function_is_refused(name: str) -> None:
    with pytest.raises(MeasurementError, match="is not run") as refusal:
        callable_of(name)
    assert refusal.value.reason == "RefusedFunction"


def test_a_refused_file_operator_leaves_the_file_alone(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError):
        callable_of("aten.from_file.default")(str(tmp_path / "file"), True, 1000)
    assert not list(tmp_path.iterdir())


def test_operators_and_recorded_functions_are_found() -> None:
    one = torch.ones(3)
    assert callable_of("aten.add.Tensor")(one, one).tolist() == [2, 2, 2]
    assert callable_of("aten.relu.default")(-one).tolist() == [0, 0, 0]
    assert callable_of("torch.softmax") is torch.softmax
    assert callable_of("torch._C._VariableFunctions.lstm") is torch._VF.lstm  # type: ignore[attr-defined]
    assert callable_of("torch.nn.functional.linear") is torch.nn.functional.linear


def test_parameters_are_named_by_schema_or_by_the_reader() -> None:
    assert parameter_names("aten.embedding.default")[:2] == ("weight", "indices")
    assert parameter_names("torch.nn.functional.linear") == ("input", "weight", "bias")


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("aten.add_.Tensor", "aten.add.Tensor"),
        ("aten.relu_.default", "aten.relu.default"),
        ("aten.copy_.default", None),
        ("aten.masked_fill_.Scalar", None),
        ("aten.add.Tensor", None),
        ("torch.softmax", None),
    ],
)
def test_in_place_operators_have_another_form_unless_it_copies(name: str, other: str | None) -> None:
    assert out_of_place(name) == other


def test_arguments_become_torch_values() -> None:
    call = Call(
        function="aten.cat.default",
        args=((TensorRef(1), TensorRef(0)), {"dtype": "float16"}, {"memory_format": "channels_last"}),
        kwargs={"device": {"device": "cuda"}, "layout": {"layout": "strided"}, "z": {"complex": [1.0, 2.0]}, "n": None},
    )
    first, second = torch.zeros(1), torch.ones(1)
    args, kwargs = invocation(call, [first, second], torch.device("cpu"))
    assert args[0][0] is second and args[0][1] is first
    assert args[1:] == [torch.float16, torch.channels_last]
    assert kwargs == {"device": torch.device("cpu"), "layout": torch.strided, "z": 1 + 2j, "n": None}
    assert math.isinf(invocation(Call(function="f", args=(-math.inf,)), [], torch.device("cpu"))[0][0])


@pytest.mark.parametrize("value", [{"dtype": "load"}, {"dtype": "float32.numpy"}, {"module": "os"}, {"dtype": 3}])
def test_arguments_that_are_no_torch_values_are_refused(value: dict[str, object]) -> None:
    with pytest.raises(MeasurementError, match="unknown argument"):
        invocation(Call(function="f", args=(value,)), [], torch.device("cpu"))
