"""The processor as an accelerator: its package energy (RAPL), read by CodeCarbon's own reader."""

from __future__ import annotations

import os
import platform
import re
from importlib import import_module
from pathlib import Path
from typing import Any

from joulecast.accelerators import normalise_product
from joulecast.calibration.meter.clock import MonotonicClock
from joulecast.calibration.meter.identity import card_name
from joulecast.calibration.meter.sensor import Card, Clock, DeviceState
from joulecast.errors import MeasurementError

_JOULES_PER_KWH = 3.6e6
_POWERCAP = Path("/sys/class/powercap/intel-rapl/subsystem")  # CodeCarbon's default, which finds AMD's as well
_NOTES = (
    "package energy by RAPL: the whole processor's, other processes' included",
    "power reading: the counter's mean since the last one, no independent figure",
)


class RaplSensor:
    """All packages together. Raises MeasurementError where there are no counters (``NoDevice``), they may not be read
    (``NoPermission``), or CodeCarbon is not installed (``NoCodeCarbon``).
    """

    card: Card

    def __init__(self, *, powercap: Path = _POWERCAP, clock: Clock | None = None) -> None:
        self._clock = clock or MonotonicClock()
        self._rapl, self._time = _reader(powercap)
        self._rapl.start()
        self._joules = 0.0
        self._read_at = self._clock.seconds()
        self._asked_at, self._asked_joules = self._read_at, 0.0
        self.card = _processor(powercap)

    def energy_joules(self) -> float | None:
        now = self._clock.seconds()
        details = self._rapl.get_cpu_details(self._time.from_seconds(max(now - self._read_at, 1e-9)))
        self._read_at = now
        if any(getattr(file, "sample_skipped", False) for file in self._rapl._rapl_files):
            raise MeasurementError(
                "a RAPL counter could not be read, or went back without having wrapped: measure this again",
                reason="CounterReset",
                transient=True,
            )
        self._joules += _JOULES_PER_KWH * sum(value for name, value in details.items() if "Energy" in name)
        return self._joules

    def power_watts(self) -> float:
        joules = self.energy_joules() or 0.0
        elapsed = max(self._read_at - self._asked_at, 1e-9)
        watts = (joules - self._asked_joules) / elapsed
        self._asked_at, self._asked_joules = self._read_at, joules
        return watts

    def state(self) -> DeviceState:
        return DeviceState(sm_clock_mhz=None, memory_clock_mhz=None, temperature_celsius=None)

    def strangers(self) -> tuple[int, ...]:
        """None are told apart: a processor always runs others, which the card's notes say."""
        return ()

    def close(self) -> None:
        """Nothing is held."""


def _reader(powercap: Path) -> tuple[Any, Any]:
    """CodeCarbon's IntelRAPL and its class Time."""
    if not powercap.exists():
        raise MeasurementError(
            f"this machine has no RAPL counters ({powercap} is missing), so its processor cannot be measured:"
            " use Linux on an Intel or AMD processor, not in a virtual machine",
            reason="NoDevice",
        )
    try:
        reader = import_module("codecarbon.core.cpu").IntelRAPL
        time = import_module("codecarbon.core.units").Time
    except ImportError:
        raise MeasurementError(
            "RAPL counters are read by CodeCarbon, which is not installed: pip install 'joulecast[calibrate]'",
            reason="NoCodeCarbon",
        ) from None
    rapl = reader(rapl_dir=str(powercap))
    if not rapl._rapl_files:
        raise MeasurementError(
            f"no RAPL counter below {powercap} may be read by this user: run as root, or make energy_uj readable",
            reason="NoPermission",
        )
    return rapl, time


def _processor(powercap: Path) -> Card:
    limits = [_number(path) for path in sorted(powercap.parent.glob("**/intel-rapl:?/constraint_0_power_limit_uw"))]
    known = [limit for limit in limits if limit is not None]
    return Card(
        accelerator=f"cpu-{normalise_product(_model())}",
        card=card_name(f"machine {_machine()}"),
        driver=f"linux-{platform.release()}",
        power_limit_watts=sum(known) / 1e6 if known and len(known) == len(limits) else None,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        simulated=False,
        notes=_NOTES,
    )


def _model() -> str:
    """As /proc/cpuinfo names it, without ® and ™ signs."""
    found = re.search(r"^model name\s*:\s*(.+)$", _text(Path("/proc/cpuinfo")), re.MULTILINE)
    name = found.group(1) if found else platform.machine()
    return " ".join(re.sub(r"\((R|TM)\)|@.*", " ", name).split())


def _machine() -> str:
    return _text(Path("/etc/machine-id")).strip() or platform.node()


def _number(path: Path) -> float | None:
    text = _text(path).strip()
    return float(text) if text.isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
