"""The simulated meter on a clock that is not its own."""

import pytest

from joulecast_calibration.meter.simulated import (
    PRESETS,
    DeviceSpec,
    RealTimeDevice,
    SimulatedChip,
)


class Hands:
    """A clock moved by hand; it does not begin at 0."""

    def __init__(self):
        self.now = 5000.0

    def seconds(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class Work:
    """A load of a processor: ``enqueue`` returns when done."""

    multiple = 2

    def __init__(self, clock):
        self.clock, self.done = clock, 0

    def enqueue(self, executions):
        self.clock.sleep(0.01 * executions)
        self.done += executions

    def completed(self):
        return self.done

    def drain(self):
        pass


def quiet(**options):
    clock = Hands()
    spec = DeviceSpec(
        name="test",
        chip=SimulatedChip(leakage_per_celsius=0.0),
        sensor=PRESETS["turing"].sensor,
        power_noise=0,
        pace_noise=0,
    )
    return clock, RealTimeDevice(clock, spec, **options)


def test_joules_are_those_of_the_time_in_which_work_ran():
    clock, device = quiet()
    with device.busy(0.6):
        clock.sleep(1.0)
    with device.busy(0.6):
        clock.sleep(2.0)
    clock.sleep(1.0)
    device.sensor.energy_joules()
    assert device.true_joules(1.0, 3.0) == pytest.approx(2 * 0.6 * 250.0, rel=1e-6)
    assert device.true_joules(3.0, 4.0) == pytest.approx(SimulatedChip().rest_watts(1.0, 25.0), rel=0.01)


def test_its_counter_shows_the_work():
    clock, device = quiet()
    with device.busy(0.6):
        clock.sleep(1.0)
        before = device.sensor.energy_joules()
        clock.sleep(10.0)
        assert device.sensor.energy_joules() - before == pytest.approx(1500.0, rel=0.02)
        assert device.sensor.power_watts() == pytest.approx(150.0, rel=0.01)


def test_work_within_work_ends_where_it_ends():
    clock, device = quiet()
    with device.busy(0.4):
        clock.sleep(1.0)
        with device.busy(0.8):
            clock.sleep(1.0)
        clock.sleep(1.0)
    device.sensor.state()
    watts = [device.true_joules(second + 0.2, second + 0.9) / 0.7 for second in (0, 1, 2)]
    assert watts[1] == pytest.approx(200.0, rel=1e-6)
    assert watts[2] == pytest.approx(100.0, rel=1e-6)


def test_work_that_fails_is_over():
    clock, device = quiet()
    with pytest.raises(ZeroDivisionError), device.busy():
        clock.sleep(1.0)
        raise ZeroDivisionError
    clock.sleep(1.0)
    device.sensor.state()
    assert device.true_joules(1.0, 2.0) == pytest.approx(SimulatedChip().rest_watts(1.0, 25.0), rel=0.01)


def test_a_metered_load_is_busy_while_it_is_enqueued():
    clock, device = quiet()
    load = device.metered(Work(clock), intensity=0.6)
    load.enqueue(100)
    load.enqueue(100)
    load.drain()
    assert (load.completed(), load.multiple) == (200, 2)
    device.sensor.state()
    assert device.true_joules(1.0, 2.0) == pytest.approx(150.0, rel=1e-6)


def test_it_is_simulated_and_says_so():
    _, device = quiet()
    assert device.sensor.card.simulated
    assert device.sensor.card.accelerator == "simulated-test"


def test_its_power_limit_holds():
    clock, device = quiet()
    with device.busy(1.5):
        clock.sleep(5.0)
        assert device.sensor.state().throttle_reasons == ("sw_power_cap",)
    assert device.true_joules(2.0, 5.0) <= 3 * 250.0
