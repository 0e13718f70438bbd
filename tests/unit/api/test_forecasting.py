from __future__ import annotations

from pathlib import Path

import pytest

from joulecast.accelerators.catalogue import find
from joulecast.api import forecasting
from joulecast.errors import NotCalibratedError, UnknownAcceleratorError, WorkloadError
from tests import small_models
from tests.unit.handmade import PROFILE


def test_a_profile_is_priced_as_it_is() -> None:
    estimate = forecasting.estimate(PROFILE)
    assert estimate.accelerator == "NVIDIA-H200"
    assert estimate.batch_size == PROFILE.workload.batch_size
    assert 0 < estimate.joules_per_batch_lower < estimate.joules_per_batch < estimate.joules_per_batch_upper
    assert [layer.op_type for layer in estimate.layers] == ["Conv", "Relu"]


def test_a_model_is_profiled_at_thirty_two_unless_said(tmp_path: Path) -> None:
    path = small_models.classifier(tmp_path / "model.onnx")
    assert forecasting.estimate(path).batch_size == 32
    single = forecasting.estimate(path, "NVIDIA-L40S", batch_size=1)
    assert (single.accelerator, single.batch_size) == ("NVIDIA-L40S", 1)


def test_a_profile_of_another_batch_size_is_refused() -> None:
    with pytest.raises(WorkloadError, match="made for batch size 1, not 8"):
        forecasting.estimate(PROFILE, batch_size=8)
    assert forecasting.estimate(PROFILE, batch_size=1).batch_size == 1


def test_an_accelerator_may_be_a_profile_or_the_file_of_one(tmp_path: Path) -> None:
    accelerator = find("NVIDIA-H200")
    path = tmp_path / "mine.json"
    path.write_text(accelerator.to_json())
    by_name = forecasting.estimate(PROFILE, "NVIDIA-H200")
    assert forecasting.estimate(PROFILE, accelerator) == by_name
    assert forecasting.estimate(PROFILE, str(path)) == by_name


def test_a_short_name_of_several_accelerators_is_refused_with_all_of_them() -> None:
    with pytest.raises(UnknownAcceleratorError, match=r"'A100' could be NVIDIA-A100-PCIE-40GB \(250 W, 1410 MHz\), "):
        forecasting.estimate("no-such-model.onnx", "A100")


def test_an_unknown_accelerator_is_told_before_the_model_is_read() -> None:
    with pytest.raises(UnknownAcceleratorError, match="NVIDIA-H200"):
        forecasting.estimate("no-such-model.onnx", "NVIDIA-H2OO")


def test_a_runtime_that_is_not_calibrated_is_told() -> None:
    with pytest.raises(NotCalibratedError, match="torch-eager"):
        forecasting.estimate(PROFILE, runtime="abacus")
