"""Simulate a device and its meter, to test the meter and the runner without a card.

Rows measured on them are marked: ``card.simulated`` and an accelerator named ``simulated-…``.
"""

from joulecast_calibration.meter.simulated.chip import Execution, Phase, SimulatedChip
from joulecast_calibration.meter.simulated.device import DeviceOutOfMemoryError, SimulatedDevice, SimulatedLoad
from joulecast_calibration.meter.simulated.faults import DeviceFaults, ForeignProcess
from joulecast_calibration.meter.simulated.presets import PRESETS, DeviceSpec, preset
from joulecast_calibration.meter.simulated.realtime import RealTimeDevice
from joulecast_calibration.meter.simulated.sensor import Register, SensorSpec

__all__ = [
    "PRESETS",
    "DeviceFaults",
    "DeviceOutOfMemoryError",
    "DeviceSpec",
    "Execution",
    "ForeignProcess",
    "Phase",
    "RealTimeDevice",
    "Register",
    "SensorSpec",
    "SimulatedChip",
    "SimulatedDevice",
    "SimulatedLoad",
    "preset",
]
