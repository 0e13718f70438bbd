"""A process that ends at a chosen call, as the kernel would end it."""

import signal
import subprocess
import sys

from joulecast_calibration.meter.simulated.faults import inside

PROGRAM = """
import sys
from joulecast_calibration.meter.simulated import DeviceFaults, SimulatedDevice
device = SimulatedDevice("volta", faults=DeviceFaults(end_at_call=int(sys.argv[1])))
try:
    for _ in range(5):
        device.sensor.energy_joules()
        print("read", flush=True)
finally:
    print("cleaned up", flush=True)
"""


def run(call):
    return subprocess.run([sys.executable, "-c", PROGRAM, str(call)], capture_output=True, text=True, check=False)


def test_the_process_is_killed_at_the_call_and_cleans_nothing_up():
    ended = run(3)
    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout == "read\n" * 2


def test_a_call_that_never_comes_ends_nothing():
    ended = run(6)
    assert (ended.returncode, ended.stdout) == (0, "read\n" * 5 + "cleaned up\n")


def test_a_span_holds_its_start_and_not_its_end():
    spans = ((1.0, 2.0), (5.0, 6.0))
    assert [inside(at, spans) for at in (0.9, 1.0, 1.9, 2.0, 5.5, 6.0)] == [False, True, True, False, True, False]
