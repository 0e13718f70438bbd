"""The machine's clock. Its zero is the same in every process of a machine, so that two of them can compare times."""

from __future__ import annotations

import time


class MonotonicClock:
    """CLOCK_MONOTONIC: never set back, not stopped by anything short of suspension."""

    def seconds(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
