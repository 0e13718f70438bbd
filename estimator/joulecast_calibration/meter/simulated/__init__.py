"""Simulate a device and its meter, to test the meter and the runner without a card.

Rows measured on them are marked: ``card.simulated`` and an accelerator named ``simulated-…``.
"""

from joulecast_calibration.meter.simulated.chip import Execution, Phase, SimulatedChip
from joulecast_calibration.meter.simulated.device import SimulatedDevice
from joulecast_calibration.meter.simulated.faults import DeviceFaults, ForeignProcess
from joulecast_calibration.meter.simulated.loads import DeviceOutOfMemoryError, SimulatedLoad
from joulecast_calibration.meter.simulated.presets import PRESETS, DeviceSpec, preset
from joulecast_calibration.meter.simulated.realtime import RealTimeSimulatedSensor
from joulecast_calibration.meter.simulated.sensor import Register, SensorSpec

__all__ = [
    "PRESETS",
    "DeviceFaults",
    "DeviceOutOfMemoryError",
    "DeviceSpec",
    "Execution",
    "ForeignProcess",
    "Phase",
    "RealTimeSimulatedSensor",
    "Register",
    "SensorSpec",
    "SimulatedChip",
    "SimulatedDevice",
    "SimulatedLoad",
    "preset",
]
