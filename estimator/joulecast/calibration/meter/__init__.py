"""Joules and seconds of a load, from counters that lag, average and wrap.

>>> constants = characterise(sensor, clock, load)        # what the counter is like: once a process
>>> window = measure(load, sensor, clock, constants)     # joules, seconds and watts of one execution
"""

from joulecast.calibration.meter.characterising import characterise
from joulecast.calibration.meter.constants import CounterConstants
from joulecast.calibration.meter.measuring import measure
from joulecast.calibration.meter.policy import Policy
from joulecast.calibration.meter.window import Window

__all__ = ["CounterConstants", "Policy", "Window", "characterise", "measure"]
