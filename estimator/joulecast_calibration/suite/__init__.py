"""The architectures that are measured, and an order of their layers of which any prefix covers the feature space.

Reading the committed index needs the standard library alone; ``rebuild`` traces everything anew.
"""

from __future__ import annotations

from joulecast_calibration.suite.architecture import Architecture, Batch, Skip, SuiteNetwork
from joulecast_calibration.suite.index import SuiteIndex, committed
from joulecast_calibration.suite.layer import Additivity, SuiteLayer

__all__ = ["Additivity", "Architecture", "Batch", "Skip", "SuiteIndex", "SuiteLayer", "SuiteNetwork", "committed"]
