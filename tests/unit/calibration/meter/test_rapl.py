"""The processor, through CodeCarbon's own reader of a powercap tree that the test writes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from joulecast.calibration.meter.rapl import RaplSensor
from joulecast.calibration.meter.simulated import SimulatedDevice
from joulecast.errors import MeasurementError

pytest.importorskip("codecarbon")
_RANGE = 262_143_328_850  # max_energy_range_uj of a Xeon package


class Package:
    """One domain below /sys/class/powercap."""

    def __init__(self, powercap: Path, number: int, microjoules: int) -> None:
        self._folder = powercap / "intel-rapl" / f"intel-rapl:{number}"
        self._folder.mkdir(parents=True)
        (self._folder / "name").write_text(f"package-{number}\n")
        (self._folder / "max_energy_range_uj").write_text(f"{_RANGE}\n")
        (self._folder / "constraint_0_power_limit_uw").write_text("205000000\n")
        self.set(microjoules)

    def set(self, microjoules: int) -> None:
        (self._folder / "energy_uj").write_text(f"{microjoules}\n")


@pytest.fixture
def powercap(tmp_path: Path) -> Path:
    (tmp_path / "subsystem").mkdir()
    return tmp_path / "subsystem"


def opened(powercap: Path) -> RaplSensor:
    return RaplSensor(powercap=powercap, clock=SimulatedDevice("ampere").clock)


def test_packages_are_added_up(powercap: Path) -> None:
    packages = [Package(powercap, 0, 5_000_000), Package(powercap, 1, 700_000_000)]
    sensor = opened(powercap)
    packages[0].set(15_000_000)
    packages[1].set(705_000_000)
    assert sensor.energy_joules() == pytest.approx(15.0)
    packages[0].set(16_000_000)
    assert sensor.energy_joules() == pytest.approx(16.0)


def test_a_wrap_of_one_package_is_use(powercap: Path) -> None:
    package = Package(powercap, 0, _RANGE - 2_000_000)
    sensor = opened(powercap)
    package.set(3_000_000)
    assert sensor.energy_joules() == pytest.approx(5.0)


def test_a_counter_that_went_backwards_is_a_reset(powercap: Path) -> None:
    package = Package(powercap, 0, 5_000_000)
    (powercap / "intel-rapl" / "intel-rapl:0" / "max_energy_range_uj").write_text("1000000\n")
    sensor = opened(powercap)
    package.set(1_000_000)
    with pytest.raises(MeasurementError) as caught:
        sensor.energy_joules()
    assert caught.value.reason == "CounterReset"


def test_power_is_the_counters_mean_since_the_last_one(powercap: Path) -> None:
    package = Package(powercap, 0, 0)
    device = SimulatedDevice("ampere")
    sensor = RaplSensor(powercap=powercap, clock=device.clock)
    sensor.power_watts()
    device.clock.sleep(0.5)
    package.set(50_000_000)
    assert sensor.power_watts() == pytest.approx(100.0, rel=0.001)


def test_the_processor_is_named(powercap: Path) -> None:
    Package(powercap, 0, 0)
    card = opened(powercap).card
    assert card.accelerator.startswith("cpu-")
    assert " " not in card.accelerator
    assert not card.simulated
    assert any("other processes" in note for note in card.notes)
    assert card.memory_bytes > 0


def test_without_counters_the_way_out_is_a_machine_with_some(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="use Linux on an Intel or AMD processor") as caught:
        RaplSensor(powercap=tmp_path / "missing")
    assert caught.value.reason == "NoDevice"


def test_without_codecarbon_the_way_out_is_its_name(powercap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "codecarbon.core.cpu", None)
    with pytest.raises(MeasurementError, match=r"joulecast\[calibrate\]") as caught:
        opened(powercap)
    assert caught.value.reason == "NoCodeCarbon"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read any file")
def test_counters_that_may_not_be_read(powercap: Path) -> None:
    Package(powercap, 0, 0)
    (powercap / "intel-rapl" / "intel-rapl:0" / "energy_uj").chmod(0)
    with pytest.raises(MeasurementError) as caught:
        opened(powercap)
    assert caught.value.reason == "NoPermission"


def test_no_domain_at_all(powercap: Path) -> None:
    with pytest.raises(MeasurementError) as caught:
        opened(powercap)
    assert caught.value.reason == "NoPermission"
