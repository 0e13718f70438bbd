"""Run CodeCarbon's process beside a bench: start it at the first comparison and keep it for later ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from joulecast.errors import MeasurementError
from joulecast_calibration.meter import Window
from joulecast_calibration.meter.crosscheck import CodeCarbonProcess
from joulecast_calibration.meter.sensor import Clock, Load, Sensor


class Companion:
    """Holds CodeCarbon's process, which waits for its standard input and has no context on the device.

    - ``start``: starts the process, or raises MeasurementError (NoCodeCarbon).
    """

    def __init__(self, start: Callable[[], CodeCarbonProcess]) -> None:
        self._start = start
        self._process: CodeCarbonProcess | None = None
        self._missing: MeasurementError | None = None

    def compare(self, name: str, load: Load, sensor: Sensor, clock: Clock, window: Window) -> Mapping[str, Any]:
        """Return the columns of a comparison.

        Raises MeasurementError; NoCodeCarbon is raised at once after it occurred before, so that no time is spent on a
        second start.
        """
        try:
            return self._running().compare(name, load, sensor, clock, window)
        except MeasurementError as error:
            if error.reason == "NoCodeCarbon":
                self._missing = error
            if error.reason != "TooLong":
                self.close()
            raise

    def _running(self) -> CodeCarbonProcess:
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
