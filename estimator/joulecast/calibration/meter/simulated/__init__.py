"""A device and its meter that do not exist, to test the meter and the runner where no card is.

Whatever is measured on them says so: ``card.simulated`` and an accelerator named ``simulated-…``.
"""

from joulecast.calibration.meter.simulated.chip import Chip, Execution, Phase
from joulecast.calibration.meter.simulated.device import SimulatedDevice
from joulecast.calibration.meter.simulated.faults import Faults, Stranger
from joulecast.calibration.meter.simulated.loads import DeviceOutOfMemoryError, SimulatedLoad
from joulecast.calibration.meter.simulated.presets import PRESETS, DeviceSpec, preset
from joulecast.calibration.meter.simulated.realtime import RealTimeSimulatedSensor
from joulecast.calibration.meter.simulated.sensor import Register, SensorSpec

__all__ = [
    "PRESETS",
    "Chip",
    "DeviceOutOfMemoryError",
    "DeviceSpec",
    "Execution",
    "Faults",
    "Phase",
    "RealTimeSimulatedSensor",
    "Register",
    "SensorSpec",
    "SimulatedDevice",
    "SimulatedLoad",
    "Stranger",
    "preset",
]
