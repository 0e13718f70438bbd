"""Run one measuring window: ``scripts/measure-window OUT`` uses a GPU that is lent for some minutes, and ends in time.

It continues from the rows of this kind of card in the checkout, measures what the plan has next, and leaves in ``OUT``
what must be kept: the journal, flushed row by row, the report, and the log.
"""

from __future__ import annotations

import argparse
import contextlib
import filecmp
import gzip
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from joulecast.errors import JoulecastError
from joulecast_calibration.measure.plan.configuration import PARENT
from joulecast_calibration.measure.report.report import report
from joulecast_calibration.measure.report.text import report_text
from joulecast_calibration.measure.run.chain import LOG
from joulecast_calibration.measure.run.refusals import (
    LONGEST_PROCESS_SECONDS,
    SMALLEST_BUDGET_SECONDS,
    duration_seconds,
)
from joulecast_calibration.meter.simulated.presets import PRESETS
from joulecast_calibration.rows.journals import SIMULATED

_REPORT = "report.txt"
_REPORT_SECONDS = 20.0  # to judge the rows, to compress the log, and to end: a few seconds on a slow processor
_KILL_SECONDS = 8.0  # before the end, a measurement that has not ended by itself is killed


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuringWindow:
    """A measurement of limited duration.

    - ``out``: folder that is kept.
    - ``rows``: folder whose ``<accelerator>/*.jsonl`` the window continues from.
    - ``seconds``: from ``began`` of the monotonic clock until everything has ended.
    - ``device``: options of ``joulecast measure`` that choose the device.
    - ``slices``: of the plan; all if empty.
    """

    out: Path
    rows: Path
    seconds: float
    began: float
    device: tuple[str, ...]
    slices: tuple[str, ...]

    @property
    def left(self) -> float:
        """Return the seconds until everything must have ended."""
        return self.began + self.seconds - time.monotonic()


def main(rows: Path, arguments: Sequence[str] | None = None) -> int:
    """Measure one window; return 0 if rows were measured, else the exit status of the measurement, 2 for wrong usage.

    ``rows``: folder of what was measured before, where no option names another.
    """
    began = time.monotonic()
    signal.signal(signal.SIGTERM, _end)
    try:
        return _run(_window(_parser(rows).parse_args(arguments), began))
    except KeyboardInterrupt:
        print("interrupted: rows so far are kept; the same command goes on from them", file=sys.stderr)
        return 130
    except (JoulecastError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if getattr(error, "reason", "") == "WrongUsage" else 1


def _end(*_: object) -> None:
    """End as Ctrl-C does, so that the measurement is ended too."""
    raise KeyboardInterrupt


def _parser(rows: Path) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/measure-window", description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of what is to be kept; made if it is not there")
    parser.add_argument(
        "--seconds", default=f"{LONGEST_PROCESS_SECONDS:g}", metavar="TIME", help="time until everything has ended"
    )
    parser.add_argument("--rows", type=Path, default=rows, metavar="DIR", help="folder of the rows measured before")
    parser.add_argument(
        "--slice", action="append", default=[], metavar="NAME", help="measure this slice of the plan alone; repeatable"
    )
    parser.add_argument("--device", default="0", metavar="N", help="index of the GPU")
    parser.add_argument("--simulate", nargs="?", const="hopper", metavar="PRESET", help="rehearse in virtual time")
    parser.add_argument("--simulate-on-cpu", action="store_true", help="rehearse with torch on the processor")
    return parser


def _window(chosen: argparse.Namespace, began: float) -> MeasuringWindow:
    device: tuple[str, ...] = ("--device", chosen.device)
    if chosen.simulate:
        device = ("--simulate", chosen.simulate)
    if chosen.simulate_on_cpu:
        device = ("--simulate-on-cpu",)
    seconds = duration_seconds(chosen.seconds, "--seconds")
    return MeasuringWindow(
        out=chosen.out, rows=chosen.rows, seconds=seconds, began=began, device=device, slices=tuple(chosen.slice)
    )


def _run(window: MeasuringWindow) -> int:
    name = _accelerator(window.device)
    folder = window.out / name
    folder.mkdir(parents=True, exist_ok=True)
    earlier = _copy_earlier(window.rows / name, folder)
    status = _measure(window, folder)
    _compress(folder / LOG)
    _remove_unchanged(earlier)
    (folder / ".lock").unlink(missing_ok=True)
    gained = any(path.stat().st_size for path in folder.glob("*.jsonl"))
    return 0 if gained else status or 1


def _accelerator(device: Sequence[str]) -> str:
    """Return the name of the card's folder."""
    if device[0] == "--device":
        from joulecast_calibration.meter.nvml import NvmlSensor, nvml_index

        with contextlib.closing(NvmlSensor(nvml_index(int(device[1])))) as sensor:
            return sensor.card.accelerator
    preset = device[1] if device[0] == "--simulate" else "hopper"
    return f"{SIMULATED}{preset if preset in PRESETS else 'unknown'}"


def _copy_earlier(rows: Path, folder: Path) -> list[tuple[Path, Path]]:
    """Copy the journals of earlier windows beside the new one, so that no row is repeated; return both paths."""
    pairs = [(path, folder / path.name) for path in sorted(rows.glob("*.jsonl"))]
    for path, copy in pairs:
        if not copy.exists():
            shutil.copyfile(path, copy)
    return pairs


def _remove_unchanged(pairs: Sequence[tuple[Path, Path]]) -> None:
    """Remove the copies that the window did not change, so that only new rows are brought back."""
    for path, copy in pairs:
        if copy.exists() and path.resolve() != copy.resolve() and filecmp.cmp(path, copy, shallow=False):
            copy.unlink()


def _measure(window: MeasuringWindow, folder: Path) -> int:
    """Run the measurement in a process of its own, so that it cannot delay the window's end; return its exit status."""
    budget = max(window.left - _REPORT_SECONDS, SMALLEST_BUDGET_SECONDS)
    command = [
        sys.executable,
        "-m",
        "joulecast_calibration.measure",
        "--resume",
        str(folder),
        "--budget",
        f"{budget:.0f}s",
    ]
    command += ["--one-process", *window.device, *(word for name in window.slices for word in ("--slice", name))]
    path = window.out / _REPORT
    with path.open("wb") as text:
        environment = os.environ | {PARENT: str(os.getpid())}
        child = subprocess.Popen(command, stdout=text, process_group=0, env=environment)
        status = _waited(child, window.left - _KILL_SECONDS)
    if status is None:
        path.write_text("killed at the end of its time\n" + _judged(folder), "utf-8")
    sys.stdout.write(path.read_text("utf-8"))
    return 1 if status is None else status


def _waited(child: subprocess.Popen[bytes], seconds: float) -> int | None:
    """Return the exit status of ``child``, or None where it had to be killed with everything that it started."""
    try:
        return child.wait(max(seconds, 0.0))
    except subprocess.TimeoutExpired:
        return None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _judged(folder: Path) -> str:
    """Return the report of the rows, or the reason why it cannot be made."""
    try:
        return report_text(report(folder))
    except JoulecastError as error:
        return f"no report: {error}\n"


def _compress(log: Path) -> None:
    """Replace the log of the measuring processes by its compressed copy."""
    if log.is_file():
        with log.open("rb") as source, gzip.open(f"{log}.gz", "wb") as target:
            shutil.copyfileobj(source, target)
        log.unlink()
