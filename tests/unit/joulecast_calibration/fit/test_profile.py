"""From rows to a profile, and who may price with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from joulecast import estimate
from joulecast.accelerators.catalogue import find
from joulecast.energy.profile import AcceleratorProfile, refuse_simulated
from joulecast.errors import NotCalibratedError, UnknownAcceleratorError
from joulecast_calibration.fit.profiles import FittedRows, fit_measured
from tests import small_models

Changed = Callable[[Callable[[dict[str, Any]], dict[str, Any] | None]], Path]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_models.classifier(tmp_path_factory.mktemp("model") / "model.onnx")


def test_a_profile_says_where_it_comes_from(fitted: FittedRows) -> None:
    profile = fitted.profile
    assert (profile.product, profile.origin, profile.simulated) == ("NVIDIA-H100-80GB-HBM3", "measured", True)
    assert profile.suite == fitted.journal.suite
    assert profile.driver == "simulated"
    assert profile.held_out["families"] > 20
    assert profile.fitted_from[0].rows == fitted.table.size
    assert profile.interval.guaranteed
    assert profile.energy_rows[0].op_types == ("*",)
    assert {"fp32", "tf32"} <= set(profile.energy_rows[0].arithmetics)
    assert profile.training_range["flops"][1] == fitted.table.features.flops.max()
    assert AcceleratorProfile.from_json(profile.to_json()) == profile


def test_limits_are_those_of_the_measured_card(fitted: FittedRows) -> None:
    assert fitted.profile.power_limit_watts == 700.0
    assert fitted.profile.boost_clock_mhz == 1830.0


def test_a_profile_holds_no_row(fitted: FittedRows) -> None:
    text = fitted.profile.to_json()
    assert len(text) < 16_384
    assert not [row.name for row in fitted.table.rows if row.is_network and row.name in text]


def test_nothing_is_priced_with_a_simulated_profile(fitted: FittedRows, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text(fitted.profile.to_json(), "utf-8")
    for accelerator in (fitted.profile, str(path)):
        with pytest.raises(NotCalibratedError, match="fitted on rows of a simulated device") as error:
            estimate(model, accelerator)
        assert error.value.reason == "SimulatedProfile"


def test_tests_may_price_with_one(fitted: FittedRows, model: Path, allowed: None) -> None:
    found = estimate(model, fitted.profile)
    assert found.origin == "measured"
    assert found.joules_per_batch_lower < found.joules_per_batch < found.joules_per_batch_upper


def test_a_measured_profile_passes() -> None:
    profile = find("NVIDIA-H200")
    assert refuse_simulated(profile) is profile


def test_measured_host_constants_are_where_the_rows_begin(changed: Changed, allowed: None) -> None:
    constants = {"kernel_seconds": 9e-6, "view_seconds": 2e-6, "module_call_seconds": 1e-6, "forward_seconds": 5e-5}
    few = changed(
        lambda row: (
            row | ({"host_constants": constants} if row["kind"] == "constants" else {})
            if row["kind"] != "layer" or row["sequence"] % 3
            else None
        )
    )
    found = fit_measured([few])
    assert found.prior.measured_host is not None
    own = {each.path.removeprefix("host."): each for each in found.prior.laws.unknown if each.path.startswith("host.")}
    assert {name: each.centre for name, each in own.items()} == constants
    eager = found.profile.hosts["torch-eager"]
    assert eager.kernel_seconds != constants["kernel_seconds"]  # the rows are of another host
    assert found.profile.hosts["torch-cudagraph"].kernel_seconds == 0.0


@pytest.mark.slow
def test_layers_alone_make_a_profile_that_promises_less(changed: Changed, allowed: None) -> None:
    found = fit_measured([changed(lambda row: None if row["kind"] == "network" else row)])
    assert not found.table.is_network.any()
    assert not found.profile.interval.guaranteed
    assert "no network was measured" in found.profile.interval.rule
    assert "*" not in found.profile.energy_rows[0].op_types
    assert found.profile.hosts["torch-eager"] == find("NVIDIA-H100-80GB-HBM3").hosts["torch-eager"]


def test_an_accelerator_that_nobody_knows(changed: Changed, allowed: None) -> None:
    unknown = changed(lambda row: row | ({"accelerator": "simulated-unheard"} if "accelerator" in row else {}))
    with pytest.raises(UnknownAcceleratorError, match="unknown accelerator 'simulated-unheard'"):
        fit_measured([unknown])
