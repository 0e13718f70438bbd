"""CodeCarbon's process beside a bench: started at the first comparison, kept for those that follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from joulecast.errors import MeasurementError
from joulecast_calibration.meter import Window
from joulecast_calibration.meter.sensor import Clock, Load, Sensor


class Comparing(Protocol):
    """What is asked of ``meter.crosscheck.CodeCarbonProcess``."""

    def compare(self, name: str, load: Load, sensor: Sensor, clock: Clock, window: Window) -> Mapping[str, Any]: ...

    def close(self) -> None: ...


class Companion:
    """``start`` gives the process, or raises MeasurementError (NoCodeCarbon). It waits for its standard input between
    comparisons, and has no context on the device."""

    def __init__(self, start: Callable[[], Comparing]) -> None:
        self._start = start
        self._process: Comparing | None = None
        self._missing: MeasurementError | None = None

    def compare(self, name: str, load: Load, sensor: Sensor, clock: Clock, window: Window) -> Mapping[str, Any]:
        """The columns of a comparison. Raises MeasurementError: NoCodeCarbon at once where it was missing before, so
        that nobody waits for it twice."""
        try:
            return self._running().compare(name, load, sensor, clock, window)
        except MeasurementError as error:
            if error.reason == "NoCodeCarbon":
                self._missing = error
            if error.reason != "TooLong":
                self.close()
            raise

    def _running(self) -> Comparing:
        if self._missing is not None:
            raise MeasurementError(str(self._missing), reason="NoCodeCarbon")
        if self._process is None:
            self._process = self._start()
        return self._process

    def close(self) -> None:
        """End the process; a later comparison starts another."""
        process, self._process = self._process, None
        if process is not None:
            process.close()
