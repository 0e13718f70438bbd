"""CodeCarbon itself, in its process, against a card that draws what the test says."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from joulecast.errors import MeasurementError
from joulecast_calibration.meter import crosscheck
from joulecast_calibration.meter.crosscheck import FEWEST_EXECUTIONS, CodeCarbonProcess, run, serve
from joulecast_calibration.meter.edges import MODULI_JOULES
from joulecast_calibration.meter.nvml import NvmlSensor
from joulecast_calibration.meter.policy import Policy
from joulecast_calibration.meter.sensor import MonotonicClock
from joulecast_calibration.meter.simulated import DeviceFaults, SimulatedDevice

from .stand_in import RunningNvml
from .test_measuring import measured

WATTS = 250.0
STUB = """
import sys
from importlib.util import module_from_spec, spec_from_file_location

real = spec_from_file_location("pynvml", {real!r})
module = module_from_spec(real)
sys.modules["pynvml"] = module
real.loader.exec_module(module)
stand_in = spec_from_file_location("stand_in", {stand_in!r})
fakes = module_from_spec(stand_in)
sys.modules["stand_in"] = fakes
stand_in.loader.exec_module(fakes)
running = fakes.RunningNvml({watts!r})
for name in dir(module):
    if hasattr(fakes.RunningNvml, "_" + name):
        setattr(module, name, getattr(running, name))
"""


class Sleeper:
    """A load that runs on no device, ``pace`` seconds an execution, while the process waits."""

    multiple = 1

    def __init__(self, pace: float) -> None:
        self.pace, self.done = pace, 0

    def enqueue(self, executions: int) -> None:
        time.sleep(self.pace * executions)
        self.done += executions

    def completed(self) -> int:
        return self.done

    def drain(self) -> None: ...


def window_of(seconds: float, joules: float) -> Any:
    return SimpleNamespace(seconds=seconds, joules=joules, joules_standard_error=0.01 * joules)


@pytest.fixture
def stubbed(tmp_path: Path) -> dict[str, str]:
    """An environment in which ``import pynvml`` gives a card of 250 W, and nvidia-smi is a program."""
    real = importlib.util.find_spec("pynvml")
    assert real is not None
    stand_in = str(Path(__file__).with_name("stand_in.py"))
    (tmp_path / "pynvml.py").write_text(STUB.format(real=real.origin, stand_in=stand_in, watts=WATTS))
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    return {**os.environ, "PYTHONPATH": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}


@pytest.mark.slow
def test_codecarbon_reads_what_the_counter_counted(stubbed: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("codecarbon")
    monkeypatch.setattr(crosscheck, "_LEAST_SECONDS", 1.5)
    monkeypatch.setattr(crosscheck, "_WARM_SECONDS", 0.1)
    pace = 0.0004
    sensor = NvmlSensor(nvml=RunningNvml(WATTS))
    with closing(CodeCarbonProcess.start(environ=stubbed)) as codecarbon:
        load, clock = Sleeper(pace), MonotonicClock()
        began = time.monotonic()
        row = codecarbon.compare("one", load, sensor, clock, window_of(pace, pace * WATTS))
        whole_seconds = time.monotonic() - began
        process = codecarbon._process
    assert process.poll() is not None, "the process outlives its use"
    assert row["executions"] == FEWEST_EXECUTIONS
    seen = row["codecarbon_joules"] * row["executions"]
    update_joules, load_seconds = WATTS * 0.1, pace * FEWEST_EXECUTIONS
    assert seen / update_joules == pytest.approx(round(seen / update_joules), abs=1e-3), "whole updates of the counter"
    assert load_seconds <= row["codecarbon_seconds"] <= whole_seconds
    for joules in (seen, row["counter_joules"] * row["executions"]):
        assert WATTS * load_seconds - update_joules <= joules <= WATTS * whole_seconds + update_joules
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    assert codecarbon.version


def test_a_machine_without_a_device_is_skipped_and_says_so(tmp_path: Path) -> None:
    pytest.importorskip("codecarbon")
    (tmp_path / "pynvml.py").write_text("raise ImportError('no driver here')\n")
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with pytest.raises(MeasurementError, match="CodeCarbon sees no such device") as caught:
        CodeCarbonProcess.start(environ=environ)
    assert caught.value.reason == "NoCodeCarbon"


def test_without_codecarbon_it_is_skipped_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crosscheck, "find_spec", lambda name: None)
    with pytest.raises(MeasurementError, match="skipped") as caught:
        CodeCarbonProcess.start()
    assert caught.value.reason == "NoCodeCarbon"


def test_long_executions_are_refused() -> None:
    device = SimulatedDevice("ampere")
    window, _ = measured(device, device.load(0.005, watts=150.0))
    process = object.__new__(CodeCarbonProcess)
    with pytest.raises(MeasurementError, match=r"slow takes 5\.0 ms an execution"):
        process.compare("slow", device.load(0.005, watts=150.0), device.sensor, device.clock, window)


class Answering(CodeCarbonProcess):
    """Without the process: it answers with what the device used between start and stop."""

    def __init__(self, device: SimulatedDevice) -> None:
        self.version, self._device, self._began = "3", device, 0.0

    def _ask(self, question: str) -> dict[str, Any]:
        if question == "start":
            self._began = self._device.now
            return {"started": self._began}
        joules = self._device.true_joules(self._began, self._device.now)
        return {"joules": joules, "seconds": self._device.now - self._began}


def test_a_comparison_is_of_four_thousand_executions_and_four_seconds() -> None:
    assert FEWEST_EXECUTIONS == 4000, "the publication's protocol"
    for pace, executions in ((5e-4, 8000), (2e-3, 4000)):
        device = SimulatedDevice("turing")
        load = device.load(pace, watts=150.0)
        window, _ = measured(device, load)
        row = Answering(device).compare("one", load, device.sensor, device.clock, window)
        assert row["executions"] == pytest.approx(executions, rel=0.01)
        assert row["executions"] >= 4000
        assert row["codecarbon_difference"] == pytest.approx(0.0, abs=0.01)
        assert row["counter_joules"] == pytest.approx(row["joules"], rel=0.05)


def test_a_counter_that_wraps_beside_codecarbon_goes_on() -> None:
    wrap = MODULI_JOULES[0]
    device = SimulatedDevice("turing", faults=DeviceFaults(wrap_joules=wrap, start_joules=wrap - 600.0))
    load = device.load(1e-3, watts=150.0)
    window, _ = measured(device, load)
    before = device.sensor.energy_joules()
    row = Answering(device).compare("one", load, device.sensor, device.clock, window)
    after = device.sensor.energy_joules()
    assert before is not None
    assert after is not None
    assert after < before
    assert row["counter_joules"] == pytest.approx(row["joules"], rel=0.05)


def test_just_so_many_executions_run_without_a_gap() -> None:
    device = SimulatedDevice("ampere")
    load = device.load(5e-4, watts=150.0, multiple=32)
    run(load, device.clock, 320, 5e-4, Policy())  # clocks rise
    before, start = load.completed(), device.now
    run(load, device.clock, 4000, 5e-4, Policy())
    assert load.completed() - before == 4000
    assert device.now - start == pytest.approx(2.0, rel=0.01)


def test_each_pair_of_start_and_stop_has_a_tracker_made_ahead() -> None:
    events: list[str] = []

    class Tracker:
        final_emissions_data = SimpleNamespace(gpu_energy=2.0 / 3.6e6)

        def __init__(self) -> None:
            events.append("made")

        def start(self) -> None:
            events.append("start")

        def stop(self) -> None:
            events.append("stop")

    answers = io.StringIO()
    serve(io.StringIO("start\nstop\nnonsense\nstart\nstop\n"), answers, Tracker)
    said = [json.loads(line) for line in answers.getvalue().splitlines()]
    assert events == ["made", "start", "stop", "made", "start", "stop", "made"]
    assert [row["joules"] for row in said[1::2]] == [pytest.approx(2.0)] * 2
