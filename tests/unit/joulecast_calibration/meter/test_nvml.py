"""NVIDIA cards: what is read, what is refused, and what no card ever hears from us."""

from __future__ import annotations

import os
import subprocess
import sys

import pynvml
import pytest

from joulecast.errors import MeasurementError
from joulecast_calibration.meter import nvml as module
from joulecast_calibration.meter.nvml import NvmlSensor, nvml_index, started
from joulecast_calibration.meter.nvml_errors import UNSUPPORTED

from .stand_in import FakeCard, FakeNvml


@pytest.fixture(autouse=True)
def _without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GRACE_SECONDS", 0.0)


def sensor(card: FakeCard | None = None, **broken: int) -> NvmlSensor:
    return NvmlSensor(nvml=FakeNvml(card or FakeCard(), broken=broken))


def refused(card: FakeCard | None = None, **broken: int) -> MeasurementError:
    nvml = FakeNvml(card or FakeCard(), broken=broken)
    with pytest.raises(MeasurementError) as caught:
        NvmlSensor(nvml=nvml)
    assert nvml.open == 0, "NVML stays initialised"
    return caught.value


def test_reads_energy_and_power_in_joules_and_watts() -> None:
    opened = sensor()
    assert opened.energy_joules() == 5000.0
    assert opened.power_watts() == 400.25, "the instant figure, where there is one"


def test_a_card_is_named_as_its_node_label_and_never_by_its_uuid() -> None:
    card = sensor().card
    assert card.accelerator == "NVIDIA-H100-80GB-HBM3"
    assert (card.driver, card.power_limit_watts, card.memory_bytes) == ("580.65.06", 700.0, 80 * 2**30)
    assert not card.simulated
    assert "1a2b3c4d" not in repr(card)
    assert card.card == sensor().card.card
    assert card.card != sensor(FakeCard(uuid="GPU-1a2b3c4d-0000-1111-2222-333344445556")).card.card


def test_state_names_the_reasons_of_a_lower_clock() -> None:
    bits = pynvml.nvmlClocksEventReasonSwPowerCap | pynvml.nvmlClocksEventReasonHwThermalSlowdown
    state = sensor(FakeCard(reasons=bits)).state()
    assert state.throttle_reasons == ("sw_power_cap", "hw_thermal_slowdown")
    assert (state.sm_clock_mhz, state.memory_clock_mhz, state.temperature_celsius) == (1980.0, 2619.0, 54.0)


def test_every_reason_of_the_header_has_a_word() -> None:
    known = {theirs for theirs, _ in module.REASONS}
    skipped = {"All", "None", "UserDefinedClocks"}  # sums of others, and an older name of one
    for prefix in ("nvmlClocksEventReason", "nvmlClocksThrottleReason"):
        names = {name.removeprefix(prefix) for name in dir(pynvml) if name.startswith(prefix)}
        assert names - skipped <= known


def test_an_older_driver_tells_reasons_by_their_older_call() -> None:
    missing = pynvml.NVML_ERROR_FUNCTION_NOT_FOUND
    card = FakeCard(reasons=pynvml.nvmlClocksThrottleReasonSwPowerCap)
    opened = sensor(card, nvmlDeviceGetCurrentClocksEventReasons=missing)
    assert opened.state().throttle_reasons == ("sw_power_cap",)


def test_what_a_card_does_not_tell_is_none() -> None:
    missing = pynvml.NVML_ERROR_NOT_SUPPORTED
    calls = ("ClockInfo", "Temperature", "CurrentClocksEventReasons", "CurrentClocksThrottleReasons")
    opened = sensor(None, **{f"nvmlDeviceGet{call}": missing for call in calls})
    state = opened.state()
    assert (state.sm_clock_mhz, state.memory_clock_mhz, state.temperature_celsius) == (None, None, None)
    assert state.throttle_reasons == ()
    assert sensor(None, nvmlDeviceGetEnforcedPowerLimit=missing).card.power_limit_watts is None


def test_a_maxwell_has_no_counter_and_its_card_says_how_slow_it_is() -> None:
    opened = sensor(
        FakeCard(
            name="NVIDIA GeForce GTX TITAN X",
            millijoules=None,
            instant_milliwatts=None,
            architecture=pynvml.NVML_DEVICE_ARCH_MAXWELL,
        )
    )
    assert opened.energy_joules() is None
    assert opened.power_watts() == 312.5
    assert any("capacitor" in note for note in opened.card.notes)
    assert "power reading: nvmlDeviceGetPowerUsage" in opened.card.notes


def test_a_counter_that_fails_later_is_an_error_and_not_a_card_without_one() -> None:
    nvml = FakeNvml(FakeCard())
    opened = NvmlSensor(nvml=nvml)
    nvml.broken["nvmlDeviceGetTotalEnergyConsumption"] = pynvml.NVML_ERROR_TIMEOUT
    with pytest.raises(MeasurementError) as caught:
        opened.energy_joules()
    assert caught.value.transient
    nvml.broken["nvmlDeviceGetTotalEnergyConsumption"] = pynvml.NVML_ERROR_GPU_IS_LOST
    with pytest.raises(MeasurementError, match="fallen off the bus") as caught:
        opened.energy_joules()
    assert not caught.value.transient


@pytest.mark.parametrize(
    ("card", "reason", "words"),
    [
        (FakeCard(mig=True), "SharedDevice", "MIG"),
        (FakeCard(virtualization=pynvml.NVML_GPU_VIRTUALIZATION_MODE_VGPU), "SharedDevice", "virtual GPU"),
        (FakeCard(virtualization=pynvml.NVML_GPU_VIRTUALIZATION_MODE_HOST_VGPU), "SharedDevice", "virtual GPU"),
        (FakeCard(mps=[77]), "SharedDevice", "MPS"),
        (FakeCard(compute=[999_999_991]), "ForeignProcessOnDevice", "process 999999991"),
        (FakeCard(graphics=[999_999_992]), "ForeignProcessOnDevice", "process 999999992"),
        (FakeCard(used_bytes=3 * 2**30), "ForeignProcessOnDevice", "3072 MiB"),
    ],
)
def test_shared_and_occupied_devices_are_refused(card: FakeCard, reason: str, words: str) -> None:
    error = refused(card)
    assert error.reason == reason
    assert words in str(error)
    assert card.name in str(error)
    assert ": " in str(error), "the way out"


def test_a_card_passed_through_in_whole_is_no_slice() -> None:
    passed = FakeCard(virtualization=pynvml.NVML_GPU_VIRTUALIZATION_MODE_PASSTHROUGH)
    assert sensor(passed).energy_joules() == 5000.0


def test_a_process_that_is_just_leaving_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    card = FakeCard(compute=[999_999_991])
    monkeypatch.setattr(module, "_GRACE_SECONDS", 60.0)
    monkeypatch.setattr(module.time, "sleep", lambda seconds: card.compute.clear())
    assert sensor(card).foreign_processes() == ()


def test_a_driver_that_lists_no_processes_is_noted() -> None:
    for code in (getattr(pynvml, name) for name in UNSUPPORTED):
        calls = ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetComputeRunningProcesses_v2")
        opened = sensor(None, **dict.fromkeys(calls, code))
        assert opened.foreign_processes() == ()
        assert any("unseen" in note for note in opened.card.notes)


def test_foreign_processes_are_neither_this_process_nor_its_children() -> None:
    card = FakeCard()
    opened = sensor(card)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        card.compute = [os.getpid(), child.pid]
        assert opened.foreign_processes() == ()
        card.compute = [os.getpid(), child.pid, os.getppid()]
        assert opened.foreign_processes() == (os.getppid(),)
    finally:
        child.communicate()


def test_an_older_driver_lists_processes_by_the_second_form_of_the_call() -> None:
    nvml = FakeNvml(FakeCard(), broken={"nvmlDeviceGetComputeRunningProcesses": pynvml.NVML_ERROR_FUNCTION_NOT_FOUND})
    opened = NvmlSensor(nvml=nvml)
    assert not any("unseen" in note for note in opened.card.notes)
    nvml.cards[0].compute = [os.getpid(), 999_999_992]
    assert opened.foreign_processes() == (999_999_992,)


def test_a_driver_that_does_not_know_instant_power_gives_its_usual_figure() -> None:
    for code in (pynvml.NVML_ERROR_INVALID_ARGUMENT, pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_DEPRECATED):
        opened = sensor(None, nvmlDeviceGetFieldValues=code)
        assert opened.power_watts() == 312.5
        assert "power reading: nvmlDeviceGetPowerUsage" in opened.card.notes


def test_instant_and_averaged_power_are_never_mixed() -> None:
    card = FakeCard()
    opened = sensor(card)
    assert "power reading: NVML_FI_DEV_POWER_INSTANT" in opened.card.notes
    card.instant_milliwatts = None
    with pytest.raises(MeasurementError, match="did not report its power") as caught:
        opened.power_watts()
    assert caught.value.transient, "a sample missed"


@pytest.mark.parametrize("kind", ["UNSIGNED_INT", "UNSIGNED_LONG", "UNSIGNED_LONG_LONG", "SIGNED_LONG_LONG", "DOUBLE"])
def test_a_value_is_read_as_its_type_says(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    member = dict(module._MEMBERS)[f"NVML_VALUE_TYPE_{kind}"]
    value = pynvml.c_nvmlFieldValue_t(valueType=getattr(pynvml, f"NVML_VALUE_TYPE_{kind}"))
    setattr(value.value, member, 400_250)
    nvml = FakeNvml(FakeCard())
    monkeypatch.setattr(nvml, "_nvmlDeviceGetFieldValues", lambda card, fields: [value])
    assert NvmlSensor(nvml=nvml).power_watts() == 400.25


def test_a_card_that_is_lost_between_two_windows_is_no_card() -> None:
    nvml = FakeNvml(FakeCard())
    opened = NvmlSensor(nvml=nvml)
    lost = pynvml.NVML_ERROR_GPU_IS_LOST
    calls = ("TotalEnergyConsumption", "FieldValues", "ClockInfo", "ComputeRunningProcesses")
    nvml.broken.update({f"nvmlDeviceGet{call}": lost for call in calls})
    for read in (opened.energy_joules, opened.power_watts, opened.state, opened.foreign_processes):
        with pytest.raises(MeasurementError, match="fallen off the bus") as caught:
            read()
        assert (caught.value.reason, caught.value.transient) == ("NoDevice", False)
    opened.close()


def test_under_mps_its_server_is_a_foreign_process() -> None:
    """It begins with the first client, which is this process: after the sensor was made."""
    card = FakeCard()
    opened = sensor(card)
    card.compute, card.mps = [os.getpid(), 999_999_993], [os.getpid()]
    assert opened.foreign_processes() == (999_999_993,)


def test_in_a_container_that_hides_us_the_first_to_appear_is_taken_for_us() -> None:
    card = FakeCard()
    opened = sensor(card)
    card.compute = [999_999_991]
    assert opened.foreign_processes() == ()
    card.compute = [999_999_991, 999_999_992]
    assert opened.foreign_processes() == (999_999_992,)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("NVML_ERROR_LIBRARY_NOT_FOUND", "NoDevice"),
        ("NVML_ERROR_DRIVER_NOT_LOADED", "NoDevice"),
        ("NVML_ERROR_NO_PERMISSION", "NoPermission"),
        ("NVML_ERROR_LIB_RM_VERSION_MISMATCH", "NoDevice"),
    ],
)
def test_a_driver_that_does_not_open_is_one_sentence(code: str, reason: str) -> None:
    with pytest.raises(MeasurementError) as caught:
        NvmlSensor(nvml=FakeNvml(FakeCard(), broken={"nvmlInit": getattr(pynvml, code)}))
    assert caught.value.reason == reason
    assert "\n" not in str(caught.value)


def test_no_such_device() -> None:
    with pytest.raises(MeasurementError, match="NVIDIA device 3 does not exist: the driver lists 1"):
        NvmlSensor(3, nvml=FakeNvml(FakeCard()))


def test_a_card_with_neither_energy_nor_power() -> None:
    error = refused(
        FakeCard(millijoules=None, instant_milliwatts=None), nvmlDeviceGetPowerUsage=pynvml.NVML_ERROR_NOT_SUPPORTED
    )
    assert error.reason == "NoCounter"


def test_without_the_package_the_way_out_is_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(MeasurementError, match="pip install nvidia-ml-py"):
        NvmlSensor()


def test_the_real_library_without_a_driver() -> None:
    """On a machine with a card this is the other way round: it opens, or says why not."""
    try:
        opened = NvmlSensor()
    except MeasurementError as error:
        assert error.reason in ("NoDevice", "NoPermission", "SharedDevice", "ForeignProcessOnDevice")
        assert "\n" not in str(error)
    else:
        assert opened.power_watts() > 0
        opened.close()


def test_nothing_is_ever_set_or_reset() -> None:
    nvml = FakeNvml(FakeCard())
    opened = NvmlSensor(nvml=nvml)
    opened.energy_joules(), opened.power_watts(), opened.state(), opened.foreign_processes()
    opened.close()
    opened.close()
    assert nvml.open == 0
    assert all(name.startswith(("nvmlInit", "nvmlShutdown", "nvmlDeviceGet", "nvmlSystemGet")) for name in nvml.calls)


def test_indexes_follow_what_cuda_may_see() -> None:
    cards = FakeNvml(FakeCard(), FakeCard(uuid="GPU-ffff"), FakeCard(uuid="GPU-eeee"))
    assert nvml_index(1, environ={}, nvml=cards) == 1
    assert nvml_index(0, environ={"CUDA_VISIBLE_DEVICES": "2,0"}, nvml=cards) == 2
    assert nvml_index(1, environ={"CUDA_VISIBLE_DEVICES": "2, GPU-ff"}, nvml=cards) == 1
    assert cards.open == 0
    for visible, index in (("MIG-1234", 0), ("0", 1), ("GPU-abcd", 0)):
        with pytest.raises(MeasurementError):
            nvml_index(index, environ={"CUDA_VISIBLE_DEVICES": visible}, nvml=cards)


def test_unlike_cards_need_an_order_that_both_share() -> None:
    cards = FakeNvml(FakeCard(), FakeCard(name="Quadro K620"))
    with pytest.raises(MeasurementError, match="CUDA_DEVICE_ORDER=PCI_BUS_ID"):
        nvml_index(0, environ={}, nvml=cards)
    assert nvml_index(1, environ={"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, nvml=cards) == 1


def test_started_gives_the_module_that_it_was_given() -> None:
    nvml = FakeNvml(FakeCard())
    assert started(nvml) is nvml
    assert nvml.open == 1
