"""Joules and seconds of a load, from counters that lag, average and wrap.

>>> constants = characterise(sensor, clock, load)        # what the counter is like: once a process
>>> window = measure(load, sensor, clock, constants)     # joules, seconds and watts of one execution
"""

from joulecast_calibration.meter.characterising import characterise
from joulecast_calibration.meter.constants import CounterConstants
from joulecast_calibration.meter.measuring import Window, measure
from joulecast_calibration.meter.policy import Policy

__all__ = ["CounterConstants", "Policy", "Window", "characterise", "measure"]
