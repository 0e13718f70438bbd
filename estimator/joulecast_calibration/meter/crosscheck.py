"""Measure with the same counter through CodeCarbon: start, run thousands of executions, stop, divide.

    python -m joulecast_calibration.meter.crosscheck --index 0

is that process. It imports CodeCarbon and never the device's runtime, and speaks JSON lines: it says
``{"ready": …}``, then answers ``start`` and ``stop`` on its standard input. ``CodeCarbonProcess`` is its other end.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO

from joulecast.errors import MeasurementError
from joulecast_calibration.meter.edges import grown
from joulecast_calibration.meter.measuring import Window
from joulecast_calibration.meter.policy import Policy
from joulecast_calibration.meter.sensor import Clock, Load, Sensor

FEWEST_EXECUTIONS = 4000  # the publication's protocol
LONGEST_SECONDS = 0.0025  # of one execution: longer ones would take more than ten seconds each
_LEAST_SECONDS = 4.0  # so that one period of the counter more or less at either end is some 2 %
_WARM_SECONDS = 1.0
_JOULES_PER_KWH = 3.6e6
_PERIOD_SECONDS = 0.1  # measure_power_secs
_PATIENCE_SECONDS = 90.0  # CodeCarbon looks for processors, clouds and locks before it begins
_COUNTRY = "CHE"  # any: it weighs carbon, which is not asked for


class CodeCarbonProcess:
    """The measuring side of CodeCarbon's process: ``start``, ``compare`` once or more often, then ``close``."""

    def __init__(self, process: subprocess.Popen[str], folder: tempfile.TemporaryDirectory[str]) -> None:
        self._process, self._folder = process, folder
        self.version = str(self._answer()["ready"])

    @classmethod
    def start(cls, *, index: int = 0, environ: Mapping[str, str] = os.environ) -> CodeCarbonProcess:
        """Start the process; ``index``: NVML's. Raises MeasurementError (``NoCodeCarbon``) if it is not usable."""
        if find_spec("codecarbon") is None:
            raise MeasurementError(
                "CodeCarbon is not installed, so the cross-check by it is skipped: pip install 'joulecast[calibrate]'",
                reason="NoCodeCarbon",
            )
        folder = tempfile.TemporaryDirectory(prefix="joulecast-codecarbon-")
        process = subprocess.Popen(
            [sys.executable, "-m", "joulecast_calibration.meter.crosscheck", "--index", str(index)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
            cwd=folder.name,
            env=_environment(environ, folder.name),
        )
        try:
            return cls(process, folder)
        except BaseException:
            _end(process, folder)
            raise

    def close(self) -> None:
        _end(self._process, self._folder)

    def compare(
        self, name: str, load: Load, sensor: Sensor, clock: Clock, window: Window, policy: Policy | None = None
    ) -> dict[str, Any]:
        """Measure one configuration by CodeCarbon beside ``window``; return columns with joules and seconds of an
        execution.

        ``codecarbon_joules`` divides all that CodeCarbon saw, handshakes included, by the executions, as who uses it
        would; ``counter_joules`` likewise the counter read here. Raises MeasurementError for executions of more than
        2.5 ms, and where CodeCarbon does not answer.
        """
        if window.seconds > LONGEST_SECONDS:
            raise MeasurementError(
                f"{name} takes {1000 * window.seconds:.1f} ms an execution, and the cross-check by CodeCarbon is for"
                f" {1000 * LONGEST_SECONDS:.1f} ms at most: choose a shorter configuration",
                reason="TooLong",
            )
        policy = policy or Policy()
        executions = _whole(max(FEWEST_EXECUTIONS, _LEAST_SECONDS / window.seconds), load.multiple)
        run(load, clock, _whole(_WARM_SECONDS / window.seconds, load.multiple), window.seconds, policy)
        self._ask("start")
        before, began = sensor.energy_joules(), clock.seconds()
        run(load, clock, executions, window.seconds, policy)
        after, ended = sensor.energy_joules(), clock.seconds()
        answer = self._ask("stop")
        codecarbon = float(answer["joules"]) / executions
        counter = None if before is None or after is None else grown(before, after, ended - began) / executions
        return {
            "name": name,
            "check": "codecarbon",
            "codecarbon": self.version,
            "executions": executions,
            "seconds": (ended - began) / executions,
            "joules": window.joules,
            "joules_standard_error": window.joules_standard_error,
            "codecarbon_joules": codecarbon,
            "codecarbon_seconds": float(answer["seconds"]),
            "counter_joules": counter,
            "codecarbon_difference": codecarbon / window.joules - 1.0,
        }

    def _ask(self, question: str) -> dict[str, Any]:
        assert self._process.stdin is not None  # noqa: S101 - opened as a pipe
        try:
            self._process.stdin.write(question + "\n")
            self._process.stdin.flush()
        except OSError:
            raise _silent(self._process) from None
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101 - opened as a pipe
        ready, _, _ = select.select([self._process.stdout], [], [], _PATIENCE_SECONDS)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            raise _silent(self._process)
        answer: dict[str, Any] = json.loads(line)
        if "problem" in answer:
            raise MeasurementError(str(answer["problem"]), reason="NoCodeCarbon")
        return answer


def run(load: Load, clock: Clock, executions: int, pace: float, policy: Policy) -> None:
    """Run exactly so many executions (a multiple of the load's) with a filled queue, until they are finished."""
    chunk = load.multiple * max(1, math.floor(policy.chunk_seconds / pace / load.multiple))
    most = max(2 * load.multiple, math.ceil(policy.queue_seconds / pace))
    target = load.completed() + executions
    enqueued = target - executions
    while enqueued < target:
        if enqueued - load.completed() < most:
            load.enqueue(min(chunk, target - enqueued))
            enqueued += min(chunk, target - enqueued)
        else:
            clock.sleep(policy.poll_seconds)
    load.drain()


def _whole(executions: float, multiple: int) -> int:
    return multiple * max(1, math.ceil(executions / multiple))


def _environment(environ: Mapping[str, str], home: str) -> dict[str, str]:
    """Remove the user's settings of CodeCarbon from the environment, and put our own packages on the path."""
    kept = {name: value for name, value in environ.items() if not name.startswith("CODECARBON_")}
    ours = str(Path(__file__).parents[2])
    return kept | {"HOME": home, "PYTHONPATH": os.pathsep.join(filter(None, (ours, environ.get("PYTHONPATH"))))}


def _end(process: subprocess.Popen[str], folder: tempfile.TemporaryDirectory[str]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    try:
        process.wait(timeout=5.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    folder.cleanup()


def _silent(process: subprocess.Popen[str]) -> MeasurementError:
    code = process.poll()
    state = "does not answer" if code is None else f"ended with code {code}"
    return MeasurementError(
        f"the process that runs CodeCarbon {state}: run `python -m joulecast_calibration.meter.crosscheck` to see why",
        reason="NoCodeCarbon",
    )


def serve(questions: TextIO, answers: TextIO, tracker_of: Callable[[], Any]) -> None:
    """Answer ``start`` and ``stop`` with one tracker for each pair, made in advance for a quick start."""
    tracker = tracker_of()
    began = 0.0
    for line in questions:
        if line.strip() == "start":
            began = time.monotonic()
            tracker.start()
            _say(answers, {"started": began})
        elif line.strip() == "stop":
            tracker.stop()
            data, seconds = tracker.final_emissions_data, time.monotonic() - began
            _say(answers, {"joules": data.gpu_energy * _JOULES_PER_KWH, "seconds": seconds})
            tracker = tracker_of()


def _say(answers: TextIO, value: Mapping[str, Any]) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()


def _tracker_of(index: int) -> Callable[[], Any]:
    codecarbon = import_module("codecarbon")
    return lambda: codecarbon.OfflineEmissionsTracker(
        country_iso_code=_COUNTRY,
        measure_power_secs=_PERIOD_SECONDS,
        gpu_ids=[index],
        save_to_file=False,
        allow_multiple_runs=True,
        log_level="critical",
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m joulecast_calibration.meter.crosscheck", description=__doc__)
    parser.add_argument("--index", type=int, default=0, help="NVML's number of the device")
    arguments = parser.parse_args()
    answers = sys.stdout
    with redirect_stdout(sys.stderr):
        try:
            tracker_of = _tracker_of(arguments.index)
            version = import_module("codecarbon").__version__
        except ImportError as error:
            _say(answers, {"problem": f"CodeCarbon cannot be imported ({error}): pip install 'joulecast[calibrate]'"})
            return 1
        problem = _rehearse(tracker_of)
        if problem:
            _say(answers, {"problem": problem})
            return 1
        _say(answers, {"ready": version})
        serve(sys.stdin, answers, tracker_of)
    return 0


def _rehearse(tracker_of: Callable[[], Any]) -> str | None:
    """Start and stop once, and return what is missing, if anything.

    CodeCarbon looks for its hardware, for seconds, at the first start only.
    """
    if import_module("codecarbon.core.gpu").is_nvidia_system():
        tracker = tracker_of()
        tracker.start()
        tracker.stop()
        if getattr(tracker.final_emissions_data, "gpu_model", ""):
            return None
    return "CodeCarbon sees no such device: it needs NVML and the program nvidia-smi, so put that on the PATH"


if __name__ == "__main__":
    sys.exit(main())
