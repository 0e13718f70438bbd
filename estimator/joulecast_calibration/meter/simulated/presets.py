"""Cards with the sensors that Yang, Adamek and Armour measured ("Part-time Power Measurements", SC 2024, data set
GPU_Power_Benchmark): update period, averaging window, delay and rise of each generation.

What they found by the driver's figure: a 100 ms period of which A100 and H100 see 25 ms; 1 s averages on Hopper and on
drivers from 530 on; 20 ms and 10 ms on Volta; a capacitor's curve on Maxwell. They did not measure the energy counter:
that it is formed of the same samples as the instant figure is an assumption, and ``hopper-averaged`` is the worse one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from joulecast.errors import MeasurementError
from joulecast_calibration.meter.simulated.chip import SimulatedChip
from joulecast_calibration.meter.simulated.sensor import Register, SensorSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSpec:
    """A chip and its meter.

    - ``product``: the card that the chip simulates, as data sheets call it; loads take the time that this card's limits
      allow.
    - ``power_noise``, ``pace_noise``: relative standard deviation, from tick to tick, of the dynamic power and of the
      time of an execution.
    """

    name: str
    chip: SimulatedChip
    sensor: SensorSpec
    product: str = "NVIDIA-A100-PCIE-40GB"  # as the defaults of ``SimulatedChip``
    power_noise: float = 0.003  # chosen, as the next: repeats on an idle host differ by a few parts in a thousand
    pace_noise: float = 0.001


# Lag: the delay to half of a step that they list, less half of the window.
_PART_TIME = Register(period_seconds=0.1, window_seconds=0.025, lag_seconds=0.005)  # A100-PCIE-40GB: 104 / 25 / 17 ms
_HOPPER_PART_TIME = Register(period_seconds=0.1, window_seconds=0.025, lag_seconds=0.018)  # H100 PCIe: 100 / 25 / 30 ms
_WHOLE_TIME = Register(period_seconds=0.1, lag_seconds=0.15)  # RTX 2080 Ti: 101 / 101 / 202 ms
_ONE_SECOND = Register(period_seconds=0.1, window_seconds=1.0)  # H100 PCIe: 100 ms, rise 909, delay 500 ms
_FAST = Register(period_seconds=0.02, window_seconds=0.01, lag_seconds=0.015)  # V100-SXM2-16GB: 20 / 10 / 14 to 29 ms
_CAPACITOR = Register(  # GTX TITAN X: 101 ms, delay 95 ms; rise from 10 to 90 % in 340 ms, 2.2 time constants
    period_seconds=0.1, rise_seconds=0.155
)

_H100, _A100 = "NVIDIA-H100-80GB-HBM3", "NVIDIA-A100-PCIE-40GB"
_V100, _TITAN_X = "Tesla-V100-SXM2-16GB", "NVIDIA-GeForce-GTX-TITAN-X"

_HOPPER = SimulatedChip(
    boost_mhz=1830.0,  # H100-SXM5-80GB (data sheet), as the three next
    memory_mhz=2619.0,
    power_limit_watts=700.0,
    memory_bytes=80 * 10**9,
    static_watts=77.4,  # of the law transferred to it, as the four next
    clock_watts=42.7,
    gap_watts=77.4,
    voltage_floor=0.5,
    voltage_exponent=4.03,
    parked_watts=70.0,  # chosen
    celsius_per_watt=0.06,  # chosen: 72 °C at 700 W
)
_VOLTA = SimulatedChip(
    boost_mhz=1530.0,  # V100-SXM2-16GB (data sheet), as the three next
    memory_mhz=877.0,
    power_limit_watts=300.0,
    memory_bytes=16 * 2**30,
    static_watts=40.3,  # of the law scaled to its data sheet, as the four next
    clock_watts=22.3,
    gap_watts=40.3,
    voltage_floor=0.5,
    voltage_exponent=4.03,
)
_MAXWELL = SimulatedChip(
    boost_mhz=1080.0,  # GTX TITAN X (data sheet), as the three next
    memory_mhz=3505.0,
    power_limit_watts=250.0,
    memory_bytes=12 * 2**30,
    static_watts=33.6,  # of the law scaled to its data sheet, as the four next
    clock_watts=18.6,
    gap_watts=33.6,
    voltage_floor=0.5,
    voltage_exponent=4.03,
    parked_watts=15.0,  # chosen
)


def _spec(name: str, product: str, chip: SimulatedChip, power: Register, counter: Register | None) -> DeviceSpec:
    return DeviceSpec(name=name, product=product, chip=chip, sensor=SensorSpec(power=power, counter=counter))


PRESETS: Mapping[str, DeviceSpec] = {
    spec.name: spec
    for spec in (
        _spec("hopper", _H100, _HOPPER, _ONE_SECOND, _HOPPER_PART_TIME),
        _spec("hopper-averaged", _H100, _HOPPER, _ONE_SECOND, _ONE_SECOND),
        _spec("ampere", _A100, SimulatedChip(), _PART_TIME, _PART_TIME),
        _spec("turing", _A100, SimulatedChip(), _WHOLE_TIME, _WHOLE_TIME),
        _spec("volta", _V100, _VOLTA, _FAST, _FAST),
        _spec("maxwell", _TITAN_X, _MAXWELL, _CAPACITOR, None),
    )
}


def preset(name: str) -> DeviceSpec:
    """Return the preset of that name. Raises MeasurementError if there is none."""
    if name not in PRESETS:
        raise MeasurementError(
            f"unknown simulated device {name!r}: choose one of {', '.join(PRESETS)}", reason="WrongUsage"
        )
    return PRESETS[name]
